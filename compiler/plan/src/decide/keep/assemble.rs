//! The decisions put together: entries with their headers, what goes, packages, setuid, deviations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::Diagnostics;

use super::accounts::{Accounts, Used};
use super::add::file;
use super::files::Fate;
use super::globs::{Globs, complain_unmatched};
use super::needs::Program;
use super::overlay::Overlay;
use super::packages::Verdict;
use super::{ACCOUNT_FILES, Index, Input};
use crate::facts::Family;
use crate::kept::{AccountFate, Content, Deviation, Entry, Kept, LayerKind, PackageDecision, Removed};
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{Node, NodeKind};

#[allow(clippy::too_many_arguments)]
pub(super) fn assemble(
    input: &Input<'_>,
    index: &Index<'_>,
    overlay: Overlay<'_>,
    accounts: Accounts,
    roots: Vec<Program>,
    verdicts: &[Verdict],
    fates: &[Fate],
    out: &mut Diagnostics,
) -> Kept {
    let mut entries = base_entries(input, index, fates);
    let setuid = strip(input, index, &mut entries, out);
    let programs = roots.into_iter().map(|p| (overlay.resolve(&p.path).map_or(p.path, |(real, _)| real), p.reason));
    let programs: Vec<(ImagePath, Arc<Reason>)> = programs.collect();
    let deviations = deviations(input, index, &overlay, verdicts, fates);
    let Overlay { mut tree, added, .. } = overlay;
    for (path, one) in added {
        // A directory that is only on the way is the base's where the base has it.
        if one.implied && entries.contains_key(&path) {
            continue;
        }
        if let Some(node) = tree.nodes.remove(&path) {
            entries.insert(path, Entry { node, content: one.content, layer: LayerKind::App, reason: one.reason });
        }
    }
    parents(input, &mut entries);
    let removed = removed(index, fates, &entries);
    let mut used = Used::default();
    for (path, entry) in &entries {
        used.users.entry(entry.node.uid).or_insert_with(|| path.clone());
        used.groups.entry(entry.node.gid).or_insert_with(|| path.clone());
    }
    let (users, groups) = accounts.decide(&input.facts.accounts, &used);
    let created = |fate: AccountFate| fate == AccountFate::Created;
    if users.iter().any(|u| created(u.fate)) || groups.iter().any(|g| created(g.fate)) {
        account_files(input, &mut entries);
    }
    let packages = package_decisions(input, index, verdicts, &entries);
    let needed = BTreeMap::new();
    Kept { entries, removed, packages, users, groups, programs, needed, setuid, deviations }
}

fn base_entries(input: &Input<'_>, index: &Index<'_>, fates: &[Fate]) -> BTreeMap<ImagePath, Entry> {
    let mut entries = BTreeMap::new();
    for ((name, node), fate) in index.names.iter().zip(&index.nodes).zip(fates) {
        if !fate.stays {
            continue;
        }
        let rewrite = fate.rewrite && matches!(node.kind, NodeKind::File(_));
        let (content, layer) =
            if rewrite { (Content::Rewrite, LayerKind::App) } else { (Content::Base, LayerKind::Os) };
        let mut node: Node = (*node).clone();
        if rewrite {
            node.kind = file(&[]);
            node.mtime = input.epoch;
        }
        let reason = Arc::clone(&fate.reason);
        entries.insert((*name).clone(), Entry { node, content, layer, reason });
    }
    entries
}

/// Takes setuid and setgid bits from files, all names of one inode alike.
fn strip(
    input: &Input<'_>,
    index: &Index<'_>,
    entries: &mut BTreeMap<ImagePath, Entry>,
    out: &mut Diagnostics,
) -> Vec<(ImagePath, u32, bool)> {
    let lines = &input.spec.files.setuid_keep;
    let matches = Globs::new(lines.iter(), out).over(index);
    complain_unmatched(input.spec, index, lines.iter(), &matches, out);
    let kept = |at: &usize| matches.get(*at).is_some_and(|m| !m.is_empty());
    let inode = |node: &Node| match &node.kind {
        NodeKind::File(file) => file.inode,
        _ => None,
    };
    let all: Vec<usize> = (0..index.names.len()).collect();
    let spared: BTreeSet<u32> =
        all.iter().filter(|at| kept(at)).filter_map(|at| index.nodes.get(*at).and_then(|n| inode(n))).collect();
    let mut found = Vec::new();
    for at in &all {
        let (Some(name), Some(node)) = (index.names.get(*at), index.nodes.get(*at)) else { continue };
        let special = matches!(node.kind, NodeKind::File(_)) && node.mode & 0o6000 != 0;
        let Some(entry) = entries.get_mut(*name).filter(|_| special) else { continue };
        let spare = kept(at) || inode(node).is_some_and(|inode| spared.contains(&inode));
        if !spare {
            entry.node.mode &= 0o1777;
        }
        found.push(((*name).clone(), node.mode, !spare));
    }
    found
}

/// Every directory on the way to an entry is an entry: a base may leave them out.
fn parents(input: &Input<'_>, entries: &mut BTreeMap<ImagePath, Entry>) {
    let mut missing: BTreeMap<ImagePath, Arc<Reason>> = BTreeMap::new();
    for (path, entry) in entries.iter() {
        let mut above = path.parent();
        while let Some(directory) = above.filter(|d| !d.is_root() && !entries.contains_key(d)) {
            above = directory.parent();
            if missing.contains_key(&directory) {
                break;
            }
            missing.insert(directory, Reason::link("something in it stays", &entry.reason));
        }
    }
    for (path, reason) in missing {
        let node = Node {
            kind: NodeKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: input.epoch,
            xattrs: BTreeMap::new(),
        };
        entries.insert(path, Entry { node, content: Content::Base, layer: LayerKind::App, reason });
    }
}

/// What goes. Bytes of a hard-linked file count once, and only when none of its names stays.
fn removed(index: &Index<'_>, fates: &[Fate], entries: &BTreeMap<ImagePath, Entry>) -> BTreeMap<ImagePath, Removed> {
    let mut counted: BTreeSet<u32> = BTreeSet::new();
    for entry in entries.values().filter(|e| e.content == Content::Base) {
        if let NodeKind::File(file) = &entry.node.kind {
            counted.extend(file.inode);
        }
    }
    let mut all = BTreeMap::new();
    for ((name, node), fate) in index.names.iter().zip(&index.nodes).zip(fates) {
        if fate.stays || entries.contains_key(*name) {
            continue;
        }
        let size = match &node.kind {
            NodeKind::File(file) if file.inode.is_none_or(|inode| counted.insert(inode)) => file.size,
            _ => 0,
        };
        all.insert((*name).clone(), Removed { size, reason: Arc::clone(&fate.reason) });
    }
    all
}

/// New accounts need `passwd` and `group`, also where the base has none (`scratch`).
fn account_files(input: &Input<'_>, entries: &mut BTreeMap<ImagePath, Entry>) {
    for name in ACCOUNT_FILES.iter().take(2) {
        let Ok(path) = ImagePath::parse(name.as_bytes()) else { continue };
        entries.entry(path).or_insert_with(|| Entry {
            node: Node { kind: file(&[]), mode: 0o644, uid: 0, gid: 0, mtime: input.epoch, xattrs: BTreeMap::new() },
            content: Content::Rewrite,
            layer: LayerKind::App,
            reason: Reason::fact("it lists the new accounts"),
        });
    }
    parents(input, entries);
}

fn package_decisions(
    input: &Input<'_>,
    index: &Index<'_>,
    verdicts: &[Verdict],
    entries: &BTreeMap<ImagePath, Entry>,
) -> Vec<PackageDecision> {
    let mut all = Vec::new();
    let packages = input.facts.packages.packages.iter().zip(verdicts).zip(&index.listed);
    for ((number, package), (verdict, listed)) in packages.enumerate().map(|(n, ((p, v), l))| ((n, p), (v, l))) {
        let mut missing = Vec::new();
        let mut size = 0_u64;
        let mut inodes = BTreeSet::new();
        for (path, at) in package.paths.iter().zip(listed) {
            let real = at.and_then(|at| index.names.get(at));
            let there = path.is_root() || real.is_some_and(|name| entries.contains_key(*name));
            if verdict.kept && !there {
                missing.push(path.clone());
            }
            let Some(at) = at else { continue };
            let alone = index.owners.get(*at).is_some_and(|owners| owners.as_slice() == [number]);
            if let Some(NodeKind::File(file)) = index.nodes.get(*at).map(|n| &n.kind)
                && alone
                && file.inode.is_none_or(|inode| inodes.insert(inode))
            {
                size = size.saturating_add(file.size);
            }
        }
        all.push(PackageDecision {
            name: package.name.clone(),
            arch: package.arch.clone(),
            version: package.version.clone(),
            source: package.source.clone(),
            kept: verdict.kept,
            reason: Arc::clone(&verdict.reason),
            missing,
            size,
        });
    }
    all
}

/// Files of kept packages that the spec replaces: what `dpkg --verify` will say of each.
fn deviations(
    input: &Input<'_>,
    index: &Index<'_>,
    overlay: &Overlay<'_>,
    verdicts: &[Verdict],
    fates: &[Fate],
) -> Vec<Deviation> {
    let mut all = Vec::new();
    // The other families compare more than contents, and their files that are made anew too: `image::rewrite` does it.
    if input.facts.packages.family != Family::Dpkg {
        return all;
    }
    let packages = input.facts.packages.packages.iter().zip(verdicts).zip(&index.listed);
    for ((package, verdict), listed) in packages {
        if !verdict.kept {
            continue;
        }
        for (path, at) in package.paths.iter().zip(listed) {
            let Some(at) = *at else { continue };
            let (Some(name), Some(old)) = (index.names.get(at), index.nodes.get(at)) else { continue };
            let Some(added) = overlay.added.get(*name).filter(|a| !a.implied) else { continue };
            let Some(new) = overlay.get(name) else { continue };
            let conffile = package.conffiles.iter().any(|(conffile, _)| conffile == path);
            if !conffile && !package.md5sums.contains_key(path) {
                continue;
            }
            let same = match (&old.kind, &new.kind) {
                (NodeKind::File(a), NodeKind::File(b)) => a.sha256 == b.sha256 && fates.get(at).is_some(),
                _ => false,
            };
            if !same {
                let kind = if matches!(new.kind, NodeKind::File(_)) { "??5??????" } else { "?M5??????" };
                let mark = if conffile { 'c' } else { ' ' };
                let shown = String::from_utf8_lossy(path.as_bytes()).into_owned();
                let line = format!("{kind} {mark} {shown}");
                all.push(Deviation { path: (*name).clone(), line, why: added.reason.in_words() });
            }
        }
    }
    all.sort();
    all.dedup();
    all
}
