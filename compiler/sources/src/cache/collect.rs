//! Keeping the cache bounded: least recently used goes first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diag::Diagnostic;
use rustix::fs::FlockOperation;

use super::Cache;

/// Entries and bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many entries.
    pub entries: u64,
    /// Bytes of their content.
    pub bytes: u64,
}

/// What the cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Manifests and configurations.
    pub blobs: Tally,
    /// Records of builds.
    pub builds: Tally,
    /// Debian packages.
    pub debs: Tally,
    /// Indexed layers.
    pub layers: Tally,
    /// Compressed result layers.
    pub outputs: Tally,
    /// Digests of local files.
    pub stamps: Tally,
}

impl CacheStats {
    /// All of it.
    pub fn total(&self) -> Tally {
        let all = [self.blobs, self.builds, self.debs, self.layers, self.outputs, self.stamps];
        all.iter().fold(Tally::default(), |sum, one| Tally {
            entries: sum.entries.saturating_add(one.entries),
            bytes: sum.bytes.saturating_add(one.bytes),
        })
    }
}

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcReport {
    /// Nothing was done, because a build uses the cache.
    pub busy: bool,
    /// Entries and bytes that went.
    pub removed: Tally,
    /// Entries and bytes that stay.
    pub left: Tally,
}

struct Entry {
    used: SystemTime,
    path: PathBuf,
    bytes: u64,
}

const KINDS: [&str; 6] = ["blobs/sha256", "builds", "debs", "layers", "outputs", "stamps"];

impl Cache {
    /// Counts what is there.
    ///
    /// # Errors
    /// E0420.
    pub fn stats(&self) -> Result<CacheStats, Diagnostic> {
        let tally = |kind: &str| -> Result<Tally, Diagnostic> {
            let entries = self.entries(kind)?;
            Ok(Tally { entries: entries.len() as u64, bytes: entries.iter().map(|e| e.bytes).sum() })
        };
        Ok(CacheStats {
            blobs: tally("blobs/sha256")?,
            builds: tally("builds")?,
            debs: tally("debs")?,
            layers: tally("layers")?,
            outputs: tally("outputs")?,
            stamps: tally("stamps")?,
        })
    }

    /// Removes entries, the longest unused first, until at most `max_bytes` are left, and all that interrupted
    /// builds left in `tmp/`. Does nothing while a build holds the cache ([`Cache::share`]); drop your own first.
    ///
    /// # Errors
    /// E0420.
    pub fn gc(&self, max_bytes: u64) -> Result<GcReport, Diagnostic> {
        let lock = self.lock_file()?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(GcReport { busy: true, ..GcReport::default() }),
            Err(e) => return Err(self.trouble("cannot be locked", &e.into())),
        }
        for leftover in self.entries("tmp")? {
            remove(&leftover.path).map_err(|e| self.trouble("cannot be collected", &e))?;
        }
        let mut all = Vec::new();
        for kind in KINDS {
            all.extend(self.entries(kind)?);
        }
        all.sort_by(|a, b| a.used.cmp(&b.used).then_with(|| a.path.cmp(&b.path)));
        let left = Tally { entries: all.len() as u64, bytes: all.iter().map(|e| e.bytes).sum() };
        let mut report = GcReport { left, ..GcReport::default() };
        for entry in all {
            if report.left.bytes <= max_bytes {
                break;
            }
            // Renamed first: a crash in between leaves no half entry under its name.
            let aside = self.temporary();
            let gone = fs::rename(&entry.path, &aside).and_then(|()| remove(&aside));
            gone.map_err(|e| self.trouble("cannot be collected", &e))?;
            report.removed.entries += 1;
            report.removed.bytes += entry.bytes;
            report.left.entries -= 1;
            report.left.bytes -= entry.bytes;
        }
        Ok(report)
    }

    fn entries(&self, kind: &str) -> Result<Vec<Entry>, Diagnostic> {
        let list = || -> io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for found in fs::read_dir(self.dir.join(kind))? {
                let path = found?.path();
                // Another process may have taken it away.
                let Ok(about) = fs::symlink_metadata(&path) else { continue };
                let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let bytes = if about.is_dir() { content(&path)? } else { about.len() };
                entries.push(Entry { used, path, bytes });
            }
            Ok(entries)
        };
        list().map_err(|e| self.trouble("cannot be read", &e))
    }
}

/// Bytes of all files below a directory; links are not followed.
fn content(top: &Path) -> io::Result<u64> {
    let mut bytes = 0u64;
    let mut open = vec![top.to_owned()];
    while let Some(dir) = open.pop() {
        let list = match fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            list => list?,
        };
        for found in list {
            let path = found?.path();
            let Ok(about) = fs::symlink_metadata(&path) else { continue };
            if about.is_dir() {
                open.push(path);
            } else {
                bytes = bytes.saturating_add(about.len());
            }
        }
    }
    Ok(bytes)
}

fn remove(path: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    if about.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::time::Duration;

    fn age(path: &Path, days: u64) {
        let then = SystemTime::now() - Duration::from_secs(days * 86_400);
        fs::File::open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_limit_holds() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        for (name, days) in [("a", 3), ("b", 2), ("c", 1)] {
            let layer = cache.layers().join(name);
            fs::create_dir(&layer).unwrap();
            fs::write(layer.join("data"), vec![0; 1000]).unwrap();
            age(&layer, days);
        }
        fs::write(dir.path().join("tmp/left"), b"x").unwrap();
        cache.touch(&cache.layers().join("a"));
        assert_eq!(cache.stats().unwrap().layers, Tally { entries: 3, bytes: 3000 });
        let report = cache.gc(1500).unwrap();
        assert_eq!(
            (report.busy, report.removed, report.left),
            (false, Tally { entries: 2, bytes: 2000 }, Tally { entries: 1, bytes: 1000 })
        );
        assert!(cache.layers().join("a").exists() && !cache.layers().join("b").exists());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_collected_under_a_build() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        cache.keep_document(b"{}").unwrap();
        let one = cache.share().unwrap();
        let two = cache.share().unwrap();
        assert!(cache.gc(0).unwrap().busy);
        drop(one);
        assert!(cache.gc(0).unwrap().busy);
        drop(two);
        let report = cache.gc(0).unwrap();
        assert_eq!((report.busy, report.removed.entries), (false, 1));
    }
}
