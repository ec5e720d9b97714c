//! Layers as streams: opened late, verified at their end, with the whole diagnostic of what went wrong.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use diag::{Diagnostic, codes, text::printable};
use formats::oci::Digest;
use sha2::{Digest as _, Sha256};

use crate::registry::{Blob, lock};

/// The diagnostic behind the `io::Error` of a layer's stream, when there was one.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<Option<Diagnostic>>>);

impl Failure {
    /// Takes it out: whoever gets an error from a reader of layers looks here first.
    pub fn take(&self) -> Option<Diagnostic> {
        lock(&self.0).take()
    }

    /// Keeps the first one, for whoever wraps a layer's `open` into an `io::Result`.
    pub fn keep(&self, diagnostic: Diagnostic) {
        self.set(diagnostic);
    }

    /// Keeps the first one; its words as an error of a stream.
    pub(crate) fn set(&self, diagnostic: Diagnostic) -> io::Error {
        let error = io::Error::other(diagnostic.message.clone());
        lock(&self.0).get_or_insert(diagnostic);
        error
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failure")
    }
}

type Opener = dyn Fn() -> Result<Box<dyn Read + Send>, Diagnostic> + Send + Sync;

/// A layer of a base, not fetched yet.
#[derive(Clone)]
pub struct LayerSource {
    /// Of the bytes as they are stored; `None` where nothing names it (`docker-archive:`, `dir:`).
    pub digest: Option<Digest>,
    /// Of the archive decompressed; a layer that is cached under it need not be opened.
    pub diff_id: Option<Digest>,
    /// As the manifest says; of archives and directories the OCI type of their compression.
    pub media_type: String,
    /// Bytes as they are stored.
    pub size: u64,
    opener: Arc<Opener>,
}

impl LayerSource {
    pub(crate) fn new(
        digest: Option<Digest>,
        diff_id: Option<Digest>,
        media_type: &str,
        size: u64,
        opener: impl Fn() -> Result<Box<dyn Read + Send>, Diagnostic> + Send + Sync + 'static,
    ) -> LayerSource {
        LayerSource { digest, diff_id, media_type: media_type.to_owned(), size, opener: Arc::new(opener) }
    }

    /// The stored bytes, from the first. Size and digest (where it is known) are verified before the end is
    /// reported: read to the end, or what was read counts for nothing. An error of the stream has its diagnostic
    /// in [`crate::OpenedBase::failure`].
    ///
    /// # Errors
    /// E0402 offline; what the registry or the file system says.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, Diagnostic> {
        (self.opener)()
    }
}

impl fmt::Debug for LayerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerSource")
            .field("digest", &self.digest)
            .field("diff_id", &self.diff_id)
            .field("media_type", &self.media_type)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A blob of a registry as a `Read`.
pub(crate) struct BlobReader {
    pub blob: Blob,
    pub failure: Failure,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.blob.next(buffer).map_err(|d| self.failure.set(d))
    }
}

/// Local bytes with what they must be.
pub(crate) struct Verified<R> {
    source: R,
    name: String,
    size: Option<u64>,
    digest: Digest,
    hash: Sha256,
    seen: u64,
    ended: bool,
    failure: Failure,
}

impl<R: Read> Verified<R> {
    /// Gives `source` on and fails at its end, or past `size`, when it is not what `digest` names.
    pub fn new(source: R, name: &str, size: Option<u64>, digest: Digest, failure: &Failure) -> Verified<R> {
        let failure = failure.clone();
        Verified { source, name: name.to_owned(), size, digest, hash: Sha256::new(), seen: 0, ended: false, failure }
    }

    fn wrong(&self, found: &str) -> io::Error {
        let name = printable(&self.name);
        self.failure.set(
            Diagnostic::new(codes::E0409, format!("{name} changed while it was read, or is not what it claims to be"))
                .note(format!("expected: {}", self.digest))
                .note(format!("found:    {found}"))
                .help("run the build again when nothing writes to it"),
        )
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let n = match self.source.read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                let what = format!("{} cannot be read: {}", printable(&self.name), printable(&e.to_string()));
                return Err(self.failure.set(Diagnostic::new(codes::E0416, what)));
            }
        };
        self.hash.update(buffer.get(..n).unwrap_or_default());
        self.seen = self.seen.saturating_add(n as u64);
        if self.size.is_some_and(|size| self.seen > size || (n == 0 && self.seen < size)) {
            return Err(self.wrong(&format!("another size ({} bytes so far)", self.seen)));
        }
        if n == 0 {
            let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
            if found != self.digest {
                return Err(self.wrong(&found.to_string()));
            }
            self.ended = true;
        }
        Ok(n)
    }
}

/// What a small file may expand to.
const MAX_EXPANDED: u64 = 1 << 30;
/// Above that: bytes out for each byte in. Real archives stay below 100, bombs reach 1,032 with deflate.
const MAX_RATIO: u64 = 250;

/// A decompressed stream that ends in an error instead of filling the disk or the day.
pub(crate) struct Bounded<R> {
    source: R,
    left: u64,
}

impl<R: Read> Bounded<R> {
    /// Of a file of `stored` bytes.
    pub fn new(source: R, stored: u64) -> Bounded<R> {
        Bounded { source, left: MAX_EXPANDED.max(stored.saturating_mul(MAX_RATIO)) }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            io::Error::other(format!("it expands to more than 1 GiB and more than {MAX_RATIO} times its size"))
        })?;
        Ok(n)
    }
}

/// Counts and hashes what goes through.
pub(crate) struct Hashing<R> {
    source: R,
    hash: Sha256,
    size: u64,
}

impl<R: Read> Hashing<R> {
    pub fn new(source: R) -> Hashing<R> {
        Hashing { source, hash: Sha256::new(), size: 0 }
    }

    /// Reads to the end; digest and size of all of it.
    pub fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((Digest::from_bytes(self.hash.finalize().into()), self.size))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.hash.update(buffer.get(..n).unwrap_or_default());
        self.size = self.size.saturating_add(n as u64);
        Ok(n)
    }
}
