//! A blob as a stream: continued where it was cut off, verified before its end is reported.

use std::io::{self, Read};
use std::sync::Arc;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::Digest;
use sha2::{Digest as _, Sha256};

use super::http::{Payload, unreachable};
use super::{Client, mismatch};

/// Interruptions of one blob that are put up with.
const MAX_FAULTS: u32 = 8;
/// Of them without a byte in between.
const MAX_FAULTS_AT_ONE_PLACE: u32 = 4;

/// A blob being read. The end of the stream comes only after size and digest were found right.
pub(crate) struct Blob {
    client: Arc<Client>,
    digest: Digest,
    size: u64,
    offset: u64,
    hash: Sha256,
    body: Option<Box<dyn Read + Send>>,
    faults: u32,
    faults_here: u32,
    verified: bool,
}

impl Blob {
    /// Connects, so that a blob that is not there is found out now.
    ///
    /// # Errors
    /// As the client's.
    pub fn open(client: Arc<Client>, digest: Digest, size: u64) -> Result<Blob, Diagnostic> {
        let mut blob = Blob {
            client,
            digest,
            size,
            offset: 0,
            hash: Sha256::new(),
            body: None,
            faults: 0,
            faults_here: 0,
            verified: false,
        };
        blob.connect()?;
        Ok(blob)
    }

    /// Asks for the rest. A server that knows no ranges sends everything; what is known is then passed over.
    fn connect(&mut self) -> Result<(), Diagnostic> {
        let path = format!("blobs/{}", self.digest);
        let mut headers = Vec::new();
        if self.offset > 0 {
            headers.push(("Range", format!("bytes={}-", self.offset)));
        }
        let answer = self.client.call("GET", &path, &headers, &Payload::None)?;
        let answer = self.client.expect(answer, &[200, 206], &path)?;
        let start = if answer.status == 206 { range_start(answer.header("content-range")) } else { Some(0) };
        let Some(start) = start.filter(|start| *start <= self.offset) else {
            return Err(self.broken("the registry sent another range than was asked for"));
        };
        let length = answer.header("content-length").and_then(|n| n.parse::<u64>().ok());
        if let Some(length) = length
            && start.saturating_add(length) != self.size
        {
            return Err(self.wrong_size(start.saturating_add(length)));
        }
        let mut body = answer.reader();
        let skip = self.offset - start;
        // A fault here shows at the next read.
        let _ = io::copy(&mut Read::by_ref(&mut body).take(skip), &mut io::sink());
        self.body = Some(body);
        Ok(())
    }

    /// Reads some bytes; 0 at the verified end.
    ///
    /// # Errors
    /// E0403 when it breaks off too often, E0408 when size or digest are not what was asked for.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Diagnostic> {
        if self.verified || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(body) = self.body.as_mut() else {
                self.connect()?;
                continue;
            };
            if self.offset == self.size {
                let mut extra = [0];
                if matches!(body.read(&mut extra), Ok(n) if n > 0) {
                    return Err(self.wrong_size(self.size.saturating_add(1)));
                }
                let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
                if found != self.digest {
                    let what = format!("a layer of {}", self.client.reference.name());
                    return Err(mismatch(&what, self.digest, found));
                }
                self.verified = true;
                self.body = None;
                return Ok(0);
            }
            let left = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX).min(buffer.len());
            let why = match body.read(buffer.get_mut(..left).unwrap_or_default()) {
                Ok(0) => "the connection was closed".to_owned(),
                Ok(n) => {
                    self.hash.update(buffer.get(..n).unwrap_or_default());
                    self.offset += n as u64;
                    self.faults_here = 0;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => printable(&e.to_string()),
            };
            self.body = None;
            self.faults += 1;
            self.faults_here += 1;
            if self.faults >= MAX_FAULTS || self.faults_here >= MAX_FAULTS_AT_ONE_PLACE {
                return Err(self.broken(&why));
            }
            std::thread::sleep(self.client.http.pause(self.faults_here));
        }
    }

    fn broken(&self, why: &str) -> Diagnostic {
        unreachable(&self.client.reference.registry(), why)
            .note(format!("after {} of {} bytes of {}", self.offset, self.size, self.digest))
    }

    fn wrong_size(&self, found: u64) -> Diagnostic {
        let name = self.client.reference.name();
        Diagnostic::new(codes::E0408, format!("a layer of {name} has another size than its manifest says"))
            .note(format!("{} is {} bytes in the manifest", self.digest, self.size))
            .note(format!("the registry sends {found} or more"))
    }
}

/// The first number of `bytes 5-9/10`.
fn range_start(value: Option<&str>) -> Option<u64> {
    value?.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
