//! gzip in blocks: the stream is cut every mebibyte and each block becomes a gzip member of
//! its own, compressed on any thread and written in order. Compressors such as zlib-rs give
//! other bytes when write() calls are cut otherwise; this one cannot.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest as _, Sha256};

use crate::oci::Digest;

/// Bytes of uncompressed data in a block. Part of the output's definition: another size
/// gives other bytes.
pub const BLOCK_SIZE: usize = 1 << 20;

/// The compression level of libdeflate; as [`BLOCK_SIZE`], part of the output's definition.
const LEVEL: i32 = 4;

/// What was written: both digests and sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// SHA-256 of the uncompressed stream (a layer's diff-id).
    pub diff_id: Digest,
    /// SHA-256 of the compressed stream.
    pub digest: Digest,
    /// Bytes before compression.
    pub diff_size: u64,
    /// Bytes after compression.
    pub size: u64,
}

/// A gzip writer whose output depends on the input alone: not on the number of threads, not
/// on how the input was cut into writes. Holds at most some 2 blocks per thread in memory.
pub struct BlockGzip<W: Write> {
    out: W,
    block: Vec<u8>,
    workers: Vec<Worker>,
    /// Buffers that came back, to be filled again.
    spare: Vec<Job>,
    next: usize,
    pending: VecDeque<usize>,
    plain: Sha256,
    packed: Sha256,
    diff_size: u64,
    size: u64,
}

/// A block on its way to a worker and back.
#[derive(Default)]
struct Job {
    block: Vec<u8>,
    /// Room for its member, and how many bytes of it the member has.
    packed: Vec<u8>,
    size: usize,
}

struct Worker {
    jobs: Option<SyncSender<Job>>,
    results: Receiver<io::Result<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without jobs the thread ends; waiting keeps none behind an abandoned build.
        self.jobs = None;
        while self.results.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<W: Write> BlockGzip<W> {
    /// Writes to `out` with this many compressing threads, at least one.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(out: W, threads: usize) -> io::Result<BlockGzip<W>> {
        Ok(BlockGzip {
            out,
            block: Vec::with_capacity(BLOCK_SIZE),
            workers: (0..threads.max(1)).map(|_| worker()).collect::<io::Result<_>>()?,
            spare: Vec::new(),
            next: 0,
            pending: VecDeque::new(),
            plain: Sha256::new(),
            packed: Sha256::new(),
            diff_size: 0,
            size: 0,
        })
    }

    /// Compresses what is left, writes it, and gives the stream back with the digests.
    /// Empty input becomes one empty member, so that the output is always gzip.
    ///
    /// # Errors
    /// The stream's own.
    pub fn finish(mut self) -> io::Result<(W, Summary)> {
        if !self.block.is_empty() || self.diff_size == 0 {
            self.submit()?;
        }
        while !self.pending.is_empty() {
            self.collect()?;
        }
        self.out.flush()?;
        let summary = Summary {
            diff_id: Digest::from_bytes(self.plain.finalize().into()),
            digest: Digest::from_bytes(self.packed.finalize().into()),
            diff_size: self.diff_size,
            size: self.size,
        };
        Ok((self.out, summary))
    }

    fn submit(&mut self) -> io::Result<()> {
        if self.pending.len() >= 2 * self.workers.len() {
            self.collect()?;
        }
        let mut job = self.spare.pop().unwrap_or_default();
        job.block.clear();
        job.block.reserve_exact(BLOCK_SIZE);
        std::mem::swap(&mut job.block, &mut self.block);
        self.plain.update(&job.block);
        let worker = self.workers.get(self.next).and_then(|worker| worker.jobs.as_ref());
        worker.and_then(|jobs| jobs.send(job).ok()).ok_or_else(gone)?;
        self.pending.push_back(self.next);
        self.next = (self.next + 1) % self.workers.len();
        Ok(())
    }

    /// Takes the oldest result and writes it.
    fn collect(&mut self) -> io::Result<()> {
        let Some(oldest) = self.pending.pop_front() else {
            return Ok(());
        };
        let worker = self.workers.get(oldest).ok_or_else(gone)?;
        let job = worker.results.recv().map_err(|_| gone())??;
        let packed = job.packed.get(..job.size).unwrap_or_default();
        self.packed.update(packed);
        self.size += packed.len() as u64;
        self.out.write_all(packed)?;
        self.spare.push(job);
        Ok(())
    }
}

impl<W: Write> Write for BlockGzip<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = buffer.len().min(BLOCK_SIZE - self.block.len());
        self.block.extend_from_slice(buffer.get(..n).unwrap_or_default());
        self.diff_size += n as u64;
        if self.block.len() == BLOCK_SIZE {
            self.submit()?;
        }
        Ok(n)
    }

    /// Does nothing: a flush must not cut a block.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::other("a compressing thread ended unexpectedly")
}

fn worker() -> io::Result<Worker> {
    let (jobs, inbox) = sync_channel::<Job>(2);
    let (outbox, results) = sync_channel(2);
    let thread = std::thread::Builder::new().name("gzip".into()).spawn(move || {
        let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default());
        while let Ok(mut job) = inbox.recv() {
            let packed = compress(&mut compressor, &mut job);
            if outbox.send(packed.map(|()| job)).is_err() {
                return;
            }
        }
    })?;
    Ok(Worker { jobs: Some(jobs), results, thread: Some(thread) })
}

/// One gzip member: libdeflate writes time 0 and operating system 255 ("unknown").
fn compress(compressor: &mut Compressor, job: &mut Job) -> io::Result<()> {
    let bound = compressor.gzip_compress_bound(job.block.len());
    if job.packed.len() < bound {
        job.packed.resize(bound, 0);
    }
    job.size = compressor.gzip_compress(&job.block, &mut job.packed).map_err(io::Error::other)?;
    Ok(())
}
