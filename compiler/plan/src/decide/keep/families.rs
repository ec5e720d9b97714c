//! Where apk and rpm keep their databases, and what becomes of the files there.

use std::collections::BTreeMap;
use std::sync::Arc;

use diag::{Diagnostic, Diagnostics, codes};

use super::known::Known;
use super::{Index, Input};
use crate::facts::{Facts, Family};
use crate::kept::Kept;
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{NodeKind, Tree};

/// The first of these directories that has one of these files; links followed.
fn directory(tree: &Tree, directories: &[&str], files: &[&str]) -> Option<ImagePath> {
    directories.iter().find_map(|path| {
        let (real, _) = tree.resolve(&ImagePath::parse(path.as_bytes()).ok()?).ok()?;
        let there = |name: &&str| real.join(name.as_bytes()).is_ok_and(|path| tree.get(&path).is_some());
        files.iter().any(there).then_some(real)
    })
}

/// Where apk's database is.
pub fn apk_directory(tree: &Tree) -> Option<ImagePath> {
    directory(tree, &["/lib/apk/db", "/usr/lib/apk/db"], &["installed"])
}

/// Where rpm's database is: each distribution has its own place.
pub fn rpm_directory(tree: &Tree) -> Option<ImagePath> {
    let places = ["/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"];
    directory(tree, &places, &["rpmdb.sqlite", "Packages.db", "Packages"])
}

/// What scanners look at beside `os-release` (trivy reads Alpine's and Red Hat's).
const RELEASES: [&str; 8] = [
    "/etc/alpine-release",
    "/etc/fedora-release",
    "/etc/redhat-release",
    "/etc/centos-release",
    "/etc/rocky-release",
    "/etc/almalinux-release",
    "/etc/oracle-release",
    "/etc/system-release",
];

/// Adds the places of the base's family.
pub(super) fn known(facts: &Facts, index: &Index<'_>, all: &mut BTreeMap<ImagePath, Known>) {
    let release = Reason::fact("scanners tell the distribution by it");
    for path in RELEASES.iter().filter_map(|path| ImagePath::parse(path.as_bytes()).ok()) {
        if facts.tree.get(&path).is_some() {
            all.insert(path, Known::Stay(Arc::clone(&release)));
        }
    }
    match facts.packages.family {
        Family::Apk => apk(facts, index, all),
        Family::Rpm => rpm(facts, all),
        Family::Dpkg | Family::None => {}
    }
}

fn apk(facts: &Facts, index: &Index<'_>, all: &mut BTreeMap<ImagePath, Known>) {
    let tree = &facts.tree;
    let database = Reason::fact("it is the package database");
    let stale = Reason::fact("it is an unfinished copy of the package database and names packages that may be gone");
    if let Some(directory) = apk_directory(tree) {
        for (path, node) in tree.within(&directory) {
            let known = match path.name() {
                _ if node.is_directory() => Known::Stay(Arc::clone(&database)),
                b"installed" | b"triggers" | b"scripts.tar" | b"scripts.tar.gz" => {
                    Known::Rewrite(Arc::clone(&database))
                }
                name if name.ends_with(b".old") || name.ends_with(b".new") => Known::Go(Arc::clone(&stale)),
                _ => Known::Stay(Arc::clone(&database)),
            };
            all.insert(path.clone(), known);
        }
    }
    let world = Known::Rewrite(Reason::fact("it lists the packages that somebody asked for"));
    let settings = Reason::fact("it is a setting of apk");
    for (path, known) in [
        ("/etc/apk", Known::Stay(Arc::clone(&settings))),
        ("/etc/apk/world", world),
        ("/etc/apk/arch", Known::Stay(Arc::clone(&settings))),
        ("/etc/apk/repositories", Known::Stay(settings)),
    ] {
        let Ok(path) = ImagePath::parse(path.as_bytes()) else { continue };
        if tree.get(&path).is_some() {
            all.insert(path, known);
        }
    }
    // Commands of busybox: links that its script made, and that stay as long as busybox does.
    let busybox = Reason::fact("busybox made it when it was installed");
    for ((path, node), owners) in index.names.iter().zip(&index.nodes).zip(&index.owners) {
        let NodeKind::Symlink(target) = &node.kind else { continue };
        if owners.is_empty() && target.rsplit(|b| *b == b'/').next() == Some(b"busybox") {
            all.entry((*path).clone()).or_insert_with(|| Known::Stay(Arc::clone(&busybox)));
        }
    }
}

fn rpm(facts: &Facts, all: &mut BTreeMap<ImagePath, Known>) {
    let Some(directory) = rpm_directory(&facts.tree) else { return };
    let database = Reason::fact("it is the package database");
    let log = Reason::fact("what it says is in the package database, which is written anew");
    let shared = Reason::fact("it is what running rpms shared");
    for (path, node) in facts.tree.within(&directory) {
        let name = path.name();
        let known = match name {
            _ if node.is_directory() => Known::Stay(Arc::clone(&database)),
            b"rpmdb.sqlite" | b"Packages.db" | b"Index.db" => Known::Rewrite(Arc::clone(&database)),
            b"rpmdb.sqlite-wal" | b"rpmdb.sqlite-shm" => Known::Go(Arc::clone(&log)),
            _ if name.starts_with(b"__db.") => Known::Go(Arc::clone(&shared)),
            _ => Known::Stay(Arc::clone(&database)),
        };
        all.insert(path.clone(), known);
    }
    // Another place that leads here, and that rpm or a scanner looks at.
    for place in ["/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm"] {
        let Ok(place) = ImagePath::parse(place.as_bytes()) else { continue };
        let link = facts.tree.get(&place).is_some_and(|node| matches!(node.kind, NodeKind::Symlink(_)));
        if link && facts.tree.resolve(&place).is_ok_and(|(end, _)| end == directory) {
            all.insert(place, Known::Stay(Arc::clone(&database)));
        }
    }
}

/// A database that can only be read stays true only while every package stays whole.
pub(super) fn complain_frozen(input: &Input<'_>, kept: &Kept, out: &mut Diagnostics) {
    let Some(why) = &input.facts.packages.frozen else { return };
    let had = |path: &&ImagePath| {
        let parent = path.parent().and_then(|parent| input.facts.tree.resolve(&parent).ok());
        let real = parent.and_then(|(parent, _)| parent.join(path.name()).ok());
        real.is_some_and(|real| input.facts.tree.get(&real).is_some())
    };
    let gone = kept.packages.iter().filter(|package| !package.kept).count();
    let lost: usize = kept.packages.iter().map(|package| package.missing.iter().filter(had).count()).sum();
    if gone + lost == 0 {
        return;
    }
    let message = format!("{gone} packages and {lost} files of others would go, but {why}");
    out.push(
        Diagnostic::new(codes::E0570, message)
            .at(input.spec.image.base.span, "its database would tell of what is not there")
            .help("convert the database in the base: rpm --rebuilddb with rpm 4.16 or newer, whose databases are SQLite or NDB")
            .help("or take a newer release of the distribution as the base"),
    );
}
