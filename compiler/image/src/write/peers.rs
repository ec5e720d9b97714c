//! skopeo, umoci and podman read what we write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use plan::tree::Tree;

use super::tests::{options, sample, write_sample};
use super::*;
use crate::read;
use crate::read::peers::{layers_of, missing, ours, run, unpacked};

#[test]
fn umoci_unpacks_the_tree_of_the_plan() {
    if missing(&["umoci"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let mut builder = sample();
    // Whiteout-like names of a base cannot come here: merging takes them.
    builder.base_file("/usr/share/ü \u{1b}name", b"odd", None);
    builder.dir("/usr/share");
    builder.base_file(&format!("/usr/share/{}", "long".repeat(50)), b"long", None).uid = 3_000_000;
    write_sample(&image, &builder, &options(None)).unwrap();
    let bundle = dir.path().join("bundle");
    run(Command::new("umoci").args(["unpack", "--image", &format!("{}:latest", image.display())]).arg(&bundle));
    let found = unpacked(&bundle.join("rootfs"));
    // Our own reader sees the same, and both what was planned.
    let base = read::read(&layers_of(&image), &read::Options::new(dir.path().join("cache"))).unwrap();
    assert_eq!(ours(&base.tree).join("\n"), found.join("\n"));
    let nodes = builder.entries.iter().map(|(path, entry)| (path.clone(), entry.node.clone())).collect();
    let planned = ours(&Tree { nodes, root: None });
    let plain = |lines: Vec<String>| -> Vec<String> {
        let numbered = |n: usize| format!(" inode {n} ");
        lines.into_iter().map(|line| line.replace(&numbered(0), " ").replace(&numbered(3), " ")).collect()
    };
    assert_eq!(plain(planned), plain(found));
}

#[test]
fn skopeo_reads_layout_and_archive() {
    if missing(&["skopeo"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let written = write_sample(&image, &sample(), &options(None)).unwrap();
    let layout = format!("oci:{}:latest", image.display());
    let digest = run(Command::new("skopeo").args(["inspect", "--format", "{{.Digest}}", &layout]));
    assert_eq!(String::from_utf8_lossy(&digest).trim(), written.top.digest.to_string());
    let archive = dir.path().join("web.tar");
    let mut file = std::fs::File::create(&archive).unwrap();
    let tags = ["localhost/web:1".to_owned()];
    docker_archive(&image, &written.images[0], &tags, &mut file, &archive, &options(None)).unwrap();
    for (number, source) in [layout, format!("docker-archive:{}", archive.display())].into_iter().enumerate() {
        // skopeo checks every digest and diff-id on the way.
        let copy = dir.path().join(format!("copy{number}"));
        run(Command::new("skopeo")
            .args(["copy", "--insecure-policy", "-q", &source])
            .arg(format!("dir:{}", copy.display())));
        let config = run(Command::new("skopeo").args(["inspect", "--config", "--raw", &source]));
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        let ids: Vec<String> = written.images[0].layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!(ids), "{source}");
    }
}

#[test]
fn podman_loads_the_archive() {
    if missing(&["podman"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let written = write_sample(&image, &sample(), &options(None)).unwrap();
    let archive = dir.path().join("web.tar");
    let mut file = std::fs::File::create(&archive).unwrap();
    let tags = ["localhost/web:1".to_owned()];
    docker_archive(&image, &written.images[0], &tags, &mut file, &archive, &options(None)).unwrap();
    let podman = || {
        let mut command = Command::new("podman");
        command.arg("--root").arg(dir.path().join("root")).arg("--runroot").arg(dir.path().join("run"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command
    };
    run(podman().args(["load", "-q", "-i"]).arg(&archive));
    let id = run(podman().args(["image", "inspect", "--format", "{{.Id}}", "localhost/web:1"]));
    assert_eq!(String::from_utf8_lossy(&id).trim(), written.images[0].config.digest.hex());
    let history = run(podman().args(["history", "--format", "{{.CreatedBy}}", "localhost/web:1"]));
    assert!(String::from_utf8_lossy(&history).contains("k8orc: what the spec adds"));
}
