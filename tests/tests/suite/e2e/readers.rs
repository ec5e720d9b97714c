//! The layout and the archive, read by skopeo, umoci, podman and Docker.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use k8orc_tests::peers::{Need, Podman, docker_load, list_tree, run};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Case, LIMIT, json as read_json, said, skopeo};

#[test]
fn skopeo_and_umoci_read_the_layout() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let case = Case::on_tar("probe", &tar);
    let Some(output) = case.build() else { return };

    let Some(mut inspect) = skopeo(&["inspect", &output.reference()]) else { return };
    let inspected: Value = serde_json::from_str(&said(&mut inspect)).expect("JSON");
    assert_eq!(inspected["Digest"], output.digest().as_str());
    assert_eq!((&inspected["Architecture"], &inspected["Os"]), (&json!("amd64"), &json!("linux")));

    // skopeo reads, checks and writes every blob on the way.
    let copied = case.path("copied");
    let target = format!("dir:{}", copied.display());
    let Some(mut copy) = skopeo(&["copy", "--quiet", "--preserve-digests", &output.reference(), &target]) else {
        return;
    };
    said(&mut copy);
    let manifest = fs::read(copied.join("manifest.json")).expect("it was copied");
    assert_eq!(format!("sha256:{}", hex(&Sha256::digest(&manifest))), output.digest());

    let Some(umoci) = Need::tool("umoci") else { return };
    let tags = said(Command::new(&umoci).args(["ls", "--layout"]).arg(output.layout()));
    assert_eq!(tags.lines().count(), 1, "{tags}");
    let image = format!("{}:{}", output.layout().display(), tags.trim());
    let stat = said(Command::new(&umoci).args(["stat", "--json", "--image", &image]));
    let stat: Value = serde_json::from_str(&stat).expect("JSON");
    let layers = read_json(&output.layout().join("blobs/sha256").join(&output.digest()[7..]))["layers"].clone();
    let full = |entry: &&Value| !entry["empty_layer"].as_bool().unwrap_or_default();
    let history: Vec<_> = stat["history"].as_array().expect("a list").iter().filter(full).collect();
    assert_eq!(history.len(), layers.as_array().expect("a list").len(), "every layer has its line of history");
    assert!(output.unpack().is_none_or(|tree| tree.root().join("usr/bin/perl").exists()));
}

/// What podman makes of the layers is what umoci makes of them.
#[test]
fn podman_reads_the_layout_and_the_archive() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let Some(podman) = Podman::find() else { return };
    let case = Case::on_tar("probe", &tar);
    let Some(output) = case.build_with(&["--archive", "probe.tar"]) else { return };

    // The layout, by reference.
    let id = said(podman.command().args(["pull", "--quiet", &output.reference()]));
    let ran = said(podman.command().args(["run", "--rm", "--network", "none", "--read-only", id.trim()]));
    assert_eq!(ran, "alive\n");
    let mount = said(podman.command().args(["image", "mount", id.trim()]));
    let by_podman = list_tree(Path::new(mount.trim())).expect("readable");
    said(podman.command().args(["image", "unmount", id.trim()]));
    if let Some(tree) = output.unpack() {
        let by_umoci = list_tree(&tree.root()).expect("readable");
        let differing: Vec<_> = by_podman
            .iter()
            .filter(|line| !by_umoci.contains(line))
            .chain(by_umoci.iter().filter(|line| !by_podman.contains(line)))
            .cloned()
            .collect();
        crate::none(differing);
        assert!(by_umoci.len() > 1000);
    }

    // The archive: the same image, as `podman load` names it.
    let loaded = said(podman.command().args(["load", "--quiet", "--input"]).arg(case.path("probe.tar")));
    let name = loaded.trim().rsplit(": ").next().expect("a name").to_owned();
    let ran = said(podman.command().args(["run", "--rm", "--network", "none", "--read-only", &name]));
    assert_eq!(ran, "alive\n");
    let diff_ids = |image: &str| said(podman.command().args(["inspect", "--format", "{{.RootFS.Layers}}", image]));
    assert_eq!(diff_ids(&name), diff_ids(id.trim()));
    let user = said(podman.command().args(["inspect", "--format", "{{.Config.User}}", &name]));
    let (uid, gid) = output.user();
    assert_eq!(user.trim(), format!("{uid}:{gid}"));
}

#[test]
fn docker_loads_and_runs_the_archive() {
    let Some(tar) = Need::path("K8ORC_TEST_TRIXIE") else { return };
    let case = Case::on_tar("probe", &tar);
    let Some(output) = case.build_with(&["--archive", "probe.tar"]) else { return };
    let archive = case.path("probe.tar");
    let Some(inspected) = docker_load(&archive, None, &[]) else { return };
    let inspected: Value = serde_json::from_slice(&inspected.ok().stdout).expect("JSON");
    let (uid, gid) = output.user();
    assert_eq!(inspected[0]["Config"]["User"], format!("{uid}:{gid}"));
    assert!(inspected[0]["Config"]["Env"].as_array().expect("a list").contains(&json!("PROBE=spec")));
    let script = "print getpwuid($<).qq(\\n)";
    let Some(ran) = docker_load(&archive, Some("/k8or/k8or"), &["run", "--", "/usr/bin/perl", "-e", script]) else {
        return;
    };
    assert_eq!(ran.ok().out(), "web\n");
}

/// Nothing of the base's configuration is lost but what the spec replaces, known to us or not.
#[test]
fn the_configuration_of_the_base_stays() {
    let Some(images) = Need::path("K8ORC_TEST_IMAGES") else { return };
    let case = Case::on("probe", "oci:base:bookworm".into());
    base_with(&images.join("layout"), "bookworm", &case.path("base"), |config| {
        config["author"] = json!("somebody");
        config["x-vendor"] = json!({ "nested": [1, { "deep": null }], "text": "ä\u{7f}" });
        config["config"]["Healthcheck"] =
            json!({ "Test": ["CMD", "/usr/bin/true"], "Interval": 30_000_000_000_u64, "Retries": 3 });
        config["config"]["OnBuild"] = json!(["RUN true"]);
        config["config"]["x-unknown"] = json!("kept");
        config["config"]["Labels"] = json!({ "maintainer": "somebody", "a.b": "c" });
        config["config"]["Env"] = json!(["PATH=/usr/bin:/bin", "PROBE=base", "OTHER=1"]);
        config["config"]["Cmd"] = json!(["ignored"]);
        config["config"]["User"] = json!("root");
        config["config"]["WorkingDir"] = json!("/usr");
        config["config"]["StopSignal"] = json!("SIGINT");
        config["config"]["ExposedPorts"] = json!({ "8080/tcp": {} });
    });
    let Some(output) = case.build() else { return };
    let Some(mut inspect) = skopeo(&["inspect", "--config", "--raw", &output.reference()]) else { return };
    let config: Value = serde_json::from_str(&said(&mut inspect)).expect("JSON");
    assert_eq!(config["author"], "somebody");
    assert_eq!(config["x-vendor"], json!({ "nested": [1, { "deep": null }], "text": "ä\u{7f}" }));
    let inner = &config["config"];
    assert_eq!(inner["Healthcheck"]["Retries"], 3);
    assert_eq!(inner["Healthcheck"]["Interval"], 30_000_000_000_u64);
    assert_eq!(inner["OnBuild"], json!(["RUN true"]));
    assert_eq!(inner["x-unknown"], "kept");
    assert_eq!(inner["Labels"]["maintainer"], "somebody");
    assert_eq!((&inner["WorkingDir"], &inner["StopSignal"]), (&json!("/usr"), &json!("SIGINT")));
    assert_eq!(inner["ExposedPorts"], json!({ "8080/tcp": {} }));
    // What the spec says takes the place of what the base says.
    let (uid, gid) = output.user();
    assert_eq!(inner["User"], format!("{uid}:{gid}"));
    let env: BTreeMap<_, _> =
        inner["Env"].as_array().expect("a list").iter().filter_map(|one| one.as_str()?.split_once('=')).collect();
    assert_eq!(env, BTreeMap::from([("OTHER", "1"), ("PATH", "/usr/bin:/bin"), ("PROBE", "spec")]));
    assert_eq!(inner["Entrypoint"][0], "/k8or/k8or");
    assert!(inner["Cmd"].is_null(), "the base's arguments are not those of another entrypoint: {}", inner["Cmd"]);

    // The history of the base, then ours.
    let history = config["history"].as_array().expect("a list");
    assert!(history.last().expect("a line")["created_by"].as_str().expect("text").starts_with("k8orc"));
}

/// A layout at `to` with the image `tag` of another one, its configuration changed.
fn base_with(layout: &Path, tag: &str, to: &Path, change: impl Fn(&mut Value)) {
    let blobs = to.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("ours");
    let path = |digest: &Value| layout.join("blobs/sha256").join(&digest.as_str().expect("a digest")[7..]);
    let put = |bytes: &[u8]| {
        let name = hex(&Sha256::digest(bytes));
        fs::write(blobs.join(&name), bytes).expect("ours");
        (json!(format!("sha256:{name}")), json!(bytes.len()))
    };
    let index = read_json(&layout.join("index.json"));
    let named = |one: &&Value| one["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let mut descriptor = index["manifests"].as_array().expect("a list").iter().find(named).expect("the tag").clone();
    let mut manifest = read_json(&path(&descriptor["digest"]));
    for layer in manifest["layers"].as_array().expect("a list") {
        let from = path(&layer["digest"]);
        let name = from.file_name().expect("a name");
        if fs::hard_link(&from, blobs.join(name)).is_err() {
            fs::copy(&from, blobs.join(name)).expect("room for a layer");
        }
    }
    let mut config = read_json(&path(&manifest["config"]["digest"]));
    change(&mut config);
    (manifest["config"]["digest"], manifest["config"]["size"]) = put(config.to_string().as_bytes());
    (descriptor["digest"], descriptor["size"]) = put(manifest.to_string().as_bytes());
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    fs::write(to.join("index.json"), index.to_string()).expect("ours");
    fs::write(to.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("ours");
}

/// A health check that only Docker's schema 2 knows, from a registry and from an archive.
#[test]
fn the_health_check_of_a_docker_image_stays() {
    let Some(images) = Need::path("K8ORC_TEST_IMAGES") else { return };
    let case = Case::on("probe", "docker-archive:base.tar".into());
    fs::copy(images.join("layers.docker.tar"), case.path("base.tar")).expect("room for a base");
    let Some(output) = case.build_with(&["--archive", "probe.tar"]) else { return };
    let Some(mut inspect) = skopeo(&["inspect", "--config", "--raw", &output.reference()]) else { return };
    let config: Value = serde_json::from_str(&said(&mut inspect)).expect("JSON");
    assert!(config["config"]["Healthcheck"]["Test"].is_array(), "{config:#}");
    let archive = format!("docker-archive:{}", case.path("probe.tar").display());
    let Some(mut inspect) = skopeo(&["inspect", "--config", "--raw", &archive]) else { return };
    let in_archive: Value = serde_json::from_str(&run(&mut inspect, LIMIT).ok().out()).expect("JSON");
    assert_eq!(in_archive, config);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
