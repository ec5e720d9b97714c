//! Cache entries appear whole: made in a temporary directory beside their place, then renamed.
//! A lock tells a build that lives from one that was killed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Prefix of temporary directories and files.
const TEMPORARY: &str = ".new-";

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
    /// Makes a directory in `root`, which is made when it is not there.
    pub fn new(root: &Path) -> io::Result<Temporary> {
        fs::create_dir_all(root)?;
        loop {
            let path = root.join(unique());
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

/// A name that no other running build uses.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{TEMPORARY}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes what killed builds left in the image part of `cache` (entries in the making that
/// nobody holds). Gives the number of entries removed.
///
/// # Errors
/// When a directory cannot be listed.
pub fn sweep(cache: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for directory in ["layers", "blobs"] {
        let entries = match fs::read_dir(cache.join(directory)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(TEMPORARY.as_bytes()) && !is_held(&path) && fs::remove_dir_all(&path).is_ok() {
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn is_held(path: &Path) -> bool {
    match File::open(path.join(DATA)) {
        Ok(data) => matches!(data.try_lock(), Err(TryLockError::WouldBlock)),
        // Between the directory and its data file: only a build that is running now.
        Err(_) => {
            let modified = fs::metadata(path).and_then(|m| m.modified());
            modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() < 60))
        }
    }
}
