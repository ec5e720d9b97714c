//! The temporary directory of one trial: everything lies in it, and it goes when the trial ends.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use diag::{Diagnostic, codes};

/// A directory that only its owner enters, removed on drop.
pub struct WorkDir {
    path: PathBuf,
    id: String,
}

impl WorkDir {
    /// Makes one in the system's temporary directory.
    pub fn new() -> Result<WorkDir, Diagnostic> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let parent = std::env::temp_dir();
        loop {
            let id = format!("k8orc-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = parent.join(&id);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(WorkDir { path, id }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(disk(&path, &error)),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, unique on this machine: containers are named after it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes a directory below it.
    pub fn directory(&self, name: &str) -> Result<PathBuf, Diagnostic> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).map_err(|error| disk(&path, &error))?;
        Ok(path)
    }

    /// Writes a file below it.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Diagnostic> {
        let path = self.path.join(name);
        std::fs::write(&path, bytes).map_err(|error| disk(&path, &error))?;
        Ok(path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Root removes whatever mode a directory has; links are removed, not followed.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// E1102: something of the machine went wrong while a trial was prepared.
pub fn disk(path: &Path, error: &io::Error) -> Diagnostic {
    let path = diag::text::printable_bytes(path.as_os_str().as_encoded_bytes());
    Diagnostic::new(codes::E1102, format!("{path}: {error}"))
        .note("a test unpacks the image into the temporary directory (TMPDIR)")
}
