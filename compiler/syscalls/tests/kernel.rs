//! The filter under the real kernel: a child for each number, killed or answered as the profile says.
//!
//! `probe.py` makes the calls, because installing a filter needs unsafe code that this crate forbids.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::{available, profile};
use plan::calls::{self, groups};
use plan::platform::Arch;
use plan::profile::{Action, DefaultAction, Profile};
use syscalls::write::filter::filter;

/// What became of a call: `killed 31`, `errno 38`, `returned 3`, `silent -`.
type Outcomes = BTreeMap<u32, String>;

fn probe(filter: &[u8], mode: &str, numbers: &[String]) -> Outcomes {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter");
    std::fs::write(&file, filter).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/probe.py");
    let output = Command::new("python3").arg(script).arg(&file).arg(mode).args(numbers).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let (number, rest) = line.split_once(' ').unwrap();
            (number.parse().unwrap(), rest.to_owned())
        })
        .collect()
}

/// A filter that lets everything through: what the kernel answers by itself.
const OPEN: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f];

/// The calls that containers may make, probes refused, all with harmless arguments. Without `msgget`,
/// which makes a queue of the machine out of any arguments.
fn tried(otherwise: DefaultAction) -> Profile {
    let refused = groups::calls(groups::PROBES).iter().map(|name| (*name, Action::Errno(38)));
    let allowed = groups::calls(groups::RUNTIME_DEFAULT).iter().filter(|name| **name != "msgget");
    profile(
        otherwise,
        refused.chain(allowed.map(|name| (*name, Action::Allow))).chain([("ptrace", Action::Errno(123))]),
    )
}

/// Numbers that the kernel lets through before it asks any filter: uretprobe (since 6.14) and uprobe.
const UNFILTERED: [u32; 2] = [335, 336];

#[test]
fn the_kernel_does_what_the_profile_says() {
    if !available("python3", &["--version"]) || !cfg!(target_arch = "x86_64") {
        return;
    }
    for (otherwise, wanted) in [
        (DefaultAction::KillProcess, "killed 31"),
        (DefaultAction::KillThread, "killed 31"),
        (DefaultAction::Errno(77), "errno 77"),
    ] {
        let profile = tried(otherwise);
        let program = filter(&profile, Arch::X86_64);
        let action = |number: u32| {
            calls::name(Arch::X86_64, number).and_then(|name| profile.calls.get(name)).map(|decision| decision.action)
        };
        let allowed: Vec<String> =
            (0..=600).filter(|n| action(*n) == Some(Action::Allow)).map(|n| n.to_string()).collect();
        let free = probe(&OPEN, "native", &allowed);
        assert!(free.len() > 250);
        let found = probe(&program, "native", &["0-600".to_owned()]);
        assert_eq!(found.len(), 601);
        for (number, outcome) in found.iter().filter(|(number, _)| !UNFILTERED.contains(number)) {
            let name = calls::name(Arch::X86_64, *number).unwrap_or("(no such call)");
            match action(*number) {
                None => assert_eq!(outcome, wanted, "{name}"),
                Some(Action::Errno(error)) => assert_eq!(*outcome, format!("errno {error}"), "{name}"),
                Some(Action::Allow) => {
                    // Process ids and times differ from run to run; that the call was made does not.
                    let same = |text: &str| match text.starts_with("returned") {
                        true => "returned".to_owned(),
                        false => text.to_owned(),
                    };
                    assert_eq!(same(outcome), same(&free[number]), "{name}");
                }
            }
        }
    }
}

#[test]
fn other_entries_are_killed() {
    if !available("python3", &["--version"]) || !cfg!(target_arch = "x86_64") {
        return;
    }
    // Whatever the default is: a filter that only logs still keeps other architectures out.
    for otherwise in [DefaultAction::KillProcess, DefaultAction::Errno(1), DefaultAction::Log] {
        let program = filter(&tried(otherwise), Arch::X86_64);
        for mode in ["x32", "i386"] {
            let found = probe(&program, mode, &["0-1024".to_owned()]);
            assert_eq!(found.len(), 1025);
            let lived: Vec<_> = found.iter().filter(|(_, outcome)| *outcome != "killed 31").collect();
            assert!(lived.is_empty(), "{mode}: {lived:?}");
        }
        // And a filter written for the other architecture ends everything here.
        let foreign = filter(&tried(otherwise), Arch::Aarch64);
        let found = probe(&foreign, "native", &["0-100".to_owned()]);
        assert!(found.values().all(|outcome| outcome == "killed 31"), "{found:?}");
    }
}
