//! The only door to the kernel: raw system calls behind safe functions, and the only place of
//! the runtime where `unsafe` is allowed.
//!
//! There is no libc below: what a program usually gets from it (entry point, heap, `memcpy`) is
//! in `start`, `heap` and the files named for the architecture. Everything that the kernel
//! is given is a slice, a number or a NUL-terminated copy made here, so that no caller can hand
//! it a bad pointer.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod arch;

pub mod fs;
#[cfg(k8or_freestanding)]
mod heap;
pub mod process;
pub mod sha;
#[cfg(k8or_freestanding)]
mod start;

use alloc::vec::Vec;

/// The architecture as OCI runtimes and `sealed.conf` spell it after the kernel: `x86_64`, `aarch64`.
pub const ARCH: &str = arch::NAME;

/// An error number as the kernel returned it, positive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

#[allow(missing_docs)]
impl Errno {
    pub const EPERM: Errno = Errno(1);
    pub const ENOENT: Errno = Errno(2);
    pub const EINTR: Errno = Errno(4);
    pub const EIO: Errno = Errno(5);
    pub const E2BIG: Errno = Errno(7);
    pub const ENOEXEC: Errno = Errno(8);
    pub const ECHILD: Errno = Errno(10);
    pub const EAGAIN: Errno = Errno(11);
    pub const ENOMEM: Errno = Errno(12);
    pub const EACCES: Errno = Errno(13);
    pub const EEXIST: Errno = Errno(17);
    pub const EXDEV: Errno = Errno(18);
    pub const ENOTDIR: Errno = Errno(20);
    pub const EISDIR: Errno = Errno(21);
    pub const EINVAL: Errno = Errno(22);
    pub const EMFILE: Errno = Errno(24);
    pub const ENOSPC: Errno = Errno(28);
    pub const EROFS: Errno = Errno(30);
    pub const EMLINK: Errno = Errno(31);
    pub const ENAMETOOLONG: Errno = Errno(36);
    pub const ENOSYS: Errno = Errno(38);
    pub const ENOTEMPTY: Errno = Errno(39);
    pub const ELOOP: Errno = Errno(40);
    pub const EOPNOTSUPP: Errno = Errno(95);
    pub const EDQUOT: Errno = Errno(122);
}

impl core::fmt::Display for Errno {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = match *self {
            Errno::EPERM => "operation not permitted",
            Errno::ENOENT => "no such file or directory",
            Errno::EIO => "input/output error of the device",
            Errno::E2BIG => "argument list too long",
            Errno::ENOEXEC => "not an executable of this machine",
            Errno::ENOMEM => "out of memory",
            Errno::EACCES => "permission denied",
            Errno::EEXIST => "exists already",
            Errno::ENOTDIR => "not a directory",
            Errno::EISDIR => "is a directory",
            Errno::EINVAL => "invalid argument",
            Errno::EMFILE => "too many open files",
            Errno::ENOSPC => "no space left on the device",
            Errno::EROFS => "read-only file system",
            Errno::ENAMETOOLONG => "name too long",
            Errno::ENOSYS => "system call not available",
            Errno::ELOOP => "a symbolic link where none is allowed",
            Errno::EOPNOTSUPP => "not supported here",
            Errno::EDQUOT => "disk quota exceeded",
            Errno(number) => return write!(out, "error {number}"),
        };
        out.write_str(text)
    }
}

/// What a system call gave.
pub type Result<T> = core::result::Result<T, Errno>;

/// The kernel's convention: -4095..-1 is an error, everything else a value.
fn check(value: isize) -> Result<usize> {
    match value {
        -4095..=-1 => Err(Errno(-(value as i32))),
        _ => Ok(value as usize),
    }
}

/// A copy with a NUL at its end; a NUL inside is the caller's mistake (`EINVAL`).
fn terminated(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.contains(&0) {
        return Err(Errno::EINVAL);
    }
    let mut copy = Vec::with_capacity(bytes.len() + 1);
    copy.extend_from_slice(bytes);
    copy.push(0);
    Ok(copy)
}
