//! The profile: from the spec's `syscalls` node to an action and a reason for each call.
//!
//! Who decides about a call, the strongest first:
//! 1. `@start`: always allowed, whatever is said.
//! 2. The spec's own word on the call by name: `allow`, `deny` or `refuse`; two of them are an error.
//! 3. Its words on groups that hold the call: `deny` before `refuse` before `allow`.
//! 4. `@probes`: answered ENOSYS, so that whoever tries the call falls back.
//! 5. `otherwise`.
//!
//! A denied probe is answered ENOSYS too: the call is not made, and killing at a probe would end nearly
//! every program at its start.

mod checks;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, Diagnostics, Span, Spanned, codes};
use lang::spec::{CallRule, Deliver, Syscalls};

use crate::calls::{self, errno, groups};
use crate::platform::Arch;
use crate::profile::{Action, CallDecision, DefaultAction, Profile};
use crate::reason::Reason;

/// What a rule does, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Allow,
    Refuse(u16),
    Deny,
}

impl Verb {
    fn said(self) -> &'static str {
        match self {
            Verb::Allow => "allowed",
            Verb::Refuse(_) => "refused",
            Verb::Deny => "denied",
        }
    }
}

/// One argument of `allow`, `deny` or `refuse` with the calls that it stands for.
struct Rule<'a> {
    verb: Verb,
    said: &'a CallRule,
    calls: BTreeSet<&'static str>,
}

impl Rule<'_> {
    fn is_group(&self) -> bool {
        self.said.name.value.starts_with('@')
    }

    fn span(&self) -> Span {
        self.said.name.span
    }

    fn reason(&self) -> Arc<Reason> {
        let because = self.said.because.as_ref().map_or(String::new(), |why| format!(": {}", why.value));
        let name = &self.said.name.value;
        let line = Reason::spec(format!("the spec says that {name} is {}{because}", self.verb.said()), self.span());
        match self.is_group() {
            true => Reason::link(format!("it is one of {name}"), &line),
            false => line,
        }
    }
}

/// What the spec says about one call.
#[derive(Default)]
struct Words<'a> {
    by_name: Option<&'a Rule<'a>>,
    by_group: Option<&'a Rule<'a>>,
    allowed_by_group: bool,
}

/// Decides the profile called `name` for these architectures. `image` is where to point when the spec says
/// nothing about calls. With errors among the diagnostics the profile is not to be used.
pub fn profile(syscalls: &Syscalls, image: Span, archs: &BTreeSet<Arch>, name: &str) -> (Profile, Diagnostics) {
    let mut found = Diagnostics::new();
    let mut profile = Profile {
        name: name.to_owned(),
        otherwise: otherwise(syscalls.otherwise.as_ref(), &mut found),
        calls: BTreeMap::new(),
        archs: archs.clone(),
        widenings: Vec::new(),
        accepted: Vec::new(),
    };
    if syscalls.allow.is_empty() {
        found.push(nothing_allowed(syscalls.span.unwrap_or(image)));
        return (profile, found);
    }
    let deliver = syscalls.deliver.as_ref().map_or(Deliver::default(), |deliver| deliver.value);
    let rules = rules(syscalls, &mut found);
    let words = words(&rules, &mut found);
    decide(&words, &mut profile);
    profile.accepted = accepted(&rules);
    checks::start(&words, &mut found);
    checks::effects(&rules, &words, archs, &mut found);
    // Names that were not understood would only be missed again.
    if !found.has_errors() {
        checks::needed(syscalls, &words, &profile, &mut found);
    }
    match deliver {
        Deliver::InImage => checks::runtime_default(&rules, &words, &mut found),
        Deliver::Node | Deliver::Operator => checks::node(&words, &profile, &mut found),
    }
    profile.widenings = checks::widenings(&profile, deliver);
    (profile, found)
}

fn nothing_allowed(span: Span) -> Diagnostic {
    Diagnostic::new(codes::E0700, "no system call is allowed")
        .at(span, "this spec names none")
        .note("a profile allows what is named and nothing else; k8orc never guesses a set")
        .help("start from what container runtimes allow by default: syscalls { allow \"@runtime-default\" }")
}

fn otherwise(said: Option<&Spanned<String>>, found: &mut Diagnostics) -> DefaultAction {
    let Some(said) = said else { return DefaultAction::KillProcess };
    match said.value.as_str() {
        "kill-process" => DefaultAction::KillProcess,
        "log" => DefaultAction::Log,
        "kill-thread" => {
            found.push(
                Diagnostic::new(codes::E0711, "killing single threads leaves a program that hangs")
                    .at(said.span, "only the calling thread dies")
                    .note("Go, Java and most programs with threads wait for the lost one without a message")
                    .help("say otherwise \"kill-process\", or leave the line out: it is the default"),
            );
            DefaultAction::KillThread
        }
        other => match other.strip_prefix("errno:") {
            Some(name) => DefaultAction::Errno(error(name, said.span, found)),
            None => {
                found.push(
                    Diagnostic::new(codes::E0710, format!("{other:?} is nothing that can happen to a call"))
                        .at(said.span, "not understood")
                        .help("say \"kill-process\", \"kill-thread\", \"errno:EPERM\" (any error name) or \"log\""),
                );
                DefaultAction::KillProcess
            }
        },
    }
}

/// The number of an error name; EPERM when it is none, which was then reported.
fn error(name: &str, span: Span, found: &mut Diagnostics) -> u16 {
    errno::number(name).unwrap_or_else(|| {
        let mut unknown =
            Diagnostic::new(codes::E0712, format!("there is no error called {name:?}")).at(span, "unknown error");
        if let Some(number) = name.parse().ok().and_then(errno::name) {
            unknown = unknown.help(format!("write the name: {number}"));
        } else if let Some(near) = errno::nearest(&name.to_ascii_uppercase()) {
            unknown = unknown.help(format!("did you mean {near}?"));
        } else {
            unknown = unknown.help("the names are those of errno(3): ENOSYS, EPERM, EACCES …");
        }
        found.push(unknown);
        errno::EPERM
    })
}

/// All rules whose names are understood.
fn rules<'a>(syscalls: &'a Syscalls, found: &mut Diagnostics) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    let mut read = |said: &'a CallRule, verb, found: &mut Diagnostics| {
        if let Some(calls) = names::resolve(&said.name, found) {
            rules.push(Rule { verb, said, calls });
        }
    };
    for said in &syscalls.allow {
        read(said, Verb::Allow, found);
    }
    for said in &syscalls.refuse {
        let number = said.errno.as_ref().map_or(errno::ENOSYS, |name| error(&name.value, name.span, found));
        read(said, Verb::Refuse(number), found);
    }
    for said in &syscalls.deny {
        read(said, Verb::Deny, found);
    }
    rules
}

/// What is said about each call; contradictions are reported.
fn words<'a>(rules: &'a [Rule<'a>], found: &mut Diagnostics) -> BTreeMap<&'static str, Words<'a>> {
    let mut words: BTreeMap<&'static str, Words<'a>> = BTreeMap::new();
    for rule in rules {
        for call in &rule.calls {
            let word = words.entry(call).or_default();
            if rule.is_group() {
                word.allowed_by_group |= rule.verb == Verb::Allow;
                if word.by_group.is_none_or(|other| other.verb < rule.verb) {
                    word.by_group = Some(rule);
                }
                continue;
            }
            match word.by_name {
                Some(other) if other.verb != rule.verb => found.push(contradiction(call, other, rule)),
                Some(_) => {}
                None => word.by_name = Some(rule),
            }
        }
    }
    for (call, word) in &words {
        // A deny is an assertion about all of its calls; an allow by name contradicts it.
        if let (Some(name), Some(group)) = (word.by_name, word.by_group)
            && (name.verb, group.verb) == (Verb::Allow, Verb::Deny)
        {
            found.push(contradiction(call, name, group));
        }
    }
    words
}

fn contradiction(call: &str, one: &Rule, other: &Rule) -> Diagnostic {
    let (said, again) = (one.verb.said(), other.verb.said());
    let message = match (one.verb, other.verb) {
        (Verb::Refuse(_), Verb::Refuse(_)) => format!("{call} is refused with two different errors"),
        _ => format!("{call} is both {said} and {again}"),
    };
    Diagnostic::new(codes::E0704, message)
        .at(other.span(), format!("{again} here"))
        .label(one.span(), format!("{said} here"))
        .help("keep one of the two lines; a group may be narrowed by name, a name stands for itself")
}

/// Fills in the actions, by the order in the head of this file.
fn decide(words: &BTreeMap<&'static str, Words>, profile: &mut Profile) {
    let mut put = |call: &str, action, reason| {
        profile.calls.insert(call.to_owned(), CallDecision { action, reason });
    };
    if profile.otherwise != DefaultAction::Log {
        for call in groups::calls(groups::PROBES) {
            put(call, Action::Errno(errno::ENOSYS), Reason::fact("whoever tries it falls back on ENOSYS (@probes)"));
        }
    }
    for (call, word) in words {
        let Some(rule) = word.by_name.or(word.by_group) else { continue };
        match rule.verb {
            Verb::Allow => put(call, Action::Allow, rule.reason()),
            Verb::Refuse(number) => put(call, Action::Errno(number), rule.reason()),
            Verb::Deny => {}
        }
    }
    for call in groups::calls(groups::START) {
        put(call, Action::Allow, Reason::fact("every process needs it to end, to resume or to tell the time (@start)"));
    }
    let exists = |call: &str| profile.archs.iter().any(|arch| calls::number(*arch, call).is_some());
    profile.calls.retain(|call, _| exists(call));
}

/// A line for each `deny`: what is taken away although nothing has proved that no program makes the call.
fn accepted(rules: &[Rule]) -> Vec<String> {
    let denied = rules.iter().filter(|rule| rule.verb == Verb::Deny);
    let line = |rule: &Rule| {
        let name = &rule.said.name.value;
        match &rule.said.because {
            Some(because) => format!("{name} is denied: {}", because.value),
            None => format!("{name} is denied; nothing has shown that no program calls it"),
        }
    };
    denied.map(line).collect()
}

#[cfg(test)]
mod tests;
