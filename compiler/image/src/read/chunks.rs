//! The tar stream on its way between the threads that read a layer: decompressed by one, split into entries by
//! another, hashed beside it by a third. Chunks are shared, not copied, and used again.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use diag::Diagnostic;
use formats::oci::Digest;
use sha2::{Digest as _, Sha256};

use super::Options;
use super::ingest::{Hashed, too_large};

/// Bytes that travel between the threads at once: what a core's second cache holds several times.
pub(super) const CHUNK: usize = 256 << 10;

/// Chunks that wait between two threads.
const WAITING: usize = 4;

/// A piece of the stream.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    len: usize,
}

impl Chunk {
    fn filled(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Where the decompressing thread puts what it made.
pub(super) struct Outgoing {
    chunks: SyncSender<Chunk>,
    used: Receiver<Vec<u8>>,
}

impl Outgoing {
    /// Sends a stream to its end.
    ///
    /// # Errors
    /// The stream's own; `BrokenPipe` when nobody takes it any more.
    pub fn send_all(&self, source: &mut impl Read) -> io::Result<()> {
        loop {
            let mut bytes = self.used.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
            let len = fill(source, &mut bytes)?;
            if len == 0 {
                return Ok(());
            }
            self.chunks.send(Chunk { bytes, len }).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
    }
}

/// Reads until the buffer is full or the stream ends.
pub(super) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(have)
}

/// The stream as it arrives: hashed, within the limits.
pub(super) struct Incoming<'a> {
    chunks: Receiver<Chunk>,
    chunk: Option<Arc<Chunk>>,
    at: usize,
    used: Sender<Vec<u8>>,
    hashing: Hashing,
    size: u64,
    stored: &'a Hashed,
    options: &'a Options,
    /// Why it ended before its end.
    pub stopped: Option<Diagnostic>,
}

/// The thread that hashes.
struct Hashing {
    chunks: SyncSender<Arc<Chunk>>,
    thread: JoinHandle<Sha256>,
}

/// Both ends of a stream; `stored` counts the stored bytes that it comes from.
pub(super) fn stream<'a>(stored: &'a Hashed, options: &'a Options) -> io::Result<(Outgoing, Incoming<'a>)> {
    let (to, chunks) = sync_channel(WAITING);
    let (used, again) = channel();
    let outgoing = Outgoing { chunks: to, used: again };
    let hashing = Hashing::start(used.clone())?;
    let incoming = Incoming { chunks, chunk: None, at: 0, used, hashing, size: 0, stored, options, stopped: None };
    Ok((outgoing, incoming))
}

impl Hashing {
    fn start(used: Sender<Vec<u8>>) -> io::Result<Hashing> {
        let (chunks, inbox) = sync_channel::<Arc<Chunk>>(WAITING);
        let thread = std::thread::Builder::new().name("diff-id".into()).spawn(move || {
            let mut sha = Sha256::new();
            while let Ok(chunk) = inbox.recv() {
                sha.update(chunk.filled());
                give_back(chunk, &used);
            }
            sha
        })?;
        Ok(Hashing { chunks, thread })
    }
}

/// The last of the two that hold a chunk hands its memory back.
fn give_back(chunk: Arc<Chunk>, used: &Sender<Vec<u8>>) {
    if let Some(chunk) = Arc::into_inner(chunk) {
        let _ = used.send(chunk.bytes);
    }
}

impl<'a> Incoming<'a> {
    /// The count of the stored bytes.
    pub fn stored(&self) -> &'a Hashed {
        self.stored
    }

    fn next_chunk(&mut self) -> Result<bool, Diagnostic> {
        if let Some(done) = self.chunk.take() {
            give_back(done, &self.used);
        }
        let Ok(chunk) = self.chunks.recv() else { return Ok(false) };
        self.options.check_interrupt()?;
        self.size += chunk.len as u64;
        let allowed = self.options.limits.expanded(self.stored.size());
        if self.size > allowed {
            return Err(too_large("a layer", &format!("expands to more than {allowed} bytes")));
        }
        let chunk = Arc::new(chunk);
        // It ends only after this sender; should it have failed, `diff_id` says so.
        let _ = self.hashing.chunks.send(Arc::clone(&chunk));
        (self.chunk, self.at) = (Some(chunk), 0);
        Ok(true)
    }

    /// SHA-256 of what has passed. Without a receiver the decompressing thread ends at its next chunk.
    ///
    /// # Errors
    /// When the hashing thread failed.
    pub fn diff_id(self) -> io::Result<Digest> {
        drop(self.hashing.chunks);
        let sha = self.hashing.thread.join().map_err(|_| io::Error::other("the hashing thread failed"))?;
        Ok(Digest::from_bytes(sha.finalize().into()))
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let passed = |chunk: &Option<Arc<Chunk>>, at| chunk.as_ref().is_none_or(|chunk| at >= chunk.len);
        if passed(&self.chunk, self.at) {
            match self.next_chunk() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(diagnostic) => {
                    self.stopped = Some(diagnostic);
                    return Err(io::Error::other("stopped"));
                }
            }
        }
        let rest = self.chunk.as_ref().and_then(|chunk| chunk.filled().get(self.at..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
