//! How a path looks: what tells a changed file from an unchanged one without reading it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::Stat;
use rustix::io::Errno;

/// A file that changed this short a time before a build may change again within the same tick of its clock.
const TICK: Duration = Duration::from_millis(100);
/// The same where the file system counts whole seconds only.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// Device, inode, mode, size, times of content and of inode; nothing where nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    Absent,
    Is { text: String, changed: SystemTime, coarse: bool },
}

impl Look {
    /// From what the system said about an open file.
    pub fn of(stat: &Stat) -> Look {
        // The types of the fields differ between machines.
        let seconds = u64::try_from(i128::from(stat.st_ctime)).unwrap_or(0);
        let nanos = u32::try_from(i128::from(stat.st_ctime_nsec)).unwrap_or(0);
        let text = format!(
            "{}:{}:{:o}:{}:{}.{}:{seconds}.{nanos}",
            stat.st_dev, stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec
        );
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(u64::from(nanos));
        Look::Is { text, changed, coarse: nanos == 0 }
    }

    /// Of a path; `follow`: of what a link in its last place leads to.
    pub fn at(path: &Path, follow: bool) -> Option<Look> {
        let found = if follow { rustix::fs::stat(path) } else { rustix::fs::lstat(path) };
        match found {
            Ok(stat) => Some(Look::of(&stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Some(Look::Absent),
            Err(_) => None,
        }
    }

    /// Whether a change after `began` would show: the file was last changed long enough before.
    pub fn settled(&self, began: SystemTime) -> bool {
        match self {
            Look::Absent => true,
            Look::Is { changed, coarse, .. } => *changed + if *coarse { COARSE_TICK } else { TICK } < began,
        }
    }

    /// For hashing.
    pub fn text(&self) -> &str {
        match self {
            Look::Absent => "absent",
            Look::Is { text, .. } => text,
        }
    }
}

/// Whether a link in the last place of a path was followed.
pub(crate) type Follow = bool;

/// Everything that was looked at, as it looked then; `None` where that could not be told.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<BTreeMap<(PathBuf, Follow), Option<Look>>>);

impl Seen {
    /// Keeps the look of a path; two that differ are none.
    pub fn note(&self, path: PathBuf, follow: Follow, look: Option<Look>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry((path, follow))
            .and_modify(|old| {
                if *old != look {
                    *old = None;
                }
            })
            .or_insert(look);
    }

    /// All of it, by path.
    pub fn all(&self) -> BTreeMap<(PathBuf, Follow), Option<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_change_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(Look::at(&path, true), Some(Look::Absent));
        std::fs::write(&path, "one").unwrap();
        let first = Look::at(&path, true).unwrap();
        assert!(!first.settled(SystemTime::now()) && first.settled(SystemTime::now() + 2 * COARSE_TICK));
        // As long and with the time of the first, but another file.
        std::fs::write(dir.path().join("g"), "two").unwrap();
        let time = path.metadata().unwrap().modified().unwrap();
        let other = std::fs::File::options().write(true).open(dir.path().join("g")).unwrap();
        other.set_modified(time).unwrap();
        std::fs::rename(dir.path().join("g"), &path).unwrap();
        assert_ne!(Look::at(&path, true).unwrap(), first);
        std::os::unix::fs::symlink("f", dir.path().join("l")).unwrap();
        assert_ne!(Look::at(&dir.path().join("l"), false), Look::at(&dir.path().join("l"), true));
    }

    #[test]
    fn two_looks_are_none() {
        let seen = Seen::default();
        seen.note("a".into(), true, Some(Look::Absent));
        seen.note("a".into(), true, Some(Look::Absent));
        assert_eq!(seen.all().into_values().next().unwrap(), Some(Look::Absent));
        seen.note("a".into(), true, Look::at(Path::new("/"), true));
        assert_eq!(seen.all().into_values().next().unwrap(), None);
    }
}
