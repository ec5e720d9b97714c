//! The command line: which verb, with what.

use crate::failure::{Failure, status};
use crate::sealed::Sealed;
use crate::sys::{ARCH, fs, process};
use crate::text::shown;
use crate::{directory, marker, migrate, run, say};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The version of the files and verbs that INTERFACE.md describes.
pub const INTERFACE: u32 = 1;

const HELP: &str = "\
k8or - the runtime of images built by k8orc

  k8or run [--] [PROGRAM ARGS…]  start the program under the sealed filter; as PID 1 also
                                 pass signals on, reap orphans, end as it ended
  k8or exec -- PROGRAM ARGS…     the same environment and filter for a probe or a person
  k8or migrate FROM TO           fill the claim at TO with the image's tree at FROM
  k8or directory PATH MODE       make a directory of this mode on a claim, or set it right
  k8or verify PATH               recompute the digest of a tree and compare it
  k8or info                      what is sealed in this image, and who we are
  k8or help | version

Exit status: the program's own, 128+N when signal N ended it (159: a system call that is
not in the profile); 64 usage, 65 a tree differs, 74 volume or device, 78 refused,
126 cannot be started, 127 not found.
";

/// Does what the arguments say (the first is our own name); gives the exit status.
pub fn main(arguments: &[Vec<u8>], environment: &[Vec<u8>]) -> u8 {
    // As PID 1 we would otherwise not be ended by SIGTERM, and a deleted pod would hang.
    if process::own_pid() == 1 {
        let _ = process::end_on_signals();
    }
    let outcome = verb(arguments.get(1..).unwrap_or_default(), environment);
    outcome.unwrap_or_else(|failure| {
        say(&failure.message);
        failure.status
    })
}

fn verb(arguments: &[Vec<u8>], environment: &[Vec<u8>]) -> Result<u8, Failure> {
    let words = arguments.iter().map(Vec::as_slice).collect::<Vec<_>>();
    match words.as_slice() {
        [b"run", b"--", ..] => run::run(&Sealed::load()?, rest(arguments, 2), environment),
        [b"run", option, ..] if option.starts_with(b"-") => Err(unknown_option("run", option)),
        [b"run", ..] => run::run(&Sealed::load()?, rest(arguments, 1), environment),
        [b"exec", b"--", ..] => run::exec(&Sealed::load()?, rest(arguments, 2), environment),
        [b"exec", option, ..] if option.starts_with(b"-") => Err(unknown_option("exec", option)),
        [b"exec", ..] => run::exec(&Sealed::load()?, rest(arguments, 1), environment),
        [b"migrate", from, to] => migrate::migrate(&Sealed::load()?, from, to),
        [b"directory", path, mode] => directory::make(path, mode),
        [b"verify", path] => migrate::verify(&Sealed::load()?, path),
        [b"info"] => print(&info(&Sealed::load()?)),
        [b"version" | b"--version"] => print(&format!("k8or {INTERFACE} {ARCH}\n")),
        [b"help" | b"--help" | b"-h"] => print(HELP),
        [] => Err(Failure::new(status::USAGE, "a verb is missing: k8or help lists them")),
        [verb @ (b"migrate" | b"verify" | b"info" | b"version" | b"help"), ..] => {
            Err(Failure::new(status::USAGE, format!("{}: wrong number of arguments: see k8or help", shown(verb))))
        }
        [other, ..] => {
            Err(Failure::new(status::USAGE, format!("\"{}\" is no verb of k8or: k8or help lists them", shown(other))))
        }
    }
}

fn rest(arguments: &[Vec<u8>], from: usize) -> &[Vec<u8>] {
    arguments.get(from..).unwrap_or_default()
}

fn unknown_option(verb: &str, option: &[u8]) -> Failure {
    Failure::new(
        status::USAGE,
        format!("{verb}: \"{}\" is no option of it; write k8or {verb} -- PROGRAM ARGS…", shown(option)),
    )
}

fn print(text: &str) -> Result<u8, Failure> {
    fs::write_stdout(text.as_bytes())
        .map(|()| 0)
        .map_err(|error| Failure::new(status::IO, format!("standard output: {error}")))
}

/// `key value` lines, stable: scripts may read them.
fn info(sealed: &Sealed) -> String {
    let (uid, gid) = process::effective_ids();
    let mut text = format!(
        "k8or {INTERFACE}\narch {ARCH}\npid {}\nuid {uid}\ngid {gid}\nsealed-uid {}\nsealed-gid {}\n",
        process::own_pid(),
        sealed.uid,
        sealed.gid
    );
    match &sealed.filter {
        None => text.push_str("filter none\n"),
        Some(filter) => text.push_str(&format!(
            "filter {} sha256:{} {}\n",
            shown(&filter.path),
            filter.digest.hex(),
            filter.instructions
        )),
    }
    for generation in &sealed.generations {
        let state = if marker::check(generation).is_ok() { "complete" } else { "refused" };
        text.push_str(&format!("generation {} sha256:{} {state}\n", shown(&generation.mount), generation.digest.hex()));
    }
    let program = sealed.program.iter().map(|word| shown(word)).collect::<Vec<_>>();
    if !program.is_empty() {
        text.push_str(&format!("program {}\n", program.join(" ")));
    }
    text
}
