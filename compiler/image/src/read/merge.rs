//! Layers to one tree (OCI image-spec, layer.md), as umoci unpacks them where skopeo's
//! storage agrees; what the two would unpack differently is refused.
//!
//! Each layer takes two steps: its whiteouts hide what lies below, then its entries are laid
//! on top. So their order within the layer does not matter, as the specification wants.

use std::collections::BTreeMap;
use std::ops::Bound;

use diag::text::printable_bytes;
use diag::{Code, Diagnostic, codes};
use formats::tar::{Entry, Kind};
use plan::path::ImagePath;
use plan::tree::{ContentRef, FileNode, Node, NodeKind, Tree};

use super::Options;
use super::cache::Indexed;
use super::index;
use super::ingest::too_large;

/// Longest chain of symbolic links that is followed, as in Linux.
const MAX_LINKS: u32 = 40;

/// A name in the making: its node, and the layer that gave it.
struct Placed {
    node: Node,
    layer: u32,
}

/// The tree by paths without the leading slash: `usr/bin`. What lies below `d` is the range
/// from `d/` to `d0` (`0` follows `/` in ASCII).
struct Merge<'a> {
    nodes: BTreeMap<Vec<u8>, Placed>,
    root: Option<Node>,
    next_inode: u32,
    layer: u32,
    name: &'a str,
    /// Bytes of all keys, and how many names and bytes are allowed.
    bytes: u64,
    max_names: u64,
    max_bytes: u64,
}

/// Merges layers, lowest first.
pub(super) fn merge(layers: &[Indexed], options: &Options) -> Result<Tree, Diagnostic> {
    let stored = layers.iter().map(|layer| layer.index.stored_size).sum();
    let mut merge = Merge {
        nodes: BTreeMap::new(),
        root: None,
        next_inode: 0,
        layer: 0,
        name: "",
        bytes: 0,
        max_names: options.limits.entries(stored),
        max_bytes: options.limits.metadata(stored),
    };
    for (number, layer) in layers.iter().enumerate() {
        options.check_interrupt()?;
        merge.layer = u32::try_from(number).unwrap_or(u32::MAX);
        merge.name = &layer.name;
        merge.hide(layer)?;
        for item in layer.index.iter() {
            merge.add(item)?;
        }
        merge.check_whiteouts(layer)?;
    }
    merge.finish()
}

/// What a name says about a layer below.
enum Mark {
    /// Nothing: an ordinary entry.
    None,
    /// `.wh..wh..opq`: everything in the directory.
    Opaque(ImagePath),
    /// `.wh.NAME`: that name and all below it.
    Hides(ImagePath),
}

impl Merge<'_> {
    fn error(&self, code: Code, entry: &[u8], what: impl AsRef<str>) -> Diagnostic {
        Diagnostic::new(code, format!("{}: entry `{}` {}", self.name, printable_bytes(entry), what.as_ref()))
    }

    fn path(&self, entry: &[u8], name: &[u8]) -> Result<ImagePath, Diagnostic> {
        ImagePath::parse(name).map_err(|e| {
            self.error(codes::E0504, entry, format!("cannot be unpacked: {e}"))
                .help("unpackers skip, rewrite or refuse such names: make the layer without it")
        })
    }

    /// Reads the whiteout prefix (OCI image-spec, layer.md, "Whiteouts").
    fn mark(&self, raw: &[u8], path: &ImagePath) -> Result<Mark, Diagnostic> {
        let Some(rest) = path.name().strip_prefix(b".wh.") else {
            let inside = path.components().any(|part| part.starts_with(b".wh."));
            return match inside {
                false => Ok(Mark::None),
                true => Err(self.error(codes::E0507, raw, "lies in a directory whose name marks a deletion")),
            };
        };
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        if parent.components().any(|part| part.starts_with(b".wh.")) {
            return Err(self.error(codes::E0507, raw, "lies in a directory whose name marks a deletion"));
        }
        if rest == b".wh..opq" {
            return Ok(Mark::Opaque(parent));
        }
        if matches!(rest, b"" | b"." | b"..") {
            return Err(self.error(codes::E0507, raw, "marks no name as deleted"));
        }
        Ok(Mark::Hides(self.path(raw, &[parent.as_bytes(), b"/", rest].concat())?))
    }

    /// First step: removes what this layer's whiteouts hide.
    fn hide(&mut self, layer: &Indexed) -> Result<(), Diagnostic> {
        for raw in layer.index.names().filter(|raw| may_mark(raw)) {
            let path = self.path(raw, raw)?;
            match self.mark(raw, &path)? {
                Mark::None => {}
                Mark::Opaque(directory) => self.remove_below(directory.relative()),
                Mark::Hides(path) => {
                    self.remove_below(path.relative());
                    self.remove(path.relative());
                }
            }
        }
        Ok(())
    }

    /// Last step: a whiteout whose directory is reached through a link hides one thing in a
    /// merged tree and another in an overlay.
    fn check_whiteouts(&self, layer: &Indexed) -> Result<(), Diagnostic> {
        for raw in layer.index.names().filter(|raw| may_mark(raw)) {
            let path = self.path(raw, raw)?;
            if matches!(self.mark(raw, &path)?, Mark::None) {
                continue;
            }
            let mut parent = path.parent();
            while let Some(directory) = parent.filter(|p| !p.is_root()) {
                if let Some(Placed { node: Node { kind: NodeKind::Symlink(_), .. }, .. }) =
                    self.nodes.get(directory.relative())
                {
                    return Err(self.through_link(raw, directory.relative()));
                }
                parent = directory.parent();
            }
        }
        Ok(())
    }

    fn through_link(&self, raw: &[u8], link: &[u8]) -> Diagnostic {
        let link = printable_bytes(link);
        self.error(codes::E0505, raw, format!("passes through the symbolic link `/{link}`"))
            .note("some unpackers follow the link, others replace it by a directory")
            .help("make the layer with the path behind the link (`usr/lib/x` instead of `lib/x`)")
    }

    /// Second step: lays an entry on top.
    fn add(&mut self, item: index::Indexed) -> Result<(), Diagnostic> {
        let raw = item.entry.path.clone();
        let path = self.path(&raw, &raw)?;
        if !matches!(self.mark(&raw, &path)?, Mark::None) {
            return Ok(());
        }
        self.check_overlay(&item.entry)?;
        if path.is_root() {
            return self.add_root(item);
        }
        let key = self.walk(&raw, &path, true)?;
        let node = self.node(item, &key)?;
        if !node.is_directory() {
            self.remove_below(&key);
        }
        self.insert(key, node)
    }

    /// CVE-2021-29136: only a directory can take the root's place.
    fn add_root(&mut self, item: index::Indexed) -> Result<(), Diagnostic> {
        if item.entry.kind != Kind::Directory {
            let what = format!("replaces the root directory by a {}", item.entry.kind.word());
            return Err(self.error(codes::E0508, &item.entry.path, what));
        }
        self.root = Some(self.node(item, b"")?);
        Ok(())
    }

    /// What an overlay file system would take for its own marks.
    fn check_overlay(&self, entry: &Entry) -> Result<(), Diagnostic> {
        let what = if entry.kind == Kind::CharDevice && entry.device == (0, 0) {
            "is the character device 0:0, which an overlay file system takes for a deletion"
        } else if entry
            .xattrs
            .keys()
            .any(|name| name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay."))
        {
            "has an attribute of an overlay file system, which some runtimes obey"
        } else {
            return Ok(());
        };
        Err(self
            .error(codes::E0512, &entry.path, what)
            .help("make the layer with podman, buildah or docker instead of archiving an overlay's upper directory"))
    }

    /// The key at which a path is placed. Missing parents are made if `make` says so; links on
    /// the way are followed where every unpacker does, and refused elsewhere.
    fn walk(&mut self, raw: &[u8], path: &ImagePath, make: bool) -> Result<Vec<u8>, Diagnostic> {
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let known = parent.is_root() || self.nodes.get(parent.relative()).is_some_and(|p| p.node.is_directory());
        if known {
            return Ok(path.relative().to_vec());
        }
        let mut key: Vec<u8> = Vec::new();
        let mut rest: Vec<Vec<u8>> = parent.components().map(<[u8]>::to_vec).rev().collect();
        let mut links = 0;
        let mut last_link: Option<Vec<u8>> = None;
        while let Some(part) = rest.pop() {
            if part == b".." {
                key.truncate(key.iter().rposition(|&b| b == b'/').unwrap_or(0));
                continue;
            }
            let next = child(&key, &part);
            match self.nodes.get(&next).map(|placed| (&placed.node.kind, placed.layer)) {
                Some((NodeKind::Directory, layer)) => {
                    // Behind a link only what this layer made itself is there for everyone.
                    if let Some(link) = last_link.as_ref().filter(|_| layer != self.layer) {
                        return Err(self.through_link(raw, link));
                    }
                    key = next;
                }
                Some((NodeKind::Symlink(target), layer)) => {
                    links += 1;
                    if layer != self.layer || links > MAX_LINKS {
                        return Err(self.through_link(raw, &next));
                    }
                    if target.starts_with(b"/") {
                        key.clear();
                    }
                    let parts = target.split(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".");
                    rest.extend(parts.map(<[u8]>::to_vec).rev());
                    last_link = Some(next);
                }
                Some(_) => {
                    let what = format!("lies below `/{}`, which is not a directory", printable_bytes(&next));
                    return Err(self.error(codes::E0505, raw, what));
                }
                None if !make => return Ok(path.relative().to_vec()),
                None => {
                    if let Some(link) = &last_link {
                        return Err(self.through_link(raw, link));
                    }
                    self.insert(next.clone(), implied_directory())?;
                    key = next;
                }
            }
        }
        let key = child(&key, path.name());
        // Links can make a path longer than it was said.
        self.path(raw, &key)?;
        Ok(key)
    }

    fn node(&mut self, item: index::Indexed, key: &[u8]) -> Result<Node, Diagnostic> {
        let index::Indexed { entry, offset, sha256 } = item;
        let kind = match entry.kind {
            Kind::Hardlink => return self.linked(&entry, key),
            Kind::File => NodeKind::File(FileNode {
                size: entry.size,
                sha256,
                at: ContentRef { layer: self.layer, offset },
                inode: None,
            }),
            Kind::Directory => NodeKind::Directory,
            Kind::Symlink => self.symlink(&entry)?,
            Kind::CharDevice => NodeKind::CharDevice { major: entry.device.0, minor: entry.device.1 },
            Kind::BlockDevice => NodeKind::BlockDevice { major: entry.device.0, minor: entry.device.1 },
            Kind::Fifo => NodeKind::Fifo,
        };
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        Ok(Node { kind, mode, uid, gid, mtime, xattrs })
    }

    fn symlink(&self, entry: &Entry) -> Result<NodeKind, Diagnostic> {
        if entry.link.is_empty() || entry.link.len() > 4095 {
            return Err(self.error(codes::E0504, &entry.path, "is a symbolic link with no target, or too long a one"));
        }
        Ok(NodeKind::Symlink(entry.link.clone().into()))
    }

    /// Another name of a file of this layer or of one below. The file's own header counts,
    /// as for GNU tar: two names of one inode have one header.
    fn linked(&mut self, entry: &Entry, key: &[u8]) -> Result<Node, Diagnostic> {
        let shown = printable_bytes(&entry.link);
        let target = self.path(&entry.path, &entry.link)?;
        let found = self.walk(&entry.path, &target, false)?;
        let (number, next) = (self.next_inode, self.next_inode.saturating_add(1));
        // A link that takes its target's own place, or its directory's, has lost the target.
        let inside = found.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        let placed = match self.nodes.get_mut(&found) {
            Some(placed) if !placed.node.is_directory() && !inside => placed,
            _ => {
                let what = format!("is a hard link to `{shown}`, which is not there or is a directory");
                return Err(self
                    .error(codes::E0506, &entry.path, what)
                    .help("a hard link names a file of the same image that comes before it"));
            }
        };
        if let NodeKind::File(file) = &mut placed.node.kind
            && file.inode.is_none()
        {
            file.inode = Some(number);
            self.next_inode = next;
        }
        Ok(placed.node.clone())
    }

    fn insert(&mut self, key: Vec<u8>, node: Node) -> Result<(), Diagnostic> {
        let cost = key.len() as u64;
        if self.nodes.insert(key, Placed { node, layer: self.layer }).is_none() {
            self.bytes = self.bytes.saturating_add(cost);
        }
        if self.nodes.len() as u64 > self.max_names || self.bytes > self.max_bytes {
            let what = format!("holds too many names: more than {} in {} bytes", self.nodes.len(), self.bytes);
            return Err(too_large(self.name, &what));
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) {
        if self.nodes.remove(key).is_some() {
            self.bytes = self.bytes.saturating_sub(key.len() as u64);
        }
    }

    fn remove_below(&mut self, directory: &[u8]) {
        let keys: Vec<Vec<u8>> = if directory.is_empty() {
            self.nodes.keys().cloned().collect()
        } else {
            let (start, end) = ([directory, b"/"].concat(), [directory, b"0"].concat());
            let range = self.nodes.range::<Vec<u8>, _>((Bound::Excluded(&start), Bound::Excluded(&end)));
            range.map(|(key, _)| key.clone()).collect()
        };
        for key in keys {
            self.remove(&key);
        }
    }

    /// The finished tree: hard links numbered in the order of their first names, none where
    /// only one name is left.
    fn finish(self) -> Result<Tree, Diagnostic> {
        let mut names: BTreeMap<u32, u32> = BTreeMap::new();
        for placed in self.nodes.values() {
            if let NodeKind::File(FileNode { inode: Some(inode), .. }) = placed.node.kind {
                *names.entry(inode).or_default() += 1;
            }
        }
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        let mut tree = Tree { nodes: BTreeMap::new(), root: self.root };
        for (key, Placed { mut node, .. }) in self.nodes {
            if let NodeKind::File(file) = &mut node.kind {
                file.inode = file.inode.filter(|inode| names.get(inode).is_some_and(|n| *n > 1)).map(|inode| {
                    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                    *numbers.entry(inode).or_insert(next)
                });
            }
            let path = ImagePath::parse(&key)
                .map_err(|e| Diagnostic::new(codes::E0504, format!("`{}`: {e}", printable_bytes(&key))))?;
            tree.nodes.insert(path, node);
        }
        Ok(tree)
    }
}

/// Whether a name can hold the prefix of a whiteout at all; few do.
fn may_mark(raw: &[u8]) -> bool {
    raw.windows(4).any(|part| part == b".wh.")
}

fn child(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// A directory that no entry describes: as every unpacker makes it, but with a fixed time.
fn implied_directory() -> Node {
    Node { kind: NodeKind::Directory, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
}
