//! One pass over a layer: a thread reads, hashes and decompresses, another hashes the tar; this one
//! splits it into entries and writes the contents to the data file.

use std::io::{self, BufReader, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diag::text::printable;
use diag::{Diagnostic, codes};
use formats::codec;
use formats::oci::Digest;
use formats::tar::{self, Kind};
use sha2::{Digest as _, Sha256};

use super::chunks::{CHUNK, Incoming, Outgoing, fill, stream};
use super::index::{self, Index, Indexed};
use super::store::Recorder;
use super::{LayerInput, Options};

/// Reads a layer, writes its contents to `data` and gives its index. Nothing is trusted
/// before digest, size and diff-id have been compared.
pub(super) fn ingest(layer: &LayerInput, options: &Options, data: &mut impl Write) -> Result<Index, Diagnostic> {
    let hashed = Arc::new(Hashed::default());
    let (outgoing, mut incoming) = stream(&hashed, options).map_err(|e| unreadable(layer, &e))?;
    let thread = {
        let (open, hashed) = (Arc::clone(&layer.open), Arc::clone(&hashed));
        std::thread::Builder::new().name("layer".into()).spawn(move || send(&open, &hashed, &outgoing))
    };
    let thread = thread.map_err(|e| unreadable(layer, &e))?;
    let split = split(layer, options, &mut incoming, data);
    let diff_id = incoming.diff_id().map_err(|e| unreadable(layer, &e))?;
    let sent = thread.join().unwrap_or_else(|_| Err(io::Error::other("the decompressing thread failed")));
    let state = hashed.lock();
    if let Some(e) = &state.error {
        return Err(unreadable(layer, e));
    }
    if let Err(e) = sent
        && e.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(blame(layer, undecodable(layer, &e)));
    }
    let split = split.map_err(|diagnostic| blame(layer, diagnostic))?;
    let digest = Digest::from_bytes(state.sha.clone().finalize().into());
    compare(layer, digest, state.size, diff_id)?;
    Ok(Index {
        diff_id,
        digest,
        stored_size: state.size,
        data_size: split.data_size,
        blocks: split.blocks,
        count: split.count,
        entries: split.entries,
    })
}

fn compare(layer: &LayerInput, digest: Digest, size: u64, diff_id: Digest) -> Result<(), Diagnostic> {
    if layer.size.is_some_and(|wanted| wanted != size) || layer.digest.is_some_and(|wanted| wanted != digest) {
        let wanted = layer.digest.map_or_else(|| "a digest not pinned".to_owned(), |d| d.to_string());
        let of = layer.size.map_or(String::new(), |wanted| format!(" of {wanted} bytes"));
        return Err(Diagnostic::new(codes::E0500, format!("{} is not what its digest says", layer.name))
            .note(format!("expected {wanted}{of}, got {digest} of {size} bytes"))
            .help("fetch it again; if that does not help, the registry or the file was changed"));
    }
    match layer.diff_id {
        Some(wanted) if wanted != diff_id => {
            Err(Diagnostic::new(codes::E0501, format!("{} does not match the image's configuration", layer.name))
                .note(format!("rootfs.diff_ids says {wanted}, the uncompressed layer is {diff_id}"))
                .help("the image contradicts itself: tell its publisher, and use another tag or digest"))
        }
        _ => Ok(()),
    }
}

/// A layer that cannot be read is often one that was damaged on its way: when its stored
/// bytes are not those of the digest, say that instead.
fn blame(layer: &LayerInput, diagnostic: Diagnostic) -> Diagnostic {
    if layer.digest.is_none() || diagnostic.code == codes::E0549 {
        return diagnostic;
    }
    let hashed = Arc::new(Hashed::default());
    let read = (layer.open)().and_then(|source| {
        let mut chunk = vec![0; CHUNK];
        let mut source = Hashing { source, hashed: Arc::clone(&hashed) };
        while fill(&mut source, &mut chunk)? > 0 {}
        Ok(())
    });
    let state = hashed.lock();
    let digest = Digest::from_bytes(state.sha.clone().finalize().into());
    match read {
        Ok(()) if layer.digest != Some(digest) => {
            compare(layer, digest, state.size, digest).err().unwrap_or(diagnostic)
        }
        _ => diagnostic,
    }
}

fn unreadable(layer: &LayerInput, error: &io::Error) -> Diagnostic {
    Diagnostic::new(codes::E0514, format!("{} cannot be read: {}", layer.name, printable(&error.to_string())))
}

fn undecodable(layer: &LayerInput, error: &io::Error) -> Diagnostic {
    let what = printable(&error.to_string());
    Diagnostic::new(codes::E0502, format!("{} cannot be decompressed: {what}", layer.name))
        .help("a layer is a tar archive, plain or compressed with gzip or zstd")
}

/// Hash and size of the stored bytes so far, and the error that ended them: kept apart from
/// the decompressor's own.
#[derive(Default)]
pub(super) struct Hashed(Mutex<HashState>);

#[derive(Default)]
struct HashState {
    sha: Sha256,
    size: u64,
    error: Option<io::Error>,
}

impl Hashed {
    /// Stored bytes so far.
    pub fn size(&self) -> u64 {
        self.lock().size
    }

    fn lock(&self) -> MutexGuard<'_, HashState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stored bytes, hashed and counted as they pass.
struct Hashing {
    source: Box<dyn Read + Send>,
    hashed: Arc<Hashed>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buffer) {
            Ok(n) => {
                let mut state = self.hashed.lock();
                state.sha.update(buffer.get(..n).unwrap_or_default());
                state.size += n as u64;
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                let copy = io::Error::new(e.kind(), e.to_string());
                self.hashed.lock().error = Some(e);
                Err(copy)
            }
        }
    }
}

/// The other thread: open, hash, decompress, send.
fn send(open: &super::Open, hashed: &Arc<Hashed>, outgoing: &Outgoing) -> io::Result<()> {
    let opened = open();
    let source = opened.inspect_err(|e| hashed.lock().error = Some(io::Error::new(e.kind(), e.to_string())))?;
    let hashing = Hashing { source, hashed: Arc::clone(hashed) };
    let mut source = BufReader::with_capacity(CHUNK, hashing);
    let mut start = vec![0; codec::SNIFF];
    let n = fill(&mut source, &mut start)?;
    start.truncate(n);
    let codec = codec::sniff(&start)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is neither gzip nor zstd nor a tar archive"))?;
    let mut decoder = codec::decoder(codec, BufReader::with_capacity(CHUNK, Cursor::new(start).chain(source)))?;
    outgoing.send_all(&mut decoder)
}

/// A limit of [`super::Limits`] was reached.
pub(super) fn too_large(what: &str, how: &str) -> Diagnostic {
    Diagnostic::new(codes::E0509, format!("{what} {how}"))
        .help("real images stay far below the limit, which grows with their stored size; do not use this one")
}

/// What splitting a layer gives.
struct Parts {
    entries: Vec<u8>,
    count: u64,
    data_size: u64,
    blocks: Vec<[u8; 32]>,
}

/// Splits the archive into entries and data.
fn split(
    layer: &LayerInput,
    options: &Options,
    incoming: &mut Incoming,
    data: &mut impl Write,
) -> Result<Parts, Diagnostic> {
    let hashed = incoming.stored();
    // Holes cost nothing to store and as much as data to read.
    let holes = options.limits.expanded(layer.size.unwrap_or(0));
    let limits = tar::Limits { holes, ..tar::Limits::default() };
    let mut reader = tar::Reader::with_limits(&mut *incoming, limits);
    let result = split_entries(layer, options, hashed, &mut reader, data);
    let result = result.and_then(|parts| match reader.drain() {
        Ok(()) => Ok(parts),
        Err(e) => Err(malformed(layer, &e)),
    });
    // A limit or an interrupt looks like a failing stream from above: the cause wins.
    match incoming.stopped.take() {
        Some(diagnostic) => Err(diagnostic.note(format!("in {}", layer.name))),
        None => result,
    }
}

fn malformed(layer: &LayerInput, error: &tar::TarError) -> Diagnostic {
    Diagnostic::new(codes::E0503, format!("{} is no archive that all programs read alike: {error}", layer.name))
        .help("make the layer again with GNU tar, podman or docker")
}

fn split_entries<R: Read>(
    layer: &LayerInput,
    options: &Options,
    hashed: &Hashed,
    reader: &mut tar::Reader<R>,
    out: &mut impl Write,
) -> Result<Parts, Diagnostic> {
    let unwritable = |e: io::Error| super::cache::unwritable(&options.cache, &e);
    let mut data = Recorder::new(out);
    let (mut entries, mut count) = (Vec::new(), 0u64);
    while let Some(mut entry) = reader.next_entry().map_err(|e| malformed(layer, &e))? {
        let offset = data.size();
        let mut sha = Sha256::new();
        if entry.kind == Kind::File {
            loop {
                let n = reader.read(data.room()).map_err(|e| malformed(layer, &e))?;
                if n == 0 {
                    break;
                }
                sha.update(data.take(n).map_err(unwritable)?);
            }
        }
        let sha256 = if entry.kind == Kind::File { sha.finalize().into() } else { [0; 32] };
        entry.sparse = None;
        index::push(&mut entries, &Indexed { entry, offset, sha256 });
        count += 1;
        let stored = hashed.size();
        if count > options.limits.entries(stored) || entries.len() as u64 > options.limits.metadata(stored) {
            return Err(too_large(&layer.name, &format!("holds too many entries: more than {count}")));
        }
    }
    let (data_size, blocks) = data.finish().map_err(unwritable)?;
    Ok(Parts { entries, count, data_size, blocks })
}
