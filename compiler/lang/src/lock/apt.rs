//! Packages of Debian archives in the lock: what was chosen for a base, from which archives, by hash.

use kdl::{KdlDocument, KdlNode, KdlValue};

use super::read::Reader;
use super::write::quoted;
use super::{Lock, LockedSelection};

/// The signed Release file of an archive that packages were chosen from. Where it was fetched is not in the lock: any
/// mirror has the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedArchive {
    /// Name of the archive: `debian`, `debian-security`.
    pub name: String,
    /// The directory below `dists/`: `trixie-updates`.
    pub suite: String,
    /// `sha256:…` of the InRelease file.
    pub release: String,
    /// Its Date in seconds since 1970: a later lock is not made from an older one.
    pub date: i64,
}

/// A chosen package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// Name of the archive.
    pub archive: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// `sha256:…` of the `.deb`.
    pub digest: String,
    /// Path below the archive: `pool/main/…`.
    pub filename: String,
}

impl Lock {
    /// The packages that were chosen for a base and what is asked for (`roots`, sorted), when there are any: the
    /// spec's own, else those of another spec beside it.
    pub fn selection(&self, spec: &str, reference: &str, platform: &str, roots: &[String]) -> Option<&LockedSelection> {
        let is = |s: &&LockedSelection| s.reference == reference && s.platform == platform && s.roots == roots;
        let all = || self.selections.iter().filter(is);
        all().find(|selection| selection.spec == spec).or_else(|| all().next())
    }

    /// The Release files that a spec's packages for a base and platform were last chosen from, whatever was asked
    /// for.
    pub fn releases(&self, spec: &str, reference: &str, platform: &str) -> &[LockedArchive] {
        let is = |s: &&LockedSelection| s.spec == spec && s.reference == reference && s.platform == platform;
        self.selections.iter().find(is).map_or(&[], |selection| &selection.archives)
    }
}

/// The lines of a selection, sorted, one package a line.
pub(super) fn print(selection: &LockedSelection, line: &mut impl FnMut(String)) {
    let LockedSelection { spec, reference, platform, suite, roots, archives, packages } = selection;
    let (spec, reference, platform, suite) = (quoted(spec), quoted(reference), quoted(platform), quoted(suite));
    line(format!("apt {reference} platform={platform} suite={suite} for={spec} {{"));
    for root in sorted(roots) {
        line(format!("    root {}", quoted(root)));
    }
    for archive in sorted(archives) {
        let (name, suite, release) = (quoted(&archive.name), quoted(&archive.suite), quoted(&archive.release));
        line(format!("    archive {name} suite={suite} date={} release={release}", archive.date));
    }
    for package in sorted(packages) {
        let (name, version) = (quoted(&package.name), quoted(&package.version));
        let (architecture, archive) = (quoted(&package.architecture), quoted(&package.archive));
        let (digest, file) = (quoted(&package.digest), quoted(&package.filename));
        line(format!(
            "    package {name} {version} arch={architecture} archive={archive} size={} digest={digest} file={file}",
            package.size
        ));
    }
    line("}".to_owned());
}

fn sorted<T: Ord>(list: &[T]) -> Vec<&T> {
    let mut all: Vec<&T> = list.iter().collect();
    all.sort();
    all.dedup();
    all
}

impl Reader {
    /// Reads an `apt` node into the lock.
    pub(super) fn selection(&mut self, node: &KdlNode, lock: &mut Lock) {
        let Some(found) = self.read_selection(node) else { return };
        let twice = |s: &LockedSelection| {
            (&s.spec, &s.reference, &s.platform) == (&found.spec, &found.reference, &found.platform)
        };
        if lock.selections.iter().any(twice) {
            self.wrong(node, "the packages of this base are there twice for one spec");
        }
        lock.selections.push(found);
    }

    fn read_selection(&mut self, node: &KdlNode) -> Option<LockedSelection> {
        let arguments = self.arguments(node, 1, &["platform", "suite", "for"])?;
        let reference = self.text(node, arguments.first().copied())?;
        let platform = self.text(node, node.get("platform"))?;
        let suite = self.text(node, node.get("suite"))?;
        let spec = self.text(node, node.get("for"))?;
        let (mut roots, mut archives, mut packages) = (Vec::new(), Vec::new(), Vec::<LockedPackage>::new());
        for child in node.children().map(KdlDocument::nodes).unwrap_or_default() {
            match child.name().value() {
                "root" => roots.extend(self.one_text(child)),
                "archive" => archives.extend(self.archive(child)),
                "package" => {
                    let Some(package) = self.package(child) else { continue };
                    // Written in order: the same name again stands beside the first.
                    if packages.last().is_some_and(|last| last.name >= package.name) {
                        self.wrong(child, "the packages are not in the order of their names, or one is there twice");
                    }
                    packages.push(package);
                }
                _ => self.wrong(child, "an apt selection has root, archive and package"),
            }
        }
        if archives.is_empty() {
            self.wrong(node, "the selection names no archive");
        }
        roots.sort();
        Some(LockedSelection { spec, reference, platform, suite, roots, archives, packages })
    }

    fn archive(&mut self, node: &KdlNode) -> Option<LockedArchive> {
        self.leaf(node)?;
        let arguments = self.arguments(node, 1, &["suite", "date", "release"])?;
        let name = self.text(node, arguments.first().copied())?;
        let suite = self.text(node, node.get("suite"))?;
        let date = self.number(node, "date", "seconds since 1970")?;
        let release = self.digest(node, node.get("release")?)?;
        Some(LockedArchive { name, suite, release, date })
    }

    fn package(&mut self, node: &KdlNode) -> Option<LockedPackage> {
        self.leaf(node)?;
        let arguments = self.arguments(node, 2, &["arch", "archive", "size", "digest", "file"])?;
        let name = self.text(node, arguments.first().copied())?;
        let version = self.text(node, arguments.get(1).copied())?;
        let architecture = self.text(node, node.get("arch"))?;
        let archive = self.text(node, node.get("archive"))?;
        let size = u64::try_from(self.number(node, "size", "bytes")?).unwrap_or_default();
        let digest = self.digest(node, node.get("digest")?)?;
        let filename = self.text(node, node.get("file"))?;
        Some(LockedPackage { name, version, architecture, archive, size, digest, filename })
    }

    fn number(&mut self, node: &KdlNode, property: &str, of: &str) -> Option<i64> {
        let value = node.get(property).and_then(KdlValue::as_integer);
        let number = value.and_then(|n| i64::try_from(n).ok()).filter(|n| *n >= 0);
        if number.is_none() {
            self.wrong(node, format!("`{property}` of `{}` is no number of {of}", node.name().value()));
        }
        number
    }
}
