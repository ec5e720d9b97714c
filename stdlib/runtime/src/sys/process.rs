//! Processes, signals and the seccomp filter.

use super::arch::{RESTORER, number, syscall};
use super::{Errno, Result, check, terminated};
use alloc::vec::Vec;

/// Signal numbers that the runtime itself speaks of (the same on both architectures).
#[allow(missing_docs)]
pub mod signal {
    pub const HUP: i32 = 1;
    pub const INT: i32 = 2;
    pub const ILL: i32 = 4;
    pub const TRAP: i32 = 5;
    pub const ABRT: i32 = 6;
    pub const BUS: i32 = 7;
    pub const FPE: i32 = 8;
    pub const KILL: i32 = 9;
    pub const SEGV: i32 = 11;
    pub const TERM: i32 = 15;
    pub const CHLD: i32 = 17;
    pub const STOP: i32 = 19;
    pub const TTIN: i32 = 21;
    pub const TTOU: i32 = 22;
    pub const SYS: i32 = 31;
    /// The highest signal number.
    pub const LAST: i32 = 64;
}

/// A set of signals as the kernel keeps it: bit N-1 is signal N.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// Every signal but those given.
    pub fn all_but(signals: &[i32]) -> SignalSet {
        SignalSet(signals.iter().fold(u64::MAX, |set, signal| set & !(1 << (signal - 1))))
    }
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It called exit with this status.
    Status(u8),
    /// This signal ended it.
    Signal(i32),
}

/// This process's number.
pub fn own_pid() -> i32 {
    // SAFETY: no memory is touched.
    (unsafe { syscall(number::GETPID, [0; 6]) }) as i32
}

/// The effective user and group.
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: no memory is touched.
    unsafe { (syscall(number::GETEUID, [0; 6]) as u32, syscall(number::GETEGID, [0; 6]) as u32) }
}

/// Ends the process.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: does not return.
        unsafe { syscall(number::EXIT_GROUP, [usize::from(status), 0, 0, 0, 0, 0]) };
    }
}

/// Makes a copy of this process: `None` in the child, its number in the parent.
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: without CLONE_VM the child has its own memory, and there is one thread only.
    let pid = check(unsafe { syscall(number::CLONE, [signal::CHLD as usize, 0, 0, 0, 0, 0]) })?;
    Ok(if pid == 0 { None } else { Some(pid as i32) })
}

/// A child that has ended, if there is one; `Ok(None)` when children are left but none ended.
pub fn reap() -> Result<Option<(i32, Ended)>> {
    const WNOHANG: usize = 1;
    let mut status = 0i32;
    // SAFETY: the kernel writes one i32 into `status`.
    let pid = check(unsafe { syscall(number::WAIT4, [usize::MAX, &raw mut status as usize, WNOHANG, 0, 0, 0]) })?;
    if pid == 0 {
        return Ok(None);
    }
    let ended = match status & 0x7f {
        0 => Ended::Status((status >> 8) as u8),
        signal => Ended::Signal(signal),
    };
    Ok(Some((pid as i32, ended)))
}

/// Sends a signal to one process.
pub fn send(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::KILL, [pid as usize, signal as usize, 0, 0, 0, 0]) }).map(drop)
}

/// Sets which signals are held back; gives the set before.
pub fn set_mask(mask: SignalSet) -> Result<SignalSet> {
    const SIG_SETMASK: usize = 2;
    let mut before = SignalSet(0);
    // SAFETY: the kernel reads and writes 8 bytes each.
    check(unsafe {
        syscall(number::RT_SIGPROCMASK, [SIG_SETMASK, &raw const mask as usize, &raw mut before as usize, 8, 0, 0])
    })?;
    Ok(before)
}

/// Waits for one of the (held back) signals and takes it.
pub fn wait_for_signal(set: SignalSet) -> Result<i32> {
    loop {
        // SAFETY: the kernel reads 8 bytes of `set`; no information and no time-out are asked for.
        let answer = check(unsafe { syscall(number::RT_SIGTIMEDWAIT, [&raw const set as usize, 0, 0, 8, 0, 0]) });
        match answer {
            Err(Errno::EINTR) => {}
            other => return other.map(|signal| signal as i32),
        }
    }
}

extern "C" fn end_by_signal(signal: i32) {
    exit((128 + signal) as u8)
}

/// The kernel's struct sigaction.
#[repr(C)]
struct Action {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Gives every signal its default action: what somebody before us ignored (nohup, a shell's background job) would
/// stay ignored through execve, and a shell cannot even trap it.
pub fn default_signals() {
    let action = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    for signal in (1..=signal::LAST).filter(|signal| !matches!(*signal, signal::KILL | signal::STOP)) {
        // SAFETY: `action` is the kernel's struct sigaction; SIG_DFL has no handler.
        unsafe { syscall(number::RT_SIGACTION, [signal as usize, &raw const action as usize, 0, 8, 0, 0]) };
    }
}

/// Makes SIGTERM, SIGINT and SIGHUP end this process at once. As PID 1 it would not be ended by
/// them otherwise: the kernel spares an init without handlers.
pub fn end_on_signals() -> Result<()> {
    const SA_RESTORER: usize = 0x0400_0000;
    let handler = end_by_signal as extern "C" fn(i32);
    let action = Action { handler: handler as usize, flags: SA_RESTORER, restorer: RESTORER, mask: u64::MAX };
    for signal in [signal::TERM, signal::INT, signal::HUP] {
        // SAFETY: `action` is the kernel's struct sigaction; its handler never returns, so that
        // the restorer is never used, and touches nothing but the exit status.
        check(unsafe { syscall(number::RT_SIGACTION, [signal as usize, &raw const action as usize, 0, 8, 0, 0]) })?;
    }
    Ok(())
}

/// Makes the calling child the leader of a new process group.
pub fn lead_new_group() -> Result<()> {
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::SETPGID, [0; 6]) }).map(drop)
}

/// Gives the terminal on standard input, if there is one, to the group that `pid` leads, so that
/// it can read and gets Ctrl-C. The caller holds SIGTTOU back.
pub fn give_terminal_to(pid: i32) {
    const TIOCSPGRP: usize = 0x5410;
    // SAFETY: the kernel reads one i32.
    unsafe { syscall(number::IOCTL, [0, TIOCSPGRP, &raw const pid as usize, 0, 0, 0]) };
}

/// From here on no execve gains privileges; the kernel wants this before a filter of a
/// non-root process.
pub fn set_no_new_privileges() -> Result<()> {
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    // SAFETY: no memory is touched.
    check(unsafe { syscall(number::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]) }).map(drop)
}

/// One instruction of a filter: `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// Installs a seccomp filter on this process; every later call of it is judged by it.
pub fn install_filter(filter: &[Instruction]) -> Result<()> {
    seccomp(filter, 0)
}

/// Installs a filter that answers some calls with SECCOMP_RET_USER_NOTIF: a process that makes one
/// stops there for as long as the listener, which becomes an open file, is kept.
pub fn install_waiting_filter(filter: &[Instruction]) -> Result<()> {
    const SECCOMP_FILTER_FLAG_NEW_LISTENER: usize = 8;
    seccomp(filter, SECCOMP_FILTER_FLAG_NEW_LISTENER)
}

fn seccomp(filter: &[Instruction], flags: usize) -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const Instruction,
    }
    let length = u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?;
    let program = Program { length, filter: filter.as_ptr() };
    // SAFETY: `program` names `length` instructions that outlive the call; the kernel copies and
    // checks them.
    check(unsafe { syscall(number::SECCOMP, [SECCOMP_SET_MODE_FILTER, flags, &raw const program as usize, 0, 0, 0]) })
        .map(drop)
}

/// Leaves a helper behind that shares this process's open files until it is killed. An execve
/// gives the program a table of its own, so what closes there stays open in the helper.
pub fn keep_files_open() -> Result<()> {
    const CLONE_FILES: usize = 0x400;
    // SAFETY: without CLONE_VM the child has its own memory, and there is one thread only. Its end
    // is told by no signal, so that the program's own waits do not see it.
    let pid = check(unsafe { syscall(number::CLONE, [CLONE_FILES, 0, 0, 0, 0, 0]) })?;
    if pid != 0 {
        return Ok(());
    }
    let all = SignalSet::all_but(&[]);
    let _ = set_mask(all);
    // SAFETY: no memory is touched.
    let parent = unsafe { syscall(number::GETPPID, [0; 6]) };
    let parent = alloc::format!("/proc/{parent}/exe");
    let executable = |path: &str| super::fs::read_link_at(&super::fs::Fd::CWD, path.as_bytes()).ok();
    let own = executable("/proc/self/exe");
    let mut shared = own.is_some();
    loop {
        // Once the parent has become the program the table is ours alone: whoever waits for the end
        // of the program's output must not wait for us.
        if shared && executable(&parent) != own {
            shared = false;
            super::fs::close_standard_files();
        }
        let _ = wait_a_moment(all);
    }
}

/// Waits 10 ms, or for a signal.
fn wait_a_moment(set: SignalSet) -> Result<()> {
    let time: [i64; 2] = [0, 10_000_000];
    // SAFETY: the kernel reads 8 bytes of `set` and the 16 of a timespec.
    check(unsafe { syscall(number::RT_SIGTIMEDWAIT, [&raw const set as usize, 0, &raw const time as usize, 8, 0, 0]) })
        .map(drop)
}

/// The strings and pointers of an execve, made beforehand: nothing is allocated once the filter
/// is installed.
pub struct Prepared {
    path: Vec<u8>,
    // Kept alive: `argument_pointers` and `environment_pointers` point into them.
    _strings: Vec<Vec<u8>>,
    argument_pointers: Vec<usize>,
    environment_pointers: Vec<usize>,
}

impl Prepared {
    /// `path` is the file, `arguments` its argv (the name included), `environment` its KEY=VALUE.
    pub fn new(path: &[u8], arguments: &[Vec<u8>], environment: &[Vec<u8>]) -> Result<Prepared> {
        let mut strings = Vec::new();
        let mut pointers = |list: &[Vec<u8>]| -> Result<Vec<usize>> {
            let mut pointers = Vec::with_capacity(list.len() + 1);
            for item in list {
                let item = terminated(item)?;
                // The heap block of a Vec stays where it is when the Vec itself is moved.
                pointers.push(item.as_ptr() as usize);
                strings.push(item);
            }
            pointers.push(0);
            Ok(pointers)
        };
        let argument_pointers = pointers(arguments)?;
        let environment_pointers = pointers(environment)?;
        Ok(Prepared { path: terminated(path)?, _strings: strings, argument_pointers, environment_pointers })
    }

    /// Replaces this process; comes back only with the reason why not.
    pub fn execute(&self) -> Errno {
        // SAFETY: the path is NUL-terminated, both lists end with a null pointer and point at
        // NUL-terminated strings that `self` keeps alive.
        let answer = check(unsafe {
            syscall(
                number::EXECVE,
                [
                    self.path.as_ptr() as usize,
                    self.argument_pointers.as_ptr() as usize,
                    self.environment_pointers.as_ptr() as usize,
                    0,
                    0,
                    0,
                ],
            )
        });
        answer.err().unwrap_or(Errno::EIO)
    }
}
