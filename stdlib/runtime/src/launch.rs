//! Starting the program: find it, install the sealed filter as the very last step, execve.

use crate::failure::{Failure, status};
use crate::sealed::{Sealed, SealedFilter};
use crate::sha256::sha256;
use crate::sys::process::{self, Instruction, Prepared};
use crate::sys::{Errno, fs};
use crate::text::shown;
use alloc::format;
use alloc::vec::Vec;

/// Where a program without a slash is looked for when the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_INSTRUCTIONS: usize = 4096;

/// Everything that execve needs, made before the filter forbids making it.
pub struct Launch {
    program: Vec<u8>,
    prepared: Prepared,
    filter: Option<Vec<Instruction>>,
    wait_on_violation: bool,
}

impl Launch {
    /// Finds the program and reads the filter; nothing has happened to this process yet.
    pub fn prepare(sealed: &Sealed, command: &[Vec<u8>], environment: &[Vec<u8>]) -> Result<Launch, Failure> {
        let filter = sealed.filter.as_ref().map(read_filter).transpose()?;
        let name = command.first().map(Vec::as_slice).unwrap_or_default();
        let path = find(name, environment)?;
        let prepared = Prepared::new(&path, command, environment).map_err(|error| cannot_start(&path, error))?;
        Ok(Launch { program: path, prepared, filter, wait_on_violation: sealed.wait_on_violation })
    }

    /// Replaces this process by the program; comes back only when that fails.
    pub fn start(self) -> Failure {
        process::default_signals();
        if let Err(error) = process::set_no_new_privileges() {
            return cannot_start(&self.program, error);
        }
        if let Some(filter) = &self.filter {
            let installed = if self.wait_on_violation {
                process::keep_files_open().and_then(|()| process::install_waiting_filter(filter))
            } else {
                process::install_filter(filter)
            };
            if let Err(error) = installed {
                return Failure::new(
                    status::REFUSED,
                    format!(
                        "the kernel refuses the sealed filter: {error}\n\
                         a pod whose own seccomp profile forbids the call seccomp cannot use an in-image filter: \
                         say deliver \"node\" in the spec, or allow seccomp in that profile"
                    ),
                );
            }
        }
        // Under the filter now: only what it allows may follow, and execve is a stated part of it.
        cannot_start(&self.program, self.prepared.execute())
    }
}

fn cannot_start(path: &[u8], error: Errno) -> Failure {
    let code = if error == Errno::ENOENT { status::NOT_FOUND } else { status::CANNOT_START };
    let help = match error {
        // The file was there a moment ago: what is missing is its interpreter or loader.
        Errno::ENOENT => "\nthe program is there, but not the loader or interpreter that it names",
        Errno::ENOEXEC => "\na script needs a first line such as #!/bin/sh",
        _ => "",
    };
    Failure::new(code, format!("{}: cannot be started: {error}{help}", shown(path)))
}

/// The file that a name means: itself with a slash in it, otherwise the first executable file of
/// that name along PATH.
pub fn find(name: &[u8], environment: &[Vec<u8>]) -> Result<Vec<u8>, Failure> {
    let usable = |path: &[u8]| {
        let stat = fs::stat_following(&fs::Fd::CWD, path)?;
        if stat.kind != fs::Kind::File {
            return Err(Errno::EACCES);
        }
        fs::may_execute(path)
    };
    if name.is_empty() || name.contains(&b'/') {
        return match usable(name) {
            Ok(()) => Ok(name.to_vec()),
            Err(error @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                Err(Failure::new(status::NOT_FOUND, format!("{}: {error}", shown(name))))
            }
            Err(error) => Err(Failure::new(
                status::CANNOT_START,
                format!("{}: is not a file that this user may execute: {error}", shown(name)),
            )),
        };
    }
    let path = environment.iter().find_map(|entry| entry.strip_prefix(b"PATH="));
    let path = path.unwrap_or(DEFAULT_PATH);
    let mut refused = None;
    for directory in path.split(|byte| *byte == b':') {
        // An empty element means the working directory to a shell; here it means nothing.
        if directory.is_empty() {
            continue;
        }
        let candidate = [directory, name].join(&b'/');
        match usable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => refused = Some(candidate),
            Err(_) => {}
        }
    }
    Err(match refused {
        Some(candidate) => Failure::new(
            status::CANNOT_START,
            format!("{}: is not a file that this user may execute", shown(&candidate)),
        ),
        None => Failure::new(status::NOT_FOUND, format!("{}: no such program along PATH={}", shown(name), shown(path))),
    })
}

/// Reads the filter and holds it against what was sealed.
fn read_filter(sealed: &SealedFilter) -> Result<Vec<Instruction>, Failure> {
    let refuse = |why: &str| Failure::new(status::REFUSED, format!("{}: the sealed filter {why}", shown(&sealed.path)));
    let bytes = fs::open_path(&sealed.path)
        .and_then(|file| fs::read_all(&file, MAX_INSTRUCTIONS * 8))
        .map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    if sha256(&bytes) != sealed.digest || bytes.len() != sealed.instructions * 8 {
        return Err(refuse("is not the one that the image was sealed with"));
    }
    Ok(decode(&bytes))
}

/// `struct sock_filter` as it lies in little-endian memory: code 2, jt 1, jf 1, k 4.
fn decode(bytes: &[u8]) -> Vec<Instruction> {
    let mut filter = Vec::with_capacity(bytes.len() / 8);
    for instruction in bytes.chunks_exact(8) {
        if let [c0, c1, jump_true, jump_false, k0, k1, k2, k3] = *instruction {
            filter.push(Instruction {
                code: u16::from_le_bytes([c0, c1]),
                jump_true,
                jump_false,
                operand: u32::from_le_bytes([k0, k1, k2, k3]),
            });
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::test_directory::TestDirectory;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_are_found_along_path_and_others_said_why_not() {
        let root = TestDirectory::new("find");
        for (name, mode) in [("tool", 0o755), ("plain", 0o644)] {
            let file = root.path().join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        }
        let mut path = b"PATH=:/nowhere:".to_vec();
        path.extend_from_slice(&root.bytes());
        let environment = [path];
        let expected = [root.bytes(), b"/tool".to_vec()].concat();
        assert_eq!(find(b"tool", &environment).unwrap(), expected);
        assert_eq!(find(&expected, &[]).unwrap(), expected);
        assert_eq!(find(b"plain", &environment).unwrap_err().status, status::CANNOT_START);
        assert_eq!(find(b"absent", &environment).unwrap_err().status, status::NOT_FOUND);
        assert_eq!(find(&root.bytes(), &environment).unwrap_err().status, status::CANNOT_START);
        assert_eq!(find(b"", &environment).unwrap_err().status, status::NOT_FOUND);
    }

    #[test]
    fn a_filter_that_was_changed_is_refused() {
        let root = TestDirectory::new("filter");
        let file = root.path().join("filter.bpf");
        let bytes = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
        std::fs::write(&file, bytes).unwrap();
        let path = [root.bytes(), b"/filter.bpf".to_vec()].concat();
        let mut sealed = SealedFilter { path, digest: sha256(&bytes), instructions: 1 };
        let allow_all = Instruction { code: 6, jump_true: 0, jump_false: 0, operand: 0x7fff_0000 };
        assert_eq!(read_filter(&sealed).unwrap(), [allow_all]);
        sealed.instructions = 2;
        assert_eq!(read_filter(&sealed).unwrap_err().status, status::REFUSED);
        sealed.instructions = 1;
        std::fs::write(&file, [6, 0, 0, 0, 1, 0, 0xff, 0x7f]).unwrap();
        assert_eq!(read_filter(&sealed).unwrap_err().status, status::REFUSED);
    }
}
