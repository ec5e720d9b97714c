//! Places that every base has and no package owns: databases, account files, what a runtime fills in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::packages::Verdict;
use super::{Index, families};
use crate::facts::Facts;
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{NodeKind, Tree};

/// What becomes of such a place.
#[derive(Clone)]
pub(super) enum Known {
    /// It stays as it is, unless a line removes it.
    Stay(Arc<Reason>),
    /// It stays, and its bytes are made from the base's: always needed.
    Rewrite(Arc<Reason>),
    /// It goes: it would tell of what is not there any more.
    Go(Arc<Reason>),
}

/// Where dpkg's database is, links followed.
pub fn dpkg_directory(tree: &Tree) -> Option<ImagePath> {
    let path = ImagePath::parse(b"/var/lib/dpkg").ok()?;
    let (real, _) = tree.resolve(&path).ok()?;
    tree.get(&real).is_some_and(crate::tree::Node::is_directory).then_some(real)
}

/// The account files that we rewrite.
pub const ACCOUNT_FILES: [&str; 6] =
    ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];

/// Files and links that stay without a package, with why.
const PLACES: [(&str, &str); 24] = [
    ("/etc/machine-id", "it is the system's own"),
    ("/etc/hostname", "the runtime fills it in"),
    ("/etc/hosts", "the runtime fills it in"),
    ("/etc/resolv.conf", "the runtime fills it in"),
    ("/etc/mtab", "it is the system's own"),
    ("/etc/nsswitch.conf", "the C library looks names up by it"),
    ("/etc/os-release", "scanners tell the distribution by it"),
    ("/usr/lib/os-release", "scanners tell the distribution by it"),
    ("/etc/debian_version", "scanners tell the distribution by it"),
    ("/etc/ld.so.cache", "the loader finds libraries by it"),
    ("/dev", "the runtime mounts here"),
    ("/proc", "the runtime mounts here"),
    ("/sys", "the runtime mounts here"),
    ("/run", "programs expect it"),
    ("/tmp", "programs expect it"),
    ("/var/tmp", "programs expect it"),
    ("/var/run", "programs expect it"),
    ("/var/lock", "programs expect it"),
    ("/etc", "programs expect it"),
    ("/bin", "paths of programs begin with it"),
    ("/sbin", "paths of programs begin with it"),
    ("/lib", "paths of libraries begin with it"),
    ("/lib64", "paths of libraries begin with it"),
    ("/lib32", "paths of libraries begin with it"),
];

/// Whether every base has this place.
pub(super) fn is_place(path: &ImagePath) -> bool {
    path.to_str().is_some_and(|text| PLACES.iter().any(|(place, _)| *place == text))
}

/// All such places of a base.
pub(super) fn known(facts: &Facts, index: &Index<'_>, packages: &[Verdict]) -> BTreeMap<ImagePath, Known> {
    let mut all = BTreeMap::new();
    for (path, why) in PLACES {
        add(facts, &mut all, path, Known::Stay(Reason::fact(why)));
    }
    for mount in ["/dev", "/proc", "/sys"] {
        let Ok(mount) = ImagePath::parse(mount.as_bytes()) else { continue };
        let hidden = Reason::fact(format!("the runtime mounts {mount} over it"));
        for (path, _) in facts.tree.within(&mount).filter(|(path, _)| **path != mount) {
            all.insert(path.clone(), Known::Go(Arc::clone(&hidden)));
        }
    }
    for path in ACCOUNT_FILES {
        add(facts, &mut all, path, Known::Rewrite(Reason::fact("it lists the accounts that stay")));
        let why = format!("it is a backup of {path} and names accounts that may be gone");
        add(facts, &mut all, &format!("{path}-"), Known::Go(Reason::fact(why)));
    }
    // Alternatives: links that stay as long as they lead somewhere.
    let link = Reason::fact("update-alternatives made it");
    for (path, node) in &facts.tree.nodes {
        let inside = path.as_bytes().starts_with(b"/etc/alternatives");
        let into = matches!(&node.kind, NodeKind::Symlink(target) if target.starts_with(b"/etc/alternatives/"));
        if inside || into {
            all.insert(path.clone(), Known::Stay(Arc::clone(&link)));
        }
    }
    dpkg(facts, packages, &mut all);
    families::known(facts, index, &mut all);
    all
}

/// Notes a path that the base has.
fn add(facts: &Facts, all: &mut BTreeMap<ImagePath, Known>, path: &str, known: Known) {
    if let Ok(path) = ImagePath::parse(path.as_bytes())
        && facts.tree.get(&path).is_some()
    {
        all.insert(path, known);
    }
}

fn dpkg(facts: &Facts, packages: &[Verdict], all: &mut BTreeMap<ImagePath, Known>) {
    let Some(directory) = dpkg_directory(&facts.tree) else { return };
    let database = Reason::fact("it is the package database");
    let stale = Reason::fact("it is an older copy of the package database and names packages that may be gone");
    let nobody = Reason::fact("it belongs to no installed package");
    let skip = directory.as_bytes().len() + 1;
    for (path, node) in facts.tree.within(&directory) {
        let inside = path.as_bytes().get(skip..).unwrap_or_default();
        let known = match inside {
            _ if node.is_directory() => Known::Stay(Arc::clone(&database)),
            b"status" | b"diversions" | b"statoverride" => Known::Rewrite(Arc::clone(&database)),
            b"available" => Known::Go(Arc::clone(&stale)),
            b"info/format" => Known::Stay(Arc::clone(&database)),
            _ if inside.ends_with(b"-old") => Known::Go(Arc::clone(&stale)),
            _ if inside.starts_with(b"info/") || inside.starts_with(b"status.d/") => Known::Go(Arc::clone(&nobody)),
            _ if inside.starts_with(b"triggers/") || inside.starts_with(b"alternatives/") => {
                Known::Rewrite(Arc::clone(&database))
            }
            _ => Known::Stay(Arc::clone(&database)),
        };
        all.insert(path.clone(), known);
    }
    let tooling = Reason::fact("only tools that build or configure packages read it, and parts of the package went");
    for (package, verdict) in facts.packages.packages.iter().zip(packages) {
        let text = format!("it is the package database's record of {}", diag::text::printable(&package.name));
        let reason = Reason::link(text, &verdict.reason);
        for path in &package.database_files {
            let ours = [b".list".as_slice(), b".md5sums", b".conffiles"].iter().any(|e| path.as_bytes().ends_with(e));
            // Of a package of which only parts stay: what is read when packages are built or configured.
            let tools = [b".symbols".as_slice(), b".shlibs", b".templates", b".config"];
            if verdict.kept && !verdict.whole && tools.iter().any(|e| path.as_bytes().ends_with(e)) {
                all.insert(path.clone(), Known::Go(Arc::clone(&tooling)));
                continue;
            }
            let whole = path.parent().is_some_and(|p| p.name() == b"status.d");
            let known = match verdict.kept {
                false => Known::Go(Arc::clone(&reason)),
                true if ours || whole => Known::Rewrite(Arc::clone(&reason)),
                true => Known::Stay(Arc::clone(&reason)),
            };
            all.insert(path.clone(), known);
        }
    }
}
