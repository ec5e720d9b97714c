//! Tape archives: what an entry is, the streaming reader and the canonical writer.
//!
//! The formats read are v7, ustar, GNU and PAX (POSIX.1-2017, `pax`, "Extended Header"),
//! with GNU's sparse files in all four spellings. Where GNU tar, Go's `archive/tar` (umoci,
//! skopeo, containerd) and Python's `tarfile` give an archive the same meaning, so do we;
//! where they differ the archive is refused, because two tools would see two trees.

use std::collections::BTreeMap;

mod entry;
mod error;
mod field;
mod pax;
mod read;
mod sparse;
mod write;

#[cfg(test)]
mod peers;
#[cfg(test)]
mod roundtrip;
#[cfg(test)]
mod tests;

pub use error::{TarError, TarErrorKind, show_name};
pub use read::{Limits, Reader};
pub use sparse::Segment;
pub use write::{END, WriteError, Writer, header, padding};

/// Size of a tar block in bytes; headers and content are padded to it.
pub const BLOCK: usize = 512;

/// Extended attributes of an entry: name (with its namespace, `user.x`) to value.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; `link` is its target, taken literally.
    Symlink,
    /// Another name of an earlier file; `link` is that file's path in the archive.
    Hardlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// The word for people, as used in messages.
    pub fn word(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symbolic link",
            Kind::Hardlink => "hard link",
            Kind::CharDevice => "character device",
            Kind::BlockDevice => "block device",
            Kind::Fifo => "named pipe",
        }
    }
}

/// One entry of an archive, with every extension header already applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the archive spells it: bytes, not normalised, never checked against `..`.
    pub path: Vec<u8>,
    /// What the entry is.
    pub kind: Kind,
    /// Permission bits, `& 0o7777`.
    pub mode: u32,
    /// Owner; `u32::MAX` never occurs (chown(2) reads it as "leave alone").
    pub uid: u32,
    /// Group; as `uid`.
    pub gid: u32,
    /// Bytes of content, holes included; 0 for everything but files.
    pub size: u64,
    /// Seconds since 1970; fractions are cut toward the past.
    pub mtime: i64,
    /// Target of a symbolic or hard link, as spelt; otherwise empty.
    pub link: Vec<u8>,
    /// Extended attributes (`SCHILY.xattr.*` records).
    pub xattrs: Xattrs,
    /// Major and minor number of a device; otherwise (0, 0).
    pub device: (u32, u32),
    /// For a sparse file where its data lies, in order; everything else reads as zeros.
    pub sparse: Option<Vec<Segment>>,
}

impl Entry {
    /// An entry of this path and kind with mode 0, root's, no content and time 0.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            link: Vec::new(),
            xattrs: Xattrs::new(),
            device: (0, 0),
            sparse: None,
        }
    }
}
