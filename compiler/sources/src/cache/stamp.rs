//! Digests of local files, remembered with the stat that they were taken under, so that an unchanged base is
//! not read again. A wrong stamp cannot change a result: what is used is then the cached layer of the diff-id
//! that the lock names.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use formats::oci::Digest;

use super::Cache;

/// A file changed this recently may change again within the same tick of its clock.
const SETTLED_SECONDS: i64 = 2;

impl Cache {
    /// The digest that `path` had when it last looked as `about` says.
    pub(crate) fn stamp(&self, path: &Path, about: &Metadata) -> Option<Digest> {
        let stamp = self.stamp_path(path);
        let mut text = String::new();
        File::open(&stamp).ok()?.take(1024).read_to_string(&mut text).ok()?;
        let digest = text.strip_prefix(&look(about))?.trim_end();
        let digest = Digest::parse(digest).ok()?;
        self.touch(&stamp);
        Some(digest)
    }

    /// Remembers it, unless the file was changed a moment ago.
    pub(crate) fn set_stamp(&self, path: &Path, about: &Metadata, digest: Digest) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.set_stamp_at(path, about, digest, i64::try_from(now).unwrap_or(i64::MAX));
    }

    fn set_stamp_at(&self, path: &Path, about: &Metadata, digest: Digest, now: i64) {
        if about.mtime().max(about.ctime()).saturating_add(SETTLED_SECONDS) > now {
            return;
        }
        // Without a stamp the file is read once more: no reason to fail.
        let _ = self.write(&self.stamp_path(path), format!("{}{digest}\n", look(about)).as_bytes());
    }

    fn stamp_path(&self, path: &Path) -> PathBuf {
        let name = Digest::of(path.as_os_str().as_encoded_bytes());
        self.dir.join("stamps").join(name.hex())
    }
}

fn look(about: &Metadata) -> String {
    let (m, c) = ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
    format!("{} {} {} {}.{} {}.{} ", about.dev(), about.ino(), about.size(), m.0, m.1, c.0, c.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_stamp_holds_only_while_the_file_looks_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("c")).unwrap();
        let path = dir.path().join("base.tar");
        std::fs::write(&path, b"one").unwrap();
        let fresh = path.metadata().unwrap();
        let digest = Digest::of(b"one");
        cache.set_stamp(&path, &fresh, digest);
        assert_eq!(cache.stamp(&path, &fresh), None, "a file just written is not settled");
        let later = fresh.ctime() + 10;
        cache.set_stamp_at(&path, &fresh, digest, later);
        assert_eq!(cache.stamp(&path, &fresh), Some(digest));
        std::fs::write(&path, b"two!").unwrap();
        assert_eq!(cache.stamp(&path, &path.metadata().unwrap()), None);
    }
}
