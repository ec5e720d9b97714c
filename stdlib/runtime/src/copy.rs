//! Copying a tree into an empty directory: content, modes, times, links, hard links and `user.*`
//! attributes, without privileges and without following a link on either side.

use crate::failure::{Failure, status};
use crate::sys::fs::{self, Fd, Kind, Stat};
use crate::sys::{Errno, Result as SysResult};
use crate::tree::{BLOCK, Step, located, special, walk};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// What a tree needs on the claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Need {
    /// Bytes, each file rounded up to blocks of 4096.
    pub bytes: u64,
    /// Inodes: a hard-linked file counts once.
    pub inodes: u64,
}

/// Looks through a tree without reading its files.
pub fn measure(root: Fd, name: &[u8]) -> Result<Need, Failure> {
    let mut need = Need::default();
    let mut seen = BTreeMap::new();
    walk(root, name, |step| {
        let Step::Entry { path, stat, .. } = step else {
            return Ok(());
        };
        match stat.kind {
            Kind::Other => return Err(special(name, path)),
            Kind::File if stat.links > 1 && seen.insert(stat.identity, ()).is_some() => {
                return Ok(());
            }
            Kind::File => need.bytes = need.bytes.saturating_add(stat.size.div_ceil(4096) * 4096),
            Kind::Directory => need.bytes = need.bytes.saturating_add(4096),
            Kind::Link => {}
        }
        need.inodes += 1;
        Ok(())
    })?;
    Ok(need)
}

/// A failure of the copy, with what it was doing.
fn failed(what: &str, root: &[u8], path: &[u8], error: Errno) -> Failure {
    let place = located(root, path);
    let help = match error {
        Errno::ENOSPC | Errno::EDQUOT => {
            "\nthe claim is full (bytes or inodes): raise size= of the volume; the generation stays incomplete and is not served"
        }
        Errno::EACCES | Errno::EPERM => {
            "\nthe pod's user must be able to read the image's tree and to write to the claim (fsGroup in the pod's securityContext)"
        }
        Errno::EROFS => "\nthe init container must mount the claim writable",
        Errno::EIO => "\nthe device behind the claim is failing; the generation stays incomplete and is not served",
        _ => "",
    };
    Failure::new(status::IO, format!("{place}: {what}: {error}{help}"))
}

/// Copies everything below `from` (but its completion marker) into the empty directory `to`;
/// the names are for messages.
pub fn copy(from: Fd, from_name: &[u8], to: Fd, to_name: &[u8]) -> Result<(), Failure> {
    let failure = |path: &[u8], error| failed("cannot be copied", to_name, path, error);
    // The root of the copy a second time, for hard links to what was copied earlier.
    let top = fs::open_directory_at(&to, b".").map_err(|error| failure(b"", error))?;
    // The directories of the copy from its root to where the walk is.
    let mut open = vec![to];
    let mut linked: BTreeMap<(u32, u32, u64), Vec<u8>> = BTreeMap::new();
    let mut block = vec![0; BLOCK];
    walk(from, from_name, |step| match step {
        Step::Entered { name, .. } => {
            let parent = open.last().ok_or_else(|| failure(name, Errno::EIO))?;
            let below = fs::open_directory_at(parent, name).map_err(|error| failure(name, error))?;
            open.push(below);
            Ok(())
        }
        Step::Left { dir, path } => match open.pop() {
            Some(done) => finish_directory(dir, &done, path).map_err(|error| failure(path, error)),
            None => Err(failure(path, Errno::EIO)),
        },
        Step::Entry { dir, name, path, stat } => {
            let parent = open.last().ok_or_else(|| failure(path, Errno::EIO))?;
            match stat.kind {
                Kind::Other => return Err(special(from_name, path)),
                Kind::Link => copy_link(dir, parent, name, stat),
                Kind::Directory => fs::make_directory_at(parent, name),
                Kind::File => {
                    let first = linked.get(&stat.identity);
                    // A file system without hard links, or at its limit of them, gets a copy.
                    if first.is_some_and(|first| fs::hard_link_at(&top, first, parent, name).is_ok()) {
                        return Ok(());
                    }
                    if stat.links > 1 {
                        linked.insert(stat.identity, path.to_vec());
                    }
                    copy_file(dir, parent, name, stat, &mut block)
                }
            }
            .map_err(|error| failure(path, error))
        }
    })
}

/// Mode and time come last: until then the owner must be able to write, and writing changes the
/// time.
fn finish_directory(from: &Fd, to: &Fd, path: &[u8]) -> SysResult<()> {
    let stat = fs::stat(from)?;
    copy_attributes(from, to);
    // The marker still has to get into the root: its owner keeps the right to write there.
    let mode = if path.is_empty() { stat.mode | 0o700 } else { stat.mode };
    fs::set_mode(to, mode & 0o777)?;
    fs::set_mtime(to, stat.mtime)
}

fn copy_link(from: &Fd, to: &Fd, name: &[u8], stat: &Stat) -> SysResult<()> {
    let target = fs::read_link_at(from, name)?;
    fs::make_link_at(&target, to, name)?;
    // Some network file systems keep no time for a link; nothing depends on it.
    let _ = fs::set_link_mtime(to, name, stat.mtime);
    Ok(())
}

/// setuid and setgid bits stay behind: they would do nothing under no_new_privs.
fn copy_file(from: &Fd, to: &Fd, name: &[u8], stat: &Stat, block: &mut [u8]) -> SysResult<()> {
    let source = fs::open_at(from, name)?;
    let target = fs::create_at(to, name)?;
    loop {
        match fs::read(&source, block)? {
            0 => break,
            got => fs::write_all(&target, block.get(..got).unwrap_or_default())?,
        }
    }
    copy_attributes(&source, &target);
    fs::set_mode(&target, stat.mode & 0o777)?;
    fs::set_mtime(&target, stat.mtime)
}

/// `user.*` attributes, as far as both file systems have them; they are no part of the digest.
fn copy_attributes(from: &Fd, to: &Fd) {
    for name in fs::xattr_names(from).unwrap_or_default() {
        if name.starts_with(b"user.") {
            let _ = fs::copy_xattr(from, to, &name);
        }
    }
}

/// Removes the entry `name` of `dir` with all below it, also where directories forbid writing.
pub fn remove_tree(dir: &Fd, name: &[u8]) -> SysResult<()> {
    match fs::stat_at(dir, name) {
        Err(Errno::ENOENT) => return Ok(()),
        Err(error) => return Err(error),
        Ok(stat) if stat.kind != Kind::Directory => return fs::remove_file_at(dir, name),
        Ok(_) => {}
    }
    // Each level: the open directory, its name in the one above, and the directories left in it.
    let (first, left) = emptied_of_files(dir, name)?;
    let mut levels = vec![(first, name.to_vec(), left)];
    while let Some((current, _, left)) = levels.last_mut() {
        if let Some(below) = left.pop() {
            let (inner, rest) = emptied_of_files(current, &below)?;
            levels.push((inner, below, rest));
        } else if let Some((_, name, _)) = levels.pop() {
            let parent = levels.last().map_or(dir, |(above, _, _)| above);
            fs::remove_directory_at(parent, &name)?;
        }
    }
    Ok(())
}

/// Opens a directory, removes all but the directories in it and lists those.
fn emptied_of_files(parent: &Fd, name: &[u8]) -> SysResult<(Fd, Vec<Vec<u8>>)> {
    // Fails when it is somebody else's; then the removal fails too and says so.
    let _ = fs::set_mode_at(parent, name, 0o700);
    let dir = fs::open_directory_at(parent, name)?;
    let mut directories = Vec::new();
    for entry in fs::names(&dir)? {
        match fs::stat_at(&dir, &entry)?.kind {
            Kind::Directory => directories.push(entry),
            _ => fs::remove_file_at(&dir, &entry)?,
        }
    }
    Ok((dir, directories))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::test_directory::TestDirectory;
    use crate::tree::digest;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn sample() -> TestDirectory {
        let root = TestDirectory::new("copy");
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("share/deep/er")).unwrap();
        std::fs::write(at("share/deep/er/file"), vec![7u8; 300_000]).unwrap();
        std::fs::write(at("share-first"), "x").unwrap();
        std::fs::hard_link(at("share-first"), at("share/deep/same")).unwrap();
        symlink(
            "../nowhere
",
            at("share/link"),
        )
        .unwrap();
        let mode = |path: &str, mode| {
            std::fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).unwrap();
        };
        mode("share-first", 0o4755);
        mode("share/deep/er", 0o555);
        root
    }

    #[test]
    fn a_copy_has_the_same_digest_times_and_hard_links_but_no_setuid() {
        let (source, target) = (sample(), TestDirectory::new("copied"));
        copy(source.open(), b"/s", target.open(), b"/t").unwrap();
        let (before, after) = (digest(source.open(), b"/s", false), digest(target.open(), b"/t", true));
        assert_eq!(before.unwrap(), after.unwrap());
        let meta = |root: &TestDirectory, path: &str| std::fs::symlink_metadata(root.path().join(path)).unwrap();
        for path in ["share-first", "share/deep/er", "share/link", "share"] {
            assert_eq!(meta(&source, path).mtime(), meta(&target, path).mtime(), "{path}");
            assert_eq!(meta(&source, path).mtime_nsec(), meta(&target, path).mtime_nsec());
        }
        assert_eq!(meta(&target, "share-first").ino(), meta(&target, "share/deep/same").ino());
        assert_eq!(meta(&target, "share-first").mode() & 0o7777, 0o755);
    }

    #[test]
    fn a_measure_counts_a_hard_link_once() {
        let need = measure(sample().open(), b"/s").unwrap();
        assert_eq!(need, Need { bytes: 4096 * (3 + 1) + 303_104, inodes: 6 });
    }

    #[test]
    fn a_tree_is_removed_and_its_neighbour_and_what_its_links_lead_to_stay() {
        let (root, outside) = (sample(), sample());
        symlink(outside.path(), root.path().join("share/out")).unwrap();
        remove_tree(&root.open(), b"share").unwrap();
        assert!(!root.path().join("share").exists());
        assert!(root.path().join("share-first").exists());
        assert!(outside.path().join("share/deep/er/file").exists());
        remove_tree(&root.open(), b"absent").unwrap();
    }
}
