//! Putting the data archives of all packages into one tree, by dpkg's rules (dpkg(1), Debian Policy 6.6).

use std::collections::BTreeMap;

use diag::codes;
use diag::text::printable_bytes;
use formats::deb::Data;
use formats::tar::{Entry, Kind as EntryKind};
use md5::{Digest as _, Md5};

use crate::read::Limits;

use super::failure::{Failure, fail};
use super::package::Package;
use super::tree::{Content, Kind, Node, Tree, parts};

/// Bytes from the start and from the end of a file that are held while it is read: all of nearly every file, and of the
/// largest libraries (LLVM) what says their name.
const HEAD: usize = 48 << 20;
const TAIL: usize = 16 << 20;
/// All captured bytes together.
pub(super) const MOST_CAPTURED_TOTAL: usize = 128 << 20;

/// Which files are kept in memory, and what becomes of libraries.
pub(super) trait Interest {
    /// Whether the bytes of the file at this (literal, absolute) path are wanted.
    fn wants(&self, path: &[u8], size: u64) -> bool;
    /// What to keep of them; None for a file that is too large to be of use.
    fn keep(&self, path: &[u8], bytes: Window) -> Option<Vec<u8>>;
}

/// A file as far as it is held: its start, its end, its size.
#[derive(Default)]
pub(super) struct Window {
    head: Vec<u8>,
    tail: Vec<u8>,
    size: u64,
}

impl Window {
    pub fn push(&mut self, part: &[u8]) {
        self.size += part.len() as u64;
        let (head, rest) = part.split_at_checked(HEAD.saturating_sub(self.head.len())).unwrap_or((part, b""));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    /// The whole file.
    pub fn whole(self) -> Option<Vec<u8>> {
        self.tail.is_empty().then_some(self.head)
    }

    /// At most `most` bytes from `offset`; fewer where the file ends or is not held.
    pub fn at(&self, offset: u64, most: usize) -> Vec<u8> {
        let start = self.size - self.tail.len() as u64;
        let (bytes, offset) = match offset.checked_sub(start) {
            Some(offset) if !self.tail.is_empty() => (&self.tail, offset),
            _ => (&self.head, offset),
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = bytes.get(offset..).unwrap_or_default();
        rest.get(..most.min(rest.len())).unwrap_or_default().to_vec()
    }
}

/// What the unpacking of all packages shares.
pub(super) struct State<'a> {
    pub tree: &'a mut Tree,
    pub packages: &'a mut Vec<Package>,
    /// From absolute path to where it is diverted and the package that keeps the path.
    pub diversions: &'a BTreeMap<Vec<u8>, (Vec<u8>, String)>,
    pub captured: &'a mut usize,
    /// Size of the package as stored, on which its limits depend.
    pub stored: u64,
}

/// Unpacks the data archive of the last of `packages`.
pub(super) fn unpack(state: &mut State<'_>, data: &mut Data, interest: &dyn Interest) -> Result<(), Failure> {
    let deb = state.packages.len().saturating_sub(1);
    let (limits, stored) = (Limits::default(), state.stored);
    let (mut number, mut total, mut names) = (0u64, 0u64, 0u64);
    while let Some(entry) = data.next_entry().map_err(unreadable)? {
        total = total.saturating_add(entry.size);
        names = names.saturating_add((entry.path.len() + entry.link.len()) as u64);
        let large = total > limits.expanded(stored) || names > limits.metadata(stored);
        if large || number >= limits.entries(stored) {
            return fail(
                "more or larger files than any package of its size holds, the first too many being",
                &entry.path,
            );
        }
        if entry.kind == EntryKind::Symlink && (entry.link.is_empty() || entry.link.contains(&0)) {
            return fail("a link to nothing", &entry.path);
        }
        let path = listed(&entry.path)?;
        if let Some(package) = state.packages.get_mut(deb) {
            package.list.push(if path.len() == 1 { b"/.".to_vec() } else { path.clone() });
        }
        let place = divert(state, deb, &path);
        let at = state.tree.place(&place)?;
        let kind = match entry.kind {
            EntryKind::File => Kind::File(Content::Deb(deb, number), entry.size),
            EntryKind::Directory => Kind::Directory,
            EntryKind::Symlink => Kind::Symlink(entry.link.clone()),
            EntryKind::Hardlink => target(state, deb, &entry)?,
            _ => return fail("a device or pipe in a package", &path),
        };
        if entry.kind == EntryKind::File {
            file(state, deb, number, &entry, &path, data, interest)?;
        }
        put(state, deb, at, kind, &entry, &path)?;
        number += 1;
    }
    data.drain().map_err(unreadable)
}

fn unreadable(e: formats::tar::TarError) -> Failure {
    Failure::new(codes::E0561, format!("the data archive cannot be read: {e}"), "fetch the package again")
}

/// The absolute path of an entry, as `dpkg -L` prints it.
fn listed(name: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    for part in parts(name) {
        if part == b".." || part.iter().any(|b| matches!(b, 0 | b'\n')) {
            return fail("a name that no path can have", name);
        }
        out.push(b'/');
        out.extend_from_slice(part);
    }
    Ok(if out.is_empty() { b"/".to_vec() } else { out })
}

fn divert(state: &State<'_>, deb: usize, path: &[u8]) -> Vec<u8> {
    let mine = |owner: &String| state.packages.get(deb).is_some_and(|p| p.name == *owner);
    match state.diversions.get(path) {
        Some((to, owner)) if !mine(owner) => to.clone(),
        _ => path.to_vec(),
    }
}

/// A hard link's file: an earlier one of the same package.
fn target(state: &State<'_>, deb: usize, entry: &Entry) -> Result<Kind, Failure> {
    let place = state.tree.place(&divert(state, deb, &listed(&entry.link)?))?;
    match state.tree.nodes.get(&place).map(|n| &n.kind) {
        Some(kind @ Kind::File(Content::Deb(same, _), _)) if *same == deb => Ok(kind.clone()),
        _ => fail("a hard link to no earlier file of the package", &entry.path),
    }
}

fn file(
    state: &mut State<'_>,
    deb: usize,
    number: u64,
    entry: &Entry,
    path: &[u8],
    data: &mut Data,
    interest: &dyn Interest,
) -> Result<(), Failure> {
    let conffile = state.packages.get(deb).is_some_and(|p| p.watched.contains(path));
    let wanted = interest.wants(path, entry.size);
    if !conffile && !wanted {
        return Ok(());
    }
    let (mut md5, mut bytes, mut chunk) = (Md5::new(), Window::default(), vec![0; 64 << 10]);
    loop {
        let n = data.read(&mut chunk).map_err(unreadable)?;
        if n == 0 {
            break;
        }
        let part = chunk.get(..n).unwrap_or_default();
        md5.update(part);
        if wanted {
            bytes.push(part);
        }
    }
    if conffile && let Some(package) = state.packages.get_mut(deb) {
        let sum = md5.finalize().iter().map(|b| format!("{b:02x}")).collect();
        package.sums.insert(path.to_vec(), sum);
    }
    if wanted && let Some(kept) = interest.keep(path, bytes) {
        *state.captured = state.captured.saturating_add(kept.len());
        if *state.captured > MOST_CAPTURED_TOTAL {
            return fail("too many bytes in files that scripts read, the last one being", path);
        }
        state.tree.captured.insert(Content::Deb(deb, number), kept);
    }
    Ok(())
}

/// One path of a package over what is there.
fn put(state: &mut State<'_>, deb: usize, at: Vec<u8>, kind: Kind, entry: &Entry, path: &[u8]) -> Result<(), Failure> {
    let directory = kind == Kind::Directory;
    if directory {
        let place = state.tree.follow(&at)?;
        let fresh = !state.tree.nodes.contains_key(&place);
        let time = path.strip_prefix(b"/").is_some_and(|literal| literal == place || fresh).then_some(entry.mtime);
        state.tree.brought.entry(place).or_default().push((deb, time));
    }
    if let Some(there) = state.tree.nodes.get(&at) {
        let leads_to_directory = || {
            let place = state.tree.follow(&at)?;
            Ok(state.tree.nodes.get(&place).is_none_or(|n| n.kind == Kind::Directory))
        };
        match (&there.kind, directory) {
            // Owner, mode and time of a directory are those of the first package that brings it; a link
            // that leads to a directory stays a link.
            (Kind::Directory, true) => {
                return Ok(());
            }
            (Kind::Symlink(_), true) if leads_to_directory()? => {
                return state.tree.directories(&at).map(|_| ());
            }
            (_, true) => return fail("a directory in the place of a file", path),
            (Kind::Directory, false) if matches!(kind, Kind::Symlink(_)) => return Ok(()),
            (Kind::Directory, false) => return fail("a file in the place of a directory", path),
            (_, false) => take_over(state, deb, there.owner, path)?,
        }
    } else {
        let parent = at.get(..at.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default().to_vec();
        state.tree.directories(&parent)?;
    }
    let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { entry.mode };
    let (uid, gid, mtime) = (entry.uid, entry.gid, entry.mtime);
    state.tree.nodes.insert(at, Node { kind, mode, uid, gid, mtime, owner: Some(deb) });
    Ok(())
}

/// A file of another package may be replaced when `Replaces` says so; it is then no longer the other's.
fn take_over(state: &mut State<'_>, deb: usize, owner: Option<usize>, path: &[u8]) -> Result<(), Failure> {
    let Some(owner) = owner.filter(|o| *o != deb) else { return Ok(()) };
    let (Some(new), Some(old)) = (state.packages.get(deb), state.packages.get(owner)) else { return Ok(()) };
    if !new.replaces(old) {
        let message = format!("{} is also in {}, and neither Replaces the other", printable_bytes(path), old.name);
        return Err(Failure::new(
            codes::E0563,
            message,
            "leave one of the two packages out: dpkg refuses them together",
        ));
    }
    if let Some(old) = state.packages.get_mut(owner) {
        old.taken.insert(path.to_vec());
    }
    Ok(())
}
