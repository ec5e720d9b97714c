//! The profile as the JSON that container runtimes load: `LinuxSeccomp` of the OCI runtime specification
//! (config-linux.md, "Seccomp"), which is also what the kubelet hands on for `type: Localhost`.
//!
//! What runc does with it, measured with 1.1.5 and 1.3.6:
//! - It looks names up in libseccomp and **skips those that libseccomp does not know**, without a word. A
//!   skipped name falls under the default action, except that numbers above the highest one that was found
//!   answer ENOSYS. Names newer than libseccomp have the highest numbers, so an allowed one becomes
//!   ENOSYS on such a node and its caller falls back. That is why all names are written.
//! - It ignores members that it does not know, so each entry says in `comment` what it is.
//! - A rule with the default action is dropped by runc; such names are left out here.
//!
//! The file is for the node, where one file serves all architectures of the image: names are united, and a
//! runtime drops those that its architecture lacks. `architectures` lists only the 64-bit ones, so that calls
//! through i386, x32 and 32-bit Arm entries are killed by libseccomp's own check.

use std::collections::{BTreeMap, BTreeSet};

use plan::calls::{self, groups};
use plan::platform::Arch;
use plan::profile::{Action, DefaultAction, Profile};
use serde::Serialize;

/// A part of the start of a container whose own calls the file allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Runtime {
    /// runc, from 1.1.
    Runc,
    /// crun, from 1.8.
    Crun,
    /// k8or, which the container starts and which starts the program.
    K8or,
}

impl Runtime {
    /// All: what a file for an unknown node is written for.
    pub const ALL: [Runtime; 3] = [Runtime::Runc, Runtime::Crun, Runtime::K8or];

    fn name(self) -> &'static str {
        match self {
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
            Runtime::K8or => "k8or",
        }
    }

    /// What it calls under the filter before the program starts (k8or: also beside it).
    pub fn calls(self) -> &'static BTreeSet<&'static str> {
        match self {
            Runtime::Runc => groups::calls(groups::RUNC),
            Runtime::Crun => groups::calls(groups::CRUN),
            Runtime::K8or => groups::calls(groups::K8OR),
        }
    }
}

/// `LinuxSeccomp`, members in the order of the specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp<'a> {
    default_action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_errno_ret: Option<u16>,
    architectures: Vec<&'static str>,
    syscalls: Vec<Entry<'a>>,
}

/// `LinuxSyscall`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    names: Vec<&'a str>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u16>,
    comment: String,
}

fn default_action(otherwise: DefaultAction) -> (&'static str, Option<u16>) {
    match otherwise {
        DefaultAction::KillProcess => ("SCMP_ACT_KILL_PROCESS", None),
        // Not SCMP_ACT_KILL, which means the same: its name does not say so.
        DefaultAction::KillThread => ("SCMP_ACT_KILL_THREAD", None),
        DefaultAction::Errno(number) => ("SCMP_ACT_ERRNO", Some(number)),
        DefaultAction::Log => ("SCMP_ACT_LOG", None),
    }
}

/// The file's bytes. `runtimes` are those whose own calls it allows.
pub fn runtime_spec(profile: &Profile, runtimes: &[Runtime]) -> Vec<u8> {
    let (default_action, default_errno_ret) = default_action(profile.otherwise);
    let own = runtime_calls(profile, runtimes);
    let mut syscalls = entries(profile, &own);
    if !own.is_empty() {
        let names: Vec<_> = runtimes.iter().collect::<BTreeSet<_>>().into_iter().map(|r| r.name()).collect();
        let comment = format!("what is called to start the program, by {}", names.join(", "));
        syscalls.push(Entry { names: own.into_iter().collect(), action: "SCMP_ACT_ALLOW", errno_ret: None, comment });
    }
    let architectures = profile
        .archs
        .iter()
        .map(|arch| match arch {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
        })
        .collect();
    let file = Seccomp { default_action, default_errno_ret, architectures, syscalls };
    // Strings and numbers into memory: nothing here can fail to serialize.
    let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Whether some architecture of the profile has this call.
fn exists(profile: &Profile, name: &str) -> bool {
    profile.archs.iter().any(|arch| calls::number(*arch, name).is_some())
}

/// Calls that only the runtimes need: allowed for them, whatever the profile says about them. Where the
/// default is to log, everything is made anyway.
pub fn runtime_calls(profile: &Profile, runtimes: &[Runtime]) -> BTreeSet<&'static str> {
    let allowed = |name: &str| profile.calls.get(name).is_some_and(|decision| decision.action == Action::Allow);
    let needed = runtimes.iter().flat_map(|runtime| runtime.calls()).copied();
    needed.filter(|name| !allowed(name) && exists(profile, name)).collect()
}

/// The profile's own names, one entry for each action: allowed ones first, then by error number.
fn entries<'a>(profile: &'a Profile, own: &BTreeSet<&str>) -> Vec<Entry<'a>> {
    let mut by_action: BTreeMap<Action, Vec<&str>> = BTreeMap::new();
    for (name, decision) in &profile.calls {
        let default = match (decision.action, profile.otherwise) {
            (Action::Errno(number), DefaultAction::Errno(default)) => number == default,
            _ => false,
        };
        if !default && !own.contains(name.as_str()) && exists(profile, name) {
            by_action.entry(decision.action).or_default().push(name);
        }
    }
    let entry = |(action, names)| match action {
        Action::Allow => {
            let comment = "what the programs may call".to_owned();
            Entry { names, action: "SCMP_ACT_ALLOW", errno_ret: None, comment }
        }
        Action::Errno(number) => {
            let error = calls::errno::name(number).map_or_else(|| number.to_string(), str::to_owned);
            let comment = format!("answered {error}");
            Entry { names, action: "SCMP_ACT_ERRNO", errno_ret: Some(number), comment }
        }
    };
    by_action.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::write::sample::{default_profile, profile};

    #[test]
    fn the_file_is_this() {
        let profile = profile(
            DefaultAction::KillProcess,
            [
                ("write", Action::Allow),
                ("open", Action::Allow),
                ("clone3", Action::Errno(38)),
                ("ptrace", Action::Errno(1)),
            ],
        );
        let text = String::from_utf8(runtime_spec(&profile, &[Runtime::Crun])).unwrap();
        let wanted = r#"{
  "defaultAction": "SCMP_ACT_KILL_PROCESS",
  "architectures": [
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_AARCH64"
  ],
  "syscalls": [
    {
      "names": [
        "open",
        "write"
      ],
      "action": "SCMP_ACT_ALLOW",
      "comment": "what the programs may call"
    },
    {
      "names": [
        "ptrace"
      ],
      "action": "SCMP_ACT_ERRNO",
      "errnoRet": 1,
      "comment": "answered EPERM"
    },
    {
      "names": [
        "clone3"
      ],
      "action": "SCMP_ACT_ERRNO",
      "errnoRet": 38,
      "comment": "answered ENOSYS"
    },
    {
      "names": [
        "close",
        "close_range",
        "execve"
      ],
      "action": "SCMP_ACT_ALLOW",
      "comment": "what is called to start the program, by crun"
    }
  ]
}
"#;
        assert_eq!(text, wanted);
    }

    #[test]
    fn no_name_stands_twice_and_the_runtime_gets_what_it_needs() {
        for otherwise in [DefaultAction::KillProcess, DefaultAction::Errno(38), DefaultAction::Log] {
            let mut profile = default_profile();
            profile.otherwise = otherwise;
            profile.calls.remove("getdents64");
            let file: serde_json::Value = serde_json::from_slice(&runtime_spec(&profile, &Runtime::ALL)).unwrap();
            let mut seen = BTreeMap::new();
            for entry in file["syscalls"].as_array().unwrap() {
                for name in entry["names"].as_array().unwrap() {
                    let name = name.as_str().unwrap().to_owned();
                    assert_eq!(seen.insert(name.clone(), entry["action"].clone()), None, "{name} stands twice");
                }
            }
            for call in Runtime::ALL.iter().flat_map(|runtime| runtime.calls()) {
                assert_eq!(seen[*call], "SCMP_ACT_ALLOW", "{call}");
            }
            assert_eq!(seen.contains_key("clone3"), otherwise != DefaultAction::Errno(38));
        }
    }

    #[test]
    fn one_architecture_has_no_names_of_the_other() {
        let mut profile = default_profile();
        profile.archs = [Arch::Aarch64].into();
        let text = String::from_utf8(runtime_spec(&profile, &Runtime::ALL)).unwrap();
        assert!(!text.contains("X86_64") && !text.contains("\"open\"") && text.contains("\"openat\""));
    }
}
