//! Words of closed lists: signals, error numbers, actions of a filter.

use diag::codes::E0116;

use super::{Check, Fault};
use crate::schema::nearest;

const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGCHLD",
    "SIGCONT",
    "SIGHUP",
    "SIGINT",
    "SIGIO",
    "SIGKILL",
    "SIGPIPE",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGTERM",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
];

/// Names of errno(3) on Linux (the same on x86_64 and aarch64) that a filter may sensibly answer with.
const ERRNOS: &[&str] = &[
    "E2BIG",
    "EACCES",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "EAFNOSUPPORT",
    "EAGAIN",
    "EALREADY",
    "EBADF",
    "EBUSY",
    "ECANCELED",
    "ECHILD",
    "ECONNABORTED",
    "ECONNREFUSED",
    "ECONNRESET",
    "EDEADLK",
    "EDESTADDRREQ",
    "EDOM",
    "EEXIST",
    "EFAULT",
    "EFBIG",
    "EHOSTUNREACH",
    "EINPROGRESS",
    "EINTR",
    "EINVAL",
    "EIO",
    "EISCONN",
    "EISDIR",
    "ELOOP",
    "EMFILE",
    "EMLINK",
    "EMSGSIZE",
    "ENAMETOOLONG",
    "ENETDOWN",
    "ENETUNREACH",
    "ENFILE",
    "ENOBUFS",
    "ENODATA",
    "ENODEV",
    "ENOENT",
    "ENOEXEC",
    "ENOLCK",
    "ENOMEM",
    "ENOPROTOOPT",
    "ENOSPC",
    "ENOSYS",
    "ENOTBLK",
    "ENOTCONN",
    "ENOTDIR",
    "ENOTEMPTY",
    "ENOTSOCK",
    "ENOTTY",
    "ENXIO",
    "EOPNOTSUPP",
    "EOVERFLOW",
    "EPERM",
    "EPIPE",
    "EPROTO",
    "EPROTONOSUPPORT",
    "EPROTOTYPE",
    "ERANGE",
    "EROFS",
    "ESPIPE",
    "ESRCH",
    "ETIMEDOUT",
    "ETXTBSY",
    "EXDEV",
];

pub(super) fn signal(text: &str) -> Check {
    if SIGNALS.contains(&text) {
        return Ok(());
    }
    let with = format!("SIG{}", text.to_uppercase().trim_start_matches("SIG"));
    if SIGNALS.contains(&with.as_str()) {
        return Err(unknown(text, "a signal", &[&with]));
    }
    Err(unknown(text, "a signal", SIGNALS))
}

pub(super) fn errno(text: &str) -> Check {
    if ERRNOS.contains(&text) { Ok(()) } else { Err(unknown(text, "an error number", ERRNOS)) }
}

pub(super) fn action(text: &str) -> Check {
    if let Some(name) = text.strip_prefix("errno:") {
        return errno(name).map_err(|fault| Fault { at: Some(6..text.len()), ..fault });
    }
    let known = ["kill-process", "kill-thread", "log", "errno:EPERM"];
    if known.contains(&text) { Ok(()) } else { Err(unknown(text, "an action", &known)) }
}

/// The fault of a word that is not in its list.
pub(in crate::schema) fn unknown(text: &str, what: &str, known: &[&str]) -> Fault {
    let fault = Fault::new(E0116, format!("`{text}` is not {what}"), "not in the list");
    match nearest(text, known.iter().copied()) {
        Some(near) => fault.help(format!("did you mean \"{near}\"?")),
        None if known.len() == 1 => fault.help(format!("\"{}\"", known.first().unwrap_or(&""))),
        None => fault.help(format!("known are: {}", known.join(", "))),
    }
}
