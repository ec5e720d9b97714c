//! Tests of the decision: one for each rule in the head of the module and for each code.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use diag::{FileId, Severity};

/// `name`, `name errno=E` or `name because`; spans count up so that each is its own.
fn rules_of(words: &[&str], next: &mut usize) -> Vec<CallRule> {
    let rule = |text: &&str| {
        *next += 10;
        let span = Span::new(FileId(0), *next, *next + 5);
        let mut parts = text.splitn(2, ' ');
        let name = Spanned::new(parts.next().unwrap().to_owned(), span);
        let rest = parts.next();
        let errno = rest.and_then(|rest| rest.strip_prefix("errno=")).map(|e| Spanned::new(e.to_owned(), span));
        let because = rest.filter(|rest| !rest.starts_with("errno=")).map(|why| Spanned::new(why.to_owned(), span));
        CallRule { name, errno, because }
    };
    words.iter().map(rule).collect()
}

fn node(allow: &[&str], refuse: &[&str], deny: &[&str]) -> Syscalls {
    let mut next = 100;
    Syscalls {
        span: Some(Span::new(FileId(0), 50, 58)),
        allow: rules_of(allow, &mut next),
        refuse: rules_of(refuse, &mut next),
        deny: rules_of(deny, &mut next),
        otherwise: None,
        deliver: None,
    }
}

fn on(syscalls: &Syscalls, archs: &[Arch]) -> (Profile, Diagnostics) {
    profile(syscalls, Span::new(FileId(0), 0, 1), &archs.iter().copied().collect(), "image")
}

fn both(syscalls: &Syscalls) -> (Profile, Diagnostics) {
    on(syscalls, &Arch::ALL)
}

fn codes_of(found: &Diagnostics) -> Vec<&'static str> {
    found.iter().map(|one| one.code.id()).collect()
}

fn action(profile: &Profile, call: &str) -> Option<Action> {
    profile.calls.get(call).map(|decision| decision.action)
}

const ENOSYS: Action = Action::Errno(38);

#[test]
fn the_default_set_is_decided_with_a_reason_for_each_call() {
    let (profile, found) = both(&node(&["@runtime-default"], &[], &[]));
    assert_eq!(codes_of(&found), [""; 0], "{found:?}");
    assert_eq!(profile.otherwise, DefaultAction::KillProcess);
    assert_eq!(action(&profile, "openat"), Some(Action::Allow));
    assert_eq!(action(&profile, "clone3"), Some(ENOSYS));
    assert_eq!(action(&profile, "mount"), None);
    let open = &profile.calls["open"].reason;
    assert_eq!(open.in_words(), "it is one of @runtime-default ← the spec says that @runtime-default is allowed");
    assert!(open.span().is_some());
    assert!(profile.calls.values().all(|decision| !decision.reason.text.is_empty()));
    assert!(profile.widenings.is_empty() && profile.accepted.is_empty());
}

#[test]
fn an_architecture_has_only_its_own_calls() {
    let (profile, found) = on(&node(&["@runtime-default"], &[], &[]), &[Arch::Aarch64]);
    assert_eq!(codes_of(&found), [""; 0]);
    assert_eq!((action(&profile, "open"), action(&profile, "openat")), (None, Some(Action::Allow)));
    assert_eq!(action(&profile, "time"), None);
}

#[test]
fn nothing_said_is_an_error_that_names_the_default() {
    for syscalls in [Syscalls::default(), node(&[], &["clone3"], &[])] {
        let (_, found) = both(&syscalls);
        assert_eq!(codes_of(&found), ["E0700"]);
        assert!(found.has_errors());
        assert!(found.0[0].help[0].contains("@runtime-default"));
        assert!(found.0[0].primary.is_some());
    }
}

#[test]
fn unknown_names_get_a_suggestion() {
    for (name, code, help) in [
        ("@runtime-defualt", "E0701", "@runtime-default"),
        ("@nothing-like-it-at-all", "E0701", "the groups are"),
        ("opneat", "E0702", "\"openat\""),
        ("file-system", "E0702", "\"@file-system\""),
        ("mmap2", "E0702", "\"mmap\""),
        ("stat64", "E0702", "\"stat\""),
        ("futex_time64", "E0702", "\"futex\""),
        ("waitpid", "E0702", "\"wait4\""),
        ("\u{1b}[31m", "E0702", "strace"),
    ] {
        let (_, found) = both(&node(&["@runtime-default", name], &[], &[]));
        assert_eq!(codes_of(&found), [code], "{name}");
        assert!(found.0[0].help[0].contains(help), "{:?}", found.0[0]);
        assert!(!found.0[0].message.contains('\u{1b}'));
    }
}

#[test]
fn a_name_beats_a_group() {
    let (profile, found) =
        both(&node(&["@runtime-default"], &["statx", "ptrace errno=EPERM"], &["personality", "chroot why"]));
    assert_eq!(action(&profile, "statx"), Some(ENOSYS));
    assert_eq!(action(&profile, "ptrace"), Some(Action::Errno(1)));
    assert_eq!(codes_of(&found), ["E0706", "E0706"], "nothing allowed personality or chroot");

    let (profile, found) =
        both(&node(&["@runtime-default", "statx"], &["@probes"], &["ptrace no debugger", "vmsplice"]));
    assert_eq!(codes_of(&found), [""; 0]);
    assert_eq!(action(&profile, "statx"), Some(Action::Allow));
    assert_eq!(action(&profile, "openat2"), Some(ENOSYS));
    assert_eq!((action(&profile, "ptrace"), action(&profile, "vmsplice")), (None, None));
    assert_eq!(profile.accepted[0], "ptrace is denied: no debugger");
    assert!(profile.accepted[1].contains("nothing has shown"));
}

#[test]
fn a_denied_probe_is_answered_and_not_killed() {
    let (profile, found) = both(&node(&["@runtime-default"], &[], &["openat2"]));
    assert_eq!(codes_of(&found), [""; 0]);
    assert_eq!(action(&profile, "openat2"), Some(ENOSYS));
}

#[test]
fn contradictions_are_errors() {
    for (allow, refuse, deny) in [
        (&["@runtime-default", "statx"][..], &[][..], &["statx"][..]),
        (&["@runtime-default", "statx"], &["statx"], &[]),
        (&["@runtime-default"], &["statx"], &["statx"]),
        (&["@runtime-default"], &["statx", "statx errno=EPERM"], &[]),
        (&["@runtime-default", "setuid"], &[], &["@setuid"]),
    ] {
        let (_, found) = both(&node(allow, refuse, deny));
        assert_eq!(codes_of(&found), ["E0704"], "{allow:?} {refuse:?} {deny:?}");
        assert_eq!(found.0[0].labels.len(), 1);
    }
    // Twice the same is no contradiction, and groups may overlap.
    let (_, found) =
        both(&node(&["@runtime-default", "@process", "fork", "fork"], &["statx", "statx errno=ENOSYS"], &["@setuid"]));
    assert_eq!(codes_of(&found), [""; 0]);
}

#[test]
fn what_every_process_needs_stays() {
    let (profile, found) = both(&node(&["@runtime-default"], &["time"], &["exit_group"]));
    assert_eq!(codes_of(&found), ["E0705", "E0705"]);
    assert_eq!(action(&profile, "exit_group"), Some(Action::Allow));
    let (profile, found) = both(&node(&["@runtime-default"], &[], &["@timer"]));
    assert_eq!(codes_of(&found), [""; 0]);
    assert_eq!((action(&profile, "clock_gettime"), action(&profile, "alarm")), (Some(Action::Allow), None));
}

#[test]
fn a_set_that_starts_nothing_names_what_it_lacks() {
    let (_, found) = both(&node(&["read", "write"], &[], &["mmap"]));
    assert_eq!(codes_of(&found), ["E0706", "E0707"]);
    let unable = &found.0[1];
    assert_eq!(unable.message, "no program starts without arch_prctl, execve, mmap");
    assert_eq!(unable.help, ["add: allow \"arch_prctl\" \"execve\""]);
    assert_eq!(unable.labels[0].message, "mmap is denied here");
    let (_, found) = on(&node(&["execve", "mmap"], &[], &[]), &[Arch::Aarch64]);
    assert_eq!(codes_of(&found), [""; 0], "arch_prctl is x86_64's");
}

#[test]
fn calls_that_the_default_profile_refuses_are_allowed_in_vain() {
    let mut syscalls = node(&["@runtime-default", "mount", "clone3", "@file-system"], &[], &[]);
    let (_, found) = both(&syscalls);
    assert_eq!(codes_of(&found), ["E0708"]);
    assert_eq!(found.0[0].severity, Severity::Warning);
    assert!(found.0[0].message.contains("refuses mount"));
    syscalls.deliver = Some(Spanned::new(Deliver::Node, Span::new(FileId(0), 0, 1)));
    let (profile, found) = both(&syscalls);
    assert_eq!(codes_of(&found), [""; 0]);
    assert!(profile.widenings.iter().any(|said| said.starts_with("clone may make namespaces")));
}

#[test]
fn the_file_on_the_node_is_wider() {
    let mut syscalls = node(&["execve", "mmap", "arch_prctl", "@network-io"], &["getpid errno=EPERM"], &[]);
    syscalls.deliver = Some(Spanned::new(Deliver::Node, Span::new(FileId(0), 0, 1)));
    let (profile, found) = both(&syscalls);
    assert_eq!(codes_of(&found), ["E0709"]);
    assert!(found.0[0].message.starts_with("getpid is refused but"));
    let own = profile.widenings.iter().find(|said| said.contains("runc, crun and k8or")).unwrap();
    assert!(own.contains("fstatfs") && !own.contains("execve"), "{own}");
    syscalls.deliver = None;
    let (profile, found) = both(&syscalls);
    assert_eq!((codes_of(&found), profile.widenings.len()), (vec![], 0));
}

#[test]
fn a_line_for_another_architecture_is_noted() {
    let (profile, found) = on(&node(&["@runtime-default", "open"], &[], &[]), &[Arch::Aarch64]);
    assert_eq!(codes_of(&found), ["E0703"]);
    assert_eq!(found.0[0].severity, Severity::Note);
    assert_eq!(action(&profile, "open"), None);
}

#[test]
fn otherwise_has_four_forms() {
    let with = |text: &str| {
        let mut syscalls = node(&["@runtime-default"], &[], &[]);
        syscalls.otherwise = Some(Spanned::new(text.to_owned(), Span::new(FileId(0), 0, 1)));
        both(&syscalls)
    };
    for (text, wanted, codes, widenings) in [
        ("kill-process", DefaultAction::KillProcess, &[][..], 0),
        ("kill-thread", DefaultAction::KillThread, &["E0711"][..], 0),
        ("errno:EPERM", DefaultAction::Errno(1), &[], 1),
        ("log", DefaultAction::Log, &[], 1),
        ("errno:EPREM", DefaultAction::Errno(1), &["E0712"], 1),
        ("errno:38", DefaultAction::Errno(1), &["E0712"], 1),
        ("kill", DefaultAction::KillProcess, &["E0710"], 0),
    ] {
        let (profile, found) = with(text);
        assert_eq!((profile.otherwise, codes_of(&found), profile.widenings.len()), (wanted, codes.to_vec(), widenings));
        let fatal = ["E0710", "E0712"].iter().any(|code| codes.contains(code));
        assert_eq!(found.has_errors(), fatal, "{text}");
        // To log means to see what is called: nothing is refused then.
        let probe = if wanted == DefaultAction::Log { None } else { Some(ENOSYS) };
        assert_eq!(action(&profile, "clone3"), probe);
    }
}

#[test]
fn an_unknown_error_name_is_an_error() {
    let (_, found) = both(&node(&["@runtime-default"], &["clone3 errno=ENOSSYS"], &[]));
    assert_eq!(codes_of(&found), ["E0712"]);
    assert_eq!(found.0[0].help, ["did you mean ENOSYS?"]);
}

/// A spec with tens of thousands of wrong names costs seconds when each is compared with every call.
#[test]
fn many_unknown_names_are_quick() {
    let names: Vec<String> = (0..20_000).map(|at| format!("sched_get_prioritie_{at:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let begun = std::time::Instant::now();
    let (_, found) = both(&node(&names, &[], &[]));
    assert_eq!(found.0.len(), names.len());
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
}
