//! The oracle of added packages: mmdebstrap installs them with all their scripts onto the essential system that it has
//! configured; ours is a layer on that same system, as it was put aside in between.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use formats::tar::Kind;
use plan::tree::{Node, NodeKind, Tree as Facts};
use sha2::{Digest as _, Sha256};

use super::oracle::{Seen, deviations, epoch_of, make, matches, read_deviations, seen};
use super::*;
use crate::read::{LayerInput, Options, peers};

/// The environment names root sets, as for `oracle`.
const SETS: &str = "K8ORC_TEST_APT_SETS";

/// Puts the essential system aside: as it stands when it is configured, before the rest is installed. What mmdebstrap
/// has only while it works is left out, or put back (start-stop-daemon).
const ASIDE: &str = "tar --numeric-owner --sort=name --one-file-system --exclude=./dev --exclude=./proc --exclude=./sys \
                     --exclude=./var/cache/apt/archives/*.deb --exclude=./var/lib/apt/lists --exclude=./tmp/* \
                     --exclude=./etc/apt/apt.conf.d/00mmdebstrap --exclude=./usr/sbin/policy-rc.d \
                     --exclude=./usr/sbin/start-stop-daemon --transform=s,start-stop-daemon.REAL,start-stop-daemon, \
                     --mtime=@EPOCH --clamp-mtime -C \"$1\" -cf DIR/base.tar .";

fn input(name: &str, path: &Path) -> LayerInput {
    let (name, path) = (name.to_owned(), path.to_owned());
    let open = Arc::new(move || -> std::io::Result<Box<dyn std::io::Read + Send>> { Ok(Box::new(File::open(&path)?)) });
    LayerInput { name, digest: None, size: None, diff_id: None, open }
}

/// A node of a merged tree as the oracle's archive has it.
fn of(node: &Node) -> Seen {
    let nothing = (0, Sha256::digest(b"").into());
    let (kind, content, link) = match &node.kind {
        NodeKind::Directory => (Kind::Directory, nothing, Vec::new()),
        NodeKind::File(file) => (Kind::File, (file.size, file.sha256), Vec::new()),
        NodeKind::Symlink(target) => (Kind::Symlink, nothing, target.to_vec()),
        NodeKind::CharDevice { .. } => (Kind::CharDevice, nothing, Vec::new()),
        NodeKind::BlockDevice { .. } => (Kind::BlockDevice, nothing, Vec::new()),
        NodeKind::Fifo => (Kind::Fifo, nothing, Vec::new()),
    };
    Seen { kind, mode: node.mode, owner: (node.uid, node.gid), content, link, mtime: node.mtime }
}

fn listed(tree: &Facts) -> BTreeMap<String, Seen> {
    let name = |path: &plan::path::ImagePath| String::from_utf8_lossy(path.relative()).into_owned();
    tree.nodes.iter().map(|(path, node)| (name(path), of(node))).collect()
}

#[test]
fn a_base_with_added_packages_is_the_one_that_mmdebstrap_makes() {
    if peers::missing(&["mmdebstrap", "tar", "dpkg"]) {
        return;
    }
    let default = "trixie:nginx-light,ca-certificates bookworm:nginx-light,ca-certificates";
    let sets = std::env::var(SETS).unwrap_or_else(|_| default.into());
    let mut used = BTreeSet::new();
    for set in sets.split_whitespace() {
        let (suite, include) = set.split_once(':').unwrap();
        let dir = tempfile::tempdir().unwrap();
        let epoch = epoch_of(dir.path());
        let aside = ASIDE.replace("EPOCH", &epoch.to_string()).replace("DIR", dir.path().to_str().unwrap());
        let hook = format!("--essential-hook={aside}");
        let Some(debs) = make(dir.path(), suite, include, &[&hook]) else { return };
        let layer = dir.path().join("layer.tar");
        let (base, report) = ours(dir.path(), &debs, epoch, &layer);
        let both = [input("base", &dir.path().join("base.tar")), input("layer", &layer)];
        let merged = crate::read::read(&both, &Options::new(dir.path().join("cache"))).unwrap();
        compare(set, &dir.path().join("oracle.tar"), &merged.tree, &mut used);
        // The layer is small: nothing of the base is repeated.
        let repeated = listed(&merged.tree).into_iter().filter(|(path, one)| base.get(path) == Some(one)).count();
        let total = merged.tree.nodes.len();
        assert!(report.entries < (total - repeated + 1) as u64, "{} entries for {}", report.entries, total - repeated);
        verify(dir.path(), &layer, &report);
    }
    let all = read_deviations(include_str!("overlay_deviations.txt"));
    let idle: Vec<_> = all.iter().filter(|(pattern, _)| !used.contains(*pattern)).collect();
    assert!(std::env::var(SETS).is_ok() || idle.is_empty(), "deviations that nothing needs: {idle:?}");
}

/// Our layer of those packages that are not in the base; the base's own tree, and the report.
fn ours(dir: &Path, debs: &[PathBuf], epoch: i64, layer: &Path) -> (BTreeMap<String, Seen>, Report) {
    let read = crate::read::read(&[input("base", &dir.join("base.tar"))], &Options::new(dir.join("cache"))).unwrap();
    let base = Base { tree: &read.tree, contents: &read.contents };
    let status = base.read("/var/lib/dpkg/status").unwrap().unwrap();
    let there: BTreeSet<String> =
        formats::dpkg::status(&status).unwrap().packages.iter().map(|package| package.name.clone()).collect();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().split('_').next().unwrap().to_owned();
    let new = debs.iter().filter(|path| !there.contains(&name(path)));
    let new: Vec<DebInput> = new
        .map(|path| DebInput { path: path.clone(), sha256: Sha256::digest(fs::read(path).unwrap()).into() })
        .collect();
    assert!(!new.is_empty() && new.len() < debs.len());
    let mut out = std::io::BufWriter::new(File::create(layer).unwrap());
    let report = add(&base, &new, Arch::X86_64, epoch, &[], &mut out).unwrap_or_else(|all| panic!("{all:#?}"));
    drop(out);
    let mut again = Vec::new();
    add(&base, &new, Arch::X86_64, epoch, &[], &mut again).unwrap();
    assert!(fs::read(layer).unwrap() == again, "two layers differ");
    assert_eq!(report.packages.len(), new.len());
    (listed(&read.tree), report)
}

fn compare(set: &str, oracle: &Path, merged: &Facts, used: &mut BTreeSet<&'static str>) {
    let (oracle, ours) = (seen(oracle), listed(merged));
    let mut known = read_deviations(include_str!("overlay_deviations.txt"));
    known.extend(deviations());
    let mut differ = Vec::new();
    let paths: BTreeSet<&String> = oracle.keys().chain(ours.keys()).filter(|path| !path.is_empty()).collect();
    for path in &paths {
        let (a, b) = (oracle.get(*path), ours.get(*path));
        if a == b {
            continue;
        }
        match known.iter().find(|(pattern, _)| matches(pattern, path)) {
            Some((pattern, _)) => drop(used.insert(pattern)),
            None => differ.push(format!("/{path}\n    mmdebstrap: {a:?}\n    ours:       {b:?}")),
        }
    }
    eprintln!("{set}: {} paths compared", paths.len());
    assert!(differ.is_empty(), "{set}: {} differences\n{}", differ.len(), differ.join("\n"));
}

/// dpkg's own opinion of the base with the layer on it.
fn verify(dir: &Path, layer: &Path, report: &Report) {
    let root = dir.join("root");
    for directory in ["", "dev", "proc", "sys"] {
        fs::create_dir(root.join(directory)).unwrap();
    }
    for archive in [&dir.join("base.tar"), layer] {
        // No device is made and nothing is owned: the test may run as anybody.
        let excludes = ["--no-same-owner", "--exclude=./dev"];
        peers::run(Command::new("tar").arg("-C").arg(&root).args(excludes).arg("-xf").arg(archive));
    }
    let dpkg = |args: &[&str]| {
        let mut command = Command::new("dpkg");
        String::from_utf8(peers::run(command.arg("--root").arg(&root).args(args))).unwrap()
    };
    assert_eq!(dpkg(&["--audit"]), "");
    assert_eq!(dpkg(&["--verify"]), "");
    let admin = root.join("var/lib/dpkg");
    let mut query = Command::new("dpkg-query");
    let query = query.arg("--admindir").arg(admin).args(["-W", "-f", "${Package} ${Version} ${db:Status-Status}\n"]);
    let text = String::from_utf8(peers::run(query)).unwrap();
    for (name, version, _) in &report.packages {
        assert!(text.contains(&format!("{name} {version} installed\n")), "{name} {version}: {text}");
    }
}
