//! The file for the node under a real runc: what it does with the names, and that its own calls are allowed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{available, profile};
use plan::calls::groups;
use plan::platform::Arch;
use plan::profile::{Action, DefaultAction, Profile};
use serde_json::{Value, json};
use syscalls::write::runtime_spec::{Runtime, runtime_spec};

/// runc needs root here; it says so itself when asked for anything that touches its state.
fn runc() -> bool {
    cfg!(target_arch = "x86_64") && available("runc", &["--version"]) && available("runc", &["list"])
}

/// A static x86_64 program of some 200 bytes: makes one call with arguments of -1, by `syscall` or `int 0x80`,
/// and exits with the error number, or 0 where the call gave no error.
fn program(number: u32, legacy: bool) -> Vec<u8> {
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes()); // mov eax, number
    code.extend([0x48, 0x83, 0xcf, 0xff, 0x48, 0x83, 0xce, 0xff, 0x48, 0x83, 0xca, 0xff]); // or rdi/rsi/rdx, -1
    code.extend([0x49, 0x83, 0xca, 0xff, 0x48, 0x83, 0xcb, 0xff, 0x48, 0x83, 0xc9, 0xff]); // or r10/rbx/rcx, -1
    code.extend(if legacy { [0xcd, 0x80] } else { [0x0f, 0x05] }); // int 0x80 | syscall
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x85, 0xc0, 0x79, 0x04]); // test eax, eax; jns +4
    code.extend([0x89, 0xc7, 0xf7, 0xdf]); // mov edi, eax; neg edi
    code.extend([0xb8, 231, 0, 0, 0, 0x0f, 0x05]); // exit_group(edi)
    let base = 0x40_0000_u64;
    let size = 120 + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0];
    for word in [base + 120, 64, 0] {
        elf.extend(word.to_le_bytes()); // entry, program headers, no section headers
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]); // PT_LOAD, read and execute
    for word in [0, base, base, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    assert_eq!(elf.len(), 120);
    elf.extend(code);
    elf
}

/// Runs `program` in a container under `seccomp`; its exit status, and what runc said.
fn run(program: &[u8], seccomp: &[u8], no_new_privileges: bool) -> (Option<i32>, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rootfs");
    for directory in ["proc", "dev"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::write(root.join("p"), program).unwrap();
    std::fs::set_permissions(root.join("p"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
    let seccomp: Value = serde_json::from_slice(seccomp).unwrap();
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 65534, "gid": 65534 }, "args": ["/p"], "env": [], "cwd": "/",
            "noNewPrivileges": no_new_privileges,
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "network" }],
            "seccomp": seccomp,
        },
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let name = format!("k8orc-syscalls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let state = folder.path().join("state");
    let output = runc_command(&state).args(["run", "--bundle"]).arg(folder.path()).arg(&name).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn runc_command(state: &Path) -> Command {
    let mut command = Command::new("runc");
    command.arg("--root").arg(state);
    command
}

/// Only what [`program`] itself needs.
fn smallest() -> Profile {
    profile(DefaultAction::KillProcess, [("exit_group", Action::Allow), ("getpid", Action::Allow)])
}

#[test]
fn runc_starts_the_smallest_profile() {
    if !runc() {
        return;
    }
    let getpid = program(39, false);
    for _ in 0..10 {
        let (status, said) = run(&getpid, &runtime_spec(&smallest(), &[Runtime::Runc]), true);
        assert_eq!(status, Some(0), "{said}");
    }
    // The check can fail: without its own calls runc does not get as far as the program.
    let (status, _) = run(&getpid, &runtime_spec(&smallest(), &[]), true);
    assert_ne!(status, Some(0));
}

#[test]
fn without_no_new_privs_runc_needs_the_larger_set() {
    if !runc() {
        return;
    }
    let early = groups::calls("@runc-early").iter().map(|name| (*name, Action::Allow));
    let larger = profile(DefaultAction::KillProcess, early.chain([("exit_group", Action::Allow)]));
    for _ in 0..5 {
        let (status, said) = run(&program(39, false), &runtime_spec(&larger, &[]), false);
        assert_eq!(status, Some(0), "{said}");
    }
    let (status, _) = run(&program(39, false), &runtime_spec(&smallest(), &[Runtime::Runc]), false);
    assert_ne!(status, Some(0));
}

/// 128 + SIGSYS.
const KILLED: i32 = 159;
const ENOSYS: i32 = 38;

#[test]
fn runc_does_what_the_profile_says_up_to_its_highest_name() {
    if !runc() {
        return;
    }
    let calls = [
        ("exit_group", Action::Allow),
        ("getpid", Action::Allow),
        ("getppid", Action::Errno(13)),
        ("clone3", Action::Errno(38)),
        ("faccessat2", Action::Allow),
    ];
    let mut profile = profile(DefaultAction::KillProcess, calls);
    // As on a node whose file is for two architectures.
    profile.archs.insert(Arch::Aarch64);
    let file = runtime_spec(&profile, &[Runtime::Runc]);
    let status = |number, legacy| run(&program(number, legacy), &file, true).0;
    assert_eq!(status(39, false), Some(0), "getpid, allowed");
    assert_eq!(status(110, false), Some(13), "getppid, answered EACCES");
    assert_eq!(status(435, false), Some(ENOSYS), "clone3, answered ENOSYS");
    assert_eq!(status(57, false), Some(KILLED), "fork, not named");
    assert_eq!(status(434, false), Some(KILLED), "pidfd_open, not named, below the highest name");
    // Where runc differs from the filter in the image: above faccessat2 (439) everything is ENOSYS.
    assert_eq!(status(440, false), Some(ENOSYS));
    assert_eq!(status(600, false), Some(ENOSYS));
    // The other entries of x86_64.
    assert_eq!(status(0x4000_0000 | 39, false), Some(KILLED), "getpid through x32");
    assert_eq!(status(20, true), Some(KILLED), "getpid through i386");
}

/// libseccomp 2.5 knows calls up to 450, so runc skips newer names: allowed, they answer ENOSYS; never a kill.
#[test]
fn a_name_newer_than_libseccomp_is_never_killed() {
    if !runc() {
        return;
    }
    let calls = ["exit_group", "fchmodat2", "listns"].map(|name| (name, Action::Allow));
    let file = runtime_spec(&profile(DefaultAction::KillProcess, calls), &[Runtime::Runc]);
    for number in [452, 470] {
        let (status, said) = run(&program(number, false), &file, true);
        assert!(matches!(status, Some(status) if status != KILLED), "{number}: {status:?} {said}");
    }
}

#[test]
fn other_defaults_mean_the_same_to_runc() {
    if !runc() {
        return;
    }
    for (otherwise, wanted) in
        [(DefaultAction::KillThread, KILLED), (DefaultAction::Errno(77), 77), (DefaultAction::Log, 0)]
    {
        let mut profile = smallest();
        profile.otherwise = otherwise;
        let file = runtime_spec(&profile, &[Runtime::Runc]);
        assert_eq!(run(&program(102, false), &file, true).0, Some(wanted), "getuid under {otherwise:?}");
    }
}
