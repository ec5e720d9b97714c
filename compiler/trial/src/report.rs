//! What a trial found: values for `--format json`, and the diagnostics that a person reads.

use diag::{Diagnostic, Diagnostics, Span, codes};
use serde::Serialize;

use crate::Subject;

/// The result of one trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialReport {
    /// The workload, or the image's name where there is none.
    pub name: String,
    /// Program and arguments as the container was started.
    pub command: Vec<String>,
    /// Probes and checks in the order in which they were asked.
    pub checks: Vec<CheckReport>,
    /// Calls that a filter forbids and a program made; each once.
    pub violations: Vec<Violation>,
    /// How the program ended.
    pub exit: ExitReport,
    /// Milliseconds from the start to the first passed readiness (or check); `None` when it never came.
    pub ready_after_ms: Option<u64>,
    /// The end of what it wrote to standard output, safe for a terminal.
    pub stdout: String,
    /// The end of what it wrote to standard error, safe for a terminal.
    pub stderr: String,
}

/// One probe or check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// `readiness probe`, `check` …
    pub kind: String,
    /// What was asked: `http GET 127.0.0.2:8080/healthz`, `exec nginx -t`.
    pub what: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Where the spec says it.
    #[serde(skip)]
    pub span: Option<Span>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result", content = "detail")]
pub enum Outcome {
    /// As wanted.
    Passed,
    /// The answer was another one, or none came in time.
    Failed(String),
    /// The port answers on 127.0.0.1 alone: the kubelet asks the pod's address and gets nothing.
    LoopbackOnly(u16),
    /// The program of an exec check was killed by SIGSYS.
    Killed,
}

/// A call outside the profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// The call's name, or its number where it has no name.
    pub syscall: String,
    /// The program that made it.
    pub program: String,
    /// The file and offset that the call was made from, where that could be read.
    pub at: Option<String>,
    /// `workload`: the profile that the node installs; `image`: the filter that the image installs.
    pub filter: String,
}

/// How the main program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExitReport {
    /// 0–255; 128 and the signal's number for a death by signal.
    pub status: u8,
    /// It ended before it was asked to.
    pub early: bool,
    /// It did not end in time after its stop signal and was killed.
    pub killed: bool,
    /// The signal that it was stopped with.
    pub stop_signal: String,
}

/// 128 and SIGSYS.
pub const SIGSYS_STATUS: u8 = 159;

impl TrialReport {
    /// Whether a second look for forbidden calls is worth it.
    pub fn is_suspicious(&self) -> bool {
        self.checks.iter().any(|check| check.outcome != Outcome::Passed)
            || self.exit.early
            || self.exit.status == SIGSYS_STATUS
            || ["Bad system call", "SIGSYS", "signal 31"]
                .iter()
                .any(|hint| self.stderr.contains(hint) || self.stdout.contains(hint))
    }

    /// Says what is wrong, the cause before its consequences.
    pub(crate) fn describe(&self, subject: &Subject<'_>, said: &mut Diagnostics) {
        let span = subject.workload.map(|workload| workload.span);
        for violation in &self.violations {
            let denied = denial(subject, &violation.syscall);
            said.push(describe_violation(violation, denied).at_opt(span, "this was run"));
        }
        let killed =
            self.exit.status == SIGSYS_STATUS || self.checks.iter().any(|check| check.outcome == Outcome::Killed);
        if killed && self.violations.is_empty() {
            said.push(
                Diagnostic::new(codes::E1111, "killed by SIGSYS, but the call did not happen a second time")
                    .at_opt(span, "this was run")
                    .note("the program does not always do the same; the log above may tell what it was doing")
                    .help("run k8orc test again, or allow what it is known to need: syscalls { allow \"…\" because=\"…\" }"),
            );
        }
        for check in &self.checks {
            said.extend(describe_check(check));
        }
        if self.exit.early && (subject.workload.is_some() || self.exit.status != 0) {
            said.push(
                Diagnostic::new(codes::E1114, format!("the program ended by itself with status {}", self.exit.status))
                    .at_opt(span, "a workload's program is expected to run until it is stopped")
                    .note(tail("its standard error ended with", &self.stderr)),
            );
        }
        if self.exit.killed {
            said.push(
                Diagnostic::new(
                    codes::E1117,
                    format!("the program did not end in time after {}", self.exit.stop_signal),
                )
                .at_opt(span, "a pod that is deleted waits its whole grace period for this")
                .help("handle the signal in the program, or say another one: image { stop-signal \"SIGQUIT\" }"),
            );
        }
        if self.checks.is_empty() {
            said.push(
                Diagnostic::new(codes::E1119, "nothing was asked of the running program")
                    .at_opt(span, "it has no probe, and the spec has no checks")
                    .help("say what must work: checks { http 8080 \"/\" status=200 }"),
            );
        }
    }
}

/// The line on a `deny` that names this very call.
fn denial<'a>(subject: &Subject<'a>, syscall: &str) -> Option<&'a String> {
    let says = format!("{syscall} is denied");
    subject.plan.profile.accepted.iter().find(|line| line.starts_with(&says))
}

fn describe_violation(violation: &Violation, denied: Option<&String>) -> Diagnostic {
    let Violation { syscall, program, at, filter } = violation;
    let place = at.as_ref().map_or(String::new(), |at| format!(", from {at}"));
    let diagnostic = Diagnostic::new(codes::E1110, format!("{program} calls {syscall}, which is not in the profile"))
        .note(format!("the {filter} filter kills the process there{place}"));
    match denied {
        // An `allow` beside it would contradict it.
        Some(denied) => diagnostic
            .note(format!("the spec takes it away: {}", diag::text::printable(denied)))
            .help(format!("if it is meant: take \"{syscall}\" out of `deny`")),
        None => diagnostic
            .help(format!("if it is meant: syscalls {{ allow \"{syscall}\" because=\"{program} calls it\" }}")),
    }
}

fn describe_check(check: &CheckReport) -> Option<Diagnostic> {
    let CheckReport { kind, what, outcome, span } = check;
    let diagnostic = match outcome {
        Outcome::Passed => return None,
        Outcome::Failed(why) => Diagnostic::new(codes::E1112, format!("the {kind} failed: {what}")).note(why.clone()),
        Outcome::Killed => Diagnostic::new(codes::E1112, format!("the {kind} was killed by SIGSYS: {what}")),
        Outcome::LoopbackOnly(port) => Diagnostic::new(codes::E1115, format!("port {port} answers on 127.0.0.1 only"))
            .note(format!("the {kind} asks: {what}; in a cluster that is the pod's address, and nobody answers"))
            .help("make the program listen on all addresses (0.0.0.0 or [::])"),
    };
    Some(diagnostic.at_opt(*span, "asked here"))
}

/// The last lines of an output, for a note.
fn tail(intro: &str, text: &str) -> String {
    let lines = text.lines().collect::<Vec<_>>();
    let from = lines.len().saturating_sub(6);
    match lines.get(from..) {
        Some(last) if !last.is_empty() => format!("{intro}:\n{}", last.join("\n")),
        _ => format!("{intro} nothing"),
    }
}
