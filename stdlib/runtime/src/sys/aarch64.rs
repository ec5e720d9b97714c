//! aarch64: how a system call is made, its numbers (include/uapi/asm-generic/unistd.h), and what
//! a program without a libc needs in assembly.

pub const NAME: &str = "aarch64";

/// One system call with up to six arguments; the kernel's raw answer.
///
/// # Safety
/// Pointers among the arguments must be valid for what this call does with them.
pub unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result;
    // SAFETY: `svc 0` changes x0 and the memory that the caller vouches for.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3],
            in("x4") args[4], in("x5") args[5],
            options(nostack),
        );
    }
    result
}

pub mod number {
    #![allow(missing_docs)]
    pub const FSETXATTR: usize = 7;
    pub const FGETXATTR: usize = 10;
    pub const FLISTXATTR: usize = 13;
    pub const IOCTL: usize = 29;
    pub const FLOCK: usize = 32;
    pub const MKDIRAT: usize = 34;
    pub const UNLINKAT: usize = 35;
    pub const SYMLINKAT: usize = 36;
    pub const LINKAT: usize = 37;
    pub const FSTATFS: usize = 44;
    pub const FACCESSAT: usize = 48;
    pub const FCHMOD: usize = 52;
    pub const FCHMODAT: usize = 53;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const GETDENTS64: usize = 61;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const READLINKAT: usize = 78;
    pub const FSYNC: usize = 82;
    pub const UTIMENSAT: usize = 88;
    pub const EXIT_GROUP: usize = 94;
    pub const KILL: usize = 129;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const SETPGID: usize = 154;
    pub const PRCTL: usize = 167;
    pub const GETPPID: usize = 173;
    pub const GETPID: usize = 172;
    pub const GETEUID: usize = 175;
    pub const GETEGID: usize = 177;
    #[cfg(k8or_freestanding)]
    pub const MUNMAP: usize = 215;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    #[cfg(k8or_freestanding)]
    pub const MMAP: usize = 222;
    pub const FADVISE64: usize = 223;
    pub const WAIT4: usize = 260;
    pub const SYNCFS: usize = 267;
    pub const RENAMEAT2: usize = 276;
    pub const SECCOMP: usize = 277;
    pub const STATX: usize = 291;
}

pub const O_DIRECTORY: usize = 0o40000;
pub const O_NOFOLLOW: usize = 0o100000;

/// aarch64 needs no restorer: the kernel uses its vDSO.
pub const RESTORER: usize = 0;

// Entry point: the kernel puts argc, argv, envp and auxv at sp. `memcpy` and friends are what
// the compiler itself calls: 16 bytes at a time, then the rest; being assembly they cannot be
// turned into a call of themselves.
#[cfg(k8or_freestanding)]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl k8or_start",
    "brk 1",
    ".globl memmove",
    "memmove:",
    "sub x5, x0, x1",
    "cmp x5, x2",
    "b.hs memcpy",
    "cbz x2, 2f",
    "1: sub x2, x2, 1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "cbnz x2, 1b",
    "2: ret",
    ".globl memcpy",
    "memcpy:",
    "mov x3, x0",
    "3: cmp x2, 16",
    "b.lo 4f",
    "ldp x4, x5, [x1], 16",
    "stp x4, x5, [x3], 16",
    "sub x2, x2, 16",
    "b 3b",
    "4: cbz x2, 5f",
    "ldrb w4, [x1], 1",
    "strb w4, [x3], 1",
    "sub x2, x2, 1",
    "b 4b",
    "5: ret",
    ".globl memset",
    "memset:",
    "mov x3, x0",
    "and x1, x1, 255",
    "mov x4, 0x0101010101010101",
    "mul x4, x1, x4",
    "6: cmp x2, 16",
    "b.lo 7f",
    "stp x4, x4, [x3], 16",
    "sub x2, x2, 16",
    "b 6b",
    "7: cbz x2, 8f",
    "strb w1, [x3], 1",
    "sub x2, x2, 1",
    "b 7b",
    "8: ret",
    ".globl memcmp",
    "memcmp:",
    ".globl bcmp",
    "bcmp:",
    "cbz x2, 9f",
    "ldrb w3, [x0], 1",
    "ldrb w4, [x1], 1",
    "sub x2, x2, 1",
    "subs w5, w3, w4",
    "b.eq bcmp",
    "mov w0, w5",
    "ret",
    "9: mov w0, wzr",
    "ret",
    ".globl strlen",
    "strlen:",
    "mov x1, x0",
    "10: ldrb w2, [x1], 1",
    "cbnz w2, 10b",
    "sub x0, x1, x0",
    "sub x0, x0, 1",
    "ret",
    // The shipped `alloc` crate was built for unwinding and names these; our panics end the process,
    // so nothing ever comes here.
    ".globl rust_eh_personality",
    "rust_eh_personality:",
    ".globl _Unwind_Resume",
    "_Unwind_Resume:",
    "brk 1",
);
