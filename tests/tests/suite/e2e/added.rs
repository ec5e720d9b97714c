//! Packages added to an image that is there already, from the real archive, judged by dpkg.

use std::fs;
use std::path::Path;

use k8orc_tests::peers::Need;

use super::Case;
use super::dpkg::{Dpkg, deviations};

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
