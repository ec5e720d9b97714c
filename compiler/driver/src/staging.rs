//! Output that appears whole or not at all.
//!
//! Everything is written into a directory beside `OUT/NAME` and exchanged with it in one step
//! (`renameat2(RENAME_EXCHANGE)`, with a fall-back for file systems without it). A build that fails or is
//! interrupted removes its directory; one that was killed leaves it to the next build, which knows by the
//! lock on it that nobody writes there any more.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use diag::text::printable;
use diag::{Diagnostic, codes};
use rustix::fs::{CWD, FlockOperation, RenameFlags};

use crate::cleanup::{self, Registered};

/// The file that says a directory is ours.
pub const SEAL: &str = "outputs.sha256";

/// A directory that is being written.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    dir: PathBuf,
    // Held until the end: tells other builds that somebody writes here. Dropped after the directory is gone.
    _lock: File,
    registered: Registered,
    // Last: only an empty directory can go.
    _made: Made,
}

/// Directories above the output that were made for it; those that are still empty go with the value, so that a
/// build that failed leaves nothing.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Made {
    fn above(out: &Path) -> io::Result<Self> {
        let missing = |dir: &&Path| !dir.as_os_str().is_empty() && fs::symlink_metadata(dir).is_err();
        let made = Made(out.ancestors().take_while(missing).map(Path::to_owned).collect());
        fs::create_dir_all(out)?;
        Ok(made)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for dir in &self.0 {
            if fs::remove_dir(dir).is_err() {
                return;
            }
        }
    }
}

impl Staging {
    /// Makes the directory beside `out/name`, after a look at what stands there.
    ///
    /// # Errors
    /// E1001 when `out/name` is not ours, E1002 when `out` cannot be written.
    pub fn open(out: &Path, name: &str) -> Result<Self, Diagnostic> {
        let target = out.join(name);
        refuse_foreign(&target)?;
        let made = Made::above(out).map_err(|error| unwritable(out, &error))?;
        remove_stale(out, name);
        for attempt in 0..100_u32 {
            let dir = out.join(format!(".{name}.k8orc-{}-{attempt}", std::process::id()));
            let registered = match cleanup::make(&dir, |dir| fs::create_dir(dir)) {
                Ok(((), registered)) => registered,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                // Another build that made the directory above failed just now, and took it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < 10 => {
                    fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
                    continue;
                }
                Err(error) => return Err(unwritable(out, &error)),
            };
            let lock = File::open(&dir).map_err(|error| unwritable(&dir, &error))?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
                .map_err(|error| unwritable(&dir, &error.into()))?;
            return Ok(Self { target, dir, _lock: lock, registered, _made: made });
        }
        Err(unwritable(out, &io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    /// Where to write.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes one file below the directory, making directories on the way. Modes do not depend on the umask.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), Diagnostic> {
        let path = self.dir.join(relative);
        let write = || -> io::Result<()> {
            // From the top, which is not made again: when it is gone, an interrupt took it.
            let mut at = self.dir.clone();
            for part in Path::new(relative).parent().unwrap_or(Path::new("")) {
                at.push(part);
                match fs::create_dir(&at) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
            File::create(&path)?.write_all(bytes)
        };
        write().map_err(|error| unwritable(&path, &error))
    }

    /// Exchanges it with what stood there before, which is removed.
    pub fn publish(self) -> Result<PathBuf, Diagnostic> {
        settle(&self.dir).map_err(|error| unwritable(&self.dir, &error))?;
        // Somebody may have put something there meanwhile.
        refuse_foreign(&self.target)?;
        let failed = |error: io::Error| unwritable(&self.target, &error);
        if fs::symlink_metadata(&self.target).is_err() {
            fs::rename(&self.dir, &self.target).map_err(failed)?;
            self.registered.forget();
            return Ok(self.target);
        }
        match rustix::fs::renameat_with(CWD, &self.dir, CWD, &self.target, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            // EINVAL, ENOSYS: the file system cannot exchange. EBUSY (a mount point) cannot be helped.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                two_renames(&self.dir, &self.target).map_err(failed)?
            }
            Err(error) => return Err(failed(error.into())),
        }
        // The old output now stands where we wrote; dropping `registered` removes it.
        Ok(self.target)
    }
}

fn two_renames(dir: &Path, target: &Path) -> io::Result<()> {
    let mut aside: OsString = dir.as_os_str().to_owned();
    aside.push(".old");
    let aside = PathBuf::from(aside);
    let registered = cleanup::register(&aside);
    fs::rename(target, &aside)?;
    if let Err(error) = fs::rename(dir, target) {
        // Put the previous output back; if even that fails, leave it where it is, whole.
        if fs::rename(&aside, target).is_err() {
            registered.forget();
        }
        return Err(error);
    }
    Ok(())
}

/// Writes a file beside its place and renames it.
///
/// # Errors
/// E1002, E1003.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    stream_atomically(path, |out| out.write_all(bytes).map_err(|error| unwritable(path, &error)))
}

/// The same for what is written piece by piece.
pub(crate) fn stream_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), Diagnostic>,
) -> Result<(), Diagnostic> {
    let failed = |error: io::Error| unwritable(path, &error);
    let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::IsADirectory.into()))?.to_string_lossy();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    remove_stale(parent, &name);
    let aside = parent.join(format!(".{name}.k8orc-{}", std::process::id()));
    let (file, registered) = cleanup::make(&aside, |aside| File::create(aside)).map_err(failed)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    let mut file = io::BufWriter::new(file);
    write(&mut file)?;
    // Renamed while it is locked: nobody takes it for stale in between.
    let _file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    fs::rename(&aside, path).map_err(failed)?;
    registered.forget();
    Ok(())
}

/// A directory is ours when it is empty or sealed by us; anything else is left alone.
fn refuse_foreign(target: &Path) -> Result<(), Diagnostic> {
    let shown = printable(&target.display().to_string());
    let metadata = match fs::symlink_metadata(target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwritable(target, &error)),
    };
    let foreign = |what: &str| {
        Diagnostic::new(codes::E1001, format!("{shown} is not an output of k8orc: {what}"))
            .note("it was left as it is")
            .help("name another directory with -o, or remove it yourself")
    };
    if !metadata.is_dir() {
        return Err(foreign("it is not a directory"));
    }
    let mut entries = fs::read_dir(target).map_err(|error| unwritable(target, &error))?;
    if entries.next().is_none() {
        return Ok(());
    }
    match fs::symlink_metadata(target.join(SEAL)) {
        Ok(seal) if seal.is_file() => Ok(()),
        _ => Err(foreign(&format!("it is not empty and holds no {SEAL}"))),
    }
}

/// Removes directories and files of builds that were killed: nobody holds their lock any more.
fn remove_stale(out: &Path, name: &str) {
    let prefix = format!(".{name}.k8orc-");
    let Ok(entries) = fs::read_dir(out) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = found.strip_prefix(&prefix) else { continue };
        // A build that was started this moment has not locked its own yet.
        let maker = rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<u32>().ok());
        if maker.is_none_or(|maker| maker != std::process::id() && Path::new(&format!("/proc/{maker}")).exists()) {
            continue;
        }
        let Ok(lock) = File::open(entry.path()) else { continue };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Best effort: what cannot be removed is tried again by the next build.
            cleanup::remove(&entry.path());
        }
    }
}

/// Same modes whatever the umask: 0755 and 0644.
fn settle(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else {
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o644))?;
            }
        }
    }
    Ok(())
}

/// The diagnostic for a place that cannot be written.
pub fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = printable(&path.display().to_string());
    if image::write::is_disk_full(error) {
        return image::write::disk_full(path);
    }
    Diagnostic::new(codes::E1002, format!("{shown} cannot be written: {error}"))
        .help("name a directory that you may write with -o")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let out = tempfile::tempdir().unwrap();
        let first = Staging::open(out.path(), "web").unwrap();
        first.write(SEAL, b"1").unwrap();
        let at = first.publish().unwrap();
        assert_eq!(fs::read(at.join(SEAL)).unwrap(), b"1");
        let failed = Staging::open(out.path(), "web").unwrap();
        failed.write(SEAL, b"2").unwrap();
        drop(failed);
        assert_eq!(fs::read(at.join(SEAL)).unwrap(), b"1");
        let second = Staging::open(out.path(), "web").unwrap();
        second.write(SEAL, b"3").unwrap();
        second.publish().unwrap();
        assert_eq!(fs::read(at.join(SEAL)).unwrap(), b"3");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_directory_made_for_a_build_that_fails_goes() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep/out");
        drop(Staging::open(&out, "web").unwrap());
        assert!(!dir.path().join("deep").exists());
        let built = Staging::open(&out, "web").unwrap();
        let beside = Staging::open(&out, "other").unwrap();
        built.publish().unwrap();
        drop(beside);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_ours_stays() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("web")).unwrap();
        Staging::open(out.path(), "web").unwrap();
        fs::write(out.path().join("web/thesis.txt"), "years").unwrap();
        assert_eq!(Staging::open(out.path(), "web").unwrap_err().code, codes::E1001);
        fs::write(out.path().join("file"), "x").unwrap();
        assert_eq!(Staging::open(out.path(), "file").unwrap_err().code, codes::E1001);
        assert_eq!(Staging::open(&out.path().join("file"), "web").unwrap_err().code, codes::E1002);
    }

    #[test]
    fn a_killed_build_is_cleaned_up_by_the_next() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir_all(out.path().join(".web.k8orc-99999999-0/image")).unwrap();
        let alive = Staging::open(out.path(), "web").unwrap();
        let beside = Staging::open(out.path(), "web").unwrap();
        assert!(alive.dir().exists() && beside.dir().exists());
        assert!(!out.path().join(".web.k8orc-99999999-0").exists());
    }

    #[test]
    fn a_file_is_whole_or_what_it_was() {
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("k8orc.lock");
        write_atomically(&path, b"one").unwrap();
        fs::write(out.path().join(".k8orc.lock.k8orc-99999999"), "of a killed build").unwrap();
        let failed = stream_atomically(&path, |file| {
            file.write_all(b"tw").unwrap();
            Err(Diagnostic::new(codes::E1002, "it ends here"))
        });
        assert_eq!(failed.unwrap_err().code, codes::E1002);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn two_renames_do_the_same() {
        let out = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "new"), ("b", "old")] {
            fs::create_dir(out.path().join(name)).unwrap();
            fs::write(out.path().join(name).join("f"), text).unwrap();
        }
        two_renames(&out.path().join("a"), &out.path().join("b")).unwrap();
        assert_eq!(fs::read_to_string(out.path().join("b/f")).unwrap(), "new");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
}
