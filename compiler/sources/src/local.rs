//! The user's files: beneath the root that the spec gives them, no device, nothing of /proc.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use diag::{Diagnostic, codes, text::printable};
use plan::SourcePath;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// `PROC_SUPER_MAGIC` of statfs(2): files of /proc are no data.
const PROC_MAGIC: i128 = 0x9fa0;

/// What a path must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    File,
    Directory,
}

/// A user's path as they may see it.
pub(crate) fn shown(source: &SourcePath) -> String {
    printable(&source.path.display().to_string())
}

/// Opens `below` beneath the source's path; links are followed as long as they stay beneath its root.
///
/// # Errors
/// E0412 with what is wrong; E0416 when the system refuses to read.
pub(crate) fn open(source: &SourcePath, below: &Path, want: Want) -> Result<File, Diagnostic> {
    let path = joined(source, below);
    let name = printable(&path.display().to_string());
    open_beneath(&source.root, &path, want).map_err(|e| refusal(&name, want, e))
}

/// Reads at most `limit` bytes of a file below a source's path.
///
/// # Errors
/// As [`open`]; E0411 when it is longer.
pub(crate) fn read(source: &SourcePath, below: &Path, limit: u64) -> Result<Vec<u8>, Diagnostic> {
    let file = open(source, below, Want::File)?;
    let name = printable(&joined(source, below).display().to_string());
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&name, &e))?;
    if bytes.len() as u64 > limit {
        return Err(Diagnostic::new(codes::E0411, format!("{name} is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A path below the root; joining with nothing would demand a directory by a slash at the end.
fn joined(source: &SourcePath, below: &Path) -> PathBuf {
    let path = if below.as_os_str().is_empty() { source.path.clone() } else { source.path.join(below) };
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

/// E0416: the system refuses.
pub(crate) fn unreadable(name: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::new(codes::E0416, format!("{name} cannot be read: {}", printable(&error.to_string())))
}

enum Refusal {
    System(io::Error),
    Outside,
    Kind,
}

fn open_beneath(root: &Path, path: &Path, want: Want) -> Result<File, Refusal> {
    let system = |e: Errno| match e {
        Errno::XDEV | Errno::LOOP => Refusal::Outside,
        e => Refusal::System(e.into()),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(root, flags, Mode::empty()).map_err(system)?;
    // Looked at before it is opened: opening a device can do something.
    let seen = beneath(&dir, root, path, OFlags::PATH | OFlags::CLOEXEC)?;
    check(&seen, want)?;
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if want == Want::Directory {
        flags |= OFlags::DIRECTORY;
    }
    let opened = beneath(&dir, root, path, flags)?;
    check(&opened, want)?;
    Ok(File::from(opened))
}

fn beneath(dir: &OwnedFd, root: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
        Ok(fd) => Ok(fd),
        // Kernels before 5.6, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => resolved(root, path, flags),
        Err(Errno::XDEV | Errno::LOOP) => Err(Refusal::Outside),
        Err(e) => Err(Refusal::System(e.into())),
    }
}

/// The same by resolving first; a link exchanged in between is refused by `NOFOLLOW` for the last component.
fn resolved(root: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd, Refusal> {
    let root = root.canonicalize().map_err(Refusal::System)?;
    let whole = root.join(path).canonicalize().map_err(Refusal::System)?;
    if !whole.starts_with(&root) {
        return Err(Refusal::Outside);
    }
    rustix::fs::open(&whole, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|e| Refusal::System(e.into()))
}

fn check(fd: &OwnedFd, want: Want) -> Result<(), Refusal> {
    let about = rustix::fs::fstat(fd).map_err(|e| Refusal::System(e.into()))?;
    let kind = FileType::from_raw_mode(about.st_mode);
    let right = match want {
        Want::File => kind == FileType::RegularFile,
        Want::Directory => kind == FileType::Directory,
    };
    if !right {
        return Err(Refusal::Kind);
    }
    match rustix::fs::fstatfs(fd) {
        Ok(system) if i128::from(system.f_type) == PROC_MAGIC => Err(Refusal::Outside),
        _ => Ok(()),
    }
}

fn refusal(name: &str, want: Want, refusal: Refusal) -> Diagnostic {
    let is = if want == Want::File { "a file" } else { "a directory" };
    match refusal {
        Refusal::Kind => Diagnostic::new(codes::E0412, format!("{name} is not {is}")),
        Refusal::Outside => {
            Diagnostic::new(codes::E0412, format!("{name} leads out of the directory of the spec that names it"))
                .note("`..`, links that lead out, and /proc are refused, so that a spec reads only what lies beside it")
                .help("copy or bind-mount it there")
        }
        Refusal::System(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Diagnostic::new(codes::E0412, format!("{name} is not there"))
                .help("paths are relative to the directory of the spec or module that names them")
        }
        Refusal::System(e) => unreadable(name, &e),
    }
}
