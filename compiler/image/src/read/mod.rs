//! From layers to a tree: verify and index each layer once, merge them by the OCI rules.
//!
//! 1. `ingest`: decompress a layer once, hash it both ways, split it into an index and data.
//! 2. `cache`: where both lie, so that a layer is never read twice.
//! 3. `merge`: whiteouts, opaque directories, hard links, replaced directories.
//! 4. `store`: contents by reference, each block verified as it is read.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diag::{Diagnostic, Diagnostics, codes};
use formats::oci::Digest;
use plan::tree::Tree;

mod cache;
mod chunks;
mod index;
mod ingest;
mod limits;
mod merge;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
pub(crate) mod peers;
mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use limits::Limits;
pub use store::LayerStore;

/// Opens a layer's stored bytes from their start.
pub type Open = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// A layer as its source hands it over: stored bytes, and what they must hash to.
#[derive(Clone)]
pub struct LayerInput {
    /// For messages: `layer 2 of docker.io/library/debian:trixie-slim`.
    pub name: String,
    /// SHA-256 of the stored bytes, where something pins it.
    pub digest: Option<Digest>,
    /// Number of stored bytes, where something pins it.
    pub size: Option<u64>,
    /// SHA-256 of the uncompressed tar, from the image config; `None` for plain archives.
    pub diff_id: Option<Digest>,
    /// The stored bytes: gzip, zstd or plain tar, told apart by themselves.
    pub open: Open,
}

/// Where and how to read.
#[derive(Clone)]
pub struct Options {
    /// Cache directory; `layers/` and `tmp/` are made below it.
    pub cache: PathBuf,
    /// What an image may ask for.
    pub limits: Limits,
    /// Set when the user wants to stop; looked at every few hundred kilobytes.
    pub interrupted: Option<Arc<AtomicBool>>,
}

impl Options {
    /// Default limits, not interruptible.
    pub fn new(cache: impl Into<PathBuf>) -> Options {
        Options { cache: cache.into(), limits: Limits::default(), interrupted: None }
    }

    pub(crate) fn check_interrupt(&self) -> Result<(), Diagnostic> {
        match &self.interrupted {
            Some(flag) if flag.load(Ordering::Relaxed) => Err(Diagnostic::new(codes::E0549, "interrupted")),
            _ => Ok(()),
        }
    }
}

/// A base that was read.
pub struct Base {
    /// The merged tree.
    pub tree: Tree,
    /// Its contents.
    pub contents: LayerStore,
    /// SHA-256 of each layer uncompressed, lowest first.
    pub diff_ids: Vec<Digest>,
    /// Bytes of all layers as stored.
    pub compressed_size: u64,
    /// Notes: a damaged cache entry that was made again.
    pub notes: Diagnostics,
}

/// Reads and merges the layers of one image, lowest first. A layer that the cache holds is
/// not read again; every other is verified against `digest`, `size` and `diff_id` before
/// anything of it is used.
///
/// # Errors
/// Codes E0500 to E0515, with the layer's name, and the entry's where there is one.
pub fn read(layers: &[LayerInput], options: &Options) -> Result<Base, Diagnostic> {
    let mut notes = Diagnostics::new();
    let mut indexed = Vec::new();
    for layer in layers {
        options.check_interrupt()?;
        indexed.push(cache::layer(layer, options, &mut notes)?);
    }
    let tree = merge::merge(&indexed, options)?;
    Ok(Base {
        tree,
        diff_ids: indexed.iter().map(|layer| layer.index.diff_id).collect(),
        compressed_size: indexed.iter().map(|layer| layer.index.stored_size).sum(),
        contents: LayerStore::new(indexed.into_iter().map(cache::Indexed::into_data).collect()),
        notes,
    })
}
