//! Packages added to an image that is there already, from the real archive, judged by dpkg.

use std::fs;
use std::path::Path;
use std::process::Command;

use k8orc_tests::peers::Need;

use super::dpkg::{Dpkg, deviations};
use super::{Case, said};

#[test]
fn a_package_is_added_to_trixie() {
    let Some(tar) = Need::path("K8ORC_TEST_TRIXIE") else { return };
    added(&tar, "trixie");
}

#[test]
fn a_package_is_added_to_bookworm() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    added(&tar, "bookworm");
}

fn added(tar: &Path, suite: &str) {
    let case = Case::on_tar("added", tar);
    if mirrors(&case).is_none() {
        return;
    }
    let Some(output) = case.build() else { return };
    // The lock has the base, and what was chosen: nothing that the base has.
    let lock = case.read("k8orc.lock");
    assert!(lock.contains(&format!("apt \"tar:base.tar\" platform=\"linux/amd64\" suite=\"{suite}\"")), "{lock}");
    assert!(lock.contains("package \"redis-server\"") && !lock.contains("package \"ca-certificates\""), "{lock}");
    assert!(!lock.contains("package \"libc6\""), "{lock}");

    let Some(tree) = output.unpack() else { return };
    let Some(dpkg) = Dpkg::on(&tree.root()) else { return };
    assert_eq!(dpkg.verify(), deviations(&output));
    let kept = dpkg.check_packages(&output);
    assert!(kept.contains("redis-server") && kept.contains("redis-tools") && kept.contains("dpkg"), "{kept:?}");
    assert!(!kept.contains("nginx-light"), "{kept:?}");
    assert!(tree.root().join("usr/bin/redis-server").exists() && tree.root().join("etc/redis/redis.conf").exists());
    let accounts = fs::read_to_string(tree.root().join("etc/passwd")).expect("accounts");
    assert!(accounts.lines().any(|line| line.starts_with("redis:x:")), "{accounts}");

    // The same from the lock alone, in another place: the archive is asked for content by hash, not for names.
    let again = Case::on_tar("added", tar);
    if mirrors(&again).is_none() {
        return;
    }
    again.write("k8orc.lock", &lock);
    let Some(second) = again.build_with(&["--locked"]) else { return };
    assert_eq!(second.digest(), output.digest());
    assert_eq!(again.read("k8orc.lock"), lock);

    // All that is asked for is there: no layer, no error, and the lock says that nothing was chosen.
    case.edit("spec.kdl", "add \"redis-server\" \"ca-certificates\"", "add \"nginx-light\" \"ca-certificates\"");
    case.edit("spec.kdl", "\"/usr/bin/redis-server\" \"/etc/redis/redis.conf\"", "\"/usr/sbin/nginx\"");
    case.edit("spec.kdl", "user \"redis\"", "user \"nobody\"");
    case.edit("spec.kdl", "\"nobody\" \"redis\"", "\"nobody\"");
    let Some(run) = case.k8orc(&case.with_spec(&["build"])) else { return };
    let said = run.ok().err();
    assert!(said.contains("holds all packages that are to be added"), "{said}");
    assert!(!case.read("k8orc.lock").contains("package \""), "{}", case.read("k8orc.lock"));
}

/// The archives that this machine's apt uses, for the child's user file; skipped aloud where it knows none of Debian's.
fn mirrors(case: &Case) -> Option<()> {
    let apt = Need::tool("apt-get")?;
    let mut command = Command::new(apt);
    let output =
        said(command.args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]));
    let mut text = "k8orc version=1\n".to_owned();
    let mut names: Vec<&str> = Vec::new();
    for line in output.lines() {
        let mut words = line.split('|');
        let name = match (words.next(), words.next()) {
            (Some("Debian"), Some("Debian")) => "debian",
            (Some("Debian"), Some("Debian-Security")) => "debian-security",
            _ => continue,
        };
        if let (Some(url), false) = (words.next(), names.contains(&name)) {
            text.push_str(&format!("mirror \"{name}\" \"{url}\"\n"));
            names.push(name);
        }
    }
    let dir = case.path("home/.config/k8orc");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join("config.kdl"), text).expect("ours");
    Some(())
}
