//! rpm's database: the headers of installed packages, and the three containers that hold them.
//!
//! A header is a table of tags over a heap of data (`header`); the part that the packager signed is the *immutable
//! region*, what rpm noted at installation lies behind it. `sqlite` (`rpmdb.sqlite`) and `ndb` (`Packages.db`,
//! `Index.db`) are read and written, `bdb` (Berkeley DB, `Packages`) is read only.

pub mod bdb;
mod bytes;
pub mod header;
pub mod ndb;
mod package;
#[cfg(test)]
mod peers;
mod rich;
pub mod sqlite;
mod version;

pub use header::{Header, HeaderError, tag, with_states};
pub use package::{File, Package, Relation, flag, sense, state};
pub use rich::{Rich, RichError, rich};
pub use version::{Evr, compare, overlap};

/// An installed package as a container has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the database, never used twice.
    pub number: u32,
    /// The header, without magic: see `header`.
    pub blob: Vec<u8>,
}

/// What becomes of a package when a container is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It stays with this header.
    Replace(Vec<u8>),
    /// It goes, and all that the indices say of it.
    Drop,
}

/// A container that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {what}")]
pub struct ContainerError {
    /// Where in the file; of a page: its first byte.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl ContainerError {
    fn new(offset: impl TryInto<u64>, what: impl Into<String>) -> Self {
        Self { offset: offset.try_into().unwrap_or(u64::MAX), what: what.into() }
    }
}
