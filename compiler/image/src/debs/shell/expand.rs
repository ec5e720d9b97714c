//! Words: parameters, command substitution, splitting, patterns (XCU 2.6).

use super::parse;
use super::syntax::{Parameter, Part, Word};
use super::{Shell, Status};

/// A character, and whether it was quoted.
type Marked = Vec<(char, bool)>;

/// Most text that one value may have.
const LONGEST: usize = 1 << 20;

/// Variables that a script finds in its environment, with values that differ.
const ENVIRONMENT: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "TERM",
    "LANG",
    "LC_ALL",
    "LANGUAGE",
    "TZ",
    "DEBIAN_FRONTEND",
    "DPKG_RUNNING_VERSION",
];

#[derive(Default)]
struct Field {
    text: Marked,
    /// Something quoted stood there, so that it is a field even if it is empty.
    there: bool,
    unknown: bool,
}

impl Shell<'_, '_> {
    /// The fields of several words; None for one whose value is not known.
    pub(super) fn fields(&mut self, words: &[Word]) -> Vec<Option<String>> {
        let mut out = Vec::new();
        for word in words {
            for field in self.split(word) {
                if field.unknown || field.text.len() > LONGEST {
                    out.push(None);
                    continue;
                }
                let pattern = field.text.iter().any(|(c, quoted)| !quoted && "*?[".contains(*c));
                let found = if pattern { self.paths(&field.text) } else { Vec::new() };
                if found.is_empty() {
                    out.push(Some(plain(&field.text)));
                }
                out.extend(found.into_iter().map(Some));
            }
        }
        out
    }

    /// The value of a word that is not split.
    pub(super) fn value(&mut self, word: &Word) -> Option<String> {
        self.marked(word).map(|text| plain(&text))
    }

    /// A word that is not split, with its quoting.
    pub(super) fn marked(&mut self, word: &Word) -> Option<Marked> {
        let mut out = Vec::new();
        for part in word {
            match part {
                Part::Text(text, quoted) => out.extend(text.chars().map(|c| (c, *quoted))),
                Part::Parameter(parameter, quoted) => {
                    let value = self.parameter(parameter)?;
                    out.extend(value.chars().map(|c| (c, *quoted)));
                }
                Part::Command(source, quoted) => {
                    let value = self.substitute(source)?;
                    out.extend(value.chars().map(|c| (c, *quoted)));
                }
                Part::Unknown => return None,
            }
            if out.len() > LONGEST {
                return None;
            }
        }
        Some(out)
    }

    fn split(&mut self, word: &Word) -> Vec<Field> {
        let mut done: Vec<Field> = Vec::new();
        let mut open = Field::default();
        for part in word {
            let (value, quoted) = match part {
                Part::Text(text, quoted) => {
                    open.text.extend(text.chars().map(|c| (c, *quoted)));
                    open.there |= quoted | !text.is_empty();
                    continue;
                }
                Part::Parameter(p, quoted) if p.change.is_none() && matches!(p.name.as_str(), "@" | "*") => {
                    for (at, argument) in self.arguments.clone().into_iter().enumerate() {
                        if at > 0 {
                            done.push(std::mem::take(&mut open));
                        }
                        open.text.extend(argument.chars().map(|c| (c, *quoted)));
                        open.there |= *quoted | !argument.is_empty();
                    }
                    continue;
                }
                Part::Parameter(parameter, quoted) => (self.parameter(parameter), *quoted),
                Part::Command(source, quoted) => (self.substitute(source), *quoted),
                Part::Unknown => (None, true),
            };
            let Some(value) = value.filter(|_| quoted || !self.variables.contains_key("IFS")) else {
                open.unknown = true;
                continue;
            };
            if quoted {
                open.there = true;
                open.text.extend(value.chars().map(|c| (c, true)));
                continue;
            }
            for c in value.chars() {
                if matches!(c, ' ' | '\t' | '\n') {
                    if open.there {
                        done.push(std::mem::take(&mut open));
                    }
                } else {
                    open.text.push((c, false));
                    open.there = true;
                }
            }
        }
        if open.there || open.unknown {
            done.push(open);
        }
        done
    }

    fn variable(&self, name: &str) -> Option<Option<String>> {
        if let Ok(number) = name.parse::<usize>() {
            return match number {
                0 => Some(Some(self.program.clone())),
                n => self.arguments.get(n - 1).cloned().map(Some),
            };
        }
        match name {
            "#" => Some(Some(self.arguments.len().to_string())),
            "@" | "*" => Some(Some(self.arguments.join(" "))),
            "?" => Some(self.last.and_then(|good| good.then(|| "0".to_owned()))),
            "$" | "!" | "-" => Some(None),
            _ => match self.variables.get(name) {
                Some(value) => Some(value.clone()),
                None if ENVIRONMENT.contains(&name) => Some(None),
                None => None,
            },
        }
    }

    fn parameter(&mut self, parameter: &Parameter) -> Option<String> {
        let found = self.variable(&parameter.name);
        let Some((operator, word)) = &parameter.change else { return found.unwrap_or_else(|| Some(String::new())) };
        let set = match &found {
            Some(None) => return None,
            Some(Some(value)) => Some(value.clone()),
            None => None,
        };
        let strict = operator.starts_with(':');
        let counts = set.clone().filter(|value| !strict || !value.is_empty());
        match operator.trim_start_matches(':') {
            "-" => counts.or_else(|| self.value(word)),
            "=" => {
                if counts.is_none() {
                    let value = self.value(word);
                    self.variables.insert(parameter.name.clone(), value.clone());
                    return value;
                }
                counts
            }
            "+" => match counts {
                Some(_) => self.value(word),
                None => Some(String::new()),
            },
            "?" => counts,
            cut => {
                let value: Vec<char> = set.unwrap_or_default().chars().collect();
                let pattern = self.marked(word)?;
                let ends = 0..=value.len();
                let text = |from: usize, to: usize| value.get(from..to).unwrap_or_default().iter().collect::<String>();
                let (whole, size) = (text(0, value.len()), value.len());
                let head = |end: &usize| matches(&pattern, &text(0, *end));
                let tail = |start: &usize| matches(&pattern, &text(*start, size));
                let kept = match cut {
                    "#" => ends.into_iter().find(head).map(|end| text(end, size)),
                    "##" => ends.into_iter().rev().find(head).map(|end| text(end, size)),
                    "%" => ends.into_iter().rev().find(tail).map(|start| text(0, start)),
                    _ => ends.into_iter().find(tail).map(|start| text(0, start)),
                };
                Some(kept.unwrap_or(whole))
            }
        }
    }

    /// `$(…)`: what the commands print.
    fn substitute(&mut self, source: &str) -> Option<String> {
        self.calls += 1;
        let many = self.documents.len();
        let program =
            if self.calls > super::run::MOST_CALLS { None } else { parse::parse(source, self.line, many, false).ok() };
        match &program {
            Some(program) => self.documents.extend(program.documents.iter().cloned()),
            // What cannot be read could do anything.
            None => _ = self.strange(self.line),
        }
        let printed = program.and_then(|program| {
            self.output.push(Some(String::new()));
            let before = self.unknown.len();
            let result = self.subshell(&program.list);
            let printed = self.output.pop().flatten();
            // A command that is not known in there is one more, not just an unknown value: it could do anything.
            match result {
                Ok(status) => self.last = status,
                Err(failure) => self.failure = Some(failure),
            }
            printed.filter(|_| self.unknown.len() == before)
        });
        self.calls -= 1;
        printed.map(|text| text.trim_end_matches('\n').to_owned())
    }

    /// Paths of the tree that fit a pattern; none: it stays as it is.
    fn paths(&self, pattern: &[(char, bool)]) -> Vec<String> {
        if !plain(pattern).starts_with('/') {
            return Vec::new();
        }
        let mut found = vec![String::new()];
        for part in pattern.split(|(c, _)| *c == '/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for dir in found {
                if !part.iter().any(|(c, quoted)| !quoted && "*?[".contains(*c)) {
                    next.push(format!("{dir}/{}", plain(part)));
                    continue;
                }
                for name in self.scene.tree.names(format!("{dir}/").as_bytes()) {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    if matches(part, &name) && (!name.starts_with('.') || part.first() == Some(&('.', false))) {
                        next.push(format!("{dir}/{name}"));
                    }
                }
            }
            found = next;
        }
        found.retain(|path| self.scene.tree.get(path.as_bytes()).is_some());
        found
    }

    /// Records a status and hands it on.
    pub(super) fn ended(&mut self, status: Status) -> Status {
        self.last = status;
        status
    }
}

fn plain(text: &[(char, bool)]) -> String {
    text.iter().map(|(c, _)| *c).collect()
}

/// Whether a pattern fits a text: `*`, `?` and sets; quoted characters stand for themselves.
pub(super) fn matches(pattern: &[(char, bool)], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star stands and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(('*', false)), _) => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            (Some(('?', false)), Some(_)) => Some(p + 1),
            (Some(('[', false)), Some(c)) => set(pattern, p, *c),
            (Some((want, _)), Some(c)) if want == c => Some(p + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => (p, t) = (next, t + 1),
            (None, Some((at, reach))) if reach < text.len() => {
                (p, t) = (at + 1, reach + 1);
                star = Some((at, reach + 1));
            }
            _ => return false,
        }
    }
}

/// A set of characters that starts at `at`: where the pattern goes on if `c` is in it.
fn set(pattern: &[(char, bool)], at: usize, c: char) -> Option<usize> {
    let rest: Vec<char> = pattern.get(at + 1..)?.iter().map(|(c, _)| *c).collect();
    let not = matches!(rest.first(), Some('!' | '^'));
    let start = usize::from(not);
    let end = (start + 1..rest.len()).find(|i| rest.get(*i) == Some(&']'))?;
    let inside = rest.get(start..end)?;
    let mut found = false;
    let mut i = 0;
    while let Some(low) = inside.get(i) {
        match (inside.get(i + 1), inside.get(i + 2)) {
            (Some('-'), Some(high)) => {
                found |= (*low..=*high).contains(&c);
                i += 3;
            }
            _ => {
                found |= *low == c;
                i += 1;
            }
        }
    }
    (found != not).then_some(at + 1 + end + 1)
}
