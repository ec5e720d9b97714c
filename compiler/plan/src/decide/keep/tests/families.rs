//! Bases of apk and rpm.

use super::*;
use crate::kept::Content;

/// The small base with another family's database.
fn base(family: Family, files: &[&str]) -> Base {
    let mut base = Base::debian();
    base.facts.tree.nodes.retain(|path, _| !path.as_bytes().starts_with(b"/var/lib/dpkg"));
    base.facts.packages.family = family;
    base.facts.packages.packages.iter_mut().for_each(|package| package.database_files.clear());
    for file in files {
        base.file(file, 0o644);
    }
    base
}

#[test]
fn files_of_apk_have_their_fates() {
    let database = ["installed", "triggers", "scripts.tar", "lock", "installed.new"];
    let database = database.map(|name| format!("/usr/lib/apk/db/{name}"));
    let mut base = base(Family::Apk, &database.each_ref().map(String::as_str));
    for file in ["/etc/apk/world", "/etc/apk/arch", "/usr/bin/busybox"] {
        base.file(file, 0o644);
    }
    for link in ["/usr/bin/ls", "/usr/bin/owned"] {
        base.link(link, "/bin/busybox");
    }
    base.package("busybox", &[], &["/usr/bin/owned"]);
    let kept = base.kept(&spec());
    for file in ["/usr/lib/apk/db/installed", "/etc/apk/world", "/usr/lib/apk/db/scripts.tar"] {
        assert_eq!(kept.entries[&path(file)].content, Content::Rewrite, "{file}");
    }
    assert!(why(&kept, "/usr/bin/ls").contains("busybox"));
    assert!(!there(&kept, "/usr/bin/owned"));
    assert!(kept.removed.keys().any(|path| path.name() == b"installed.new"));
}

#[test]
fn files_of_rpm_have_their_fates() {
    let names = ["rpmdb.sqlite", "rpmdb.sqlite-wal", "rpmdb.sqlite-shm", ".rpm.lock"];
    let files = names.map(|name| format!("/usr/lib/sysimage/rpm/{name}"));
    let mut base = base(Family::Rpm, &files.each_ref().map(String::as_str));
    base.link("/var/lib/rpm", "../../usr/lib/sysimage/rpm");
    let kept = base.kept(&spec());
    assert_eq!(kept.entries[&path(&files[0])].content, Content::Rewrite);
    assert!(
        !there(&kept, &files[1]) && !there(&kept, &files[2]) && there(&kept, &files[3]) && there(&kept, "/var/lib/rpm")
    );
    assert!(kept.deviations.is_empty());
}

#[test]
fn a_database_that_cannot_be_written_keeps_everything() {
    let mut base = base(Family::Rpm, &["/var/lib/rpm/Packages"]);
    base.facts.packages.frozen = Some("it is a Berkeley DB".into());
    assert_eq!(base.codes(&spec()), ["E0570"]);
    let mut all = spec();
    all.packages.keep = base.facts.packages.packages.iter().map(|package| word(&package.name)).collect();
    assert!(base.codes(&all).is_empty());
    all.files.remove = vec![removes("/usr/share/man/**", None)];
    assert_eq!(base.codes(&all), ["E0570"]);
    let kept = base.kept(&Spec {
        files: Default::default(),
        ..Spec { packages: Packages { keep: all.packages.keep.clone(), ..Packages::default() }, ..spec() }
    });
    assert_eq!(kept.entries[&path("/var/lib/rpm/Packages")].content, Content::Base);
}
