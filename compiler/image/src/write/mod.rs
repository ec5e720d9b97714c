//! From the Plan to an OCI image layout: canonical layers, config, manifest, index.
//!
//! 1. `order`: the entries of each layer, in canonical order, with their headers.
//! 2. `layer`: a layer's blob, from the cache when nothing of it changed, else compressed.
//! 3. `layout`: config, manifest and index around the layers.
//! 4. [`check`]: everything read back. [`docker_archive`]: the same image for `docker load`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diag::text::printable;
use diag::{Diagnostic, codes};
use formats::oci::{Descriptor, Digest};
use plan::facts::Contents;
use plan::kept::{Content, LayerKind};
use plan::plan::ImagePlan;
use plan::platform::Platform;

mod archive;
mod check;
mod layer;
mod layout;
mod order;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod tests;

pub use archive::docker_archive;
pub use check::check;
pub use layout::write;

/// Takes a part of a content; its error stops the stream.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Streams a file that the spec names ([`Content::Source`]) into a sink.
pub type ReadSource<'a> = &'a (dyn Fn(&Content, Sink) -> Result<(), Diagnostic> + Sync);

/// One platform's image to write.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What is in it.
    pub plan: &'a ImagePlan,
    /// Contents of its base.
    pub contents: &'a dyn Contents,
}

/// How to write.
#[derive(Clone)]
pub struct Options<'a> {
    /// Cache directory; `outputs/` and `tmp/` are made below it. `None`: every layer is compressed.
    pub cache: Option<&'a Path>,
    /// Compressing threads; no byte depends on them.
    pub threads: usize,
    /// Seconds since 1970 for `created`.
    pub epoch: i64,
    /// Value of `org.opencontainers.image.ref.name` in index.json: the tag by which other
    /// tools find the image, usually `latest`.
    pub ref_name: &'a str,
    /// Set when the user wants to stop; looked at before every file.
    pub interrupted: Option<Arc<AtomicBool>>,
}

impl Options<'_> {
    fn check_interrupt(&self) -> Result<(), Diagnostic> {
        match &self.interrupted {
            Some(flag) if flag.load(Ordering::Relaxed) => Err(Diagnostic::new(codes::E0549, "interrupted")),
            _ => Ok(()),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What index.json names, and what a registry reference pins: the manifest of the only
    /// platform, or the index of several.
    pub top: Descriptor,
    /// Every platform's image, in the order of the inputs.
    pub images: Vec<WrittenImage>,
}

impl Written {
    /// Blobs that were read back while they were written: what [`check`] need not read.
    pub fn read_back(&self) -> BTreeSet<Digest> {
        let layers = self.images.iter().flat_map(|image| &image.layers);
        layers.filter(|layer| layer.reused).map(|layer| layer.digest).collect()
    }
}

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenImage {
    /// Which.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<WrittenLayer>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLayer {
    /// Which of the two.
    pub kind: LayerKind,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// SHA-256 of the tar.
    pub diff_id: Digest,
    /// Bytes of the tar.
    pub diff_size: u64,
    /// Whether the blob came from the cache; then it was read back after it had been copied.
    pub reused: bool,
}

/// The one message of a full disk, wherever it shows.
pub fn disk_full(path: &Path) -> Diagnostic {
    Diagnostic::new(
        codes::E1003,
        format!("the disk is full: {} could not be written", printable(&path.to_string_lossy())),
    )
    .note("the previous output, if there was one, is untouched; nothing half-written was left")
    .help("free some space, or write elsewhere with -o; `k8orc cache gc` frees the cache")
}

/// Whether an error means that there is no room.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The output cannot be written.
fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    if is_disk_full(error) {
        return disk_full(path);
    }
    let (path, error) = (printable(&path.to_string_lossy()), printable(&error.to_string()));
    Diagnostic::new(codes::E0543, format!("{path} cannot be written: {error}"))
}
