//! SQLite files as rpm keeps them (<https://www.sqlite.org/fileformat2.html>).
//!
//! Reading gives every table and index as its rows; writing makes a new file of them, densely and in order, without free
//! pages and without a journal. Index entries are filtered, never compared: what stays keeps its order. rpm's own layout
//! (`lib/backend/sqlite.cc`): a table `Packages` of headers by number, and for each searchable tag a table of key, number
//! and index, with indices of SQLite on them.

mod packages;
mod pages;
mod read;
mod record;
#[cfg(test)]
pub(super) mod tests;
mod write;

pub use packages::{packages, rewrite};
pub use read::{Database, Entries, Object, read};
pub use write::write;

/// First bytes of such a file.
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";
