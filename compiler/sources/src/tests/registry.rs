//! Against a real docker-registry, filled by skopeo.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use diag::codes;
use formats::oci::Digest;
use plan::BaseRef;

use super::support::*;
use crate::{NetPolicy, Sources};

/// A registry with `image:1` of two layers and `multi:1` for two platforms; the single image's digest.
fn filled(dir: &Path) -> Option<(Registry, String, String)> {
    let (skopeo, registry) = (tool("skopeo")?, Registry::start(dir, "", "")?);
    let layout = Layout::new(dir.join("layout"));
    let (single, arm) = (layout.image("amd64", &[b"one", b"two"]), layout.image("arm64", &[b"arm"]));
    let index = layout.index(&[single.clone(), arm]);
    layout.finish(&[("single", &single), ("multi", &index)]);
    let from = format!("oci:{}", layout.dir.display());
    registry.copy(&skopeo, &format!("{from}:single"), "image:1");
    registry.copy(&skopeo, &format!("{from}:multi"), "multi:1");
    Some((registry, digest(&single), digest(&index)))
}

#[test]
fn an_image_by_tag_by_digest_and_by_platform() {
    let dir = tempfile::tempdir().unwrap();
    let Some((registry, single, index)) = filled(dir.path()) else { return };
    let sources = sources(dir.path(), NetPolicy::default());
    for name in [format!("{}/image:1", registry.address), format!("{}/image@{single}", registry.address)] {
        let base = BaseRef::Registry(name.clone());
        let pin = sources.resolve(&base, &amd64()).unwrap();
        assert_eq!((pin.digest.as_ref(), pin.index.as_ref(), pin.created), (Some(&single), None, Some(1_767_323_045)));
        let opened = sources.open(&base, &pin).unwrap();
        assert_eq!(opened.config["config"]["Healthcheck"]["Test"][0], "NONE");
        assert_eq!(contents(&opened), [gzip(&archive(b"one")), gzip(&archive(b"two"))]);
        assert_eq!(opened.layers[0].diff_id, Some(Digest::of(&archive(b"one"))));
        assert_eq!(opened.compressed_size, opened.layers.iter().map(|l| l.size).sum::<u64>());
        assert_eq!(opened.identity.reference, name);
    }
    let multi = BaseRef::Registry(format!("{}/multi:1", registry.address));
    let arm = sources.resolve(&multi, &arm64()).unwrap();
    assert_eq!(arm.index, Some(index));
    assert_eq!(contents(&sources.open(&multi, &arm).unwrap()), [gzip(&archive(b"arm"))]);
    assert_eq!(sources.resolve(&multi, &amd64()).unwrap().digest, Some(single));
    let v7 = plan::platform::Platform { variant: Some("v9".into()), ..arm64() };
    let error = sources.resolve(&multi, &v7).unwrap_err();
    assert_eq!((error.code, error.notes[0].as_str()), (codes::E0410, "it offers linux/amd64, linux/arm64"));
}

#[test]
fn a_warm_cache_serves_offline() {
    let dir = tempfile::tempdir().unwrap();
    let Some((registry, single, _)) = filled(dir.path()) else { return };
    let base = BaseRef::Registry(format!("{}/image:1", registry.address));
    let cold = sources(dir.path(), offline());
    assert_eq!(cold.resolve(&base, &amd64()).unwrap_err().code, codes::E0402);
    let pin = sources(dir.path(), NetPolicy::default()).resolve(&base, &amd64()).unwrap();
    drop(registry);
    let opened = cold.open(&base, &pin).unwrap();
    assert_eq!(opened.layers.len(), 2);
    let error = opened.layers[0].open().err().unwrap();
    assert_eq!((error.code, error.code.exit()), (codes::E0402, 3));
    assert!(
        error.message.contains(&opened.layers[0].digest.unwrap().to_string()) && error.help[0].contains("k8orc fetch")
    );
    // A reference by digest asks for no name.
    let name = opened.identity.reference.replace(":1", &format!("@{single}"));
    assert_eq!(cold.resolve(&BaseRef::Registry(name), &amd64()).unwrap().digest, Some(single));
    // And an empty cache says what it lacks.
    let empty = sources(&dir.path().join("other"), offline());
    assert_eq!(empty.open(&base, &pin).unwrap_err().code, codes::E0402);
}

#[test]
fn what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let Some((registry, _, _)) = filled(dir.path()) else { return };
    let sources = sources(dir.path(), NetPolicy::default());
    let missing = format!("sha256:{}", "0".repeat(64));
    for name in ["image:2", "nothing:1", &format!("image@{missing}")] {
        let base = BaseRef::Registry(format!("{}/{name}", registry.address));
        let error = sources.resolve(&base, &amd64()).unwrap_err();
        assert_eq!((error.code, error.code.exit()), (codes::E0401, 1), "{name}: {}", error.message);
    }
    assert_eq!(sources.push(&dir.path().join("layout"), "x/UPPER").unwrap_err().code, codes::E0400);
}

#[test]
fn locked_resolves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sources = sources(dir.path(), NetPolicy { offline: false, locked: true });
    let error = sources.resolve(&BaseRef::Registry("debian:trixie".into()), &amd64()).unwrap_err();
    assert_eq!(error.code, codes::E0405);
    assert!(error.message.contains("docker.io/library/debian:trixie"));
    assert_eq!(sources.resolve(&BaseRef::Scratch, &amd64()).unwrap().digest, None);
}

#[test]
fn registries_that_are_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let listed = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(|one| (*one).to_owned()).collect();
        sources_with(dir.path(), offline(), move |settings| settings.registries = Some(list))
    };
    let code =
        |sources: &Sources, name: &str| sources.resolve(&BaseRef::Registry(name.into()), &amd64()).unwrap_err().code;
    let team = listed(&["registry.example.com/team", "docker.io"]);
    // Offline: what is allowed is refused later.
    for name in ["debian:trixie", "registry.example.com/team/web:1", "registry.example.com/team:1"] {
        assert_eq!(code(&team, name), codes::E0402, "{name}");
    }
    for name in ["ghcr.io/a/b:1", "registry.example.com/teams/web:1", "registry.example.com/other/web:1"] {
        assert_eq!(code(&team, name), codes::E0417, "{name}");
    }
    assert_eq!(team.push(&dir.path().join("layout"), "ghcr.io/a/b:1").unwrap_err().code, codes::E0417);
    assert_eq!(code(&listed(&[]), "debian:trixie"), codes::E0417);
}

#[test]
fn a_private_registry() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(htpasswd), Some(_)) = (tool("htpasswd"), tool("docker-registry")) else { return };
    let users = run(&htpasswd, &["-Bbn", "me", "se:cret"]);
    fs::write(dir.path().join("users"), users).unwrap();
    let auth = format!("auth:\n  htpasswd:\n    realm: here\n    path: {}\n", dir.path().join("users").display());
    let registry = Registry::start(dir.path(), &auth, "").unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    let name = format!("{}/team/image:1", registry.address);
    let refused = |password: Option<&str>| {
        let sources = with_password(dir.path(), &registry.address, password);
        sources.push(&layout.dir, &name).unwrap_err()
    };
    for password in [None, Some("wrong")] {
        let error = refused(password);
        assert_eq!((error.code, error.code.exit()), (codes::E0404, 3), "{}", error.message);
        assert!(!format!("{error:?}").contains("wrong"));
    }
    let sources = with_password(dir.path(), &registry.address, Some("se:cret"));
    assert_eq!(sources.push(&layout.dir, &name).unwrap(), digest(&image));
    let base = BaseRef::Registry(name);
    let pin = sources.resolve(&base, &amd64()).unwrap();
    assert_eq!(contents(&sources.open(&base, &pin).unwrap()), [gzip(&archive(b"one"))]);
}

fn with_password(dir: &Path, registry: &str, password: Option<&str>) -> crate::Sources {
    use base64::Engine as _;
    let config = match password {
        None => "{}".to_owned(),
        Some(password) => {
            let auth = base64::engine::general_purpose::STANDARD.encode(format!("me:{password}"));
            format!("{{\"auths\":{{\"{registry}\":{{\"auth\":\"{auth}\"}}}}}}")
        }
    };
    fs::create_dir_all(dir.join("home/.docker")).unwrap();
    fs::write(dir.join("home/.docker/config.json"), config).unwrap();
    sources(dir, NetPolicy::default())
}

#[test]
fn a_registry_with_a_certificate_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(openssl), Some(_)) = (tool("openssl"), tool("docker-registry")) else { return };
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("ca.pem"));
    let (key_text, certificate_text) = (key.display().to_string(), certificate.display().to_string());
    run(
        &openssl,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=here",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key_text,
            "-out",
            &certificate_text,
        ],
    );
    let http = format!("  tls:\n    certificate: {certificate_text}\n    key: {key_text}\n");
    let registry = Registry::start(dir.path(), "", &http).unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    let name = format!("{}/image:1", registry.address);
    let stranger = sources(dir.path(), NetPolicy::default()).push(&layout.dir, &name).unwrap_err();
    assert_eq!(stranger.code, codes::E0403);
    let trusting = sources_with(dir.path(), NetPolicy::default(), |settings| settings.ca_file = Some(certificate));
    assert_eq!(trusting.push(&layout.dir, &name).unwrap(), digest(&image));
}

#[test]
fn pushed_images_are_what_others_read() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(skopeo), Some(registry)) = (tool("skopeo"), Registry::start(dir.path(), "", "")) else { return };
    let sources = sources(dir.path(), NetPolicy::default());
    let layout = Layout::new(dir.path().join("layout"));
    // Incompressible and longer than one piece.
    let mut state = 1u64;
    let big: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    })
    .take(70 << 20)
    .collect();
    let amd = layout.image("amd64", &[&big, b"two", b"two"]);
    let index = layout.index(&[amd.clone(), layout.image("arm64", &[b"arm"])]);
    layout.finish(&[("1", &index)]);
    let name = format!("{}/shop/web", registry.address);
    assert_eq!(sources.push(&layout.dir, &format!("{name}:1")).unwrap(), digest(&index));
    let seen = run(&skopeo, &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}:1")]);
    assert_eq!(Digest::of(seen.as_bytes()).to_string(), digest(&index));
    let back = dir.path().join("back");
    run(
        &skopeo,
        &[
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--src-tls-verify=false",
            &format!("docker://{name}:1"),
            &format!("oci:{}:1", back.display()),
        ],
    );
    let sizes = |dir: &Path| fs::read_dir(dir.join("blobs/sha256")).unwrap().count();
    assert_eq!(sizes(&back), sizes(&layout.dir));
    let log = || fs::read_to_string(&registry.log).unwrap();
    assert!(log().contains("PATCH /v2/shop/web/blobs/uploads/"), "the big layer goes in pieces");
    // Again: everything is there already, so nothing is uploaded.
    let uploads = log().matches("POST /v2/shop/web/blobs/uploads/").count();
    assert_eq!(sources.push(&layout.dir, &format!("{name}:2@{}", digest(&index))).unwrap(), digest(&index));
    assert_eq!(log().matches("POST /v2/shop/web/blobs/uploads/").count(), uploads);
    // By digest alone, without a tag.
    let one = Layout::new(dir.path().join("one"));
    let image = one.image("amd64", &[b"untagged"]);
    one.finish(&[("x", &image)]);
    assert_eq!(sources.push(&one.dir, &format!("{name}@{}", digest(&image))).unwrap(), digest(&image));
    assert_eq!(
        sources.resolve(&BaseRef::Registry(format!("{name}@{}", digest(&image))), &amd64()).unwrap().digest,
        Some(digest(&image))
    );
    // Into another repository, with the base's blobs mounted.
    let derived = Layout::new(dir.path().join("derived"));
    let base = serde_json::json!({ "org.opencontainers.image.base.name": format!("{name}:1") });
    let image = derived.annotated("amd64", &[b"two", b"new"], base);
    derived.finish(&[("1", &image)]);
    let target = format!("{}/shop/derived:1", registry.address);
    assert_eq!(sources.push(&derived.dir, &target).unwrap(), digest(&image));
    let mounted =
        log().lines().any(|l| l.contains("POST /v2/shop/derived/blobs/uploads/?mount=") && l.contains("\" 201 "));
    assert!(mounted, "the layer of the base is mounted");
    run(&skopeo, &["inspect", "--tls-verify=false", &format!("docker://{target}")]);
}

#[test]
fn broken_layouts_are_not_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(registry) = Registry::start(dir.path(), "", "") else { return };
    let sources = sources(dir.path(), NetPolicy::default());
    let name = format!("{}/image:1", registry.address);
    let refuse = |what: &str, name: &str, change: &dyn Fn(&Layout, &serde_json::Value)| {
        let layout = Layout::new(dir.path().join(what));
        let image = layout.image("amd64", &[b"one"]);
        layout.finish(&[("1", &image)]);
        change(&layout, &image);
        let error = sources.push(&layout.dir, name).unwrap_err();
        assert_eq!(error.code, codes::E0440, "{what}: {}", error.message);
    };
    let blob = |layout: &Layout, bytes: &[u8]| layout.dir.join("blobs/sha256").join(Digest::of(bytes).hex());
    let layer = gzip(&archive(b"one"));
    refuse("two", &name, &|layout, image| layout.finish(&[("1", image), ("2", image)]));
    refuse("none", &name, &|layout, _| layout.finish(&[]));
    refuse("no-index", &name, &|layout, _| fs::remove_file(layout.dir.join("index.json")).unwrap());
    refuse("no-layer", &name, &|layout, _| fs::remove_file(blob(layout, &layer)).unwrap());
    refuse("short", &name, &|layout, _| fs::write(blob(layout, &layer), b"x").unwrap());
    refuse("other-manifest", &name, &|layout, image| {
        let path = layout.dir.join("blobs/sha256").join(digest(image).replace("sha256:", ""));
        fs::write(path, b"{}").unwrap();
    });
    let other = format!("{}/image@sha256:{}", registry.address, "0".repeat(64));
    refuse("other-digest", &other, &|_, _| {});
    // Same size, other bytes: the registry itself finds out.
    let layout = Layout::new(dir.path().join("flipped"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    let mut bytes = layer.clone();
    *bytes.last_mut().unwrap() ^= 1;
    let path = blob(&layout, &layer);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    assert!(sources.push(&layout.dir, &name).is_err());
}
