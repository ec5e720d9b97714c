//! What is looked at once every call has its action: sets that cannot work, lines that do nothing, and what
//! the profile allows beyond what the spec says.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{Deliver, Syscalls};

use super::{Rule, Verb, Words};
use crate::calls::{self, errno, groups};
use crate::platform::Arch;
use crate::profile::{Action, DefaultAction, Profile};

type AllWords<'a> = BTreeMap<&'static str, Words<'a>>;

/// At most this many names in one message.
const SHOWN: usize = 12;

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    match names.get(SHOWN..) {
        Some(rest) if !rest.is_empty() => format!("{} and {} more", names[..SHOWN].join(", "), rest.len()),
        _ => names.join(", "),
    }
}

/// `deny "exit_group"`: what every process needs cannot be taken away.
pub fn start(words: &AllWords, found: &mut Diagnostics) {
    for call in groups::calls(groups::START) {
        let Some(rule) = words.get(call).and_then(|word| word.by_name) else { continue };
        if rule.verb != Verb::Allow {
            found.push(
                Diagnostic::new(codes::E0705, format!("{call} cannot be {}", rule.verb.said()))
                    .at(rule.span(), "always allowed")
                    .note("a process ends, resumes and tells the time with the calls of @start; without them it dies on some hosts only")
                    .help("remove the line"),
            );
        }
    }
}

/// Lines that change nothing: on no architecture of the image, or denied where nothing allows it.
pub fn effects(rules: &[Rule], words: &AllWords, archs: &BTreeSet<Arch>, found: &mut Diagnostics) {
    for rule in rules.iter().filter(|rule| !rule.calls.is_empty()) {
        let name = &rule.said.name.value;
        if !rule.calls.iter().any(|call| archs.iter().any(|arch| calls::number(*arch, call).is_some())) {
            let archs: Vec<_> = archs.iter().map(|arch| arch.kernel()).collect();
            found.push(
                Diagnostic::new(codes::E0703, format!("{name} does not exist on {}", archs.join(" or ")))
                    .at(rule.span(), "has no effect"),
            );
        } else if rule.verb == Verb::Deny && !rule.calls.iter().any(|call| takes_away(call, words)) {
            found.push(
                Diagnostic::new(codes::E0706, format!("nothing allows {name}, so denying it has no effect"))
                    .at(rule.span(), "has no effect")
                    .help("remove the line; what is not allowed is not made anyway"),
            );
        }
    }
}

fn takes_away(call: &str, words: &AllWords) -> bool {
    words.get(call).is_some_and(|word| word.allowed_by_group)
}

/// A set in which no program starts.
pub fn needed(syscalls: &Syscalls, words: &AllWords, profile: &Profile, found: &mut Diagnostics) {
    let there = |call: &str| profile.archs.iter().any(|arch| calls::number(*arch, call).is_some());
    let allowed = |call: &str| profile.calls.get(call).is_some_and(|decision| decision.action == Action::Allow);
    let missing: Vec<&str> =
        groups::calls(groups::NEEDED).iter().copied().filter(|call| there(call) && !allowed(call)).collect();
    if missing.is_empty() || profile.otherwise == DefaultAction::Log {
        return;
    }
    let mut unable =
        Diagnostic::new(codes::E0707, format!("no program starts without {}", list(missing.iter().copied())))
            .at_opt(syscalls.span, "not allowed here")
            .note("the filter is there before execve, so what the start needs must be in it too");
    let mut unsaid = Vec::new();
    for call in missing {
        match words.get(call).and_then(|word| word.by_name.or(word.by_group)) {
            Some(rule) => unable = unable.label(rule.span(), format!("{call} is {} here", rule.verb.said())),
            None => unsaid.push(format!("{call:?}")),
        }
    }
    if !unsaid.is_empty() {
        unable = unable.help(format!("add: allow {}", unsaid.join(" ")));
    }
    found.push(unable);
}

/// With the filter in the image the runtime's default profile stays in force beneath it: what that one
/// refuses stays refused.
pub fn runtime_default(rules: &[Rule], words: &AllWords, found: &mut Diagnostics) {
    let default = groups::calls(groups::RUNTIME_DEFAULT);
    // The default profile answers ENOSYS to clone3, and everybody falls back; it lets the usual values of
    // personality through.
    let harmless = |call: &str| matches!(call, "clone3" | "personality");
    for rule in rules.iter().filter(|rule| rule.verb == Verb::Allow) {
        let decides = |call: &str| {
            words.get(call).and_then(|word| word.by_name.or(word.by_group)).is_some_and(|by| std::ptr::eq(by, rule))
        };
        let refused: Vec<_> = rule
            .calls
            .iter()
            .copied()
            .filter(|call| !default.contains(call) && !harmless(call) && decides(call))
            .collect();
        if refused.is_empty() {
            continue;
        }
        let names = list(refused);
        found.push(
            Diagnostic::new(codes::E0708, format!("the container runtime's default profile refuses {names}"))
                .at(rule.span(), "allowed here in vain")
                .note("the filter in the image works beneath that profile (RuntimeDefault), which answers EPERM")
                .help("deliver \"node\" puts this profile in its place; or remove the line"),
        );
    }
}

/// Calls that a runtime or `k8or` makes to start the program: the file on the node has to allow them.
fn runtime_calls(profile: &Profile) -> Vec<&'static str> {
    let own: BTreeSet<_> = [groups::RUNC, groups::CRUN, groups::K8OR].into_iter().flat_map(groups::calls).collect();
    own.into_iter()
        .copied()
        .filter(|call| profile.archs.iter().any(|arch| calls::number(*arch, call).is_some()))
        .filter(|call| profile.calls.get(*call).is_none_or(|decision| decision.action != Action::Allow))
        .collect()
}

/// `deny` or `refuse` of a call that the file on the node has to allow.
pub fn node(words: &AllWords, profile: &Profile, found: &mut Diagnostics) {
    for call in runtime_calls(profile) {
        let Some(rule) = words.get(call).and_then(|word| word.by_name) else { continue };
        found.push(
            Diagnostic::new(codes::E0709, format!("{call} is {} but the file on the node allows it", rule.verb.said()))
                .at(rule.span(), "holds only for a filter in the image")
                .note("runc, crun or k8or makes this call after the profile is loaded and before the program starts")
                .help("deliver \"in-image\" installs the filter after that"),
        );
    }
}

/// What is allowed beyond what the spec says, a sentence each.
pub fn widenings(profile: &Profile, deliver: Deliver) -> Vec<String> {
    let mut said = Vec::new();
    match profile.otherwise {
        DefaultAction::KillProcess | DefaultAction::KillThread => {}
        DefaultAction::Errno(number) => {
            let error = errno::name(number).unwrap_or("an error");
            said.push(format!("a call that is not allowed does not end the program: it is answered {error}"));
        }
        DefaultAction::Log => {
            said.push("calls that are not allowed are made and logged: nothing is refused".to_owned())
        }
    }
    if deliver == Deliver::InImage {
        return said;
    }
    let own = runtime_calls(profile);
    if !own.is_empty() {
        said.push(format!(
            "the file on the node also allows what runc, crun and k8or call to start the program: {}",
            own.join(", ")
        ));
    }
    let allowed = |call: &str| profile.calls.get(call).is_some_and(|decision| decision.action == Action::Allow);
    if allowed("clone") {
        said.push(
            "clone may make namespaces, which the runtime's default profile refuses; the file takes its place"
                .to_owned(),
        );
    }
    if allowed("socket") {
        said.push(
            "socket may open AF_VSOCK, which the runtime's default profile refuses; the file takes its place"
                .to_owned(),
        );
    }
    said
}
