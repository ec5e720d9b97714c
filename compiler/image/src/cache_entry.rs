//! Cache entries appear whole: made in `tmp/`, then renamed into place. A lock tells a build
//! that lives from one that was killed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Where entries are made, below the cache directory.
const TMP: &str = "tmp";

/// Prefix of the names in it that are ours; other crates make entries there too.
const PREFIX: &str = "image-";

/// The file of an entry that holds its bytes, locked while the entry is made.
pub(crate) const DATA: &str = "data";

/// A directory in the making, removed unless it was published.
pub(crate) struct Temporary {
    /// The directory.
    pub path: PathBuf,
    /// Its data file, open for writing.
    pub data: File,
}

impl Temporary {
    /// Makes a directory in the `tmp` of a cache.
    pub fn new(cache: &Path) -> io::Result<Temporary> {
        fs::create_dir_all(cache.join(TMP))?;
        loop {
            let path = unique(cache);
            match fs::create_dir(&path) {
                Ok(()) => {}
                // Left behind by a killed build of the same number.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            }
            let data = File::create_new(path.join(DATA))?;
            data.lock()?;
            return Ok(Temporary { path, data });
        }
    }

    /// Puts the finished entry in its place. When another build was faster, the two are
    /// equal, and when the old one was damaged, ours is better: exchanging them is right in
    /// both cases.
    pub fn publish(&self, target: &Path) -> io::Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::rename(&self.path, target) {
            Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                renameat_with(CWD, &self.path, CWD, target, RenameFlags::EXCHANGE)?;
                fs::remove_dir_all(&self.path)
            }
            other => other,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After `publish` the name is gone.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Writes a small file whole.
pub(crate) fn write_whole(cache: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = unique(cache);
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, target)
}

/// Marks an entry as used now: `cache gc` removes what was used longest ago. A cache on a
/// read-only disk stays as it is.
pub(crate) fn touch(entry: &Path) {
    let _ = File::open(entry).and_then(|entry| entry.set_modified(SystemTime::now()));
}

/// A name that no other running build uses.
fn unique(cache: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    cache.join(TMP).join(format!("{PREFIX}{process}-{number}"))
}

/// Removes what killed builds left in `cache`: entries of this crate in the making that
/// nobody holds. Gives their number.
///
/// # Errors
/// When the directory cannot be listed.
pub fn sweep(cache: &Path) -> io::Result<usize> {
    let mut removed = 0;
    let entries = match fs::read_dir(cache.join(TMP)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if !name.starts_with(PREFIX.as_bytes()) || is_held(&path) {
            continue;
        }
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed += usize::from(gone.is_ok());
    }
    Ok(removed)
}

fn is_held(path: &Path) -> bool {
    match File::open(path.join(DATA)) {
        Ok(data) => matches!(data.try_lock(), Err(TryLockError::WouldBlock)),
        // A small file, or between the directory and its data file: only a build that is
        // running now.
        Err(_) => {
            let modified = fs::metadata(path).and_then(|m| m.modified());
            modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 60))
        }
    }
}
