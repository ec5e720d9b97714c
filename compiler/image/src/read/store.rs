//! Contents by reference: reads blocks of a layer's data file, verifies each, and keeps the
//! last ones, because neighbours in a tree are neighbours in a layer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use diag::text::printable;
use diag::{Diagnostic, codes};
use formats::oci::Digest;
use plan::facts::Contents;
use plan::tree::{FileNode, Sha256};
use sha2::Digest as _;

use super::index::BLOCK;

/// Blocks that are kept in memory: 16 MiB.
const KEPT: usize = 16;

/// The data of one layer.
pub(super) struct Data {
    pub name: String,
    pub diff_id: Digest,
    pub file: File,
    pub size: u64,
    pub blocks: Vec<Sha256>,
}

/// A verified block: layer, number, bytes.
type Kept = (u32, u64, Arc<Vec<u8>>);

/// The contents of a base, verified as they are read.
pub struct LayerStore {
    layers: Vec<Data>,
    /// Most recently used last.
    kept: Mutex<Vec<Kept>>,
}

impl LayerStore {
    pub(super) fn new(layers: Vec<Data>) -> LayerStore {
        LayerStore { layers, kept: Mutex::new(Vec::new()) }
    }

    fn layer(&self, index: u32) -> Result<&Data, Diagnostic> {
        let layer = usize::try_from(index).ok().and_then(|index| self.layers.get(index));
        layer.ok_or_else(|| Diagnostic::new(codes::E0510, "the tree names a layer that the base does not have"))
    }

    /// One block, verified.
    fn block(&self, index: u32, number: u64) -> Result<Arc<Vec<u8>>, Diagnostic> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(layer, block, _)| (*layer, *block) == (index, number)) {
            let found = kept.remove(at);
            let bytes = Arc::clone(&found.2);
            kept.push(found);
            return Ok(bytes);
        }
        drop(kept);
        let bytes = Arc::new(self.read_block(index, number)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((index, number, Arc::clone(&bytes)));
        Ok(bytes)
    }

    fn read_block(&self, index: u32, number: u64) -> Result<Vec<u8>, Diagnostic> {
        let layer = self.layer(index)?;
        let start = number.saturating_mul(BLOCK);
        let expected = usize::try_from(number).ok().and_then(|number| layer.blocks.get(number));
        let Some(expected) = expected.filter(|_| start < layer.size) else {
            return Err(poisoned(layer, number));
        };
        let mut bytes = vec![0; usize::try_from(BLOCK.min(layer.size - start)).unwrap_or(0)];
        match layer.file.read_exact_at(&mut bytes, start) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(poisoned(layer, number)),
            Err(e) => {
                let what = printable(&e.to_string());
                return Err(Diagnostic::new(codes::E0514, format!("{} cannot be read: {what}", layer.name))
                    .note("it was read from the cache"));
            }
        }
        if <Sha256>::from(sha2::Sha256::digest(&bytes)) != *expected {
            return Err(poisoned(layer, number));
        }
        Ok(bytes)
    }
}

fn poisoned(layer: &Data, block: u64) -> Diagnostic {
    Diagnostic::new(codes::E0510, format!("the cached content of {} was changed", layer.name))
        .note(format!("block {block} of its data does not have the hash that was recorded when the layer was verified"))
        .help(format!(
            "delete layers/{} in the cache and build again; then find out who writes there",
            layer.diff_id.hex()
        ))
}

impl Contents for LayerStore {
    fn stream(&self, file: &FileNode, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Diagnostic> {
        let mut offset = file.at.offset;
        let mut left = file.size;
        while left > 0 {
            let block = self.block(file.at.layer, offset / BLOCK)?;
            let within = usize::try_from(offset % BLOCK).unwrap_or(0);
            let rest = block.get(within..).unwrap_or_default();
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let Some(part) = rest.get(..n).filter(|part| !part.is_empty()) else {
                return Err(poisoned(self.layer(file.at.layer)?, offset / BLOCK));
            };
            sink(part).map_err(|e| {
                Diagnostic::new(codes::E0543, format!("the output cannot be written: {}", printable(&e.to_string())))
            })?;
            offset = offset.saturating_add(n as u64);
            left -= n as u64;
        }
        Ok(())
    }

    fn read(&self, file: &FileNode, limit: u64) -> Result<Vec<u8>, Diagnostic> {
        if file.size > limit {
            let message = format!("a file of {} bytes is too large to be read here", file.size);
            return Err(Diagnostic::new(codes::E0516, message).note(format!("the limit is {limit} bytes")));
        }
        let mut bytes = Vec::new();
        self.stream(file, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }
}
