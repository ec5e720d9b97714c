//! `k8or migrate FROM TO`: puts the image's tree on a claim as a generation, a directory named for
//! the tree digest, and marks it only when it is whole (INTERFACE.md, "Generations").

use crate::copy;
use crate::failure::{Failure, status};
use crate::marker::{self, MARKER};
use crate::say;
use crate::sealed::{Generation, Sealed};
use crate::sha256::Digest;
use crate::sys::fs::{self, Fd, Kind};
use crate::sys::{Errno, Result as SysResult};
use crate::text::shown;
use crate::tree;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The lock that keeps two pods from filling one claim at the same time.
const LOCK: &[u8] = b".k8or-lock";
/// The marker before it is renamed.
const MARKER_DRAFT: &[u8] = b".k8or-generation.new";
/// How many complete generations stay on a claim.
const KEPT: usize = 2;

/// Fills the claim at `to` with the sealed generation of `from`, or finds it there.
pub fn migrate(sealed: &Sealed, from: &[u8], to: &[u8]) -> Result<u8, Failure> {
    let generation = sealed_generation(sealed, from)?;
    let name = directory_name(&generation.digest);
    let claim = fs::open_directory_path(to).map_err(|error| trouble(to, "cannot be opened", error))?;
    let _lock = take_lock(&claim, to)?;
    if is_complete(&claim, &name, &generation.digest) {
        // Its age decides which generation is collected next: it is in use again.
        if let Ok(dir) = fs::open_directory_at(&claim, name.as_bytes()) {
            let _ = fs::touch_at(&dir, MARKER.as_bytes());
        }
        say(&format!("{}/{name} is there and complete: nothing to copy", shown(to)));
    } else {
        fill(&claim, to, &name, generation)?;
    }
    collect(&claim, to, &name);
    Ok(0)
}

/// `k8or verify PATH`: recomputes the digest of the tree at `path` and holds it against the one
/// sealed for that mount, or else against the marker in it.
pub fn verify(sealed: &Sealed, path: &[u8]) -> Result<u8, Failure> {
    let root = fs::open_directory_path(path).map_err(|error| trouble(path, "cannot be opened", error))?;
    let known = sealed.generations.iter().find(|known| known.mount == trimmed(path));
    let marked = marker::read(&root).map_err(|error| trouble(path, "its marker cannot be read", error))?;
    let Some(wanted) = known.map(|known| known.digest).or(marked) else {
        return Err(Failure::new(
            status::USAGE,
            format!(
                "{}: neither sealed.conf nor a marker ({MARKER}) says which digest this tree should have",
                shown(path)
            ),
        ));
    };
    let found = tree::digest(root, path, true)?;
    if found.digest != wanted {
        return Err(differs(path, &wanted, &found));
    }
    say(&format!(
        "{}: is what it should be: {} entries, {} bytes, sha256:{}",
        shown(path),
        found.entries,
        found.bytes,
        wanted.hex()
    ));
    Ok(0)
}

/// The directory of a generation, as the manifests' subPath says it.
pub fn directory_name(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex())
}

fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    path.get(..end).unwrap_or(path)
}

fn sealed_generation<'a>(sealed: &'a Sealed, from: &[u8]) -> Result<&'a Generation, Failure> {
    sealed.generations.iter().find(|known| known.mount == trimmed(from)).ok_or_else(|| {
        let known = sealed.generations.iter().map(|known| shown(&known.mount)).collect::<Vec<_>>();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        Failure::new(
            status::USAGE,
            format!(
                "migrate: no generation is sealed for {} (sealed: {known})\n\
                 a volume whose mount says from-image=#true in the spec gets one",
                shown(from)
            ),
        )
    })
}

pub(crate) fn trouble(path: &[u8], what: &str, error: Errno) -> Failure {
    let help = match error {
        Errno::ENOSPC | Errno::EDQUOT => "\nthe claim is full (bytes or inodes): raise size= of the volume",
        Errno::EACCES | Errno::EPERM => {
            "\nthe pod's user must be able to write there: fsGroup in the pod's securityContext, or the owner of the directory"
        }
        Errno::EROFS => "\nthe init container must mount the claim writable",
        _ => "",
    };
    Failure::new(status::IO, format!("{}: {what}: {error}{help}", shown(path)))
}

fn differs(path: &[u8], wanted: &Digest, found: &tree::Summary) -> Failure {
    Failure::new(
        status::DIFFERS,
        format!(
            "{}: is not what the image was sealed with\n  sealed sha256:{}\n  found  sha256:{} ({} entries, {} bytes)",
            shown(path),
            wanted.hex(),
            found.digest.hex(),
            found.entries,
            found.bytes
        ),
    )
}

fn take_lock(claim: &Fd, to: &[u8]) -> Result<Fd, Failure> {
    let lock = fs::open_lock_at(claim, LOCK).map_err(|error| trouble(to, "cannot be written to", error))?;
    match fs::lock(&lock, false) {
        Ok(()) => return Ok(lock),
        Err(Errno::EAGAIN) => say("another migration holds the claim: waiting for it"),
        Err(error) => return Err(trouble(to, "cannot be locked", error)),
    }
    fs::lock(&lock, true).map_err(|error| trouble(to, "cannot be locked", error))?;
    Ok(lock)
}

fn is_complete(claim: &Fd, name: &str, digest: &Digest) -> bool {
    fs::open_directory_at(claim, name.as_bytes())
        .and_then(|dir| marker::read(&dir))
        .is_ok_and(|found| found == Some(*digest))
}

fn fill(claim: &Fd, to: &[u8], name: &str, generation: &Generation) -> Result<(), Failure> {
    let from = generation.mount.as_slice();
    let target = [to, name.as_bytes()].join(&b'/');
    copy::remove_tree(claim, name.as_bytes())
        .map_err(|error| trouble(&target, "an incomplete generation cannot be removed", error))?;
    let source = || fs::open_directory_path(from).map_err(|error| trouble(from, "cannot be opened", error));
    let need = copy::measure(source()?, from)?;
    check_space(claim, to, &need)?;
    say(&format!("copying {} to {}: {} entries, {} bytes", shown(from), shown(&target), need.inodes, need.bytes));
    fs::make_directory_at(claim, name.as_bytes()).map_err(|error| trouble(&target, "cannot be made", error))?;
    let open =
        || fs::open_directory_at(claim, name.as_bytes()).map_err(|error| trouble(&target, "cannot be opened", error));
    copy::copy(source()?, from, open()?, &target)?;
    // Errors of delayed writes come here (ENOSPC and EIO of network file systems, for instance).
    fs::sync_filesystem(claim).map_err(|error| trouble(&target, "cannot be stored", error))?;
    let found = tree::digest(open()?, &target, true)?;
    if found.digest != generation.digest {
        let mut failure = differs(&target, &generation.digest, &found);
        failure.message.push_str(&blame(source()?, generation));
        return Err(failure);
    }
    complete(claim, &open()?, &generation.digest)
        .map_err(|error| trouble(&target, "the completion marker cannot be stored", error))?;
    say(&format!("{} is complete: {} entries, {} bytes, verified", shown(&target), found.entries, found.bytes));
    Ok(())
}

/// Which side is wrong when the copy is not what was sealed.
fn blame(source: Fd, generation: &Generation) -> String {
    match tree::digest(source, &generation.mount, false) {
        Ok(own) if own.digest == generation.digest => {
            "\nthe image's own tree is right: the copy was damaged on the claim; nothing was marked complete".into()
        }
        _ => format!(
            "\nthe tree at {} in this container is itself not the sealed one: \
             something is mounted over it, or the image was changed after k8orc built it",
            shown(&generation.mount)
        ),
    }
}

/// Refuses early what cannot fit; a quota that statfs does not know shows later, as ENOSPC.
fn check_space(claim: &Fd, to: &[u8], need: &copy::Need) -> Result<(), Failure> {
    let Ok((bytes, inodes)) = fs::free_space(claim) else {
        return Ok(());
    };
    let short_of_inodes = inodes.is_some_and(|inodes| inodes < need.inodes);
    if bytes >= need.bytes && !short_of_inodes {
        return Ok(());
    }
    let inodes = inodes.map_or("any number of".into(), |inodes| format!("{inodes}"));
    Err(Failure::new(
        status::IO,
        format!(
            "{}: not enough space for one more generation: it needs {} bytes and {} inodes; free are {bytes} bytes and {inodes} inodes\n\
             raise size= of the volume (two generations stay on a claim)",
            shown(to),
            need.bytes,
            need.inodes
        ),
    ))
}

/// Everything else is stored by now: the marker gets its name at one stroke, as the last write.
fn complete(claim: &Fd, generation: &Fd, digest: &Digest) -> SysResult<()> {
    let _ = fs::remove_file_at(generation, MARKER_DRAFT);
    let draft = fs::create_at(generation, MARKER_DRAFT)?;
    fs::write_all(&draft, marker::content(digest).as_bytes())?;
    fs::set_mode(&draft, 0o444)?;
    fs::sync(&draft)?;
    let time = fs::stat(generation)?.mtime;
    fs::rename_at(generation, MARKER_DRAFT, MARKER.as_bytes())?;
    fs::set_mtime(generation, time)?;
    fs::sync(generation)?;
    fs::sync(claim)
}

/// Keeps the current generation and the one used most recently before it; removes older and
/// incomplete ones, and touches nothing whose name is not that of a generation.
fn collect(claim: &Fd, to: &[u8], current: &str) {
    let mut others = Vec::new();
    for name in fs::names(claim).unwrap_or_default() {
        let digest = name.strip_prefix(b"sha256-").and_then(Digest::from_hex);
        let Some(digest) = digest.filter(|_| name != current.as_bytes()) else {
            continue;
        };
        if !fs::stat_at(claim, &name).is_ok_and(|stat| stat.kind == Kind::Directory) {
            continue;
        }
        let used = fs::open_directory_at(claim, &name).ok().and_then(|dir| {
            let complete = marker::read(&dir).ok().flatten() == Some(digest);
            fs::stat_at(&dir, MARKER.as_bytes()).ok().filter(|_| complete).map(|stat| stat.mtime)
        });
        others.push((used, name));
    }
    others.sort_by(|left, right| right.cmp(left));
    for (position, (used, name)) in others.iter().enumerate() {
        if used.is_some() && position < KEPT - 1 {
            continue;
        }
        let place = shown(&[to, name].join(&b'/'));
        // Without its marker nothing starts on what is half removed.
        if let Ok(dir) = fs::open_directory_at(claim, name) {
            let _ = fs::set_mode(&dir, 0o700);
            let _ = fs::remove_file_at(&dir, MARKER.as_bytes());
        }
        match copy::remove_tree(claim, name) {
            Ok(()) => say(&format!("removed the older generation {place}")),
            Err(error) => say(&format!("the older generation {place} cannot be removed: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::test_directory::TestDirectory;

    struct Case {
        source: TestDirectory,
        claim: TestDirectory,
    }

    impl Case {
        fn new() -> Case {
            let source = TestDirectory::new("from");
            std::fs::create_dir(source.path().join("lib")).unwrap();
            Case { source, claim: TestDirectory::new("claim") }
        }

        /// Writes one version of the tree and gives the configuration that was sealed for it.
        fn version(&self, text: &str) -> Sealed {
            std::fs::write(self.source.path().join("lib/a"), text).unwrap();
            let digest = tree::digest(self.source.open(), b"", false).unwrap().digest;
            let mount = self.source.bytes();
            Sealed {
                uid: 0,
                gid: 0,
                filter: None,
                wait_on_violation: false,
                generations: alloc::vec![Generation { mount, digest }],
                program: Vec::new(),
            }
        }

        fn migrate(&self, sealed: &Sealed) -> Result<u8, Failure> {
            migrate(sealed, &self.source.bytes(), &self.claim.bytes())
        }

        fn directory(&self, sealed: &Sealed) -> std::path::PathBuf {
            self.claim.path().join(directory_name(&sealed.generations[0].digest))
        }
    }

    #[test]
    fn twice_is_once_and_an_incomplete_one_is_made_anew() {
        let case = Case::new();
        let sealed = case.version("one");
        let made = case.directory(&sealed);
        std::fs::create_dir_all(made.join("rubbish/below")).unwrap();
        assert_eq!(case.migrate(&sealed), Ok(0));
        assert!(!made.join("rubbish").exists());
        assert_eq!(std::fs::read(made.join("lib/a")).unwrap(), b"one");
        std::fs::write(made.join("witness"), "").unwrap();
        assert_eq!(case.migrate(&sealed), Ok(0));
        assert!(made.join("witness").exists(), "a complete generation is not copied again");
        assert_eq!(verify(&sealed, made.as_os_str().as_encoded_bytes()).unwrap_err().status, status::DIFFERS);
        std::fs::remove_file(made.join(MARKER)).unwrap();
        assert_eq!(case.migrate(&sealed), Ok(0));
        assert!(!made.join("witness").exists());
        assert_eq!(verify(&sealed, made.as_os_str().as_encoded_bytes()), Ok(0));
    }

    #[test]
    fn a_changed_source_is_refused_and_not_marked() {
        let case = Case::new();
        let sealed = case.version("sealed");
        case.version("tampered");
        let failure = case.migrate(&sealed).unwrap_err();
        assert_eq!(failure.status, status::DIFFERS);
        assert!(failure.message.contains("is itself not the sealed one"), "{}", failure.message);
        assert!(!case.directory(&sealed).join(MARKER).exists());
    }

    #[test]
    fn two_generations_stay_and_a_rollback_keeps_what_it_came_back_from() {
        let case = Case::new();
        let [first, second, third] = ["1", "2", "3"].map(|text| case.version(text));
        let go = |text: &str, sealed: &Sealed| {
            case.version(text);
            assert_eq!(case.migrate(sealed), Ok(0));
            // Times of one kernel tick would be equal.
            std::thread::sleep(std::time::Duration::from_millis(15));
        };
        std::fs::create_dir(case.claim.path().join("lost+found")).unwrap();
        go("1", &first);
        go("2", &second);
        go("1", &first);
        go("3", &third);
        let there = [&first, &second, &third].map(|sealed| case.directory(sealed).exists());
        assert_eq!(there, [true, false, true], "the first was in use when the third came");
        assert!(case.claim.path().join("lost+found").exists());
    }

    #[test]
    fn only_sealed_trees_are_migrated() {
        let case = Case::new();
        let sealed = case.version("x");
        let failure = migrate(&sealed, b"/other", &case.claim.bytes()).unwrap_err();
        assert_eq!(failure.status, status::USAGE);
        assert_eq!(trimmed(b"/usr//"), b"/usr");
        assert_eq!(trimmed(b"/"), b"/");
    }
}
