//! A file system tree as an index: names and headers, contents by reference.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::path::ImagePath;

/// SHA-256 of a file's content.
pub type Sha256 = [u8; 32];

/// Extended attributes by full name (`security.capability`, `user.x`).
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where the content of a base's file lies: in the data of a layer of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentRef {
    /// Index of the layer in the base, from 0.
    pub layer: u32,
    /// Offset in that layer's data, bytes.
    pub offset: u64,
}

/// A regular file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNode {
    /// Bytes.
    pub size: u64,
    /// Of the whole content.
    pub sha256: Sha256,
    /// Where it lies.
    pub at: ContentRef,
    /// Names with the same number are hard links of one inode; `None`: only one name.
    pub inode: Option<u32>,
}

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(FileNode),
    /// A symbolic link with its literal target.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A name's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with setuid, setgid, sticky: 0o7777 at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Node {
    /// Bytes of content; 0 for what is not a file.
    pub fn size(&self) -> u64 {
        match &self.kind {
            NodeKind::File(file) => file.size,
            _ => 0,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }
}

/// The merged tree of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Every name but `/` itself, in byte order.
    pub nodes: BTreeMap<ImagePath, Node>,
    /// The root directory's own header, where a layer gave one.
    pub root: Option<Node>,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// This name is missing.
    Missing(ImagePath),
    /// More than 40 links (ELOOP).
    Loop,
    /// This name is not a directory although the path goes on.
    NotADirectory(ImagePath),
}

impl Tree {
    /// The header of exactly this name.
    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Names at and below `dir`, in byte order (without `/` itself).
    pub fn within<'a>(&'a self, dir: &'a ImagePath) -> impl Iterator<Item = (&'a ImagePath, &'a Node)> {
        self.nodes
            .range::<ImagePath, _>((Bound::Included(dir), Bound::Unbounded))
            .take_while(move |(path, _)| path.as_bytes().starts_with(dir.as_bytes()))
            .filter(move |(path, _)| path.is_within(dir))
    }

    /// Follows symbolic links inside the tree (`..` in targets stays inside, absolute targets start at the
    /// tree's root) and gives the final path with every link that was followed on the way.
    pub fn resolve(&self, path: &ImagePath) -> Result<(ImagePath, BTreeSet<ImagePath>), ResolveError> {
        resolve(path, |name| self.get(name).map(|node| &node.kind))
    }
}

/// [`Tree::resolve`] in anything that knows what a name is.
pub fn resolve<'a>(
    path: &ImagePath,
    kind: impl Fn(&ImagePath) -> Option<&'a NodeKind>,
) -> Result<(ImagePath, BTreeSet<ImagePath>), ResolveError> {
    let mut links = BTreeSet::new();
    let mut rest: Vec<Vec<u8>> = path.components().map(<[u8]>::to_vec).rev().collect();
    let mut at = ImagePath::root();
    let mut followed = 0_u32;
    while let Some(part) = rest.pop() {
        if part.as_slice() == b".." {
            at = at.parent().unwrap_or_else(ImagePath::root);
            continue;
        }
        let Ok(next) = at.join(&part) else { return Err(ResolveError::Missing(at)) };
        match kind(&next) {
            None => return Err(ResolveError::Missing(next)),
            Some(NodeKind::Symlink(target)) => {
                followed += 1;
                if followed > 40 {
                    return Err(ResolveError::Loop);
                }
                links.insert(next);
                if target.first() == Some(&b'/') {
                    at = ImagePath::root();
                }
                let parts = target.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
                rest.extend(parts.map(<[u8]>::to_vec).rev());
            }
            Some(NodeKind::Directory) => at = next,
            Some(_) if rest.is_empty() => at = next,
            Some(_) => return Err(ResolveError::NotADirectory(next)),
        }
    }
    Ok((at, links))
}
