//! Bases that lie on this machine.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use diag::{Diagnostic, codes};
use formats::oci::{Digest, canonical, media};
use formats::tar;
use plan::BaseRef;
use serde_json::json;

use super::support::*;
use crate::{NetPolicy, OpenedBase, Pin};

fn open(dir: &Path, base: &BaseRef) -> Result<(Pin, OpenedBase), Diagnostic> {
    let sources = sources(dir, NetPolicy::default());
    let pin = sources.resolve(base, &amd64())?;
    // Local bases need no network, ever.
    let opened = super::support::sources(dir, offline()).open(base, &pin)?;
    Ok((pin, opened))
}

fn refused(dir: &Path, base: &BaseRef) -> Diagnostic {
    open(dir, base).map(|(pin, _)| pin).unwrap_err()
}

fn tar_base(dir: &Path, path: &str) -> BaseRef {
    BaseRef::Tar(source(dir, path))
}

#[test]
fn an_archive_plain_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let plain = archive(b"content");
    fs::write(dir.path().join("a.tar"), &plain).unwrap();
    fs::write(dir.path().join("a.tar.gz"), gzip(&plain)).unwrap();
    let mut names = vec![("a.tar", media::LAYER), ("a.tar.gz", media::LAYER_GZIP)];
    if let Some(zstd) = tool("zstd") {
        run(&zstd, &["-q", &dir.path().join("a.tar").display().to_string()]);
        names.push(("a.tar.zst", media::LAYER_ZSTD));
    }
    for (name, media_type) in names {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        let (pin, opened) = open(dir.path(), &tar_base(dir.path(), name)).unwrap();
        assert_eq!(pin.reference, format!("tar:{name}"));
        assert_eq!(pin.digest, Some(Digest::of(&bytes).to_string()));
        assert_eq!(pin.diff_id, Some(Digest::of(&plain).to_string()));
        let layer = &opened.layers[0];
        assert_eq!((layer.media_type.as_str(), layer.size), (media_type, bytes.len() as u64));
        assert_eq!(layer.diff_id, Some(Digest::of(&plain)));
        assert_eq!(contents(&opened), [bytes]);
        assert_eq!(opened.config, json!({ "os": "linux", "architecture": "amd64" }));
    }
}

#[test]
fn a_changed_base_names_both_digests() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    fs::write(&path, archive(b"old")).unwrap();
    let base = tar_base(dir.path(), "a.tar");
    let (pin, opened) = open(dir.path(), &base).unwrap();
    fs::write(&path, archive(b"new")).unwrap();
    let error = sources(dir.path(), offline()).open(&base, &pin).unwrap_err();
    assert_eq!((error.code, error.code.exit()), (codes::E0409, 1));
    assert!(error.notes[0].contains(&Digest::of(&archive(b"old")).to_string()));
    assert!(error.notes[1].contains(&Digest::of(&archive(b"new")).to_string()));
    // Changed after it was opened: the stream does not end well.
    assert!(read(&opened.layers[0]).is_err());
    assert_eq!(opened.failure.take().unwrap().code, codes::E0409);
    // A pin that holds no digest is not used as a path.
    let hostile = Pin { digest: Some("sha256:../../etc/passwd".into()), ..pin };
    assert_eq!(sources(dir.path(), offline()).open(&base, &hostile).unwrap_err().code, codes::E0409);
    let oci = oci(dir.path(), "layout", None);
    assert_eq!(sources(dir.path(), offline()).open(&oci, &hostile).unwrap_err().code, codes::E0409);
}

#[test]
fn files_that_are_no_archive() {
    let dir = tempfile::tempdir().unwrap();
    let mut cut = gzip(&archive(&[7; 100_000]));
    cut.truncate(cut.len() - 20);
    let cases: [(&str, &[u8]); 4] = [
        ("text", b"just words, and no archive at all"),
        ("xz", b"\xfd7zXZ\0\0\x04"),
        ("bz2", b"BZh91AY"),
        ("cut.gz", &cut),
    ];
    for (name, bytes) in cases {
        fs::write(dir.path().join(name), bytes).unwrap();
        assert_eq!(refused(dir.path(), &tar_base(dir.path(), name)).code, codes::E0413, "{name}");
    }
    assert!(refused(dir.path(), &tar_base(dir.path(), "xz")).message.contains("xz"));
    let archive = BaseRef::DockerArchive(source(dir.path(), "text"));
    assert_eq!(refused(dir.path(), &archive).code, codes::E0413);
}

#[test]
fn an_archive_that_is_a_bomb() {
    let Some(zstd) = tool("zstd") else { return };
    let dir = tempfile::tempdir().unwrap();
    let zeros = fs::File::create(dir.path().join("zeros")).unwrap();
    zeros.set_len((1 << 30) + (1 << 20)).unwrap();
    run(&zstd, &["-q", "-1", &dir.path().join("zeros").display().to_string()]);
    let path = dir.path().join("zeros.zst");
    assert!(path.metadata().unwrap().len() < 1 << 20);
    for base in [tar_base(dir.path(), "zeros.zst"), BaseRef::DockerArchive(source(dir.path(), "zeros.zst"))] {
        let error = refused(dir.path(), &base);
        // Zeros are also the end of an archive, where the other reader stops at once.
        assert!([codes::E0413, codes::E0411].contains(&error.code), "{}", error.message);
    }
    assert!(refused(dir.path(), &tar_base(dir.path(), "zeros.zst")).message.contains("more than 1 GiB"));
}

#[test]
fn nothing_outside_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("spec");
    fs::create_dir(&inside).unwrap();
    fs::write(dir.path().join("secret.tar"), archive(b"secret")).unwrap();
    fs::write(inside.join("real.tar"), archive(b"real")).unwrap();
    symlink("../secret.tar", inside.join("out.tar")).unwrap();
    symlink(dir.path().join("secret.tar"), inside.join("absolute.tar")).unwrap();
    symlink("real.tar", inside.join("in.tar")).unwrap();
    symlink("/proc/self/environ", inside.join("environ")).unwrap();
    symlink("loop", inside.join("loop")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    run(&tool("mkfifo").unwrap(), &[&inside.join("pipe").display().to_string()]);
    for name in [
        "../secret.tar",
        "out.tar",
        "absolute.tar",
        "environ",
        "loop",
        "up/secret.tar",
        "pipe",
        "missing",
        ".",
        "/etc/passwd",
        "real.tar/x",
    ] {
        let error = refused(dir.path(), &tar_base(&inside, name));
        assert_eq!((error.code, error.code.exit()), (codes::E0412, 1), "{name}: {}", error.message);
    }
    assert_eq!(contents(&open(dir.path(), &tar_base(&inside, "in.tar")).unwrap().1), [archive(b"real")]);
    // A layout whose blobs lead out.
    let layout = Layout::new(inside.join("layout"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    let blob = layout.dir.join("blobs/sha256").join(digest(&image).replace("sha256:", ""));
    fs::rename(&blob, dir.path().join("blob")).unwrap();
    symlink(dir.path().join("blob"), &blob).unwrap();
    assert_eq!(refused(dir.path(), &oci(&inside, "layout", None)).code, codes::E0412);
}

#[test]
fn a_base_that_the_system_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(dir.path(), &tar_base(dir.path(), &"x".repeat(300)));
    assert_eq!((error.code, error.code.exit()), (codes::E0416, 3));
}

#[test]
fn a_layout_with_and_without_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let amd = layout.image("amd64", &[b"one", b"two"]);
    let index = layout.index(&[amd.clone(), layout.image("arm64", &[b"arm"])]);
    layout.finish(&[("single", &amd), ("multi", &index)]);
    let (pin, opened) = open(dir.path(), &oci(dir.path(), "layout", Some("single"))).unwrap();
    assert_eq!((pin.digest, pin.index), (Some(digest(&amd)), None));
    assert_eq!(pin.reference, "oci:layout:single");
    assert_eq!(contents(&opened), [gzip(&archive(b"one")), gzip(&archive(b"two"))]);
    let (pin, _) = open(dir.path(), &oci(dir.path(), "layout", Some("multi"))).unwrap();
    assert_eq!((pin.digest, pin.index, pin.created), (Some(digest(&amd)), Some(digest(&index)), Some(1_767_323_045)));
    // One entry for each platform, all of one name.
    layout.finish(&[("1", &amd), ("1", &layout.image("arm64", &[b"arm"]))]);
    assert_eq!(open(dir.path(), &oci(dir.path(), "layout", None)).unwrap().0.digest, Some(digest(&amd)));
    // Written anew: the lock pins what is no longer there.
    let base = oci(dir.path(), "layout", None);
    let (pin, _) = open(dir.path(), &base).unwrap();
    fs::remove_dir_all(&layout.dir).unwrap();
    let layout = Layout::new(&layout.dir);
    let other = layout.image("amd64", &[b"other"]);
    layout.finish(&[("1", &other)]);
    let error = sources(dir.path(), offline()).open(&base, &pin).unwrap_err();
    assert_eq!(error.code, codes::E0409);
    assert!(error.notes[0].contains(&digest(&amd)) && error.notes[1].contains(&digest(&other)));
}

#[test]
fn several_images_need_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let (one, two) = (layout.image("amd64", &[b"one"]), layout.image("amd64", &[b"two"]));
    layout.finish(&[("one", &one), ("two", &two)]);
    for tag in [None, Some("three")] {
        let error = refused(dir.path(), &oci(dir.path(), "layout", tag));
        assert_eq!((error.code, error.notes[0].as_str()), (codes::E0414, "images there: one, two"));
    }
    assert_eq!(open(dir.path(), &oci(dir.path(), "layout", Some("two"))).unwrap().0.digest, Some(digest(&two)));
    let manifest = json!([
        { "Config": "a.json", "RepoTags": ["a:1"], "Layers": [] }, { "Config": "b.json", "RepoTags": ["b:1"], "Layers": [] },
    ]);
    fs::write(dir.path().join("two.tar"), members(&[("manifest.json", &canonical(&manifest))])).unwrap();
    let error = refused(dir.path(), &BaseRef::DockerArchive(source(dir.path(), "two.tar")));
    assert_eq!((error.code, error.notes[0].as_str()), (codes::E0414, "images there: a:1, b:1"));
}

#[test]
fn a_platform_that_is_not_offered() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let arm = layout.image("arm64", &[b"arm"]);
    let attestation = json!({ "os": "unknown", "architecture": "unknown" });
    let mut other = layout.image("amd64", &[b"x"]);
    other["platform"] = attestation;
    let index = layout.index(&[arm.clone(), other]);
    for entry in [&arm, &index] {
        layout.finish(&[("1", entry)]);
        let error = refused(dir.path(), &oci(dir.path(), "layout", None));
        assert_eq!((error.code, error.notes[0].as_str()), (codes::E0410, "it offers linux/arm64"));
    }
}

#[test]
fn documents_that_are_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] } });
    let config = layout.blob(media::CONFIG, &canonical(&config));
    let chart = layout.blob("application/vnd.cncf.helm.config.v1+json", b"{}");
    let layer = layout.blob(media::LAYER_GZIP, b"x");
    let crypt = layout.blob("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", b"x");
    let manifest = |config: &serde_json::Value, layers: &[&serde_json::Value]| json!({ "schemaVersion": 2, "config": config, "layers": layers });
    let mut escaping = config.clone();
    escaping["digest"] = "sha256:../../../../etc/passwd".into();
    for (what, document) in [
        ("a chart", manifest(&chart, &[])),
        ("an encrypted layer", manifest(&config, &[&crypt])),
        ("more layers than diff-ids", manifest(&config, &[&layer])),
        ("a digest that is a path", manifest(&escaping, &[])),
        ("nothing", json!({})),
        ("schema 1", json!({ "schemaVersion": 1, "layers": [], "config": config })),
    ] {
        let descriptor = layout.blob(media::MANIFEST, &canonical(&document));
        layout.finish(&[("1", &descriptor)]);
        let error = refused(dir.path(), &oci(dir.path(), "layout", None));
        assert_eq!(error.code, codes::E0411, "{what}: {}", error.message);
    }
    fs::write(layout.dir.join("oci-layout"), "{}").unwrap();
    assert_eq!(refused(dir.path(), &oci(dir.path(), "layout", None)).code, codes::E0411);
    // A blob that is not what it is called.
    let layout = Layout::new(dir.path().join("poisoned"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    fs::write(layout.dir.join("blobs/sha256").join(digest(&image).replace("sha256:", "")), b"{}").unwrap();
    assert_eq!(refused(dir.path(), &oci(dir.path(), "poisoned", None)).code, codes::E0408);
}

/// An archive of files.
fn members(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = tar::Writer::new(Vec::new());
    for (name, bytes) in files {
        let mut entry = tar::Entry::new(*name, tar::Kind::File);
        entry.size = bytes.len() as u64;
        writer.append(&entry, &mut &bytes[..]).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn a_docker_archive_by_skopeo() {
    let Some(skopeo) = tool("skopeo") else { return };
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let image = layout.image("amd64", &[b"one", b"two", b"one"]);
    layout.finish(&[("1", &image)]);
    let path = dir.path().join("image.tar");
    let to = format!("docker-archive:{}:name:1", path.display());
    run(&skopeo, &["copy", "--quiet", &format!("oci:{}:1", layout.dir.display()), &to]);
    fs::write(dir.path().join("image.tar.gz"), gzip(&fs::read(&path).unwrap())).unwrap();
    let mut pins = Vec::new();
    for name in ["image.tar", "image.tar.gz"] {
        let (pin, opened) = open(dir.path(), &BaseRef::DockerArchive(source(dir.path(), name))).unwrap();
        assert_eq!(contents(&opened), [archive(b"one"), archive(b"two"), archive(b"one")], "{name}");
        assert_eq!(opened.layers[1].diff_id, Some(Digest::of(&archive(b"two"))));
        assert_eq!(opened.config["config"]["Env"][0], "A=b");
        pins.push(pin.digest);
    }
    assert_eq!(pins[0], pins[1]);
}

#[test]
fn docker_archives_that_lie() {
    let dir = tempfile::tempdir().unwrap();
    let layer = archive(b"one");
    let config = |diff_id: &[u8]| {
        canonical(&json!({ "architecture": "amd64", "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(diff_id).to_string()] } }))
    };
    let manifest = canonical(&json!([{ "Config": "c.json", "Layers": ["./l/layer.tar"] }]));
    let (good, other) = (config(&layer), config(b"x"));
    let base = |name: &str, files: &[(&str, &[u8])]| {
        fs::write(dir.path().join(name), members(files)).unwrap();
        BaseRef::DockerArchive(source(dir.path(), name))
    };
    let right = base("good", &[("l/layer.tar", &layer), ("c.json", &good), ("manifest.json", &manifest)]);
    let (pin, opened) = open(dir.path(), &right).unwrap();
    assert_eq!(contents(&opened), std::slice::from_ref(&layer));
    for (name, files) in [
        ("no-manifest", vec![("c.json", &good[..])]),
        ("no-config", vec![("manifest.json", &manifest[..])]),
        (
            "twice",
            vec![("c.json", &good[..]), ("./c.json", &other), ("l/layer.tar", &layer), ("manifest.json", &manifest)],
        ),
        ("no-layer", vec![("c.json", &good[..]), ("manifest.json", &manifest)]),
        ("not-json", vec![("manifest.json", &b"["[..])]),
        ("no-images", vec![("manifest.json", &b"[]"[..])]),
    ] {
        let error = refused(dir.path(), &base(name, &files));
        assert_eq!(error.code, codes::E0411, "{name}: {}", error.message);
    }
    // The layer is not the one that the configuration names.
    let lying = base("lying", &[("l/layer.tar", &layer), ("c.json", &other), ("manifest.json", &manifest)]);
    let (_, opened) = open(dir.path(), &lying).unwrap();
    assert!(read(&opened.layers[0]).is_err());
    assert_eq!(opened.failure.take().unwrap().code, codes::E0409);
    assert_eq!(sources(dir.path(), offline()).open(&lying, &pin).unwrap_err().code, codes::E0409);
}

fn tree(top: &Path) {
    fs::create_dir_all(top.join("usr/bin")).unwrap();
    fs::create_dir_all(top.join("usr-x")).unwrap();
    fs::write(top.join("usr/bin/b"), b"bee").unwrap();
    fs::hard_link(top.join("usr/bin/b"), top.join("usr/bin/a")).unwrap();
    symlink("/etc/passwd", top.join("link")).unwrap();
    fs::write(top.join("usr/empty"), b"").unwrap();
    fs::write(top.join("n".repeat(200)), vec![9; 1000]).unwrap();
}

/// Entries of the canonical archive: kind, path, link.
fn entries(bytes: &[u8]) -> Vec<(tar::Kind, String, String)> {
    let mut reader = tar::Reader::new(bytes);
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        out.push((entry.kind, String::from_utf8(entry.path).unwrap(), String::from_utf8(entry.link).unwrap()));
    }
    out
}

#[test]
fn a_directory_in_canonical_order() {
    use tar::Kind::{Directory, File, Hardlink, Symlink};
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("root");
    tree(&top);
    let base = BaseRef::Dir(source(dir.path(), "root"));
    let (pin, opened) = open(dir.path(), &base).unwrap();
    let bytes = contents(&opened).remove(0);
    assert_eq!(pin.digest, Some(Digest::of(&bytes).to_string()));
    assert_eq!(opened.layers[0].diff_id, Some(Digest::of(&bytes)));
    let long = "n".repeat(200);
    let expected = [
        (Directory, "./", ""),
        (Symlink, "link", "/etc/passwd"),
        (File, long.as_str(), ""),
        (Directory, "usr/", ""),
        (Directory, "usr/bin/", ""),
        (File, "usr/bin/a", ""),
        (Hardlink, "usr/bin/b", "usr/bin/a"),
        (File, "usr/empty", ""),
        (Directory, "usr-x/", ""),
    ];
    let expected: Vec<_> = expected.iter().map(|(k, p, l)| (*k, (*p).to_owned(), (*l).to_owned())).collect();
    assert_eq!(entries(&bytes), expected);
    // Owner, mode and time are those of the files.
    let about = top.join("usr/bin/a").metadata().unwrap();
    let mut reader = tar::Reader::new(&bytes[..]);
    let entry = std::iter::from_fn(|| reader.next_entry().unwrap()).find(|e| e.path == b"usr/bin/a").unwrap();
    assert_eq!((entry.uid, entry.gid, entry.mtime), (about.uid(), about.gid(), about.mtime()));
    assert_eq!(entry.mode, about.mode() & 0o7777);
    // GNU tar reads it, and a copy made in another order is the same base.
    let gnu = tool("tar").unwrap();
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::write(dir.path().join("a.tar"), &bytes).unwrap();
    run(&gnu, &["-C", &copy.display().to_string(), "-xpf", &dir.path().join("a.tar").display().to_string()]);
    let again = open(dir.path(), &BaseRef::Dir(source(dir.path(), "copy"))).unwrap().0;
    assert_eq!(again.digest, pin.digest);
    // One changed mode is another base.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(copy.join("usr/empty"), fs::Permissions::from_mode(0o600)).unwrap();
    let changed = Pin { reference: "dir:copy".into(), ..pin };
    let error = sources(dir.path(), offline()).open(&BaseRef::Dir(source(dir.path(), "copy")), &changed).unwrap_err();
    assert_eq!(error.code, codes::E0409);
}

#[test]
fn directories_that_cannot_be_a_base() {
    let dir = tempfile::tempdir().unwrap();
    for (root, path) in [("/", ""), ("/", "."), ("/", "usr/..")] {
        let error = refused(dir.path(), &BaseRef::Dir(source(Path::new(root), path)));
        assert_eq!(error.code, codes::E0415, "{path}");
    }
    let top = dir.path().join("root");
    tree(&top);
    let base = BaseRef::Dir(source(dir.path(), "root"));
    let socket = std::os::unix::net::UnixListener::bind(top.join("usr/socket")).unwrap();
    let error = refused(dir.path(), &base);
    assert_eq!(
        (error.code, error.message.as_str()),
        (codes::E0415, "root/usr/socket is a socket, which no archive can hold")
    );
    drop(socket);
    fs::remove_file(top.join("usr/socket")).unwrap();
    let mut deep = top.clone();
    for _ in 0..220 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(refused(dir.path(), &base).code, codes::E0415);
    assert_eq!(refused(dir.path(), &BaseRef::Dir(source(dir.path(), "root/usr/empty"))).code, codes::E0412);
    assert_eq!(refused(dir.path(), &BaseRef::Dir(source(Path::new("/"), "proc/self"))).code, codes::E0412);
}

#[test]
fn what_is_not_built_says_so() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(refused(dir.path(), &BaseRef::Spec("web".into())).code, codes::E0301);
    let (pin, opened) = open(dir.path(), &BaseRef::Scratch).unwrap();
    assert_eq!((pin.digest, opened.layers.len(), opened.compressed_size), (None, 0, 0));
}
