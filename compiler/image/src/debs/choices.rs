//! What the administrator of a base chose, and what is in the way of a package's configuration files.

use std::collections::BTreeMap;

use diag::Diagnostic;
use diag::text::printable_bytes;
use formats::dpkg::Override;
use formats::passwd;
use md5::{Digest as _, Md5};

use super::apply::missing;
use super::failure::Failure;
use super::package::Package;
use super::seed::{Base, seeded};
use super::tree::{Content, Kind, Node, Tree};

/// Owners and modes of dpkg-statoverride(1), for what package number `at` brings.
pub(super) fn overrides(tree: &mut Tree, all: &[Override], at: usize) -> Result<(), Failure> {
    for one in all {
        let place = tree.place(&one.path)?;
        if tree.nodes.get(&place).is_none_or(|node| node.owner != Some(at)) {
            continue;
        }
        let id = |name: &str, of: &dyn Fn(&str) -> Option<u32>| {
            let found = name.strip_prefix('#').map_or_else(|| of(name), |number| number.parse().ok());
            found.ok_or_else(|| missing(format!("there is no account {name}, which the base's statoverride names")))
        };
        let users = passwd::users(tree.read(b"/etc/passwd").unwrap_or_default()).entries;
        let groups = passwd::groups(tree.read(b"/etc/group").unwrap_or_default()).entries;
        let uid = id(&one.user, &|name| users.iter().find(|u| u.value.name == name).map(|u| u.value.uid))?;
        let gid = id(&one.group, &|name| groups.iter().find(|g| g.value.name == name).map(|g| g.value.gid))?;
        if let Some(node) = tree.nodes.get_mut(&place) {
            (node.mode, node.uid, node.gid) = (one.mode, uid, gid);
        }
    }
    Ok(())
}

/// `dpkg-divert --rename`: another package's file, or nobody's of the base, goes to where package number `at` diverts it.
pub(super) fn diverted(
    tree: &mut Tree,
    diversions: &BTreeMap<Vec<u8>, (Vec<u8>, String)>,
    package: &str,
    at: usize,
) -> Result<(), Failure> {
    for (from, (to, _)) in diversions.iter().filter(|(_, (_, who))| who == package) {
        let (from, to) = (tree.place(from)?, tree.place(to)?);
        let moves = |node: &Node| match (&node.kind, node.owner) {
            (Kind::Directory, _) => false,
            (_, Some(owner)) => owner != at,
            (kind, None) => matches!(kind, Kind::File(Content::Base(_), _)),
        };
        if tree.nodes.contains_key(&to) || !tree.nodes.get(&from).is_some_and(moves) {
            continue;
        }
        if let Some(node) = tree.nodes.remove(&from) {
            let parent = to.get(..to.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default().to_vec();
            tree.directories(&parent)?;
            tree.nodes.insert(to, node);
        }
    }
    Ok(())
}

/// Puts the base's file back where package number `at` has a configuration file, unless it is what a removed version
/// left behind unedited. Gives the paths where the two differ.
pub(super) fn conffiles(
    base: &Base<'_>,
    tree: &mut Tree,
    package: &Package,
    at: usize,
    left_behind: &BTreeMap<Vec<u8>, String>,
) -> Result<Vec<String>, Diagnostic> {
    let mut kept = Vec::new();
    for path in &package.watched {
        let Ok(place) = tree.place(path) else { continue };
        let Some(new) = tree.nodes.get(&place).filter(|node| node.owner == Some(at)).cloned() else { continue };
        let (Some(node), Some(file)) = (base.node(&place), base.file(&place)) else { continue };
        let mut md5 = Md5::new();
        base.contents.stream(file, &mut |part| {
            md5.update(part);
            Ok(())
        })?;
        let there: String = md5.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let same = package.sums.get(path) == Some(&there);
        if !same && left_behind.get(path) == Some(&there) {
            continue;
        }
        let mut old = seeded(&place, node);
        old.owner = Some(at);
        tree.nodes.insert(place.clone(), old);
        if !same && matches!(new.kind, Kind::File(..)) {
            tree.nodes.insert([place.as_slice(), b".dpkg-dist"].concat(), new);
            kept.push(printable_bytes(path));
        }
    }
    Ok(kept)
}
