//! Control flow: which commands a first installation reaches.

use std::rc::Rc;

use super::super::failure::Failure;
use super::expand::matches;
use super::syntax::{Command, List, Pipeline, Redirect, RedirectKind, Statement, What};
use super::{Printed, Shell, Status};

/// Deepest calls of functions and substitutions.
pub(super) const MOST_CALLS: usize = 24;
/// Most commands that a script may take.
const MOST_STEPS: usize = 20_000;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next(Status),
    Exit(Status),
    Return(Status),
    Break,
    Continue,
}

use Flow::{Break, Continue, Exit, Next, Return};

/// Commands that change nothing in a tree: they print, or speak with a running system.
const QUIET: [&str; 13] = [
    "true",
    ":",
    "echo",
    "printf",
    "invoke-rc.d",
    "deb-systemd-invoke",
    "service",
    "start-stop-daemon",
    "db_stop",
    "log_end_msg",
    "log_daemon_msg",
    "logger",
    "sleep",
];

/// What systemctl(1) does to a running system only.
const RUNNING: [&str; 16] = [
    "daemon-reload",
    "daemon-reexec",
    "start",
    "stop",
    "restart",
    "try-restart",
    "reload",
    "reload-or-restart",
    "kill",
    "reset-failed",
    "is-active",
    "is-system-running",
    "is-failed",
    "status",
    "condrestart",
    "reload-or-try-restart",
];

impl Shell<'_, '_> {
    /// The whole script.
    pub(super) fn script(&mut self, list: &List) -> Result<(), Failure> {
        match self.list(list)? {
            Exit(Some(false)) if self.unknown.is_empty() => {
                let failure = self.failure.take();
                match failure {
                    Some(failure) => Err(failure),
                    None => {
                        self.unknown.push((0, "it fails, as far as it is understood".into()));
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// Notes a line that is not understood.
    pub(super) fn strange(&mut self, line: usize) -> Status {
        let text = line.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or_default();
        if self.unknown.last().is_none_or(|(last, _)| *last != line) {
            self.unknown.push((line, text.trim().to_owned()));
        }
        None
    }

    pub(super) fn list(&mut self, list: &List) -> Result<Flow, Failure> {
        let mut last = Next(Some(true));
        for statement in list {
            last = self.statement(statement)?;
            if !matches!(last, Next(_)) {
                return Ok(last);
            }
        }
        Ok(last)
    }

    /// One statement; under `set -e` its failure ends the script.
    fn statement(&mut self, statement: &Statement) -> Result<Flow, Failure> {
        let (flow, decisive) = self.and_or(statement)?;
        if flow == Next(Some(false)) && decisive && self.stops_at_failure && !self.asking {
            return Ok(Exit(Some(false)));
        }
        Ok(flow)
    }

    /// The flow, and whether the last pipeline of it decided.
    fn and_or(&mut self, statement: &Statement) -> Result<(Flow, bool), Failure> {
        if statement.background {
            return Ok((Next(self.strange(statement.line)), false));
        }
        let asking = self.asking;
        self.asking |= !statement.rest.is_empty();
        let mut flow = self.pipeline(&statement.first)?;
        let mut decisive = statement.rest.is_empty() && ends_script(&statement.first);
        for (at, (and, pipeline)) in statement.rest.iter().enumerate() {
            let Next(status) = flow else { break };
            let last = at + 1 == statement.rest.len();
            match status {
                Some(good) if good == *and => {
                    if last {
                        self.asking = asking;
                    }
                    flow = self.pipeline(pipeline)?;
                    decisive = last && ends_script(pipeline);
                }
                Some(_) => decisive = false,
                // Not known whether it comes to this: it must not matter.
                None if harmless(pipeline, *and) => flow = Next(if *and { None } else { Some(true) }),
                None => flow = Next(self.strange(statement.line)),
            }
        }
        self.asking = asking;
        Ok((flow, decisive))
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Result<Flow, Failure> {
        let asking = self.asking;
        self.asking |= pipeline.not;
        let many = pipeline.commands.len();
        // One command alone reads on where the last one stopped.
        let outer = if many > 1 { self.input.take() } else { None };
        let mut flow = Next(Some(true));
        for (at, command) in pipeline.commands.iter().enumerate() {
            let last = at + 1 == many;
            if !last {
                self.output.push(Some(String::new()));
            }
            if at == 0 && many > 1 {
                self.input.clone_from(&outer);
            }
            let result = self.command(command);
            if !last {
                let printed = self.output.pop().flatten();
                self.input = Some(printed);
            }
            flow = result?;
            if many > 1 && !matches!(flow, Next(_)) {
                // Each command of a pipeline is a process of its own.
                flow = Next(self.strange(command.line));
            }
        }
        if many > 1 {
            self.input = outer;
        }
        self.asking = asking;
        if let (true, Next(status)) = (pipeline.not, flow) {
            flow = Next(status.map(|good| !good));
        }
        if let Next(status) = flow {
            self.ended(status);
        }
        Ok(flow)
    }

    fn command(&mut self, command: &Command) -> Result<Flow, Failure> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            self.strange(command.line);
            return Ok(Exit(None));
        }
        self.line = command.line;
        let mut targets = Vec::new();
        let outer = self.input.clone();
        let mut quiet = false;
        for redirect in &command.redirects {
            if !self.redirect(redirect, &mut targets, &mut quiet) {
                self.input = outer;
                return Ok(Next(self.strange(command.line)));
            }
        }
        let captures = quiet || !targets.is_empty();
        if captures {
            self.output.push(Some(String::new()));
        }
        let result = self.compound(command);
        let printed = if captures { self.output.pop().flatten() } else { None };
        let reads = |r: &Redirect| matches!(r.kind, RedirectKind::From(_) | RedirectKind::Here(_));
        if command.redirects.iter().any(reads) {
            self.input = outer;
        }
        let flow = result?;
        for (path, append) in targets {
            if !self.store(&path, append, &printed)? {
                return Ok(Next(self.strange(command.line)));
            }
        }
        Ok(flow)
    }

    /// Prepares a redirection; false: not understood.
    fn redirect(&mut self, redirect: &Redirect, targets: &mut Vec<(String, bool)>, quiet: &mut bool) -> bool {
        let (word, append) = match &redirect.kind {
            RedirectKind::Here(number) => {
                let document = self.documents.get(*number).cloned().unwrap_or_default();
                self.input = Some(self.value(&document));
                return true;
            }
            RedirectKind::From(word) => {
                let path = self.value(word);
                let text = path.and_then(|path| self.scene.tree.read(path.as_bytes()).map(<[u8]>::to_vec));
                self.input = Some(text.map(|text| String::from_utf8_lossy(&text).into_owned()));
                return true;
            }
            RedirectKind::Dup(word) => {
                *quiet |= redirect.fd.unwrap_or(1) == 1 && self.value(word).is_some_and(|to| to != "1");
                return self.value(word).is_some();
            }
            RedirectKind::To(word) => (word, false),
            RedirectKind::Append(word) => (word, true),
        };
        match self.value(word) {
            Some(path) if matches!(path.as_str(), "/dev/null" | "/dev/stderr" | "/dev/tty") => {
                *quiet |= redirect.fd.unwrap_or(1) == 1;
                true
            }
            Some(path) if redirect.fd.unwrap_or(1) == 1 && path.starts_with('/') && targets.is_empty() => {
                targets.push((path, append));
                true
            }
            _ => false,
        }
    }

    fn store(&mut self, path: &str, append: bool, printed: &Printed) -> Result<bool, Failure> {
        let before = match append && self.scene.tree.exists(path.as_bytes()) {
            true => match self.scene.tree.read(path.as_bytes()) {
                Some(bytes) => bytes.to_vec(),
                None => return Ok(false),
            },
            false => Vec::new(),
        };
        let Some(text) = printed else { return Ok(false) };
        let place = self.scene.tree.follow(path.as_bytes())?;
        self.scene.tree.write(&place, [before, text.clone().into_bytes()].concat())?;
        Ok(true)
    }

    fn compound(&mut self, command: &Command) -> Result<Flow, Failure> {
        match &command.what {
            What::Simple(assigns, words) => self.simple(command.line, assigns, words),
            What::Group(list) => self.list(list),
            What::Subshell(list) => Ok(Next(self.subshell(list)?)),
            What::Function(name, body) => {
                // What is taken to be harmless by its name must not be something else.
                if is_quiet_name(name) || matches!(name.as_str(), "[" | "test" | "exit" | "return" | "systemctl") {
                    return Ok(Next(self.strange(command.line)));
                }
                self.functions.insert(name.clone(), Rc::new(body.clone()));
                Ok(Next(Some(true)))
            }
            What::If(branches) => self.branches(command.line, branches),
            What::Case(word, branches) => {
                let Some(value) = self.value(word) else {
                    let known = branches.iter().all(|(_, list)| is_quiet(list));
                    return Ok(Next(if known { None } else { self.strange(command.line) }));
                };
                for (patterns, list) in branches {
                    for pattern in patterns {
                        let Some(pattern) = self.marked(pattern) else { return Ok(Next(self.strange(command.line))) };
                        if matches(&pattern, &value) {
                            return self.list(list);
                        }
                    }
                }
                Ok(Next(Some(true)))
            }
            What::For(name, words, body) => {
                let values = match words {
                    Some(words) => self.fields(words),
                    None => self.arguments.iter().cloned().map(Some).collect(),
                };
                if values.iter().any(Option::is_none) {
                    return Ok(Next(if is_quiet(body) { None } else { self.strange(command.line) }));
                }
                let mut status = Some(true);
                for value in values {
                    self.variables.insert(name.clone(), value);
                    match self.list(body)? {
                        Next(now) => status = now,
                        Continue => {}
                        Break => break,
                        flow => return Ok(flow),
                    }
                }
                Ok(Next(status))
            }
            What::Loop(condition, body) => loop {
                match self.condition(condition)? {
                    Next(Some(true)) => {}
                    Next(Some(false)) => return Ok(Next(Some(true))),
                    Next(None) => return Ok(Next(if is_quiet(body) { None } else { self.strange(command.line) })),
                    flow => return Ok(flow),
                }
                match self.list(body)? {
                    Next(_) | Continue => {}
                    Break => return Ok(Next(Some(true))),
                    flow => return Ok(flow),
                }
                self.steps += 1;
                if self.steps > MOST_STEPS {
                    self.strange(command.line);
                    return Ok(Exit(None));
                }
            },
        }
    }

    /// A list whose failure ends nothing.
    fn condition(&mut self, list: &List) -> Result<Flow, Failure> {
        let asking = std::mem::replace(&mut self.asking, true);
        let flow = self.list(list);
        self.asking = asking;
        flow
    }

    fn branches(&mut self, line: usize, branches: &[(List, List)]) -> Result<Flow, Failure> {
        for (at, (condition, list)) in branches.iter().enumerate() {
            if condition.is_empty() {
                return self.list(list);
            }
            let seen = self.unknown.len();
            match self.condition(condition)? {
                Next(Some(true)) => return self.list(list),
                Next(Some(false)) => {}
                Next(None) => {
                    let rest = branches.get(at..).unwrap_or_default();
                    let quiet = rest.iter().all(|(_, list)| is_quiet(list));
                    if !quiet && self.unknown.len() == seen {
                        self.strange(condition.first().map_or(line, |s| s.line));
                    }
                    return Ok(Next(None));
                }
                flow => return Ok(flow),
            }
        }
        Ok(Next(Some(true)))
    }

    /// A list in a process of its own: its variables, its directory and its end are its own.
    pub(super) fn subshell(&mut self, list: &List) -> Result<Status, Failure> {
        let (variables, arguments) = (self.variables.clone(), self.arguments.clone());
        let flow = self.list(list);
        (self.variables, self.arguments) = (variables, arguments);
        Ok(match flow? {
            Next(status) | Exit(status) | Return(status) => status,
            Break | Continue => Some(true),
        })
    }

    /// A function, if there is one of this name.
    pub(super) fn call(&mut self, line: usize, name: &str, arguments: Vec<String>) -> Result<Option<Flow>, Failure> {
        let Some(body) = self.functions.get(name).cloned() else { return Ok(None) };
        if self.calls >= MOST_CALLS {
            return Ok(Some(Next(self.strange(line))));
        }
        let outer = std::mem::replace(&mut self.arguments, arguments);
        self.calls += 1;
        let flow = self.list(&body);
        self.calls -= 1;
        self.arguments = outer;
        Ok(Some(match flow? {
            Return(status) => Next(status),
            flow => flow,
        }))
    }

    /// Adds to what is printed.
    pub(super) fn print(&mut self, text: Option<&str>) {
        if let Some(out) = self.output.last_mut() {
            match (out.as_mut(), text) {
                (Some(out), Some(text)) => out.push_str(text),
                _ => *out = None,
            }
        }
    }
}

/// Whether the failure of a pipeline ends a script under `set -e`: a compound command has ended it inside, or was
/// forgiven there.
fn ends_script(pipeline: &Pipeline) -> bool {
    let simple = |c: &Command| matches!(c.what, What::Simple(..) | What::Subshell(_));
    !pipeline.not && (pipeline.commands.len() > 1 || pipeline.commands.iter().all(simple))
}

/// Whether a pipeline changes nothing, whatever came before it: `… || true`, `… || exit 1`.
fn harmless(pipeline: &Pipeline, and: bool) -> bool {
    let [command] = pipeline.commands.as_slice() else { return false };
    let What::Simple(assigns, words) = &command.what else { return false };
    let words: Vec<String> = words.iter().map(|w| text(w)).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // Installation would have ended there.
        ["exit" | "return", code] if !and => *code != "0" && assigns.is_empty(),
        _ => quiet(command),
    }
}

fn text(word: &[super::syntax::Part]) -> String {
    use super::syntax::Part;
    word.iter().map(|part| if let Part::Text(text, _) = part { text.as_str() } else { "$" }).collect()
}

/// Whether nothing in a list changes anything.
fn is_quiet(list: &List) -> bool {
    let statement = |s: &Statement| {
        let all = std::iter::once(&s.first).chain(s.rest.iter().map(|(_, p)| p));
        !s.background && all.into_iter().all(|p| p.commands.iter().all(quiet))
    };
    list.iter().all(statement)
}

fn quiet(command: &Command) -> bool {
    let to_null = |r: &Redirect| match &r.kind {
        RedirectKind::To(word) => matches!(text(word).as_str(), "/dev/null" | "/dev/stderr"),
        RedirectKind::Append(_) => false,
        _ => true,
    };
    use super::syntax::Part;
    let still = |word: &super::syntax::Word| word.iter().all(|part| !matches!(part, Part::Command(..)));
    command.redirects.iter().all(to_null)
        && match &command.what {
            What::Simple(assigns, words) => {
                let name = words.first().map(|word| text(word)).unwrap_or_default();
                let test = matches!(name.as_str(), "[" | "test")
                    || name == "systemctl" && only_running(&words.iter().map(|w| text(w)).collect::<Vec<_>>());
                let fails = name == "exit" && words.get(1).is_some_and(|w| text(w) == "1");
                assigns.is_empty() && words.iter().all(still) && (test || fails || QUIET.contains(&name.as_str()))
            }
            What::Group(list) => is_quiet(list),
            What::If(branches) => branches.iter().all(|(condition, list)| is_quiet(condition) && is_quiet(list)),
            _ => false,
        }
}

/// Whether a systemctl command speaks with a running system only.
pub(super) fn only_running(words: &[String]) -> bool {
    words.iter().any(|word| RUNNING.contains(&word.as_str()))
        && !words
            .iter()
            .any(|w| ["enable", "disable", "mask", "unmask", "preset", "link", "edit"].contains(&w.as_str()))
}

/// Whether a command is known to change nothing.
pub(super) fn is_quiet_name(name: &str) -> bool {
    QUIET.contains(&name)
}
