//! The real [`World`]: files beneath a directory, opened so that nothing leads out of it.
//!
//! `openat2(RESOLVE_BENEATH)` lets the kernel follow links inside the root and refuse the rest, without a
//! race between looking and opening. Where it is not to be had (Linux < 5.6, some sandboxes), each component
//! is opened with O_NOFOLLOW, so links are refused altogether.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lang::world::{FileKind, World, WorldError};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::look::{Follow, Look, Seen};
use crate::stdlib;

/// The world of a process; it remembers what was looked at.
#[derive(Debug, Default)]
pub struct OsWorld {
    seen: Seen,
    hashes: Mutex<Hashes>,
}

/// SHA-256 of files by the directory that names them and the path below it.
type Hashes = BTreeMap<(PathBuf, PathBuf), [u8; 32]>;

impl OsWorld {
    /// Everything that was looked at so far, as it looked then.
    pub(crate) fn seen(&self) -> BTreeMap<(PathBuf, Follow), Option<Look>> {
        self.seen.all()
    }

    /// Hashes of all files that were read whole so far, for the provenance.
    pub(crate) fn hashes(&self) -> BTreeMap<(PathBuf, PathBuf), [u8; 32]> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens and remembers.
    fn open(&self, root: &Path, path: &Path, flags: OFlags) -> Result<(OwnedFd, rustix::fs::Stat), WorldError> {
        let opened = open(root, path, flags).and_then(|file| {
            let stat = rustix::fs::fstat(&file).map_err(other)?;
            Ok((file, stat))
        });
        let look = match &opened {
            Ok((_, stat)) => Some(Look::of(stat)),
            Err(WorldError::NotFound) => Some(Look::Absent),
            Err(_) => None,
        };
        self.seen.note(root.join(path), !flags.contains(OFlags::NOFOLLOW), look);
        opened
    }

    /// Streams a file of exactly `size` bytes.
    ///
    /// # Errors
    /// It cannot be read, or has another size by now; or what the sink says.
    pub fn stream(
        &self,
        root: &Path,
        path: &Path,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let (file, _) = self
            .open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
            .map_err(|error| std::io::Error::other(words(error)))?;
        let mut source = File::from(file).take(size.saturating_add(1));
        let (mut buffer, mut seen) = (vec![0; 1 << 16], 0_u64);
        loop {
            match source.read(&mut buffer)? {
                0 if seen == size => return Ok(()),
                0 => return Err(std::io::Error::other("it is shorter than before")),
                n => {
                    seen += n as u64;
                    if seen > size {
                        return Err(std::io::Error::other("it is longer than before"));
                    }
                    sink(&buffer[..n])?;
                }
            }
        }
    }
}

impl World for OsWorld {
    fn stat(&self, root: &Path, path: &Path) -> Result<FileKind, WorldError> {
        let (_, stat) = self.open(root, path, OFlags::PATH | OFlags::NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                FileKind::File { size: u64::try_from(stat.st_size).unwrap_or(0), executable: stat.st_mode & 0o111 != 0 }
            }
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Other,
        })
    }

    fn read(&self, root: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
        // O_NONBLOCK: opening a pipe must not wait for its writer.
        let (file, stat) = self.open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(WorldError::Other("it is a directory".to_owned())),
            _ => return Err(WorldError::Outside),
        }
        let mut bytes = Vec::new();
        File::from(file)
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| WorldError::Other(error.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(WorldError::TooLarge(limit));
        }
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.insert((root.to_owned(), path.to_owned()), Sha256::digest(&bytes).into());
        Ok(bytes)
    }

    fn list(&self, root: &Path, path: &Path) -> Result<Vec<String>, WorldError> {
        let (directory, _) = self.open(root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).map_err(other)? {
            let entry = entry.map_err(other)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            match std::str::from_utf8(name) {
                Ok(name) => names.push(name.to_owned()),
                Err(_) => return Err(WorldError::Other("a name in it is not UTF-8".to_owned())),
            }
        }
        names.sort();
        Ok(names)
    }

    fn module(&self, name: &str) -> Option<&str> {
        stdlib::module(name)
    }

    fn modules(&self) -> Vec<String> {
        stdlib::modules().map(str::to_owned).collect()
    }
}

fn open(root: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd, WorldError> {
    let flags = flags | OFlags::CLOEXEC;
    let root_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let directory = rustix::fs::open(root, root_flags, Mode::empty()).map_err(other)?;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&directory, path, flags, Mode::empty(), how) {
        Ok(file) => Ok(file),
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(directory, path, flags),
        Err(error) => Err(other(error)),
    }
}

/// Without openat2: one component after the other, no link followed.
fn step_by_step(mut at: OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, WorldError> {
    let parts: Vec<&OsStr> = path
        .components()
        .filter_map(|part| match part {
            Component::CurDir => None,
            Component::Normal(name) => Some(Ok(name)),
            _ => Some(Err(WorldError::Outside)),
        })
        .collect::<Result<_, _>>()?;
    let Some((last, directories)) = parts.split_last() else {
        return rustix::fs::openat(&at, ".", flags, Mode::empty()).map_err(other);
    };
    for name in directories {
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, *name, step, Mode::empty()).map_err(other)?;
    }
    rustix::fs::openat(&at, *last, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(other)
}

fn words(error: WorldError) -> String {
    match error {
        WorldError::NotFound => "it is not there any more".to_owned(),
        WorldError::Outside => "it leads out of the directory of the spec by now".to_owned(),
        WorldError::TooLarge(limit) => format!("it is longer than {limit} bytes"),
        WorldError::Other(words) => words,
    }
}

fn other(error: Errno) -> WorldError {
    match error {
        Errno::NOENT => WorldError::NotFound,
        Errno::XDEV | Errno::LOOP => WorldError::Outside,
        error => WorldError::Other(std::io::Error::from(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What was measured is what is read: a file that changes in between is an error, whichever way.
    #[test]
    fn a_file_that_grows() {
        let root = tempfile::tempdir().unwrap();
        let (world, path) = (OsWorld::default(), Path::new("file"));
        std::fs::write(root.path().join("file"), "12345").unwrap();
        let stream = |size| {
            let mut bytes = Vec::new();
            let done = world.stream(root.path(), path, size, &mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            });
            done.map(|()| bytes).map_err(|error| error.to_string())
        };
        assert_eq!(stream(5), Ok(b"12345".to_vec()));
        assert_eq!(stream(4), Err("it is longer than before".to_owned()));
        assert_eq!(stream(6), Err("it is shorter than before".to_owned()));
        std::fs::remove_file(root.path().join("file")).unwrap();
        assert_eq!(stream(5), Err("it is not there any more".to_owned()));
    }

    #[test]
    fn nothing_leads_out() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("spec");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("sub/file"), "inside").unwrap();
        for (link, target) in
            [("up", "../secret"), ("abs", "/etc/hostname"), ("proc", "/proc/self/environ"), ("inner", "sub/file")]
        {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let world = OsWorld::default();
        let read = |path: &str| world.read(&root, Path::new(path), 100);
        assert_eq!(read("sub/file").unwrap(), b"inside");
        assert_eq!(read("inner").unwrap(), b"inside");
        for path in ["up", "abs", "proc", "../secret", "/etc/hostname", "sub/../../secret"] {
            assert_eq!(read(path), Err(WorldError::Outside), "{path}");
        }
        assert_eq!(read("missing"), Err(WorldError::NotFound));
        assert_eq!(world.read(&root, Path::new("sub/file"), 3), Err(WorldError::TooLarge(3)));
        assert_eq!(world.list(&root, Path::new("")).unwrap(), ["abs", "inner", "proc", "sub", "up"]);
        let directory = rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        assert!(matches!(step_by_step(directory, Path::new("inner"), OFlags::RDONLY), Err(WorldError::Outside)));
    }
}
