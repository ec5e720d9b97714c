//! What is not as the base has it, and the layer that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Write};

use formats::tar::{Entry, Kind as EntryKind, WriteError, Writer};
use sha2::{Digest as _, Sha256};

use super::DebInput;
use super::failure::Failure;
use super::seed::{Base, Bytes, seeded};
use super::tree::{Content, Kind, Node, Tree};
use super::write::{Counting, contents, entry, unwritable};

/// What was written.
pub(super) struct Written {
    /// Number of entries, whiteouts too.
    pub entries: u64,
    /// Bytes of the archive.
    pub size: u64,
}

/// What an effect wrote as it was is the base's again, its time too; a directory in which something came, changed or
/// went is of our epoch. The packages from number `old` on were added.
pub(super) fn settle(base: &Base<'_>, tree: &mut Tree, old: usize) {
    for (path, node) in &mut tree.nodes {
        let Some(there) = base.node(path).map(|there| seeded(path, there)) else { continue };
        let same = match (&node.kind, base.file(path)) {
            (Kind::File(Content::Made(bytes), size), Some(file)) => {
                *size == file.size && <[u8; 32]>::from(Sha256::digest(bytes)) == file.sha256
            }
            (Kind::Symlink(_), _) => node.owner.is_none_or(|owner| owner < old) && node.kind == there.kind,
            _ => false,
        };
        if same {
            (node.kind, node.mtime) = (there.kind, there.mtime);
        }
    }
    let mut changed = std::mem::take(&mut tree.touched);
    let parent =
        |path: &[u8]| path.get(..path.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default().to_vec();
    for (path, node) in tree.nodes.iter().filter(|(path, _)| !path.is_empty()) {
        let there = base.node(path).map(|there| seeded(path, there).kind);
        if there.as_ref() != Some(&node.kind) {
            changed.insert(parent(path));
        }
    }
    changed.extend(gone(base, tree).map(parent));
    for path in changed {
        if let Some(node) = tree.nodes.get_mut(&path).filter(|node| node.kind == Kind::Directory) {
            node.mtime = tree.epoch;
        }
    }
}

/// Places of the base where nothing is any more.
fn gone<'a>(base: &Base<'a>, tree: &'a Tree) -> impl Iterator<Item = &'a [u8]> {
    base.tree.nodes.keys().map(|path| path.relative()).filter(|path| !tree.nodes.contains_key(*path))
}

fn is_new(base: &Base<'_>, path: &[u8], node: &Node) -> bool {
    let Some(there) = base.node(path).map(|there| seeded(path, there)) else {
        // A base that says nothing of its root has one of mode 0755.
        return !path.is_empty();
    };
    Node { owner: None, ..node.clone() } != there
}

/// Writes the layer; a failure comes with the number of the package at fault, if it is one's. Packages of the base come
/// before the added ones: their number is `old`.
pub(super) fn write(
    base: &Base<'_>,
    tree: &Tree,
    old: usize,
    debs: &[DebInput],
    out: &mut dyn Write,
) -> Result<Written, (Option<usize>, Failure)> {
    let mut counting = Counting { out, written: 0 };
    let mut writer = Writer::new(&mut counting);
    let none = |e: WriteError| (None, unwritable(&e));
    let mut entries = 0;
    let mut count = || entries += 1;
    for whiteout in whiteouts(base, tree) {
        count();
        writer.append(&Entry::new(whiteout, EntryKind::File), &mut io::empty()).map_err(none)?;
    }
    let mut firsts: BTreeMap<&Content, (&[u8], &Node)> = BTreeMap::new();
    let mut later = Vec::new();
    for (path, node) in tree.nodes.iter().filter(|(path, node)| is_new(base, path, node)) {
        count();
        match &node.kind {
            Kind::Directory => {
                let mut header = entry(path, node);
                if let Some(there) = base.node(path).filter(|there| there.is_directory()) {
                    header.xattrs.clone_from(&there.xattrs);
                }
                writer.append(&header, &mut io::empty()).map_err(none)?;
            }
            Kind::File(content @ Content::Deb(..), _) => match firsts.get(content) {
                Some((first, _)) => later.push((path.as_slice(), node, Some(*first))),
                None => {
                    firsts.insert(content, (path, node));
                }
            },
            _ => later.push((path, node, None)),
        }
    }
    for (at, deb) in debs.iter().enumerate() {
        contents(old + at, deb, &firsts, &mut writer).map_err(|e| (Some(old + at), e))?;
    }
    for (path, node, first) in later {
        let mut header = entry(path, node);
        let mut made: &[u8] = &[];
        match (&node.kind, first) {
            (_, Some(first)) => (header.kind, header.link, header.size) = (EntryKind::Hardlink, first.to_vec(), 0),
            (Kind::File(Content::Base(from), _), _) => {
                kept(base, &base.entry(path, node, from), from, &mut writer).map_err(|e| (None, e))?;
                continue;
            }
            (Kind::File(Content::Made(bytes), _), _) => made = bytes,
            _ => {}
        }
        writer.append(&header, &mut Cursor::new(made)).map_err(none)?;
    }
    writer.finish().map_err(|e| none(e.into()))?;
    Ok(Written { entries, size: counting.written })
}

/// A file of the base whose header or place is another one.
fn kept<W: Write>(base: &Base<'_>, header: &Entry, from: &[u8], writer: &mut Writer<W>) -> Result<(), Failure> {
    let Some(file) = base.file(from) else {
        return writer.append(header, &mut io::empty()).map_err(|e| unwritable(&e));
    };
    let mut bytes = Bytes::new(base.contents, file);
    writer.append(header, &mut bytes).map_err(|e| match bytes.failure.take() {
        Some(problem) => Failure { code: problem.code, message: problem.message, notes: problem.notes, help: "" },
        None => unwritable(&e),
    })
}

/// The topmost names that are gone, as OCI layers say it.
fn whiteouts(base: &Base<'_>, tree: &Tree) -> Vec<Vec<u8>> {
    let mut out: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in gone(base, tree) {
        let end = path.iter().rposition(|b| *b == b'/');
        let (parent, name) = path.split_at_checked(end.map_or(0, |end| end + 1)).unwrap_or((b"", path));
        let above = parent.strip_suffix(b"/").unwrap_or(parent);
        // What stood in a directory that is gone, or is none any more, goes with it.
        if tree.nodes.get(above).is_some_and(|node| node.kind == Kind::Directory) {
            out.insert([parent, b".wh.", name].concat());
        }
    }
    out.into_iter().collect()
}
