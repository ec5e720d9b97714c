//! The tree in the making: paths with every link among their directories resolved, as dpkg sees them.

use std::collections::{BTreeMap, BTreeSet};

use plan::platform::Arch;

use super::failure::{Failure, fail};

/// Most links followed for one path, as the kernel's ELOOP.
const MOST_LINKS: usize = 40;

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// In a package: its index, and the number of the entry in its data archive.
    Deb(usize, u64),
    /// Written by an effect.
    Made(Vec<u8>),
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File(Content, u64),
    Symlink(Vec<u8>),
}

/// One path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    /// The package that ships it; none for what scripts make.
    pub owner: Option<usize>,
}

/// All paths, without the first slash; the root is empty.
pub(super) struct Tree {
    pub nodes: BTreeMap<Vec<u8>, Node>,
    /// Contents that effects may want to read, by where they are.
    pub captured: BTreeMap<Content, Vec<u8>>,
    /// Directories of packages: which package brings them, and the time that it says.
    /// None where it was there and is reached through a link: tar sets no time then.
    pub brought: BTreeMap<Vec<u8>, Vec<(usize, Option<i64>)>>,
    /// Directories in which something came and went.
    pub touched: BTreeSet<Vec<u8>>,
    pub epoch: i64,
}

impl Tree {
    /// The root alone, with the links of a merged `/usr`, which mmdebstrap makes before anything is unpacked;
    /// base-files brings them itself from trixie on.
    pub fn new(epoch: i64, arch: Arch) -> Tree {
        let mut tree = Tree::empty(epoch);
        let wide: &[&str] = if arch == Arch::X86_64 { &["lib64"] } else { &[] };
        for name in ["bin", "lib", "sbin"].iter().chain(wide) {
            let kind = Kind::Symlink(format!("usr/{name}").into_bytes());
            let link = tree.made(kind, 0o777);
            tree.nodes.insert(name.as_bytes().to_vec(), link);
        }
        tree
    }

    fn empty(epoch: i64) -> Tree {
        let root = Node { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, mtime: epoch, owner: None };
        Tree {
            nodes: BTreeMap::from([(Vec::new(), root)]),
            captured: BTreeMap::new(),
            brought: BTreeMap::new(),
            touched: BTreeSet::new(),
            epoch,
        }
    }

    /// The place that a path names, its last part taken literally.
    pub fn place(&self, path: &[u8]) -> Result<Vec<u8>, Failure> {
        self.walk(path, false)
    }

    /// The place that a path leads to, its last part followed too.
    pub fn follow(&self, path: &[u8]) -> Result<Vec<u8>, Failure> {
        self.walk(path, true)
    }

    fn walk(&self, path: &[u8], last_too: bool) -> Result<Vec<u8>, Failure> {
        let mut todo: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == b".." {
                at.truncate(at.iter().rposition(|b| *b == b'/').unwrap_or(0));
                continue;
            }
            let parent = at.len();
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(&part);
            if todo.is_empty() && !last_too {
                break;
            }
            match self.nodes.get(&at).map(|n| &n.kind) {
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if links > MOST_LINKS || todo.len() > 4096 {
                        return fail("too many symbolic links", path);
                    }
                    at.truncate(if target.starts_with(b"/") { 0 } else { parent });
                    todo.extend(parts(target).rev().map(<[u8]>::to_vec));
                }
                Some(Kind::File(..)) if !todo.is_empty() => {
                    return fail("a file stands where a directory should", path);
                }
                _ => {}
            }
        }
        Ok(at)
    }

    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.place(path).ok().and_then(|at| self.nodes.get(&at))
    }

    /// Whether something is there, links followed.
    pub fn exists(&self, path: &[u8]) -> bool {
        self.follow(path).is_ok_and(|at| self.nodes.contains_key(&at))
    }

    fn is_directory(&self, path: &[u8]) -> bool {
        let place = self.follow(path).ok();
        place.and_then(|at| self.nodes.get(&at)).is_some_and(|n| n.kind == Kind::Directory)
    }

    /// The bytes of a file that an effect made or that was captured, links followed.
    pub fn read(&self, path: &[u8]) -> Option<&[u8]> {
        match &self.nodes.get(&self.follow(path).ok()?)?.kind {
            Kind::File(Content::Made(bytes), _) => Some(bytes),
            Kind::File(content, _) => self.captured.get(content).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Paths directly in a directory, links to it followed: names in order.
    pub fn names(&self, dir: &[u8]) -> Vec<Vec<u8>> {
        let Ok(mut prefix) = self.follow(dir) else { return Vec::new() };
        prefix.push(b'/');
        let below = self.nodes.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix));
        below.filter_map(|(p, _)| p.get(prefix.len()..)).filter(|n| !n.contains(&b'/')).map(<[u8]>::to_vec).collect()
    }

    /// The times of directories as mmdebstrap leaves them. The packages of `early` (the essential ones and all that
    /// they need) are first unpacked as plain archives, so that the last of them says the time; then dpkg installs
    /// every package, which replaces each file and makes what is missing, at our `epoch`.
    pub fn times(&mut self, early: &[bool]) {
        let is_early = |deb: usize| early.get(deb) == Some(&true);
        let mut changed = std::mem::take(&mut self.touched);
        for (path, node) in self.nodes.iter().filter(|(path, _)| !path.is_empty()) {
            // dpkg leaves a link to a directory alone; any other and a file are put in anew.
            let stays = match node.kind {
                Kind::Directory => self.brought.get(path).is_some_and(|all| all.iter().any(|(deb, _)| is_early(*deb))),
                Kind::Symlink(_) => node.owner.is_some_and(is_early) && self.is_directory(path),
                Kind::File(..) => false,
            };
            if !stays {
                changed.insert(
                    path.get(..path.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default().to_vec(),
                );
            }
        }
        for (path, node) in self.nodes.iter_mut().filter(|(_, node)| node.kind == Kind::Directory) {
            let Some(all) = self.brought.get(path) else { continue };
            let first = all.iter().filter(|(deb, _)| is_early(*deb)).filter_map(|(_, time)| *time).next_back();
            let only_late = !all.iter().any(|(deb, _)| is_early(*deb));
            node.mtime = match first {
                _ if changed.contains(path) => self.epoch,
                Some(time) => time,
                None if only_late => node.mtime,
                None => self.epoch,
            };
        }
    }

    fn made(&self, kind: Kind, mode: u32) -> Node {
        Node { kind, mode, uid: 0, gid: 0, mtime: self.epoch, owner: None }
    }

    /// `mkdir -p`: directories that are missing are root's, 0755.
    pub fn directories(&mut self, path: &[u8]) -> Result<Vec<u8>, Failure> {
        let at = self.follow(path)?;
        for (end, _) in at.iter().enumerate().filter(|(_, b)| **b == b'/').chain([(at.len(), &b'/')]) {
            let step = at.get(..end).unwrap_or_default();
            if self.nodes.get(step).is_some_and(|n| n.kind != Kind::Directory) {
                return fail("a file stands where a directory should", step);
            }
            if !self.nodes.contains_key(step) {
                let node = self.made(Kind::Directory, 0o755);
                self.nodes.insert(step.to_vec(), node);
            }
        }
        Ok(at)
    }

    /// Writes a file of root's, mode 0644, and the directories above it; one that is there keeps its owner and mode.
    pub fn write(&mut self, path: &[u8], bytes: Vec<u8>) -> Result<&mut Node, Failure> {
        let size = bytes.len() as u64;
        self.put(path, Kind::File(Content::Made(bytes), size), 0o644)
    }

    /// Makes a symbolic link, and the directories above it; what was there before is replaced.
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<&mut Node, Failure> {
        self.put(path, Kind::Symlink(target.to_vec()), 0o777)
    }

    /// Puts something at a path.
    pub fn put(&mut self, path: &[u8], kind: Kind, mode: u32) -> Result<&mut Node, Failure> {
        let at = self.place(path)?;
        let below = [at.as_slice(), b"/"].concat();
        let full = self.nodes.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below));
        if at.is_empty() || full {
            return fail("a directory stands where a file or link should", path);
        }
        let parent = at.get(..at.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default().to_vec();
        self.directories(&parent)?;
        let fresh = self.made(kind.clone(), mode);
        let node = self.nodes.entry(at).or_insert(fresh);
        let same = std::mem::discriminant(&node.kind) == std::mem::discriminant(&kind);
        if !same {
            node.mode = mode;
        }
        (node.kind, node.mtime) = (kind, self.epoch);
        Ok(node)
    }

    pub fn remove(&mut self, path: &[u8]) -> Result<(), Failure> {
        let at = self.place(path)?;
        self.nodes.remove(&at);
        Ok(())
    }

    /// A path and all that is below it.
    pub fn remove_all(&mut self, path: &[u8]) -> Result<(), Failure> {
        let at = self.place(path)?;
        if at.is_empty() {
            return fail("the root cannot go", path);
        }
        for place in self.below(&at) {
            self.nodes.remove(&place);
        }
        if self.nodes.remove(&at).is_some() {
            self.touched.insert(parent(&at).to_vec());
        }
        Ok(())
    }

    fn below(&self, at: &[u8]) -> Vec<Vec<u8>> {
        let prefix = [at, b"/"].concat();
        let all = self.nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        all.map(|(path, _)| path.clone()).collect()
    }

    /// `mv`: a path with all that is below it to another one, whose directory must be there.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), Failure> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let inside = to.starts_with(&[from.as_slice(), b"/"].concat());
        if from.is_empty() || to.is_empty() || inside || !self.below(&to).is_empty() {
            return fail("a path cannot be moved there", &to);
        }
        if !self.nodes.get(parent(&to)).is_some_and(|n| n.kind == Kind::Directory) {
            return fail("there is no directory for it", &to);
        }
        for old in self.below(&from).into_iter().chain([from.clone()]) {
            let Some(node) = self.nodes.remove(&old) else { continue };
            let new = [to.as_slice(), old.get(from.len()..).unwrap_or_default()].concat();
            self.nodes.insert(new, node);
        }
        self.touched.insert(parent(&from).to_vec());
        self.touched.insert(parent(&to).to_vec());
        Ok(())
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.get(..path.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default()
}

/// The parts of a path that mean something.
pub(super) fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".")
}
