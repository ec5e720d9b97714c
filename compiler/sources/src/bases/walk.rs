//! A directory tree in a fixed order, without following a link and without recursion.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use formats::tar::{Entry, Kind};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

/// Directories within directories: each holds an open file.
const MAX_DEPTH: usize = 200;
/// Names in one directory.
const MAX_NAMES: usize = 1 << 20;
/// Bytes of one extended attribute; the kernel's own limit.
const MAX_ATTRIBUTE: usize = 64 << 10;

/// Why a tree cannot be a base.
#[derive(Debug)]
pub(crate) enum WalkError {
    /// The system's, at a path.
    System(Vec<u8>, io::Error),
    /// Something that an archive cannot hold, or that shows a tree in use: the path and what it is.
    Unfit(Vec<u8>, &'static str),
}

/// A directory that is being listed: names in reverse order, so that `pop` gives the next.
struct Level {
    dir: OwnedFd,
    path: Vec<u8>,
    names: Vec<Vec<u8>>,
}

/// Walks a tree: the root (`.`), then each directory's entries in byte order, each followed by what is in it.
pub(crate) struct Walk {
    levels: Vec<Level>,
    device: u64,
    /// First path of files with several names.
    seen: BTreeMap<(u64, u64), Vec<u8>>,
    root: Option<Entry>,
}

impl Walk {
    /// Begins at an open directory.
    pub fn new(root: File) -> Result<Walk, WalkError> {
        let dir = OwnedFd::from(root);
        let fail = |e: rustix::io::Errno| WalkError::System(b".".to_vec(), e.into());
        let about = rustix::fs::fstat(&dir).map_err(fail)?;
        let mut entry = entry(b"./".to_vec(), Kind::Directory, &about);
        entry.xattrs = attributes(&dir, b".")?;
        let names = list(&dir, b".")?;
        let level = Level { dir, path: Vec::new(), names };
        Ok(Walk { levels: vec![level], device: about.st_dev, seen: BTreeMap::new(), root: Some(entry) })
    }

    /// The next entry; of a file with its content, open.
    pub fn next(&mut self) -> Result<Option<(Entry, Option<File>)>, WalkError> {
        if let Some(root) = self.root.take() {
            return Ok(Some((root, None)));
        }
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let mut path = level.path.clone();
            path.extend_from_slice(&name);
            return self.visit(&name, path).map(Some);
        }
    }

    fn visit(&mut self, name: &[u8], path: Vec<u8>) -> Result<(Entry, Option<File>), WalkError> {
        let Some(level) = self.levels.last() else { return Err(WalkError::Unfit(path, "lost")) };
        let fail = |e: rustix::io::Errno| WalkError::System(path.clone(), e.into());
        let about = rustix::fs::statat(&level.dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
        let kind = match FileType::from_raw_mode(about.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            _ => return Err(WalkError::Unfit(path, "a socket, which no archive can hold")),
        };
        if about.st_dev != self.device {
            return Err(WalkError::Unfit(path, "a mount point"));
        }
        if kind != Kind::Directory && about.st_nlink > 1 {
            if let Some(first) = self.seen.get(&(about.st_dev, about.st_ino)) {
                let mut entry = entry(path, Kind::Hardlink, &about);
                entry.link = first.clone();
                return Ok((entry, None));
            }
            self.seen.insert((about.st_dev, about.st_ino), path.clone());
        }
        let mut entry = entry(path.clone(), kind, &about);
        match kind {
            Kind::File => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let file = rustix::fs::openat(&level.dir, name, flags, Mode::empty()).map_err(fail)?;
                let opened = rustix::fs::fstat(&file).map_err(fail)?;
                if (opened.st_dev, opened.st_ino) != (about.st_dev, about.st_ino) {
                    return Err(WalkError::Unfit(path, "a file that is being replaced"));
                }
                entry.size = u64::try_from(opened.st_size).unwrap_or_default();
                entry.xattrs = attributes(&file, &path)?;
                return Ok((entry, Some(File::from(file))));
            }
            Kind::Directory => {
                if self.levels.len() >= MAX_DEPTH {
                    return Err(WalkError::Unfit(path, "nested deeper than 200 directories"));
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let dir = rustix::fs::openat(&level.dir, name, flags, Mode::empty()).map_err(fail)?;
                let opened = rustix::fs::fstat(&dir).map_err(fail)?;
                if (opened.st_dev, opened.st_ino) != (about.st_dev, about.st_ino) {
                    return Err(WalkError::Unfit(path, "a directory that is being replaced"));
                }
                entry.xattrs = attributes(&dir, &path)?;
                let names = list(&dir, &path)?;
                let mut below = path;
                below.push(b'/');
                self.levels.push(Level { dir, path: below, names });
            }
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(&level.dir, name, Vec::new()).map_err(fail)?;
                entry.link = target.into_bytes();
            }
            Kind::CharDevice | Kind::BlockDevice => {
                entry.device = (rustix::fs::major(about.st_rdev), rustix::fs::minor(about.st_rdev));
            }
            Kind::Fifo | Kind::Hardlink => {}
        }
        Ok((entry, None))
    }
}

fn entry(path: Vec<u8>, kind: Kind, about: &Stat) -> Entry {
    let mut entry = Entry::new(path, kind);
    entry.mode = about.st_mode & 0o7777;
    entry.uid = about.st_uid;
    entry.gid = about.st_gid;
    entry.mtime = about.st_mtime;
    entry
}

/// Names in a directory, last first.
fn list(dir: &OwnedFd, path: &[u8]) -> Result<Vec<Vec<u8>>, WalkError> {
    let fail = |e: rustix::io::Errno| WalkError::System(path.to_vec(), e.into());
    let mut names = Vec::new();
    for found in Dir::read_from(dir).map_err(fail)? {
        let name = found.map_err(fail)?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
        if names.len() > MAX_NAMES {
            return Err(WalkError::Unfit(path.to_vec(), "a directory with more than a million names"));
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

/// The attributes that belong to the file and not to this machine: capabilities and the user's own.
fn attributes(file: &OwnedFd, path: &[u8]) -> Result<formats::tar::Xattrs, WalkError> {
    let fail = |e: rustix::io::Errno| WalkError::System(path.to_vec(), e.into());
    let mut out = formats::tar::Xattrs::new();
    let mut names = vec![0u8; MAX_ATTRIBUTE];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(out),
        Err(e) => return Err(fail(e)),
    };
    for name in names.get(..length).unwrap_or_default().split(|b| *b == 0) {
        if name != b"security.capability" && !name.starts_with(b"user.") {
            continue;
        }
        let mut value = vec![0u8; MAX_ATTRIBUTE];
        let size =
            rustix::fs::fgetxattr(file, OsString::from_vec(name.to_vec()), value.as_mut_slice()).map_err(fail)?;
        value.truncate(size);
        out.insert(name.to_vec(), value);
    }
    Ok(out)
}
