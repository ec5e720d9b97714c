//! The only door out of the pure crates: named files, standard modules, parameters of the run.
//!
//! The driver's implementation opens real files beneath a root (no `..`, no link followed out, no device);
//! the tests' holds everything in memory.

use std::path::Path;

/// What a path names, links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Whether one of the x bits is set.
        executable: bool,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldError {
    /// Nothing there.
    NotFound,
    /// The path (or a link on its way) leaves the root, or names a device or /proc.
    Outside,
    /// Longer than the limit, in bytes.
    TooLarge(u64),
    /// Anything else the operating system said.
    Other(String),
}

impl std::fmt::Display for WorldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WorldError::NotFound => f.write_str("it is not there"),
            WorldError::Outside => f.write_str("it leads out of its directory, or is no regular file"),
            WorldError::TooLarge(limit) => write!(f, "it is larger than {limit} bytes"),
            WorldError::Other(why) => f.write_str(why),
        }
    }
}

/// The door. `root` is the directory of the spec or module that names the file; `path` is relative to it.
pub trait World: Sync {
    /// What `path` under `root` is; a link within the root is followed for all but the last component.
    fn stat(&self, root: &Path, path: &Path) -> Result<FileKind, WorldError>;

    /// The bytes of a file of at most `limit` bytes; links are followed as long as they stay inside.
    fn read(&self, root: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError>;

    /// Names in a directory, sorted by bytes.
    fn list(&self, root: &Path, path: &Path) -> Result<Vec<String>, WorldError>;

    /// The text of a module of the standard library: `std/debian/minimal`.
    fn module(&self, name: &str) -> Option<&str>;

    /// Names of all standard modules, sorted: for "did you mean" and completion.
    fn modules(&self) -> Vec<String>;
}
