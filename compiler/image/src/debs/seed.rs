//! The tree that packages are added to: a base's index as this module's own, the bytes of its files left where they are.

use std::io::{self, Read};

use diag::{Diagnostic, codes};
use formats::tar::{Entry, Kind as EntryKind};
use plan::facts::Contents;
use plan::path::ImagePath;
use plan::tree::{self as facts, FileNode, NodeKind};

use super::apply::Wanted;
use super::loader_cache;
use super::tree::{Content, Kind, Node, Tree};
use super::unpack::{Interest as _, MOST_CAPTURED_TOTAL, Window};

/// Longest file of the base's database that is read, bytes.
const LONGEST: u64 = 64 << 20;
/// Bytes of a base's file that are held at a time while it is copied.
const PIECE: u64 = 1 << 20;

/// A base that was read: its tree, and where the contents of its files are.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// All names.
    pub tree: &'a facts::Tree,
    /// Contents of its files.
    pub contents: &'a dyn Contents,
}

impl Base<'_> {
    /// The node at a place of the module's tree (no first slash; the root is empty).
    pub(super) fn node(&self, place: &[u8]) -> Option<&facts::Node> {
        if place.is_empty() {
            return self.tree.root.as_ref();
        }
        self.tree.get(&ImagePath::parse(&[b"/", place].concat()).ok()?)
    }

    pub(super) fn file(&self, place: &[u8]) -> Option<&FileNode> {
        match &self.node(place)?.kind {
            NodeKind::File(file) => Some(file),
            _ => None,
        }
    }

    /// The bytes of a file, links to it followed; `None`: there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Diagnostic> {
        let Ok(path) = ImagePath::parse(path.as_bytes()) else { return Ok(None) };
        let Ok((real, _)) = self.tree.resolve(&path) else { return Ok(None) };
        let Some(file) = self.file(real.relative()) else { return Ok(None) };
        self.contents.read(file, LONGEST).map(Some).map_err(|d| d.note(format!("the file is {path}")))
    }

    /// Names of the files directly in a directory, links to it followed.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let Ok(path) = ImagePath::parse(directory.as_bytes()) else { return Vec::new() };
        let Ok((real, _)) = self.tree.resolve(&path) else { return Vec::new() };
        let below = self.tree.within(&real).filter(|(path, _)| path.parent().as_ref() == Some(&real));
        below.filter_map(|(path, _)| std::str::from_utf8(path.name()).ok().map(str::to_owned)).collect()
    }

    /// The base's tree as ours, owned by nobody; `epoch` is the time of what is made later.
    pub(super) fn seed(&self, epoch: i64) -> Tree {
        let mut tree = Tree::empty(epoch);
        if let Some(root) = &self.tree.root {
            tree.nodes.insert(Vec::new(), seeded(b"", root));
        }
        for (path, node) in &self.tree.nodes {
            tree.nodes.insert(path.relative().to_vec(), seeded(path.relative(), node));
        }
        tree
    }

    /// Reads what effects may want to read; libraries only when the loader's cache is to be written.
    pub(super) fn capture(&self, tree: &mut Tree, wanted: &Wanted, libraries: bool) -> Result<(), Diagnostic> {
        let mut total: usize = tree.captured.values().map(Vec::len).sum();
        for (path, node) in &self.tree.nodes {
            let NodeKind::File(file) = &node.kind else { continue };
            let bytes = path.as_bytes();
            let is_wanted = wanted.wants(bytes, file.size) || is_state(bytes);
            if loader_cache::is_library_name(path.name()) != libraries || !is_wanted {
                continue;
            }
            let mut window = Window::default();
            let mut push = |part: &[u8]| {
                window.push(part);
                Ok(())
            };
            self.contents.stream(file, &mut push).map_err(|d| d.note(format!("the file is {path}")))?;
            let Some(kept) = wanted.keep(bytes, window) else { continue };
            total = total.saturating_add(kept.len());
            if total > MOST_CAPTURED_TOTAL {
                let message =
                    format!("the base has too many bytes in files that scripts read, the last one being {path}");
                return Err(Diagnostic::new(codes::E0564, message).help("add the packages to a smaller base"));
            }
            tree.captured.insert(Content::Base(path.relative().to_vec()), kept);
        }
        Ok(())
    }

    /// The header of a path whose content is the base's at `from`.
    pub(super) fn entry(&self, path: &[u8], node: &Node, from: &[u8]) -> Entry {
        let mut entry = super::write::entry(path, node);
        let Some(there) = self.node(from) else { return entry };
        entry.xattrs.clone_from(&there.xattrs);
        match there.kind {
            NodeKind::CharDevice { major, minor } => {
                (entry.kind, entry.device) = (EntryKind::CharDevice, (major, minor));
            }
            NodeKind::BlockDevice { major, minor } => {
                (entry.kind, entry.device) = (EntryKind::BlockDevice, (major, minor));
            }
            NodeKind::Fifo => entry.kind = EntryKind::Fifo,
            _ => {}
        }
        entry
    }
}

/// Files that programs of Debian go on writing.
fn is_state(path: &[u8]) -> bool {
    let single: [&[u8]; 2] = [b"/var/lib/dpkg/statoverride", b"/var/lib/shells.state"];
    let folders: [&[u8]; 2] = [b"/var/lib/dpkg/triggers/", b"/usr/local/share/ca-certificates/"];
    single.contains(&path) || folders.iter().any(|folder| path.starts_with(folder))
}

/// A node of the base as one of ours. Devices and pipes are files without bytes that nothing reads.
pub(super) fn seeded(place: &[u8], node: &facts::Node) -> Node {
    let kind = match &node.kind {
        NodeKind::Directory => Kind::Directory,
        NodeKind::Symlink(target) => Kind::Symlink(target.to_vec()),
        NodeKind::File(file) => Kind::File(Content::Base(place.to_vec()), file.size),
        NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } | NodeKind::Fifo => {
            Kind::File(Content::Base(place.to_vec()), 0)
        }
    };
    Node { kind, mode: node.mode, uid: node.uid, gid: node.gid, mtime: node.mtime, owner: None }
}

/// A base's file as a stream, a piece at a time.
pub(super) struct Bytes<'a> {
    contents: &'a dyn Contents,
    left: FileNode,
    piece: io::Cursor<Vec<u8>>,
    /// What the base's reader says of a failure; its `io::Error` says less.
    pub failure: Option<Diagnostic>,
}

impl<'a> Bytes<'a> {
    pub fn new(contents: &'a dyn Contents, file: &FileNode) -> Bytes<'a> {
        Bytes { contents, left: file.clone(), piece: io::Cursor::default(), failure: None }
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.piece.read(buffer)?;
        if n > 0 || self.left.size == 0 {
            return Ok(n);
        }
        // A part of a file's content lies where the whole does, and is read as a file of its own.
        let part = FileNode { size: self.left.size.min(PIECE), ..self.left.clone() };
        let bytes = self.contents.read(&part, PIECE).map_err(|problem| {
            let error = io::Error::other(problem.message.clone());
            self.failure = Some(problem);
            error
        })?;
        if bytes.is_empty() {
            return Ok(0);
        }
        self.left.size -= part.size;
        self.left.at.offset = self.left.at.offset.saturating_add(part.size);
        self.piece = io::Cursor::new(bytes);
        self.piece.read(buffer)
    }
}
