//! Opening a package: its bytes are hashed as they pass, and compared when all have passed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use diag::codes;
use formats::deb::{self, Control, Data, DebError};
use formats::oci::Digest;
use sha2::{Digest as _, Sha256};

use super::DebInput;
use super::failure::Failure;

/// The hash of what was read so far, and the rest of the file.
pub(super) struct Hashed {
    sha: Arc<Mutex<Sha256>>,
    file: File,
}

/// Control files, data archive, and the hash to be finished when the data archive was read to its end.
pub(super) fn open(deb: &DebInput) -> Result<(Control, Data, Hashed), Failure> {
    let file = File::open(&deb.path).map_err(|e| unreadable(&e.into()))?;
    let rest = file.try_clone().map_err(|e| unreadable(&e.into()))?;
    let sha = Arc::new(Mutex::new(Sha256::new()));
    let source = BufReader::with_capacity(256 << 10, Hashing { source: file, sha: Arc::clone(&sha) });
    match deb::open(source) {
        Ok((control, data)) => Ok((control, data, Hashed { sha, file: rest })),
        Err(e) => {
            // Bytes that are not those of the hash explain the error better than the error itself.
            whole(deb)?;
            Err(unreadable(&e))
        }
    }
}

/// Compares the hash of the whole file.
pub(super) fn whole(deb: &DebInput) -> Result<(), Failure> {
    let file = File::open(&deb.path).map_err(|e| unreadable(&e.into()))?;
    Hashed { sha: Arc::default(), file }.finish(deb)
}

impl Hashed {
    /// The size of the file.
    pub fn stored(&self) -> u64 {
        self.file.metadata().map_or(0, |m| m.len())
    }

    /// Reads what is left of the file and compares.
    pub fn finish(self, deb: &DebInput) -> Result<(), Failure> {
        // The clone shares the place in the file with the reader that is gone.
        let mut rest = Hashing { source: self.file, sha: Arc::clone(&self.sha) };
        io::copy(&mut rest, &mut io::sink()).map_err(|e| unreadable(&e.into()))?;
        let sha = self.sha.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found: [u8; 32] = sha.finalize().into();
        if found == deb.sha256 {
            return Ok(());
        }
        let what = "the package is not the one that the lock names";
        Err(Failure::new(codes::E0562, what, "fetch it again; if that does not help, somebody changed it")
            .note(format!("expected {}, found {}", Digest::from_bytes(deb.sha256), Digest::from_bytes(found))))
    }
}

fn unreadable(e: &DebError) -> Failure {
    Failure::new(codes::E0561, format!("the package cannot be read: {e}"), "fetch it again")
}

/// A stream that is hashed as it passes.
struct Hashing<R> {
    source: R,
    sha: Arc<Mutex<Sha256>>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.sha.lock().unwrap_or_else(PoisonError::into_inner).update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}
