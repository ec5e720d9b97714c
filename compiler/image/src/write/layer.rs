//! A layer's blob: from the cache when its recipe is known, else made and put there.
//!
//! `outputs/<recipe hex>/{summary,data}`; the summary is the digests and sizes with a checksum. A copy of a blob from
//! the cache is read back and hashed, and the blob made again if it differs.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use diag::text::printable_bytes;
use diag::{Diagnostic, codes};
use formats::codec::{BlockGzip, Summary};
use formats::oci::Digest;
use formats::tar;
use plan::kept::{Content, LayerKind};
use plan::tree::NodeKind;
use sha2::{Digest as _, Sha256};

use crate::cache_entry::{DATA, Temporary, touch};

use super::order::{Item, recipe};
use super::{Input, Options, ReadSource, WrittenLayer, is_disk_full, unwritable};

/// Writes the layer's blob into `blobs` (the layout's `blobs/sha256`).
pub(super) fn write(
    kind: LayerKind,
    items: &[Item],
    input: Input,
    sources: ReadSource,
    options: &Options,
    blobs: &Path,
) -> Result<WrittenLayer, Diagnostic> {
    let part = Part(blobs.join(".part"));
    let cached = match options.cache {
        Some(cache) => Some(cache.join("outputs").join(Digest::from_bytes(recipe(items)?).hex())),
        None => None,
    };
    let reused = match &cached {
        Some(entry) => reuse(entry, &part.0).map_err(|e| unwritable(&part.0, &e))?,
        None => None,
    };
    let summary = match reused.clone() {
        Some(summary) => summary,
        None => {
            let (summary, hash) = compress(items, input, sources, options, &part.0)?;
            if let (Some(cache), Some(entry)) = (options.cache, &cached) {
                // A full or read-only cache costs time later, not the build.
                let _ = store(cache, entry, &part.0, &summary, hash);
            }
            summary
        }
    };
    let target = blobs.join(summary.digest.hex());
    fs::rename(&part.0, &target).map_err(|e| unwritable(&target, &e))?;
    let Summary { diff_id, digest, diff_size, size } = summary;
    Ok(WrittenLayer { kind, digest, size, diff_id, diff_size, reused: reused.is_some() })
}

/// A file in the making, removed unless it got its name.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn compress(
    items: &[Item],
    input: Input,
    sources: ReadSource,
    options: &Options,
    path: &Path,
) -> Result<(Summary, [u8; 32]), Diagnostic> {
    let failed = |e: io::Error| unwritable(path, &e);
    let file = Hashed { out: File::create(path).map_err(failed)?, hasher: blake3::Hasher::new() };
    let mut out = BlockGzip::new(file, options.threads).map_err(failed)?;
    for item in items {
        options.check_interrupt()?;
        out.write_all(&item.header()?).map_err(failed)?;
        if item.has_content() {
            content(item, input, sources, &mut out, path)?;
            out.write_all(tar::padding(item.entry.node.size())).map_err(failed)?;
        }
    }
    out.write_all(&tar::END).map_err(failed)?;
    let (file, summary) = out.finish().map_err(failed)?;
    Ok((summary, *file.hasher.finalize().as_bytes()))
}

/// A file whose bytes are hashed as they are written; it gets whole members, which need no buffer.
struct Hashed {
    out: File,
    hasher: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Streams one file's bytes and checks that they are the ones of the plan.
fn content(
    item: &Item,
    input: Input,
    sources: ReadSource,
    out: &mut impl Write,
    path: &Path,
) -> Result<(), Diagnostic> {
    let NodeKind::File(file) = &item.entry.node.kind else { return Ok(()) };
    let (mut size, mut sha) = (0u64, Sha256::new());
    let mut broken = None;
    // Bytes of the base were verified when they were read; all others are hashed here.
    let ours = item.entry.content != Content::Base;
    let mut sink = |bytes: &[u8]| {
        size += bytes.len() as u64;
        if ours {
            sha.update(bytes);
        }
        out.write_all(bytes).inspect_err(|e| broken = Some(unwritable(path, e)))
    };
    let result = match &item.entry.content {
        Content::Base => input.contents.stream(file, &mut sink),
        Content::Bytes(bytes) => sink(bytes).map_err(|e| unwritable(path, &e)),
        source @ Content::Source { .. } => sources(source, &mut sink),
        Content::Rewrite => Err(changed(item, "it was not rewritten yet; this is a mistake in k8orc")),
    };
    if let Some(diagnostic) = broken {
        return Err(diagnostic);
    }
    result?;
    if size != file.size || (ours && <[u8; 32]>::from(sha.finalize()) != file.sha256) {
        return Err(changed(item, "its bytes are not those that the plan was made with"));
    }
    Ok(())
}

fn changed(item: &Item, what: &str) -> Diagnostic {
    let path = printable_bytes(item.path.as_bytes());
    Diagnostic::new(codes::E0541, format!("the content of `{path}` changed during the build"))
        .note(what)
        .help("build again when the file is at rest")
}

/// Two digests, two sizes, BLAKE3 of the blob.
const SUMMARY: usize = 32 + 32 + 8 + 8 + 32;

/// Copies a known blob to `path` and reads the copy back. `None` when there is none, or none that can be trusted.
fn reuse(entry: &Path, path: &Path) -> io::Result<Option<Summary>> {
    let Some((summary, known)) = fs::read(entry.join("summary")).ok().and_then(|bytes| decode(&bytes)) else {
        return Ok(None);
    };
    let Ok(mut blob) = File::open(entry.join(DATA)) else { return Ok(None) };
    if blob.metadata()?.len() != summary.size {
        return Ok(None);
    }
    let mut copy = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    // The kernel copies; what it cannot read is as good as damaged, what it cannot write is not.
    match io::copy(&mut blob, &mut copy) {
        Err(e) if !is_disk_full(&e) => return Ok(None),
        other => other?,
    };
    copy.rewind()?;
    if blake3(&mut copy)? != (summary.size, known) {
        return Ok(None);
    }
    touch(entry);
    Ok(Some(summary))
}

/// Size and BLAKE3 of a file from where it stands: it tells the blob that was hashed with SHA-256 when it was made from
/// any other in less than half of the time.
fn blake3(file: &mut File) -> io::Result<(u64, [u8; 32])> {
    let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
    let mut chunk = vec![0; 256 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((size, *hasher.finalize().as_bytes())),
            n => {
                hasher.update(chunk.get(..n).unwrap_or_default());
                size += n as u64;
            }
        }
    }
}

/// Puts a blob into the cache.
fn store(cache: &Path, entry: &Path, path: &Path, summary: &Summary, hash: [u8; 32]) -> io::Result<()> {
    let mut temporary = Temporary::new(cache)?;
    io::copy(&mut File::open(path)?, &mut temporary.data)?;
    fs::write(temporary.path.join("summary"), encode(summary, hash))?;
    temporary.publish(entry)
}

fn encode(summary: &Summary, hash: [u8; 32]) -> Vec<u8> {
    let mut bytes = [&summary.digest.bytes()[..], summary.diff_id.bytes()].concat();
    bytes.extend_from_slice(&summary.size.to_le_bytes());
    bytes.extend_from_slice(&summary.diff_size.to_le_bytes());
    bytes.extend_from_slice(&hash);
    let sum: [u8; 32] = Sha256::digest(&bytes).into();
    bytes.extend_from_slice(&sum);
    bytes
}

fn decode(bytes: &[u8]) -> Option<(Summary, [u8; 32])> {
    let (body, sum) = bytes.split_last_chunk::<32>()?;
    if body.len() != SUMMARY || <[u8; 32]>::from(Sha256::digest(body)) != *sum {
        return None;
    }
    let (digest, rest) = body.split_first_chunk::<32>()?;
    let (diff_id, rest) = rest.split_first_chunk::<32>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let (diff_size, rest) = rest.split_first_chunk::<8>()?;
    let (hash, _) = rest.split_first_chunk::<32>()?;
    let summary = Summary {
        digest: Digest::from_bytes(*digest),
        diff_id: Digest::from_bytes(*diff_id),
        size: u64::from_le_bytes(*size),
        diff_size: u64::from_le_bytes(*diff_size),
    };
    Some((summary, *hash))
}
