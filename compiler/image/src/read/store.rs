//! Contents by reference: writes a layer's data file with a hash of each block, reads blocks of it, verifies each,
//! and keeps the last ones, because neighbours in a tree are neighbours in a layer.
//!
//! Blocks are hashed with BLAKE3, which costs less than half of SHA-256: nothing outside the cache sees these hashes.
//! A block is small, because most of what decisions read is the head of a program or a line of a database.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use diag::text::printable;
use diag::{Diagnostic, codes};
use formats::oci::Digest;
use plan::facts::Contents;
use plan::tree::FileNode;

use super::index::BLOCK;

/// Blocks that are kept in memory: 4 MiB.
const KEPT: usize = 64;

/// Blocks that are written at once.
const AT_ONCE: usize = 16;

/// A data file being written.
pub(super) struct Recorder<'a, W> {
    out: &'a mut W,
    buffer: Vec<u8>,
    at: usize,
    written: u64,
    blocks: Vec<[u8; 32]>,
}

impl<'a, W: Write> Recorder<'a, W> {
    pub fn new(out: &'a mut W) -> Recorder<'a, W> {
        Recorder { out, buffer: vec![0; AT_ONCE * BLOCK as usize], at: 0, written: 0, blocks: Vec::new() }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.written + self.at as u64
    }

    /// Where the next bytes go; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.at..).unwrap_or_default()
    }

    /// Takes `n` bytes that were put into [`Recorder::room`], and shows them.
    pub fn take(&mut self, n: usize) -> io::Result<&[u8]> {
        let start = self.at;
        self.at = (start + n).min(self.buffer.len());
        let end = self.at;
        if end == self.buffer.len() {
            self.write()?;
        }
        Ok(self.buffer.get(start..end).unwrap_or_default())
    }

    fn write(&mut self) -> io::Result<()> {
        let bytes = self.buffer.get(..self.at).unwrap_or_default();
        self.out.write_all(bytes)?;
        self.blocks.extend(bytes.chunks(BLOCK as usize).map(|block| *blake3::hash(block).as_bytes()));
        self.written += bytes.len() as u64;
        self.at = 0;
        Ok(())
    }

    /// Writes what is left; gives the size and each block's hash.
    pub fn finish(mut self) -> io::Result<(u64, Vec<[u8; 32]>)> {
        self.write()?;
        Ok((self.written, self.blocks))
    }
}

/// The data of one layer.
pub(super) struct Data {
    pub name: String,
    pub diff_id: Digest,
    pub file: File,
    pub size: u64,
    pub blocks: Vec<[u8; 32]>,
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
        if let Some(at) = kept.iter().rposition(|(layer, block, _)| (*layer, *block) == (index, number)) {
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
        if blake3::hash(&bytes).as_bytes() != expected {
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
