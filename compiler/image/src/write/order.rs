//! The entries of a layer in canonical order: byte order of paths, so that a directory comes
//! before what it holds; of hard links the first name is the file.

use std::collections::{BTreeMap, BTreeSet};

use diag::text::printable_bytes;
use diag::{Diagnostic, codes};
use formats::tar::{self, Kind};
use plan::kept::{Content, Entry, LayerKind};
use plan::path::ImagePath;
use plan::tree::{Node, NodeKind};
use sha2::{Digest as _, Sha256};

/// One entry of a layer.
pub(super) struct Item<'a> {
    pub path: &'a ImagePath,
    pub entry: &'a Entry,
    /// The earlier name of the same inode.
    pub first: Option<&'a ImagePath>,
}

/// The entries of one layer. The app layer repeats the directories above its files: an
/// overlay takes a directory's header from the highest layer that mentions it, and one that
/// is only implied would hide the mode and owner of the OS layer's.
pub(super) fn items(entries: &BTreeMap<ImagePath, Entry>, layer: LayerKind) -> Vec<Item<'_>> {
    let mut wanted: BTreeSet<ImagePath> = BTreeSet::new();
    for (path, _) in entries.iter().filter(|(_, entry)| entry.layer == layer) {
        let mut at = Some(path.clone());
        while let Some(path) = at.filter(|path| !path.is_root()) {
            at = path.parent();
            if !wanted.insert(path) {
                break;
            }
        }
    }
    let mut inodes: BTreeMap<u32, (&ImagePath, &Node)> = BTreeMap::new();
    let chosen = entries.iter().filter(|(path, _)| wanted.contains(*path));
    chosen
        .map(|(path, entry)| {
            let mut first = None;
            if let (NodeKind::File(file), Content::Base) = (&entry.node.kind, &entry.content)
                && let Some(inode) = file.inode
            {
                let (name, node) = inodes.entry(inode).or_insert((path, &entry.node));
                // Names that a decision made different are no longer one file.
                first = (*name != path && **node == entry.node).then_some(*name);
            }
            Item { path, entry, first }
        })
        .collect()
}

impl Item<'_> {
    /// The header blocks.
    pub fn header(&self) -> Result<Vec<u8>, Diagnostic> {
        let node = &self.entry.node;
        let kind = match &node.kind {
            NodeKind::Directory => Kind::Directory,
            NodeKind::File(_) if self.first.is_some() => Kind::Hardlink,
            NodeKind::File(_) => Kind::File,
            NodeKind::Symlink(_) => Kind::Symlink,
            NodeKind::CharDevice { .. } => Kind::CharDevice,
            NodeKind::BlockDevice { .. } => Kind::BlockDevice,
            NodeKind::Fifo => Kind::Fifo,
        };
        let mut entry = tar::Entry::new(self.path.relative(), kind);
        (entry.mode, entry.uid, entry.gid, entry.mtime) = (node.mode, node.uid, node.gid, node.mtime);
        entry.size = node.size();
        // Attributes belong to the inode; GNU tar and umoci apply them with its first name.
        if self.first.is_none() {
            entry.xattrs = node.xattrs.clone();
        }
        match (&node.kind, self.first) {
            (_, Some(first)) => entry.link = first.relative().to_vec(),
            (NodeKind::Symlink(target), None) => entry.link = target.to_vec(),
            (NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor }, None) => {
                entry.device = (*major, *minor);
            }
            _ => {}
        }
        tar::header(&entry).map_err(|e| {
            let what = e.to_string();
            Diagnostic::new(
                codes::E0540,
                format!("`{}` cannot be written to a layer", printable_bytes(self.path.as_bytes())),
            )
            .note(what)
            .help("leave it out with `files { remove … }`")
        })
    }

    /// Whether content follows the header.
    pub fn has_content(&self) -> bool {
        matches!(self.entry.node.kind, NodeKind::File(_)) && self.first.is_none()
    }
}

/// Names everything that a layer's blob depends on: equal recipes, equal blobs. The first
/// words change with the format of the archive or the compression.
pub(super) fn recipe(items: &[Item]) -> Result<[u8; 32], Diagnostic> {
    let mut sha = Sha256::new_with_prefix(b"k8orc layer 2: canonical tar, libdeflate 4, blocks of 1 MiB\n");
    for item in items {
        sha.update(item.header()?);
        if item.has_content()
            && let NodeKind::File(file) = &item.entry.node.kind
        {
            sha.update(file.sha256);
        }
    }
    Ok(sha.finalize().into())
}
