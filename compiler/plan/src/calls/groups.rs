//! Named groups of system calls (`@file-system`), read from `stdlib/syscalls/groups.txt`.
//!
//! The format is in the head of that file. It is plain text and not KDL because
//! this crate reads no files of users and so needs no KDL reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

const TEXT: &str = include_str!("../../../../stdlib/syscalls/groups.txt");

/// Always allowed: ends, signal returns, vDSO fall-backs.
pub const START: &str = "@start";
/// What no program starts without.
pub const NEEDED: &str = "@needed";
/// Answered ENOSYS unless the set says otherwise: calls with a fall-back.
pub const PROBES: &str = "@probes";
/// What the default profile of container runtimes allows.
pub const RUNTIME_DEFAULT: &str = "@runtime-default";
/// What runc itself calls between loading the filter and execve.
pub const RUNC: &str = "@runc";
/// The same for crun.
pub const CRUN: &str = "@crun";
/// What `k8or run` and `k8or exec` call under a filter from the node.
pub const K8OR: &str = "@k8or";

/// One group: its calls and what its comment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Calls, members of named groups included, by name.
    pub calls: BTreeSet<&'static str>,
    /// The comment above the group, one paragraph.
    pub about: String,
}

fn all() -> &'static BTreeMap<&'static str, Group> {
    static GROUPS: OnceLock<BTreeMap<&'static str, Group>> = OnceLock::new();
    GROUPS.get_or_init(|| parse(TEXT))
}

/// The group called `name`, which starts with `@`.
pub fn group(name: &str) -> Option<&'static Group> {
    all().get(name)
}

/// The calls of the group `name`; empty when there is no such group.
pub fn calls(name: &str) -> &'static BTreeSet<&'static str> {
    static NONE: BTreeSet<&str> = BTreeSet::new();
    group(name).map_or(&NONE, |group| &group.calls)
}

/// The names of all groups, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().keys().copied()
}

/// The group whose name is most like `name`, for "did you mean".
pub fn nearest(name: &str) -> Option<&'static str> {
    super::closest(name, names())
}

/// Reads the text of `groups.txt`. A group may name groups above it.
fn parse(text: &'static str) -> BTreeMap<&'static str, Group> {
    let mut groups: BTreeMap<&'static str, Group> = BTreeMap::new();
    let mut about = String::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            if !about.is_empty() {
                about.push(' ');
            }
            about.push_str(comment.trim());
            continue;
        }
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            about.clear();
            continue;
        }
        let mut words = line;
        if let Some((name, rest)) = line.split_once(':') {
            groups.insert(name, Group { calls: BTreeSet::new(), about: std::mem::take(&mut about) });
            current = Some(name);
            words = rest;
        }
        let Some(name) = current else { continue };
        let mut calls = BTreeSet::new();
        for word in words.split_ascii_whitespace() {
            match groups.get(word) {
                Some(other) => calls.extend(other.calls.iter().copied()),
                None => {
                    calls.insert(word);
                }
            }
        }
        if let Some(group) = groups.get_mut(name) {
            group.calls.extend(calls);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls;
    use crate::platform::Arch;

    #[test]
    fn every_group_is_described_and_holds_only_known_calls() {
        for name in names() {
            let group = group(name).cloned().unwrap_or_default();
            assert!(name.starts_with('@'), "{name}");
            assert!(!group.calls.is_empty(), "{name} is empty");
            assert!(!group.about.is_empty(), "{name} has no comment");
            for call in &group.calls {
                assert!(calls::known(call), "{name}: no call {call}");
            }
        }
        for name in [START, NEEDED, PROBES, RUNTIME_DEFAULT, RUNC, CRUN, K8OR] {
            assert!(group(name).is_some(), "{name} is missing");
        }
    }

    #[test]
    fn the_default_profile_is_the_one_of_the_runtimes() {
        let set = calls(RUNTIME_DEFAULT);
        for call in ["ptrace", "clone", "socket", "futex_waitv", "openat2", "seccomp", "execve"] {
            assert!(set.contains(call), "{call}");
        }
        // Docker's documentation, "Significant syscalls blocked by the default profile".
        for call in [
            "acct",
            "add_key",
            "bpf",
            "clock_settime",
            "delete_module",
            "finit_module",
            "init_module",
            "io_uring_enter",
            "io_uring_register",
            "io_uring_setup",
            "kcmp",
            "kexec_load",
            "keyctl",
            "mbind",
            "mount",
            "move_pages",
            "open_by_handle_at",
            "perf_event_open",
            "pivot_root",
            "quotactl",
            "reboot",
            "request_key",
            "set_mempolicy",
            "setns",
            "settimeofday",
            "swapon",
            "umount2",
            "unshare",
            "userfaultfd",
            "clone3",
        ] {
            assert!(!set.contains(call), "{call}");
        }
        let on = |arch| set.iter().filter(|call| calls::number(arch, call).is_some()).count();
        assert_eq!((on(Arch::X86_64), set.len()), (299, 299));
        assert!(on(Arch::Aarch64) > 250);
    }

    #[test]
    fn the_format_is_what_the_file_says() {
        let read = parse("# head\n\n# one\n# line\n@a: x y\n    z # w\n@b: @a q\n");
        let a = read.get("@a").cloned().unwrap_or_default();
        assert_eq!(a.calls.into_iter().collect::<Vec<_>>(), ["x", "y", "z"]);
        assert_eq!(a.about, "one line");
        let b = read.get("@b").cloned().unwrap_or_default();
        assert_eq!(b.calls.into_iter().collect::<Vec<_>>(), ["q", "x", "y", "z"]);
    }
}
