//! The tree digest: one SHA-256 over what a directory holds, computed alike by the compiler from
//! its plan and here from the disk (INTERFACE.md, "Tree digest").

use crate::failure::{Failure, status};
use crate::marker::MARKER;
use crate::sha256::{Digest, Sha256};
use crate::sys::fs::{self, Fd, Kind, Stat};
use crate::sys::{Errno, Result as SysResult};
use crate::text::shown;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// How much is read at once, in bytes.
pub const BLOCK: usize = 256 * 1024;

/// What a walk over a tree found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The tree digest.
    pub digest: Digest,
    /// Files, directories and links below the root.
    pub entries: u64,
    /// Bytes in the files, by their lengths.
    pub bytes: u64,
}

/// The digest in the making; records must come in the byte order of their paths.
#[derive(Default)]
pub struct TreeHasher(Sha256);

impl TreeHasher {
    fn record(&mut self, kind: u8, mode: u32, path: &[u8], payload: &[u8]) {
        self.0.update(format!("{} {:04o} ", char::from(kind), mode & 0o555).as_bytes());
        self.0.update(path);
        self.0.update(b"\0");
        self.0.update(payload);
        self.0.update(b"\n");
    }

    /// A directory.
    pub fn directory(&mut self, path: &[u8], mode: u32) {
        self.record(b'd', mode, path, b"");
    }

    /// A file, by the digest of its content.
    pub fn file(&mut self, path: &[u8], mode: u32, content: &Digest) {
        self.record(b'f', mode, path, content.hex().as_bytes());
    }

    /// A symbolic link; its mode says nothing and counts as 0555.
    pub fn link(&mut self, path: &[u8], target: &[u8]) {
        self.record(b'l', 0o555, path, target);
    }

    /// The tree digest.
    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// One step of a walk: an entry itself, or the way into a directory.
pub enum Step<'a> {
    /// An entry: its directory, its name there, its path below the root, what it is.
    Entry {
        /// The directory that holds it.
        dir: &'a Fd,
        /// Its name in that directory.
        name: &'a [u8],
        /// Its path below the root.
        path: &'a [u8],
        /// What it is.
        stat: &'a Stat,
    },
    /// The walk goes into a directory that it showed before.
    Entered {
        /// The directory itself, open.
        dir: &'a Fd,
        /// Its name in the directory that the walk was in.
        name: &'a [u8],
    },
    /// All entries below the directory at this path have been shown; it is open as `dir`.
    Left {
        /// The directory itself.
        dir: &'a Fd,
        /// Its path below the root; empty for the root.
        path: &'a [u8],
    },
}

/// What is still to do in a directory: `name` alone is the entry, `name/` is what lies below it.
/// Sorted as bytes these keys give the byte order of whole paths ("a", "a-b", "a/c").
struct Level {
    dir: Fd,
    path: Vec<u8>,
    steps: vec::IntoIter<(Vec<u8>, Option<Stat>)>,
}

fn level(dir: Fd, path: Vec<u8>, at_root: bool) -> SysResult<Level> {
    let mut steps = Vec::new();
    for name in fs::names(&dir)? {
        if at_root && name == MARKER.as_bytes() {
            continue;
        }
        let stat = fs::stat_at(&dir, &name)?;
        if stat.kind == Kind::Directory {
            let mut below = name.clone();
            below.push(b'/');
            steps.push((below, None));
        }
        steps.push((name, Some(stat)));
    }
    steps.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(Level { dir, path, steps: steps.into_iter() })
}

/// Shows every entry below `root` (but not the root's completion marker) in the byte order of the
/// paths. `name` is how messages call the root. No recursion: depth costs memory only.
pub fn walk(root: Fd, name: &[u8], mut visit: impl FnMut(Step<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
    let unreadable = |path: &[u8], error: Errno| {
        Failure::new(status::IO, format!("{}: cannot be read: {error}", located(name, path)))
    };
    let first = level(root, Vec::new(), true).map_err(|error| unreadable(b"", error))?;
    let mut levels = vec![first];
    while let Some(top) = levels.last_mut() {
        let Some((key, stat)) = top.steps.next() else {
            visit(Step::Left { dir: &top.dir, path: &top.path })?;
            levels.pop();
            continue;
        };
        let mut path = top.path.clone();
        if let Some(stat) = &stat {
            path.extend_from_slice(&key);
            visit(Step::Entry { dir: &top.dir, name: &key, path: &path, stat })?;
        } else {
            let directory = key.strip_suffix(b"/").unwrap_or(&key);
            path.extend_from_slice(&key);
            let below = fs::open_directory_at(&top.dir, directory)
                .and_then(|dir| level(dir, path.clone(), false))
                .map_err(|error| unreadable(&path, error))?;
            visit(Step::Entered { dir: &below.dir, name: directory })?;
            levels.push(below);
        }
    }
    Ok(())
}

/// A path below `root` as messages show it.
pub fn located(root: &[u8], path: &[u8]) -> alloc::string::String {
    let mut whole = root.to_vec();
    if !path.is_empty() {
        if whole.last() != Some(&b'/') {
            whole.push(b'/');
        }
        whole.extend_from_slice(path);
    }
    shown(&whole)
}

/// The refusal of what is neither file, directory nor link.
pub fn special(root: &[u8], path: &[u8]) -> Failure {
    Failure::new(status::DIFFERS, format!("{}: a device, socket or pipe has no place in a tree", located(root, path)))
}

/// Computes the tree digest of the directory `root`. With `from_device` the kernel is asked to
/// forget each file first, so that what is read is what was stored.
pub fn digest(root: Fd, name: &[u8], from_device: bool) -> Result<Summary, Failure> {
    let mut hasher = TreeHasher::default();
    let (mut entries, mut bytes) = (0u64, 0u64);
    let mut block = vec![0; BLOCK];
    walk(root, name, |step| {
        let Step::Entry { dir, name: entry, path, stat } = step else {
            return Ok(());
        };
        entries += 1;
        let outcome = match stat.kind {
            Kind::Directory => {
                hasher.directory(path, stat.mode);
                Ok(())
            }
            Kind::Link => fs::read_link_at(dir, entry).map(|target| hasher.link(path, &target)),
            Kind::File => content(dir, entry, from_device, &mut block).map(|(content, length)| {
                bytes += length;
                hasher.file(path, stat.mode, &content);
            }),
            Kind::Other => return Err(special(name, path)),
        };
        outcome.map_err(|error| Failure::new(status::IO, format!("{}: cannot be read: {error}", located(name, path))))
    })?;
    Ok(Summary { digest: hasher.finish(), entries, bytes })
}

fn content(dir: &Fd, name: &[u8], from_device: bool, block: &mut [u8]) -> SysResult<(Digest, u64)> {
    let file = fs::open_at(dir, name)?;
    if from_device {
        fs::forget_cached(&file);
    }
    let mut hasher = Sha256::new();
    let mut length = 0u64;
    loop {
        match fs::read(&file, block)? {
            0 => return Ok((hasher.finish(), length)),
            got => {
                hasher.update(block.get(..got).unwrap_or_default());
                length += got as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::sha256::sha256;
    use crate::test_directory::TestDirectory;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_digest_is_that_of_the_documented_records() {
        let root = TestDirectory::new("tree");
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir(at("a")).unwrap();
        std::fs::write(at("a/c"), "inner").unwrap();
        std::fs::write(at("a-b"), "").unwrap();
        std::fs::write(at(MARKER), "not part of it").unwrap();
        std::fs::write(at("a").join(MARKER), "this one is").unwrap();
        symlink("a/c", at("l")).unwrap();
        for (path, mode) in [("a", 0o755), ("a/c", 0o640), ("a-b", 0o4755)] {
            std::fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(at("a").join(MARKER), PermissionsExt::from_mode(0o444)).unwrap();
        // "-" sorts before "/": the directory, its neighbour, then what lies below it.
        let expected = [
            "d 0555 a\0\n".into(),
            format!("f 0555 a-b\0{}\n", sha256(b"").hex()),
            format!("f 0444 a/.k8or-generation\0{}\n", sha256(b"this one is").hex()),
            format!("f 0440 a/c\0{}\n", sha256(b"inner").hex()),
            "l 0555 l\0a/c\n".into(),
        ]
        .concat();
        let summary = digest(root.open(), b"/t", false).unwrap();
        assert_eq!(summary.digest, sha256(expected.as_bytes()));
        assert_eq!((summary.entries, summary.bytes), (5, 16));
    }

    #[test]
    fn a_pipe_is_refused_by_its_path() {
        let root = TestDirectory::new("pipe");
        let pipe = root.path().join("sub");
        std::fs::create_dir(&pipe).unwrap();
        let made = std::process::Command::new("mkfifo").arg(pipe.join("p\n")).status().unwrap();
        assert!(made.success());
        let failure = digest(root.open(), b"/t", false).unwrap_err();
        assert_eq!(failure.status, status::DIFFERS);
        assert!(failure.message.starts_with("/t/sub/p\\x0a: a device"), "{}", failure.message);
    }
}
