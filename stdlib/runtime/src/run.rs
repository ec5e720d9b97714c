//! `k8or run` and `k8or exec`: PID 1 that starts the program, passes signals on, reaps orphans
//! and ends as the program ended.

use crate::failure::{Failure, status};
use crate::launch::Launch;
use crate::marker;
use crate::say;
use crate::sealed::Sealed;
use crate::sys::Errno;
use crate::sys::process::{self, Ended, SignalSet, signal};
use alloc::format;
use alloc::vec::Vec;

/// `run`: refuses an incomplete tree, then supervises as PID 1 or, where it is not PID 1, becomes
/// the program.
pub fn run(sealed: &Sealed, command: &[Vec<u8>], environment: &[Vec<u8>]) -> Result<u8, Failure> {
    let command = if command.is_empty() { sealed.program.as_slice() } else { command };
    if command.is_empty() {
        return Err(Failure::new(
            status::USAGE,
            "run: which program? The image was sealed without a default command: k8or run -- PROGRAM ARGS…",
        ));
    }
    warn_of_other_user(sealed);
    for generation in &sealed.generations {
        marker::check(generation)?;
    }
    let launch = Launch::prepare(sealed, command, environment)?;
    if process::own_pid() == 1 { supervise(launch) } else { Err(launch.start()) }
}

/// `exec`: the same environment and filter for a probe, a hook or a person; no supervision.
pub fn exec(sealed: &Sealed, command: &[Vec<u8>], environment: &[Vec<u8>]) -> Result<u8, Failure> {
    if command.is_empty() {
        return Err(Failure::new(status::USAGE, "exec: which program? k8or exec -- PROGRAM ARGS…"));
    }
    Err(Launch::prepare(sealed, command, environment)?.start())
}

/// A cluster may choose ids of its own (OpenShift does); that is worth a line, not a refusal.
fn warn_of_other_user(sealed: &Sealed) {
    let (uid, gid) = process::effective_ids();
    if uid != sealed.uid {
        say(&format!(
            "running as {uid}:{gid}, but the image was made for {}:{}: files of that user may not be accessible",
            sealed.uid, sealed.gid
        ));
    }
}

fn supervise(launch: Launch) -> Result<u8, Failure> {
    // Signals that a fault of our own raises cannot be held back in any useful way.
    let own = [signal::ILL, signal::TRAP, signal::ABRT, signal::BUS, signal::FPE, signal::SEGV, signal::SYS];
    let held = SignalSet::all_but(&own);
    let system = |error: Errno| Failure::new(status::CANNOT_START, format!("cannot supervise: {error}"));
    let before = process::set_mask(held).map_err(system)?;
    let Some(child) = process::fork().map_err(system)? else {
        // In the child: its own group, so that the terminal's signals go to it and its children.
        if process::lead_new_group().is_ok() {
            process::give_terminal_to(process::own_pid());
        }
        let _ = process::set_mask(before);
        return Err(launch.start());
    };
    drop(launch);
    loop {
        match process::wait_for_signal(held).map_err(system)? {
            signal::CHLD => {
                if let Some(ended) = reap_all(child) {
                    return Ok(status_of(ended));
                }
            }
            // Meant for whoever uses the terminal, which is the child's group by now.
            signal::TTIN | signal::TTOU => {}
            // The child may have ended in this moment; SIGCHLD follows and says so.
            number => drop(process::send(child, number)),
        }
    }
}

/// Takes every child that has ended; how `main` ended, if it was among them.
fn reap_all(main: i32) -> Option<Ended> {
    let mut outcome = None;
    loop {
        match process::reap() {
            Ok(Some((pid, ended))) if pid == main => outcome = Some(ended),
            Ok(Some((pid, Ended::Signal(signal::SYS)))) => {
                say(&format!("process {pid} was killed by SIGSYS: a system call that is not in the profile"));
            }
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Ok(None) | Err(_) => return outcome,
        }
    }
}

/// The status of a shell: 128 and the signal's number for a death by signal.
fn status_of(ended: Ended) -> u8 {
    match ended {
        Ended::Status(status) => status,
        Ended::Signal(signal::SYS) => {
            say("killed by SIGSYS: a system call that is not in the profile\n\
                 `k8orc test` runs the image and names the call and the line to add");
            128 + signal::SYS as u8
        }
        Ended::Signal(number) => 128u8.saturating_add(number as u8),
    }
}
