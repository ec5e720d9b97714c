//! The examples of the repository, as a reader would build and try them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use k8orc_tests::peers::{Need, Registry};

use super::dpkg::{Dpkg, deviations};
use super::{Case, LIMIT, run};
use crate::faults::{names, sealed};

/// `k8orc test`, which must pass.
#[track_caller]
fn tested(case: &Case) {
    if Need::tool("runc").is_none() || Need::root().is_none() {
        return;
    }
    let Some(done) = case.k8orc(&case.with_spec(&["test"])) else { return };
    println!("{}", done.ok());
}

#[test]
fn quickstart() {
    let case = Case::example("quickstart");
    let Some(output) = case.build() else { return };
    tested(&case);
    let Some(tree) = output.unpack() else { return };
    let Some(dpkg) = Dpkg::on(&tree.root()) else { return };
    assert_eq!(dpkg.verify(), deviations(&output));
    let kept = dpkg.check_packages(&output);
    assert!(kept.contains("nginx") && kept.contains("ca-certificates") && !kept.contains("apt"), "{kept:?}");

    // The provenance names each package that the lock names, by the same hash.
    let statement = fs::read_to_string(output.dir.join("provenance.intoto.json")).expect("there");
    let lock = case.read("k8orc.lock");
    let packages: Vec<&str> = lock.lines().filter(|line| line.trim_start().starts_with("package ")).collect();
    assert!(packages.len() > 50 && statement.matches("\"pkg:deb/debian/").count() == packages.len());
    for line in packages {
        let sum = line.split("digest=\"sha256:").nth(1).and_then(|rest| rest.get(..64)).expect("a digest");
        assert!(statement.contains(sum), "{line}");
    }

    // Somebody else, with the lock and nothing else: the same bytes, from packages by hash.
    let other = Case::example("quickstart");
    other.write("k8orc.lock", &case.read("k8orc.lock"));
    other.edit("spec.kdl", "// the manifests", "// and the manifests");
    let Some(again) = other.build_with(&["--locked", "--jobs", "1"]) else { return };
    let seal = sealed(&output.dir);
    // Another comment is another spec, and the provenance says which one was built; nothing else is.
    let but_provenance = |seal: &str| -> Vec<String> {
        seal.lines().filter(|line| !line.ends_with("  provenance.intoto.json")).map(str::to_owned).collect()
    };
    assert_eq!(but_provenance(&sealed(&again.dir)), but_provenance(&seal));
    assert_ne!(sealed(&again.dir), seal);

    // The packages alone, without what was made of them: offline, and still the same.
    let cache = case.path("home/cache/k8orc");
    for folder in names(&cache).iter().filter(|name| *name != "debs") {
        let _ = fs::remove_dir_all(cache.join(folder));
    }
    let Some(offline) = case.build_with(&["--frozen"]) else { return };
    assert_eq!(sealed(&offline.dir), seal);

    // What was added decides; the lock says so.
    case.edit("spec.kdl", "add \"nginx-light\" \"ca-certificates\"", "add \"nginx-light\"");
    let refused = case.k8orc(&case.with_spec(&["build", "--locked"])).expect("it was there").with_code(1);
    assert!(refused.err().contains("E0405"), "{refused}");
    // What the lock pins and the archive does not have.
    other.edit("k8orc.lock", "/nginx-light_", "/nginx-lite_");
    let debs = other.path("home/cache/k8orc/debs");
    for name in names(&debs) {
        fs::remove_file(debs.join(name)).expect("ours");
    }
    fs::remove_dir_all(other.path("home/cache/k8orc/layers")).expect("ours");
    let gone = other.k8orc(&other.with_spec(&["build", "--locked"])).expect("it was there").with_code(1);
    assert!(gone.err().contains("E0464") && gone.err().contains("add \"nginx-light\""), "{gone}");
    assert_eq!(but_provenance(&sealed(&again.dir)), but_provenance(&seal), "what was built stays");
}

/// A registry's image, under a name of this run; the runtime layer replaces the shell script that it starts.
#[test]
fn nginx() {
    let Some(registry) = Registry::find() else { return };
    let case = Case { base: Some(format!("{}/k8orc/bookworm-nginx:1", registry.open)), ..Case::example("nginx") };
    let Some(_) = case.build() else { return };
    tested(&case);
}

#[test]
fn redis() {
    let case = Case::example("redis");
    let Some(output) = case.build() else { return };
    tested(&case);
    let Some(tree) = output.unpack() else { return };
    let Some(dpkg) = Dpkg::on(&tree.root()) else { return };
    assert_eq!(dpkg.verify(), deviations(&output));
}

#[test]
fn stages() {
    let case = Case::example("stages");
    let Some(output) = case.build() else { return };
    tested(&case);
    let stages: BTreeSet<String> = names(&output.dir.join("manifests")).into_iter().collect();
    assert_eq!(stages, ["cluster", "dev", "prod"].map(str::to_owned).into());
}

/// The README's own lines make the binary.
#[test]
fn static_binary() {
    let case = Case::example("static");
    let readme = case.read("README.md");
    let line = readme.lines().map(str::trim).find(|line| line.starts_with("rustc ")).expect("a line of rustc");
    let words = line.split("  ").next().expect("its first half").split_whitespace().skip(1);
    let Some(rustc) = Need::tool("rustc") else { return };
    let mut rustc = Command::new(rustc);
    // The test's own toolchain, whatever the directory says.
    run(rustc.args(words).current_dir(case.dir.path()), LIMIT).ok();
    let Some(output) = case.build() else { return };
    tested(&case);
    assert_eq!(output.image()["after"]["files"], 6, "{:#}", output.image()["after"]);
}

/// Every example has a README, builds with what it says, and holds no lock.
#[test]
fn all_are_tried() {
    let examples = k8orc_tests::tidy::tree::root().join("examples");
    assert_eq!(names(&examples), ["nginx", "quickstart", "redis", "stages", "static"]);
    for name in names(&examples) {
        let readme = fs::read_to_string(Path::new(&examples).join(&name).join("README.md")).expect("a README");
        assert!(readme.contains("build"), "{name}");
    }
}
