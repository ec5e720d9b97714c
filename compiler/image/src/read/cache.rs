//! The cache of indexed layers: `layers/<diff-id hex>/{index,data}`.
//!
//! Concurrent builds make the same entry. `layers/<hex>.of` remembers which diff-id a stored
//! digest unpacks to, for archives that no configuration describes. Both are checked whenever
//! they are read, and made again when they do not hold.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};
use formats::oci::Digest;
use sha2::{Digest as _, Sha256};

use super::index::Index;
use super::ingest::ingest;
use super::store::Data;
use super::{LayerInput, Options};
use crate::cache_entry::{DATA, Temporary, touch, write_whole};

/// Larger index files are not read; the limits of a layer keep every real one below.
const MAX_INDEX: u64 = 4 << 30;

/// A layer that lies in the cache.
pub(super) struct Indexed {
    pub name: String,
    pub index: Index,
    data: File,
}

impl Indexed {
    /// What reading contents needs; the encoded entries go.
    pub fn into_data(self) -> Data {
        let Index { diff_id, data_size: size, blocks, .. } = self.index;
        Data { name: self.name, diff_id, file: self.data, size, blocks }
    }
}

/// The layer from the cache, or read, verified and put there.
pub(super) fn layer(input: &LayerInput, options: &Options, notes: &mut Diagnostics) -> Result<Indexed, Diagnostic> {
    let root = options.cache.join("layers");
    let known = input.diff_id.or_else(|| input.digest.and_then(|digest| remembered(&options.cache, digest)));
    if let Some(diff_id) = known {
        match open(&root.join(diff_id.hex()), diff_id, &input.name) {
            Opened::Good(indexed) => return Ok(*indexed),
            Opened::Damaged => notes.push(
                Diagnostic::new(
                    codes::E0511,
                    format!("the cache entry of {} was damaged and is made again", input.name),
                )
                .note(format!("entry {}", diff_id.hex())),
            ),
            Opened::Missing => {}
        }
    }
    let unwritable = |e: io::Error| unwritable(&options.cache, &e);
    let temporary = Temporary::new(&options.cache).map_err(unwritable)?;
    let index = ingest(input, options, &mut &temporary.data)?;
    fs::write(temporary.path.join("index"), index.encode()).map_err(unwritable)?;
    let diff_id = index.diff_id;
    let target = root.join(diff_id.hex());
    temporary.publish(&target).map_err(unwritable)?;
    if input.diff_id.is_none() {
        remember(&options.cache, index.digest, diff_id).map_err(unwritable)?;
    }
    // Not two of them in memory: that of a large layer has many megabytes.
    drop(index);
    match open(&target, diff_id, &input.name) {
        Opened::Good(indexed) => Ok(*indexed),
        _ => Err(unwritable(io::Error::other("what was just written cannot be read back"))),
    }
}

/// The cache directory cannot be written.
pub(super) fn unwritable(cache: &Path, error: &io::Error) -> Diagnostic {
    let path = printable(&cache.to_string_lossy());
    Diagnostic::new(codes::E0515, format!("the cache {path} cannot be written: {}", printable(&error.to_string())))
        .help("free some space (`k8orc cache gc`), or choose another directory for the cache")
}

enum Opened {
    Good(Box<Indexed>),
    Damaged,
    Missing,
}

fn open(dir: &Path, diff_id: Digest, name: &str) -> Opened {
    let index_path = dir.join("index");
    let (Ok(index_file), Ok(data)) = (File::open(&index_path), File::open(dir.join(DATA))) else {
        return if dir.exists() { Opened::Damaged } else { Opened::Missing };
    };
    let sizes = index_file.metadata().and_then(|i| data.metadata().map(|d| (i.len(), d.len())));
    let Ok((index_size, data_size)) = sizes else { return Opened::Damaged };
    if index_size > MAX_INDEX {
        return Opened::Damaged;
    }
    let index = fs::read(&index_path).ok().and_then(|bytes| Index::decode(&bytes));
    match index {
        Some(index) if index.diff_id == diff_id && index.data_size == data_size => {
            touch(dir);
            Opened::Good(Box::new(Indexed { name: name.to_owned(), index, data }))
        }
        _ => Opened::Damaged,
    }
}

fn remembered(cache: &Path, digest: Digest) -> Option<Digest> {
    let path = memory(cache, digest);
    let bytes = fs::read(&path).ok()?;
    let (diff_id, sum) = bytes.split_at_checked(32)?;
    (sum == checksum(digest, diff_id)).then_some(())?;
    touch(&path);
    Some(Digest::from_bytes(diff_id.try_into().ok()?))
}

fn remember(cache: &Path, digest: Digest, diff_id: Digest) -> io::Result<()> {
    let bytes = [&diff_id.bytes()[..], &checksum(digest, diff_id.bytes())].concat();
    write_whole(cache, &memory(cache, digest), &bytes)
}

fn memory(cache: &Path, digest: Digest) -> PathBuf {
    cache.join("layers").join(format!("{}.of", digest.hex()))
}

fn checksum(digest: Digest, diff_id: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(digest.bytes()).chain_update(diff_id).finalize().into()
}
