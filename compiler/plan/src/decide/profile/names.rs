//! Names in `allow`, `deny` and `refuse`: a call, or a group of them behind `@`.

use std::collections::BTreeSet;

use diag::{Diagnostic, Diagnostics, Spanned, codes};

use crate::calls::{self, groups};

/// Past this many diagnostics nobody reads suggestions, and looking for them is what costs time.
const SUGGESTIONS: usize = 100;

/// The calls that a name stands for; none, and a diagnostic, when it is unknown.
pub fn resolve(name: &Spanned<String>, found: &mut Diagnostics) -> Option<BTreeSet<&'static str>> {
    let text = name.value.as_str();
    if text.starts_with('@') {
        let group = groups::group(text).map(|group| group.calls.clone());
        if group.is_none() {
            found.push(unknown_group(name, found.0.len() < SUGGESTIONS));
        }
        return group;
    }
    let call = calls::interned(text).map(|call| BTreeSet::from([call]));
    if call.is_none() {
        found.push(unknown_call(name, found.0.len() < SUGGESTIONS));
    }
    call
}

fn unknown_group(name: &Spanned<String>, suggest: bool) -> Diagnostic {
    let text = &name.value;
    let unknown =
        Diagnostic::new(codes::E0701, format!("there is no group called {text:?}")).at(name.span, "unknown group");
    if !suggest {
        return unknown;
    }
    match groups::nearest(text) {
        Some(near) => unknown.help(format!("did you mean {near:?}?")),
        None => {
            let names: Vec<_> = groups::names().collect();
            unknown.help(format!("the groups are: {}", names.join(", ")))
        }
    }
}

fn unknown_call(name: &Spanned<String>, suggest: bool) -> Diagnostic {
    let text = name.value.as_str();
    let unknown =
        Diagnostic::new(codes::E0702, format!("there is no system call called {text:?}")).at(name.span, "unknown call");
    if !suggest {
        return unknown;
    }
    let group = format!("@{text}");
    if groups::group(&group).is_some() {
        return unknown.help(format!("groups begin with @: {group:?}"));
    }
    match (wide(text), calls::nearest(text)) {
        (Some(call), _) => unknown
            .note("it is a name of the C library or of 32-bit architectures, for which k8orc does not build")
            .help(format!("the call here is {call:?}")),
        (None, Some(near)) => unknown.help(format!("did you mean {near:?}?")),
        (None, None) => unknown.help("names are those of the kernel, as `strace` prints them"),
    }
}

/// What 64-bit architectures have instead of a call of 32-bit ones or a function of the C library.
fn wide(name: &str) -> Option<&'static str> {
    let other = match name {
        "mmap2" => "mmap",
        "_llseek" => "lseek",
        "_newselect" => "select",
        "fstatat" | "fstatat64" => "newfstatat",
        "ipc" => "shmget",
        "pread" => "pread64",
        "pwrite" => "pwrite64",
        "recv" => "recvfrom",
        "send" => "sendto",
        "sigaction" => "rt_sigaction",
        "signal" => "rt_sigaction",
        "sigprocmask" => "rt_sigprocmask",
        "sigreturn" => "rt_sigreturn",
        "sigsuspend" => "rt_sigsuspend",
        "socketcall" => "socket",
        "ugetrlimit" => "getrlimit",
        "umount" => "umount2",
        "wait" | "wait3" | "waitpid" => "wait4",
        _ => {
            let stem = ["_time64", "_64", "64", "32"].into_iter().find_map(|suffix| name.strip_suffix(suffix))?;
            return calls::interned(stem);
        }
    };
    calls::interned(other)
}
