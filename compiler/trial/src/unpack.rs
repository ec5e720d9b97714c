//! Layers → a directory that runc can use as a root. Only for running: `build` never unpacks.
//!
//! The layers are what k8orc wrote, yet they are read as if anybody had written them: every component of
//! a path is opened without following links, so nothing is ever written outside of the directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use diag::{Diagnostic, codes};
use formats::codec::{Codec, decoder};
use formats::oci::media;
use formats::tar::{Entry, Kind, Reader};
use plan::path::ImagePath;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use crate::interruption;
use crate::layout::{Layer, unreadable};
use crate::workdir::disk;

/// Unpacks the layers, lowest first, into the new directory `root`.
pub fn unpack(layers: &[Layer], root: &Path, interrupted: &dyn Fn() -> bool) -> Result<(), Diagnostic> {
    std::fs::create_dir(root).map_err(|error| disk(root, &error))?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root_fd = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(|error| disk(root, &error.into()))?;
    rustix::fs::fchmod(&root_fd, Mode::from_raw_mode(0o755)).map_err(|error| disk(root, &error.into()))?;
    for layer in layers {
        let file = File::open(&layer.file).map_err(|error| unreadable(&layer.file, &error.to_string()))?;
        let codec = match layer.media_type.as_str() {
            media::LAYER_GZIP | media::DOCKER_LAYER_GZIP => Codec::Gzip,
            media::LAYER_ZSTD => Codec::Zstd,
            _ => Codec::Plain,
        };
        let stream =
            decoder(codec, BufReader::new(file)).map_err(|error| unreadable(&layer.file, &error.to_string()))?;
        let mut target = Target {
            root: root_fd.as_fd().try_clone_to_owned().map_err(|error| disk(root, &error))?,
            made: BTreeSet::new(),
        };
        let mut reader = Reader::new(stream);
        while let Some(entry) = reader.next_entry().map_err(|error| unreadable(&layer.file, &error.to_string()))? {
            if interrupted() {
                return Err(interruption());
            }
            target.put(&entry, &mut reader).map_err(|error| refused(&layer.file, &entry.path, &error))?;
        }
    }
    Ok(())
}

/// What can go wrong with one entry.
enum Trouble {
    Path(plan::path::PathError),
    System(Errno),
    Tar(String),
}

impl From<Errno> for Trouble {
    fn from(error: Errno) -> Self {
        Trouble::System(error)
    }
}

fn refused(layer: &Path, entry: &[u8], trouble: &Trouble) -> Diagnostic {
    let entry = diag::text::printable_bytes(entry);
    let why = match trouble {
        Trouble::Path(error) => error.to_string(),
        Trouble::System(Errno::NOTDIR | Errno::LOOP) => "a component of its path is a link or a file".to_owned(),
        Trouble::System(error) => std::io::Error::from(*error).to_string(),
        Trouble::Tar(error) => error.clone(),
    };
    match trouble {
        Trouble::System(Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::PERM | Errno::ACCESS) => {
            Diagnostic::new(codes::E1102, format!("{entry}: {why}"))
                .note("a test unpacks the image into the temporary directory (TMPDIR)")
        }
        _ => unreadable(layer, &format!("entry {entry}: {why}")),
    }
}

struct Target {
    root: OwnedFd,
    /// Paths that this layer made: an opaque marker does not remove them.
    made: BTreeSet<ImagePath>,
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Target {
    fn put<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<(), Trouble> {
        let path = ImagePath::parse(&entry.path).map_err(Trouble::Path)?;
        let Some(parent_path) = path.parent() else {
            return self.finish(&self.root, entry);
        };
        let parent = self.directory(&parent_path)?;
        if path.name() == b".wh..wh..opq" {
            return self.clear(&parent, &parent_path);
        }
        if let Some(hidden) = path.name().strip_prefix(b".wh.") {
            return remove(&parent, hidden);
        }
        self.made.insert(path.clone());
        let name = path.name();
        let present = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let is_directory = present.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if !(is_directory && entry.kind == Kind::Directory) {
            remove(&parent, name)?;
        }
        match entry.kind {
            Kind::Directory => {
                if !is_directory {
                    rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700))?;
                }
                let made = rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty())?;
                self.finish(&made, entry)
            }
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
                let mut file = File::from(made);
                let mut block = vec![0; 128 * 1024];
                loop {
                    match reader.read(&mut block).map_err(|error| Trouble::Tar(error.to_string()))? {
                        0 => break,
                        got => file.write_all(block.get(..got).unwrap_or_default()).map_err(|error| {
                            Errno::from_io_error(&error).map_or(Trouble::Tar(error.to_string()), Trouble::System)
                        })?,
                    }
                }
                self.finish(&OwnedFd::from(file), entry)
            }
            Kind::Symlink => {
                rustix::fs::symlinkat(&*entry.link, &parent, name)?;
                let (uid, gid) = owner(entry);
                Ok(rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            Kind::Hardlink => {
                let old = ImagePath::parse(&entry.link).map_err(Trouble::Path)?;
                let from = self.directory(&old.parent().unwrap_or_else(ImagePath::root))?;
                Ok(rustix::fs::linkat(&from, old.name(), &parent, name, AtFlags::empty())?)
            }
            Kind::Fifo => {
                let mode = Mode::from_raw_mode(entry.mode & 0o777);
                rustix::fs::mknodat(&parent, name, FileType::Fifo, mode, 0)?;
                let (uid, gid) = owner(entry);
                Ok(rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
            }
            // A pod gets its devices from the container runtime, and so does the trial.
            Kind::CharDevice | Kind::BlockDevice => Ok(()),
        }
    }

    /// Opens a directory component by component; missing ones are made as every unpacker makes them.
    fn directory(&self, path: &ImagePath) -> Result<OwnedFd, Trouble> {
        let mut at = rustix::fs::openat(&self.root, c".", DIRECTORY, Mode::empty())?;
        for name in path.components() {
            at = match rustix::fs::openat(&at, name, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755))?;
                    rustix::fs::openat(&at, name, DIRECTORY, Mode::empty())?
                }
                other => other?,
            };
        }
        Ok(at)
    }

    /// Owner first: changing it takes setuid away.
    fn finish(&self, made: &OwnedFd, entry: &Entry) -> Result<(), Trouble> {
        let (uid, gid) = owner(entry);
        rustix::fs::fchown(made, uid, gid)?;
        rustix::fs::fchmod(made, Mode::from_raw_mode(entry.mode & 0o7777))?;
        for (name, value) in &entry.xattrs {
            // Not every temporary directory can hold them, and under no_new_privs none gives anything.
            let _ = rustix::fs::fsetxattr(made, &**name, value, XattrFlags::empty());
        }
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: omit, last_modification: Timespec { tv_sec: entry.mtime, tv_nsec: 0 } };
        Ok(rustix::fs::futimens(made, &times)?)
    }

    fn clear(&self, directory: &OwnedFd, path: &ImagePath) -> Result<(), Trouble> {
        for name in names(directory)? {
            let inner = path.join(&name).map_err(Trouble::Path)?;
            if !self.made.contains(&inner) {
                remove(directory, &name)?;
            }
        }
        Ok(())
    }
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes what is called `name`, with all below it; nothing there is fine. Without recursion: a layer
/// may be as deep as it likes.
fn remove(parent: &OwnedFd, name: &[u8]) -> Result<(), Trouble> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let open = |parent: &OwnedFd, name: &[u8]| rustix::fs::openat(parent, name, DIRECTORY, Mode::empty());
    let mut levels = vec![(open(parent, name)?, name.to_vec())];
    while let Some((directory, _)) = levels.last() {
        let mut below = None;
        for entry in names(directory)? {
            match rustix::fs::unlinkat(directory, &*entry, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::ISDIR | Errno::PERM) => {
                    below = Some((open(directory, &entry)?, entry));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(below) = below {
            levels.push(below);
            continue;
        }
        let Some((_, name)) = levels.pop() else { break };
        let above = levels.last().map_or(parent, |(directory, _)| directory);
        rustix::fs::unlinkat(above, &*name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use formats::tar::Writer;
    use std::os::unix::fs::MetadataExt;

    fn layer(directory: &Path, name: &str, entries: &[(&str, Kind, &str)]) -> Layer {
        let file = directory.join(name);
        let mut writer = Writer::new(File::create(&file).unwrap());
        for (path, kind, text) in entries {
            let mut entry = Entry::new(*path, *kind);
            entry.uid = rustix::process::geteuid().as_raw();
            entry.gid = rustix::process::getegid().as_raw();
            entry.mode = if *kind == Kind::Directory { 0o755 } else { 0o644 };
            if *kind == Kind::File {
                entry.size = text.len() as u64;
            } else {
                entry.link = text.as_bytes().to_vec();
            }
            writer.append(&entry, &mut text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        Layer { file, media_type: media::LAYER.to_owned() }
    }

    #[test]
    fn layers_are_merged_by_the_whiteout_rules() {
        let work = tempfile::tempdir().unwrap();
        let lower = layer(
            work.path(),
            "lower",
            &[
                ("d/", Kind::Directory, ""),
                ("d/deep/er/gone", Kind::File, "x"),
                ("d/old", Kind::File, "old"),
                ("o/hidden", Kind::File, "x"),
                ("same", Kind::Hardlink, "d/old"),
                ("link", Kind::Symlink, "/etc"),
            ],
        );
        let upper = layer(
            work.path(),
            "upper",
            &[
                ("d/.wh.deep", Kind::File, ""),
                ("o/seen", Kind::File, "y"),
                ("o/.wh..wh..opq", Kind::File, ""),
                ("link", Kind::Directory, ""),
                ("link/inside", Kind::File, "z"),
            ],
        );
        let root = work.path().join("root");
        unpack(&[lower, upper], &root, &|| false).unwrap();
        assert!(!root.join("d/deep").exists() && !root.join("o/hidden").exists());
        assert_eq!(std::fs::read(root.join("o/seen")).unwrap(), b"y");
        assert_eq!(std::fs::read(root.join("link/inside")).unwrap(), b"z");
        let ino = |path: &str| std::fs::metadata(root.join(path)).unwrap().ino();
        assert_eq!(ino("same"), ino("d/old"));
    }

    #[test]
    fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        let link = outside.path().to_str().unwrap();
        let cases: [&[(&str, Kind, &str)]; 4] = [
            &[("../escaped", Kind::File, "x")],
            &[("l", Kind::Symlink, link), ("l/escaped", Kind::File, "x")],
            &[("l", Kind::Symlink, link), ("l/below/escaped", Kind::File, "x")],
            &[("l", Kind::Symlink, link), ("h", Kind::Hardlink, "l/secret")],
        ];
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        for entries in cases {
            let work = tempfile::tempdir().unwrap();
            let error = unpack(&[layer(work.path(), "l", entries)], &work.path().join("root"), &|| false).unwrap_err();
            assert_eq!(error.code, codes::E1104, "{error:?}");
            assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        }
    }
}
