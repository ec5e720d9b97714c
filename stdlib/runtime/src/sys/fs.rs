//! Files and directories. Every call takes a directory and a name below it (`*at`), so that a
//! walk never follows a link that somebody puts in its way.

use super::arch::{O_DIRECTORY, O_NOFOLLOW, number, syscall};
use super::{Errno, Result, check, terminated};
use alloc::vec;
use alloc::vec::Vec;

const AT_FDCWD: i32 = -100;
const AT_SYMLINK_NOFOLLOW: usize = 0x100;
const AT_REMOVEDIR: usize = 0x200;
const AT_EMPTY_PATH: usize = 0x1000;
const O_WRONLY: usize = 1;
const O_CREAT: usize = 0o100;
const O_EXCL: usize = 0o200;
const O_NONBLOCK: usize = 0o4000;
const O_CLOEXEC: usize = 0o2000000;
/// Longest link target and longest extended attribute that the kernel hands out, in bytes.
const LINK_MAX: usize = 4096;
const XATTR_MAX: usize = 65536;

/// An open file descriptor; closed when dropped.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// The working directory, for paths of the command line.
    pub const CWD: Fd = Fd(AT_FDCWD);
}

impl Drop for Fd {
    fn drop(&mut self) {
        if self.0 >= 0 {
            // SAFETY: the descriptor is ours alone, and no memory is touched.
            unsafe { syscall(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]) };
        }
    }
}

/// Closes standard input, output and error.
pub fn close_standard_files() {
    (0..3).for_each(|number| drop(Fd(number)));
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    File,
    Directory,
    Link,
    Other,
}

/// What `statx` says about an entry.
#[derive(Clone, Debug)]
pub struct Stat {
    /// File, directory, symbolic link or something else.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 0..=0o7777.
    pub mode: u32,
    /// The user that owns it.
    pub uid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Names that this inode has.
    pub links: u32,
    /// Device and inode: equal for two names of one file.
    pub identity: (u32, u32, u64),
    /// Time of the last change: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct StatxTime {
    seconds: i64,
    nanoseconds: u32,
    reserved: i32,
}

/// `struct statx` of include/uapi/linux/stat.h, 256 bytes on every architecture.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare0: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [StatxTime; 4],
    rdev: [u32; 2],
    dev: [u32; 2],
    spare: [u64; 14],
}

fn statx(dir: &Fd, path: &[u8], flags: usize) -> Result<Stat> {
    const BASIC_STATS: usize = 0x7ff;
    let path = terminated(path)?;
    let mut raw = Statx::default();
    // SAFETY: the path is NUL-terminated and `raw` is the 256 bytes that the kernel fills.
    check(unsafe {
        syscall(number::STATX, [dir.0 as usize, path.as_ptr() as usize, flags, BASIC_STATS, &raw mut raw as usize, 0])
    })?;
    let kind = match raw.mode & 0o170000 {
        0o100000 => Kind::File,
        0o040000 => Kind::Directory,
        0o120000 => Kind::Link,
        _ => Kind::Other,
    };
    Ok(Stat {
        kind,
        mode: u32::from(raw.mode & 0o7777),
        uid: raw.uid,
        size: raw.size,
        links: raw.nlink,
        identity: (raw.dev[0], raw.dev[1], raw.ino),
        mtime: (raw.times[3].seconds, raw.times[3].nanoseconds),
    })
}

/// The entry `name` of `dir` itself, not what a link points to.
pub fn stat_at(dir: &Fd, name: &[u8]) -> Result<Stat> {
    statx(dir, name, AT_SYMLINK_NOFOLLOW)
}

/// What `path` leads to, links followed (for a program that is about to be started).
pub fn stat_following(dir: &Fd, path: &[u8]) -> Result<Stat> {
    statx(dir, path, 0)
}

/// An open file or directory.
pub fn stat(fd: &Fd) -> Result<Stat> {
    statx(fd, b"", AT_EMPTY_PATH)
}

fn openat(dir: &Fd, path: &[u8], flags: usize, mode: usize) -> Result<Fd> {
    let path = terminated(path)?;
    loop {
        // SAFETY: the path is NUL-terminated.
        let answer = check(unsafe {
            syscall(number::OPENAT, [dir.0 as usize, path.as_ptr() as usize, flags | O_CLOEXEC, mode, 0, 0])
        });
        match answer {
            Err(Errno::EINTR) => {}
            other => return other.map(|fd| Fd(fd as i32)),
        }
    }
}

/// Opens a path of the command line or the configuration for reading, links followed.
pub fn open_path(path: &[u8]) -> Result<Fd> {
    openat(&Fd::CWD, path, O_NONBLOCK, 0)
}

/// Opens a directory of the command line or the configuration, links followed.
pub fn open_directory_path(path: &[u8]) -> Result<Fd> {
    openat(&Fd::CWD, path, O_DIRECTORY, 0)
}

/// Opens the file `name` of `dir` for reading; a link is `ELOOP`.
pub fn open_at(dir: &Fd, name: &[u8]) -> Result<Fd> {
    openat(dir, name, O_NOFOLLOW | O_NONBLOCK, 0)
}

/// Opens the directory `name` of `dir`; a link is `ENOTDIR`.
pub fn open_directory_at(dir: &Fd, name: &[u8]) -> Result<Fd> {
    openat(dir, name, O_NOFOLLOW | O_DIRECTORY, 0)
}

/// Makes the file `name`, which must not be there, for writing; only its owner may read it yet.
pub fn create_at(dir: &Fd, name: &[u8]) -> Result<Fd> {
    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
}

/// Opens the file `name` for locking and makes it when it is not there.
pub fn open_lock_at(dir: &Fd, name: &[u8]) -> Result<Fd> {
    openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o660)
}

/// Reads at most `into.len()` bytes; 0 is the end.
pub fn read(fd: &Fd, into: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: the kernel writes at most `into.len()` bytes into `into`.
        let answer =
            check(unsafe { syscall(number::READ, [fd.0 as usize, into.as_mut_ptr() as usize, into.len(), 0, 0, 0]) });
        match answer {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Reads a whole small file; more than `limit` bytes is `E2BIG`.
pub fn read_all(fd: &Fd, limit: usize) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut block = [0; 4096];
    loop {
        let got = read(fd, &mut block)?;
        if got == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&block[..got]);
        if content.len() > limit {
            return Err(Errno::E2BIG);
        }
    }
}

/// Writes all of `bytes`.
pub fn write_all(fd: &Fd, bytes: &[u8]) -> Result<()> {
    write_raw(fd.0, bytes)
}

/// Writes to standard error; there is nobody to tell when that fails.
pub fn write_stderr(bytes: &[u8]) {
    let _ = write_raw(2, bytes);
}

/// Writes to standard output.
pub fn write_stdout(bytes: &[u8]) -> Result<()> {
    write_raw(1, bytes)
}

fn write_raw(fd: i32, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads at most `bytes.len()` bytes of `bytes`.
        let answer =
            check(unsafe { syscall(number::WRITE, [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) });
        match answer {
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The names in a directory without `.` and `..`, in the kernel's order.
pub fn names(dir: &Fd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut block = vec![0u8; 32 * 1024];
    loop {
        // SAFETY: the kernel writes at most `block.len()` bytes into `block`.
        let got = check(unsafe {
            syscall(number::GETDENTS64, [dir.0 as usize, block.as_mut_ptr() as usize, block.len(), 0, 0, 0])
        })?;
        if got == 0 {
            return Ok(names);
        }
        // struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name with a NUL.
        let mut rest = block.get(..got).unwrap_or_default();
        while let Some(&[low, high]) = rest.get(16..18) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let name = rest.get(19..length).ok_or(Errno::EIO)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// What the symbolic link `name` of `dir` points to.
pub fn read_link_at(dir: &Fd, name: &[u8]) -> Result<Vec<u8>> {
    let name = terminated(name)?;
    let mut target = vec![0u8; LINK_MAX];
    // SAFETY: the name is NUL-terminated; the kernel writes at most `target.len()` bytes.
    let got = check(unsafe {
        syscall(
            number::READLINKAT,
            [dir.0 as usize, name.as_ptr() as usize, target.as_mut_ptr() as usize, target.len(), 0, 0],
        )
    })?;
    target.truncate(got);
    Ok(target)
}

/// Makes the directory `name`, for its owner alone until its mode is set.
pub fn make_directory_at(dir: &Fd, name: &[u8]) -> Result<()> {
    let name = terminated(name)?;
    // SAFETY: the name is NUL-terminated.
    check(unsafe { syscall(number::MKDIRAT, [dir.0 as usize, name.as_ptr() as usize, 0o700, 0, 0, 0]) }).map(drop)
}

/// Makes the symbolic link `name` that says `target`.
pub fn make_link_at(target: &[u8], dir: &Fd, name: &[u8]) -> Result<()> {
    let (target, name) = (terminated(target)?, terminated(name)?);
    // SAFETY: both strings are NUL-terminated.
    check(unsafe {
        syscall(number::SYMLINKAT, [target.as_ptr() as usize, dir.0 as usize, name.as_ptr() as usize, 0, 0, 0])
    })
    .map(drop)
}

/// Makes `name` in `dir` another name of the file `old` (a path below `from`).
pub fn hard_link_at(from: &Fd, old: &[u8], dir: &Fd, name: &[u8]) -> Result<()> {
    let (old, name) = (terminated(old)?, terminated(name)?);
    // SAFETY: both strings are NUL-terminated.
    check(unsafe {
        syscall(number::LINKAT, [from.0 as usize, old.as_ptr() as usize, dir.0 as usize, name.as_ptr() as usize, 0, 0])
    })
    .map(drop)
}

/// Removes the file or link `name`.
pub fn remove_file_at(dir: &Fd, name: &[u8]) -> Result<()> {
    unlinkat(dir, name, 0)
}

/// Removes the empty directory `name`.
pub fn remove_directory_at(dir: &Fd, name: &[u8]) -> Result<()> {
    unlinkat(dir, name, AT_REMOVEDIR)
}

fn unlinkat(dir: &Fd, name: &[u8], flags: usize) -> Result<()> {
    let name = terminated(name)?;
    // SAFETY: the name is NUL-terminated.
    check(unsafe { syscall(number::UNLINKAT, [dir.0 as usize, name.as_ptr() as usize, flags, 0, 0, 0]) }).map(drop)
}

/// Renames within one directory; what was called `to` is replaced at one stroke.
pub fn rename_at(dir: &Fd, from: &[u8], to: &[u8]) -> Result<()> {
    let (from, to) = (terminated(from)?, terminated(to)?);
    // SAFETY: both strings are NUL-terminated.
    check(unsafe {
        syscall(number::RENAMEAT2, [dir.0 as usize, from.as_ptr() as usize, dir.0 as usize, to.as_ptr() as usize, 0, 0])
    })
    .map(drop)
}

/// Sets the permission bits of an open file or directory.
pub fn set_mode(fd: &Fd, mode: u32) -> Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::FCHMOD, [fd.0 as usize, mode as usize, 0, 0, 0, 0]) }).map(drop)
}

/// Sets the permission bits of `name`, which the caller knows to be no link.
pub fn set_mode_at(dir: &Fd, name: &[u8], mode: u32) -> Result<()> {
    let name = terminated(name)?;
    // SAFETY: the name is NUL-terminated.
    check(unsafe { syscall(number::FCHMODAT, [dir.0 as usize, name.as_ptr() as usize, mode as usize, 0, 0, 0]) })
        .map(drop)
}

/// `struct timespec`; the times are the access and the modification.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}
const UTIME_OMIT: i64 = 0x3ffffffe;
const UTIME_NOW: i64 = 0x3fffffff;

fn utimensat(dir: &Fd, name: Option<&[u8]>, mtime: Timespec) -> Result<()> {
    let name = name.map(terminated).transpose()?;
    let pointer = name.as_ref().map_or(0, |name| name.as_ptr() as usize);
    let flags = if name.is_some() { AT_SYMLINK_NOFOLLOW } else { 0 };
    let times = [Timespec { seconds: 0, nanoseconds: UTIME_OMIT }, mtime];
    // SAFETY: the name is null (then the descriptor itself is meant) or NUL-terminated, and
    // `times` is the pair that the kernel reads.
    check(unsafe { syscall(number::UTIMENSAT, [dir.0 as usize, pointer, times.as_ptr() as usize, flags, 0, 0]) })
        .map(drop)
}

/// Sets the modification time of an open file or directory.
pub fn set_mtime(fd: &Fd, (seconds, nanoseconds): (i64, u32)) -> Result<()> {
    utimensat(fd, None, Timespec { seconds, nanoseconds: i64::from(nanoseconds) })
}

/// Sets the modification time of the link `name` itself.
pub fn set_link_mtime(dir: &Fd, name: &[u8], (seconds, nanoseconds): (i64, u32)) -> Result<()> {
    utimensat(dir, Some(name), Timespec { seconds, nanoseconds: i64::from(nanoseconds) })
}

/// Sets the modification time of `name` to now.
pub fn touch_at(dir: &Fd, name: &[u8]) -> Result<()> {
    utimensat(dir, Some(name), Timespec { seconds: 0, nanoseconds: UTIME_NOW })
}

/// Waits until an open file or directory is on the device.
pub fn sync(fd: &Fd) -> Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::FSYNC, [fd.0 as usize, 0, 0, 0, 0, 0]) }).map(drop)
}

/// Waits until everything of the file system that `fd` lies on is on the device; reports errors
/// of earlier writes since Linux 5.8.
pub fn sync_filesystem(fd: &Fd) -> Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::SYNCFS, [fd.0 as usize, 0, 0, 0, 0, 0]) }).map(drop)
}

/// Asks the kernel to forget its copy of a file, so that the next read asks the device.
pub fn forget_cached(fd: &Fd) {
    const POSIX_FADV_DONTNEED: usize = 4;
    // SAFETY: no memory is touched.
    unsafe { syscall(number::FADVISE64, [fd.0 as usize, 0, 0, POSIX_FADV_DONTNEED, 0, 0]) };
}

/// Takes the exclusive lock of an open file; without `wait` a held one is `EAGAIN`.
pub fn lock(fd: &Fd, wait: bool) -> Result<()> {
    const LOCK_EX: usize = 2;
    const LOCK_NB: usize = 4;
    let how = if wait { LOCK_EX } else { LOCK_EX | LOCK_NB };
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::FLOCK, [fd.0 as usize, how, 0, 0, 0, 0]) }).map(drop)
}

/// Whether the caller may execute `path` (for root: whether anybody may).
pub fn may_execute(path: &[u8]) -> Result<()> {
    const X_OK: usize = 1;
    let path = terminated(path)?;
    // SAFETY: the path is NUL-terminated.
    check(unsafe { syscall(number::FACCESSAT, [AT_FDCWD as usize, path.as_ptr() as usize, X_OK, 0, 0, 0]) }).map(drop)
}

/// What is free for an unprivileged user on the file system of `fd`: bytes and inodes; no limit
/// on inodes (btrfs, some network file systems) is `None`.
pub fn free_space(fd: &Fd) -> Result<(u64, Option<u64>)> {
    // struct statfs of 64-bit architectures: type, bsize, blocks, bfree, bavail, files, ffree, …
    let mut raw = [0u64; 15];
    // SAFETY: `raw` is the 120 bytes that the kernel fills.
    check(unsafe { syscall(number::FSTATFS, [fd.0 as usize, raw.as_mut_ptr() as usize, 0, 0, 0, 0]) })?;
    let inodes = if raw[5] == 0 { None } else { Some(raw[6]) };
    Ok((raw[4].saturating_mul(raw[1]), inodes))
}

/// The names of the extended attributes of an open file.
pub fn xattr_names(fd: &Fd) -> Result<Vec<Vec<u8>>> {
    let mut list = vec![0u8; 1024];
    loop {
        // SAFETY: the kernel writes at most `list.len()` bytes into `list`.
        let answer = check(unsafe {
            syscall(number::FLISTXATTR, [fd.0 as usize, list.as_mut_ptr() as usize, list.len(), 0, 0, 0])
        });
        match answer {
            Err(Errno(34)) if list.len() < XATTR_MAX => list.resize(XATTR_MAX, 0),
            Err(error) => return Err(error),
            Ok(got) => {
                let names = list.get(..got).unwrap_or_default().split(|byte| *byte == 0);
                return Ok(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect());
            }
        }
    }
}

/// Copies the extended attribute `name` from one open file to another.
pub fn copy_xattr(from: &Fd, to: &Fd, name: &[u8]) -> Result<()> {
    let name = terminated(name)?;
    let mut value = vec![0u8; XATTR_MAX];
    // SAFETY: the name is NUL-terminated; the kernel writes at most `value.len()` bytes.
    let got = check(unsafe {
        syscall(
            number::FGETXATTR,
            [from.0 as usize, name.as_ptr() as usize, value.as_mut_ptr() as usize, value.len(), 0, 0],
        )
    })?;
    // SAFETY: the name is NUL-terminated and `got` is not more than `value.len()`.
    check(unsafe {
        syscall(number::FSETXATTR, [to.0 as usize, name.as_ptr() as usize, value.as_ptr() as usize, got, 0, 0])
    })
    .map(drop)
}
