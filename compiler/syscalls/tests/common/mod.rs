//! What the tests with real programs share.
#![allow(dead_code)]

use std::process::Command;

use plan::platform::Arch;
use plan::profile::{Action, CallDecision, DefaultAction, Profile};
use plan::reason::Reason;

/// Whether a program runs here. Without it the test is skipped, aloud; under `K8ORC_REQUIRE=all` it fails.
pub fn available(program: &str, arguments: &[&str]) -> bool {
    let there = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("K8ORC_REQUIRE").is_none_or(|value| value != "all"), "{program} is not there");
        eprintln!("skipped: {program} is not there");
    }
    there
}

/// A profile of these calls for x86_64; a later mention of a call wins.
pub fn profile<'a>(otherwise: DefaultAction, calls: impl IntoIterator<Item = (&'a str, Action)>) -> Profile {
    let decide = |(name, action): (&str, Action)| {
        (name.to_owned(), CallDecision { action, reason: Reason::fact("a test says so") })
    };
    Profile {
        name: "test".to_owned(),
        otherwise,
        calls: calls.into_iter().map(decide).collect(),
        archs: [Arch::X86_64].into(),
        widenings: Vec::new(),
        accepted: Vec::new(),
    }
}
