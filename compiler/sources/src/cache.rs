//! The content-addressed cache: `$K8ORC_CACHE`, `$XDG_CACHE_HOME/k8orc` or `~/.cache/k8orc`.
//!
//! ```text
//! blobs/sha256/HEX     manifests, configurations and package lists, by their digest; written here
//! debs/HEX             Debian packages, by their digest; HEX.part is one that is being fetched
//! layers/DIFF-ID/      decompressed, indexed layers; written by crate image
//! outputs/RECIPE/      compressed result layers; written by crate image
//! builds/HEX           what a build read and wrote, and how it looked; written by the driver
//! stamps/HEX           digests of local files with the stat that they were taken under
//! tmp/                 what is not whole yet; renamed into place when it is
//! lock                 flock: shared while building, exclusive while collecting
//! ```
//!
//! Nothing in it is trusted: blobs are hashed when they are read. The time of last use of an entry is its
//! mtime, set by [`Cache::touch`].

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::{Digest, MAX_DOCUMENT};
use rustix::fs::FlockOperation;

use crate::settings::Settings;

mod collect;
mod stamp;

pub use collect::{CacheStats, GcReport, Tally};

/// What the cache may hold after a build unless the user says otherwise: 10 GiB.
pub const DEFAULT_LIMIT: u64 = 10 << 30;

/// Longest record of a build that is read, in bytes: paths of some hundred thousand files.
const MAX_RECORD: u64 = 64 << 20;

const FOLDERS: [&str; 7] = ["blobs/sha256", "builds", "debs", "layers", "outputs", "stamps", "tmp"];

/// The cache of one user; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// A build's hold on the cache: while one exists nothing is collected.
#[derive(Debug)]
pub struct CacheUse {
    _lock: File,
}

impl Cache {
    /// The place that the environment says.
    ///
    /// # Errors
    /// E0420 when neither `K8ORC_CACHE` nor `XDG_CACHE_HOME` nor `HOME` is set to an absolute path.
    pub fn locate(settings: &Settings) -> Result<PathBuf, Diagnostic> {
        let said = settings.env("K8ORC_CACHE").map(PathBuf::from);
        // The base directory specification: a relative path counts as not set.
        let xdg = settings.env("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        let home = settings.env("HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        said.or_else(|| xdg.map(|dir| dir.join("k8orc")))
            .or_else(|| home.map(|dir| dir.join(".cache/k8orc")))
            .ok_or_else(|| {
                Diagnostic::new(codes::E0420, "there is no place for the cache: HOME is not set")
                    .help("set K8ORC_CACHE to a directory")
            })
    }

    /// The cache in `dir`, which is made where it is not there.
    ///
    /// # Errors
    /// E0420 when that fails.
    pub fn at(dir: impl Into<PathBuf>) -> Result<Cache, Diagnostic> {
        let cache = Cache { dir: dir.into() };
        for folder in FOLDERS {
            let path = cache.dir.join(folder);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|e| cache.trouble("cannot be made", &e))?;
        }
        Ok(cache)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where crate image keeps indexed layers.
    pub fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    /// Where crate image keeps compressed result layers.
    pub fn outputs(&self) -> PathBuf {
        self.dir.join("outputs")
    }

    /// Holds the cache for a build; waits while a collection runs.
    ///
    /// # Errors
    /// E0420.
    pub fn share(&self) -> Result<CacheUse, Diagnostic> {
        let lock = self.lock_file()?;
        rustix::fs::flock(&lock, FlockOperation::LockShared)
            .map_err(|e| self.trouble("cannot be locked", &e.into()))?;
        Ok(CacheUse { _lock: lock })
    }

    fn lock_file(&self) -> Result<File, Diagnostic> {
        let path = self.dir.join("lock");
        let opened = File::options().create(true).truncate(false).write(true).open(path);
        opened.map_err(|e| self.trouble("cannot be locked", &e))
    }

    /// A document, when it is there and its bytes are those of its digest; others are thrown away.
    pub fn document(&self, digest: Digest) -> Option<Vec<u8>> {
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        File::open(&path).ok()?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).ok()?;
        if Digest::of(&bytes) != digest {
            let _ = fs::remove_file(&path);
            return None;
        }
        self.touch(&path);
        Some(bytes)
    }

    /// A blob of any size, not verified yet.
    pub(crate) fn blob(&self, digest: Digest) -> Option<File> {
        let path = self.blob_path(digest);
        let file = File::open(&path).ok()?;
        self.touch(&path);
        Some(file)
    }

    /// Keeps a document under its digest.
    ///
    /// # Errors
    /// E0420.
    pub fn keep_document(&self, bytes: &[u8]) -> Result<Digest, Diagnostic> {
        let digest = Digest::of(bytes);
        self.write(&self.blob_path(digest), bytes)?;
        Ok(digest)
    }

    /// The record of a build, when it is there and whole. `name` is a file name.
    pub fn build_record(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.dir.join("builds").join(name);
        let mut bytes = Vec::new();
        File::open(&path).ok()?.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
        let (sum, record) = bytes.split_at_checked(64)?;
        if sum != Digest::of(record).hex().as_bytes() {
            return None;
        }
        self.touch(&path);
        Some(record.to_vec())
    }

    /// Keeps the record of a build in place of the one before.
    ///
    /// # Errors
    /// E0420.
    pub fn keep_build_record(&self, name: &str, record: &[u8]) -> Result<(), Diagnostic> {
        let bytes = [Digest::of(record).hex().as_bytes(), record].concat();
        self.write(&self.dir.join("builds").join(name), &bytes)
    }

    /// Puts whole bytes at `path` within the cache: written aside, then renamed.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
        let temporary = self.temporary();
        let mut options = File::options();
        let written = options.create_new(true).write(true).open(&temporary).and_then(|mut file| file.write_all(bytes));
        let renamed = written.and_then(|()| fs::rename(&temporary, path));
        renamed.map_err(|e| {
            let _ = fs::remove_file(&temporary);
            self.trouble("cannot be written to", &e)
        })
    }

    /// A path in `tmp/` that nobody else uses; rename what was made there into its place.
    pub fn temporary(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        self.dir.join("tmp").join(format!("{}-{count}-{now}", std::process::id()))
    }

    /// Marks an entry (a file or directory of the cache) as used now, so that it is collected last.
    pub fn touch(&self, path: &Path) {
        // Only the order of collection hangs on it: a cache that cannot be written still serves.
        let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    }

    pub(crate) fn blob_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Where a Debian package of this digest is, or would be.
    pub(crate) fn deb_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("debs").join(digest.hex())
    }

    /// E0420 with what could not be done.
    pub(crate) fn trouble(&self, what: &str, error: &io::Error) -> Diagnostic {
        let shown = printable(&self.dir.display().to_string());
        Diagnostic::new(codes::E0420, format!("the cache in {shown} {what}: {error}"))
            .help("make room or set K8ORC_CACHE to a directory that can be written to")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::settings::NetPolicy;
    use std::collections::BTreeMap;

    #[test]
    fn the_place_follows_the_environment() {
        let at = |pairs: &[(&str, &str)]| {
            let env: BTreeMap<_, _> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Cache::locate(&Settings::new(env, NetPolicy::default())).map(|p| p.display().to_string())
        };
        assert_eq!(at(&[("K8ORC_CACHE", "/c"), ("HOME", "/h")]).unwrap(), "/c");
        assert_eq!(at(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).unwrap(), "/x/k8orc");
        assert_eq!(at(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]).unwrap(), "/h/.cache/k8orc");
        assert_eq!(at(&[]).unwrap_err().code, codes::E0420);
    }

    #[test]
    fn a_poisoned_document_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("c")).unwrap();
        let digest = cache.keep_document(b"{}").unwrap();
        assert_eq!(cache.document(digest).unwrap(), b"{}");
        fs::write(cache.blob_path(digest), b"[]").unwrap();
        assert_eq!(cache.document(digest), None);
        assert!(!cache.blob_path(digest).exists());
        assert_eq!(fs::read_dir(cache.dir().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_the_way_is_a_diagnostic() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("c"), b"").unwrap();
        assert_eq!(Cache::at(dir.path().join("c")).unwrap_err().code, codes::E0420);
    }
}
