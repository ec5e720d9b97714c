//! What commands do: the shell's own here, those of Debian's tools and of coreutils by their families.

use super::super::apply::missing;
use super::super::effects::Work;
use super::super::failure::Failure;
use super::super::script::Snippet;
use super::super::services;
use super::run::Flow::{self, Break, Continue, Exit, Next, Return};
use super::run::{MOST_CALLS, is_quiet_name, only_running};
use super::syntax::{Part, Word};
use super::{BLOCK, Shell, Status};

/// Programs that refresh a cache of a running desktop or manual; without their package they are not there, and what
/// they write is made by no image build.
const REFRESH: [&str; 15] = [
    "update-mime",
    "update-desktop-database",
    "update-menus",
    "update-icon-caches",
    "update-info-dir",
    "install-info",
    "update-initramfs",
    "ldconfig",
    "py3compile",
    "py3clean",
    "pypy3compile",
    "update-xmlcatalog",
    "install-docs",
    "update-fonts-dir",
    "update-fonts-scale",
];

impl Shell<'_, '_> {
    pub(super) fn simple(&mut self, line: usize, assigns: &[(String, Word)], words: &[Word]) -> Result<Flow, Failure> {
        let noted = self.unknown.len();
        for (name, word) in assigns {
            let value = self.value(word);
            if words.is_empty() {
                self.variables.insert(name.clone(), value);
            }
        }
        let assigning = match words.first().map(Vec::as_slice) {
            Some([Part::Text(name, false)]) => matches!(name.as_str(), "export" | "readonly" | "local" | "declare"),
            _ => false,
        };
        if assigning {
            words.iter().skip(1).for_each(|word| self.assign(word));
            return Ok(Next(if self.unknown.len() > noted { None } else { Some(true) }));
        }
        let fields = self.fields(words);
        if self.unknown.len() > noted {
            return Ok(Next(None));
        }
        let Some(first) = fields.first() else {
            // The status is that of the last substitution.
            let substitutes = assigns.iter().any(|(_, w)| w.iter().any(|p| matches!(p, Part::Command(..))));
            let status = if substitutes { self.last } else { Some(true) };
            return Ok(Next(if words.is_empty() { status } else { Some(true) }));
        };
        let Some(name) = first.clone() else { return Ok(Next(self.strange(line))) };
        let rest = fields.get(1..).unwrap_or_default();
        if let Some(number) = name.strip_prefix(BLOCK) {
            return self.block(number);
        }
        let known: Option<Vec<String>> = rest.iter().cloned().collect();
        if self.functions.contains_key(&name) {
            let Some(arguments) = known else { return Ok(Next(self.strange(line))) };
            return Ok(self.call(line, &name, arguments)?.unwrap_or(Next(None)));
        }
        if let Some(known) = &known {
            let words: Vec<&str> = known.iter().map(String::as_str).collect();
            if let Some(flow) = self.own(&name, &words) {
                return Ok(flow);
            }
        }
        if name == "[" || name == "test" {
            let inside =
                if name == "[" { rest.split_last().map(|(_, inside)| inside).unwrap_or_default() } else { rest };
            return Ok(Next(self.test(inside)));
        }
        let program = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"].iter().find_map(|dir| name.strip_prefix(dir));
        let program = program.unwrap_or(&name).to_owned();
        if let Some(status) = self.reads(&program, rest) {
            return Ok(Next(status));
        }
        if is_quiet_name(&program) || REFRESH.contains(&program.as_str()) {
            return Ok(Next(if matches!(program.as_str(), ":" | "true") { Some(true) } else { self.done() }));
        }
        let Some(known) = known else { return Ok(Next(self.strange(line))) };
        let words: Vec<&str> = known.iter().map(String::as_str).collect();
        if let (true, [path]) = (matches!(program.as_str(), "." | "source"), words.as_slice()) {
            return Ok(self.source(path)?.unwrap_or_else(|| Next(self.strange(line))));
        }
        match self.changes(&program, &words) {
            Ok(Some(status)) => Ok(Next(status)),
            Ok(None) => match self.program(&name, &words)? {
                Some(status) => Ok(Next(status)),
                None => Ok(Next(self.strange(line))),
            },
            // More than we do is no failure that a script could forgive.
            Err(failure) if program.starts_with("systemd-") => Err(failure),
            // A known command that fails: what follows decides whether that matters.
            Err(failure) => {
                self.failure = Some(failure);
                Ok(Next(Some(false)))
            }
        }
    }

    /// A word of `export` or `local`: a name, or a name with its value, which is not split.
    fn assign(&mut self, word: &Word) {
        let Some((Part::Text(first, false), rest)) = word.split_first() else {
            self.strange(self.line);
            return;
        };
        if first.starts_with('-') {
            // `declare -a` is no sh.
            self.strange(self.line);
        } else if let Some((name, start)) = first.split_once('=') {
            let mut value = vec![Part::Text(start.to_owned(), true)];
            value.extend(rest.iter().cloned());
            let value = self.value(&value);
            self.variables.insert(name.to_owned(), value);
        } else if !rest.is_empty() {
            self.strange(self.line);
        }
    }

    /// `. FILE`: a text of the tree, in this shell.
    fn source(&mut self, path: &str) -> Result<Option<Flow>, Failure> {
        let Some(list) = self.text_of(path) else { return Ok(None) };
        self.calls += 1;
        let flow = self.list(&list);
        self.calls -= 1;
        Ok(Some(match flow? {
            Return(status) => Next(status),
            flow => flow,
        }))
    }

    /// A program of the tree that is a shell script: followed too, as a process of its own.
    fn program(&mut self, name: &str, words: &[&str]) -> Result<Option<Status>, Failure> {
        let candidates = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
        let path = match name.starts_with('/') {
            true => Some(name.to_owned()),
            false => candidates
                .iter()
                .map(|dir| format!("{dir}/{name}"))
                .find(|path| self.scene.tree.exists(path.as_bytes())),
        };
        let Some((path, first)) = path.and_then(|path| {
            let text = self.scene.tree.read(path.as_bytes())?;
            let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
            Some((path, String::from_utf8_lossy(first).into_owned()))
        }) else {
            return Ok(None);
        };
        let stops = match first.trim() {
            "#!/bin/sh" | "#! /bin/sh" => false,
            "#!/bin/sh -e" | "#! /bin/sh -e" => true,
            _ => return Ok(None),
        };
        let Some(list) = self.text_of(&path) else { return Ok(None) };
        let kept = |name: &str| name.starts_with("DPKG_") || name == "DEBCONF_REDIR";
        let inherited =
            self.variables.iter().filter(|(name, _)| kept(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        let variables = std::mem::replace(&mut self.variables, inherited);
        let functions = std::mem::take(&mut self.functions);
        let arguments = words.iter().map(|w| (*w).to_owned()).collect();
        let arguments = std::mem::replace(&mut self.arguments, arguments);
        let program = std::mem::replace(&mut self.program, path);
        let stops = std::mem::replace(&mut self.stops_at_failure, stops);
        let asking = std::mem::replace(&mut self.asking, false);
        self.calls += 1;
        let status = self.subshell(&list);
        self.calls -= 1;
        (self.variables, self.functions, self.arguments, self.program) = (variables, functions, arguments, program);
        (self.stops_at_failure, self.asking) = (stops, asking);
        status.map(Some)
    }

    fn text_of(&mut self, path: &str) -> Option<super::syntax::List> {
        let text = String::from_utf8_lossy(self.scene.tree.read(path.as_bytes())?).into_owned();
        if self.calls >= MOST_CALLS || text.contains(BLOCK) {
            return None;
        }
        let program = super::parse::parse(&text, self.line, self.documents.len(), false).ok()?;
        self.documents.extend(program.documents);
        Some(program.list)
    }

    /// A command with no output that is taken to succeed.
    fn done(&mut self) -> Status {
        Some(true)
    }

    /// A generated block.
    fn block(&mut self, number: &str) -> Result<Flow, Failure> {
        let all = number.parse().ok().and_then(|at: usize| self.blocks.get(at)).cloned().unwrap_or_default();
        all.iter().try_for_each(|snippet| self.scene.snippet(snippet))?;
        Ok(Next(Some(true)))
    }

    /// The shell's own commands.
    fn own(&mut self, name: &str, words: &[&str]) -> Option<Flow> {
        let code = |words: &[&str], last: Status| match words {
            [] => last,
            ["0", ..] => Some(true),
            _ => Some(false),
        };
        Some(match (name, words) {
            ("exit", words) => Exit(code(words, self.last)),
            ("return", words) => Return(code(words, self.last)),
            ("break", []) => Break,
            ("continue", []) => Continue,
            ("false", _) => Next(Some(false)),
            ("set", [options]) if options.starts_with(['-', '+']) && *options != "--" => {
                if options.contains('e') {
                    self.stops_at_failure = options.starts_with('-');
                }
                Next(Some(options.chars().skip(1).all(|c| "euxv".contains(c)))).known(self)
            }
            ("set", ["-o" | "+o", "pipefail" | "nounset"]) => Next(Some(true)),
            ("set", ["-o", "errexit"]) => {
                self.stops_at_failure = true;
                Next(Some(true))
            }
            ("set", ["--", arguments @ ..]) => {
                self.arguments = arguments.iter().map(|w| (*w).to_owned()).collect();
                Next(Some(true))
            }
            ("shift", words) => {
                let many = match words {
                    [] => 1,
                    [n] => n.parse().ok()?,
                    _ => return None,
                };
                if many > self.arguments.len() {
                    return Some(Next(Some(false)));
                }
                self.arguments.drain(..many);
                Next(Some(true))
            }
            ("unset", words) => {
                for word in words {
                    self.variables.remove(*word);
                    self.functions.remove(*word);
                }
                Next(Some(true))
            }
            ("read", words) => self.read_line(words),
            ("umask", ["022" | "0022"]) | ("trap", _) => Next(Some(true)),
            ("." | "source", ["/usr/share/debconf/confmodule"]) => {
                self.configure();
                Next(Some(true))
            }
            _ => return None,
        })
    }

    /// `read NAME …`: the next line of what comes in.
    fn read_line(&mut self, words: &[&str]) -> Flow {
        let names: Vec<&&str> = words.iter().filter(|w| **w != "-r").collect();
        let simple = names.iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        let text = match self.input.take() {
            Some(Some(text)) if simple && !self.variables.contains_key("IFS") => text,
            _ => return Next(self.strange(self.line)),
        };
        let (line, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let mut left = line.trim();
        for (at, name) in names.iter().enumerate() {
            let last = at + 1 == names.len();
            let (word, after) = left.split_once([' ', '\t']).filter(|_| !last).unwrap_or((left, ""));
            self.variables.insert((**name).to_owned(), Some(word.to_owned()));
            left = after.trim_start();
        }
        let there = !text.is_empty();
        let rest = rest.to_owned();
        self.input = Some(Some(rest));
        Next(Some(there))
    }

    /// Commands that change the tree. `Ok(None)`: not known, or not with these words.
    fn changes(&mut self, program: &str, words: &[&str]) -> Result<Option<Status>, Failure> {
        if program.starts_with("db_") {
            return Ok(self.debconf(program, words));
        }
        if let Some(result) = self.file_command(program, words) {
            return result;
        }
        if let Some(result) = self.account_command(program, words).or_else(|| self.apache(program, words)) {
            return result;
        }
        let good = Ok(Some(Some(true)));
        match (program, words) {
            // All of them look at what an older version left.
            (
                "dpkg-maintscript-helper",
                ["supports" | "rm_conffile" | "mv_conffile" | "symlink_to_dir" | "dir_to_symlink", ..],
            ) => good,
            ("dpkg-statoverride", words) => self.override_command(words),
            ("dpkg-divert", words) => self.divert_command(words),
            ("update-alternatives", words) => self.alternatives(words),
            ("update-rc.d", [name, words @ ..]) => {
                let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
                match words.first().map(String::as_str) {
                    Some("defaults" | "defaults-disabled") => {
                        self.scene.snippet(&Snippet::RcLinks((*name).to_owned(), words))?;
                        good
                    }
                    Some("disable") => {
                        services::rc_disable(self.scene.tree, name)?;
                        good
                    }
                    _ => Ok(None),
                }
            }
            ("systemctl", words) if only_running(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()) => good,
            ("systemctl", ["enable", units @ ..]) if !units.iter().any(|u| u.starts_with('-')) => {
                for unit in units {
                    services::plainly(self.scene.tree, unit)?;
                }
                good
            }
            ("systemd-machine-id-setup", []) => {
                // Empty: a system that starts makes its own.
                self.scene.tree.write(b"/etc/machine-id", Vec::new())?;
                good
            }
            // The messages of a journal that no container keeps.
            ("journalctl", ["--update-catalog"]) => good,
            ("deb-systemd-helper", words) => {
                let user = words.contains(&"--user");
                let words: Vec<&str> = words.iter().copied().filter(|w| !w.starts_with("--")).collect();
                match words.as_slice() {
                    ["enable", units @ ..] => {
                        for unit in units {
                            self.scene.snippet(&Snippet::Enable((*unit).to_owned(), user))?;
                        }
                        good
                    }
                    ["update-state", units @ ..] => {
                        for unit in units {
                            self.scene.snippet(&Snippet::Note((*unit).to_owned(), user))?;
                        }
                        good
                    }
                    ["unmask" | "purge", ..] => good,
                    // Nothing was said of a unit that is new.
                    ["was-enabled", ..] => good,
                    ["debian-installed", unit] => Ok(Some(Some(services::noted(self.scene.tree, unit, user)))),
                    ["disable", units @ ..] => {
                        for unit in units {
                            services::disable(self.scene.tree, unit, user)?;
                        }
                        good
                    }
                    _ => Ok(None),
                }
            }
            ("systemd-tmpfiles" | "systemd-sysusers", words) => {
                let names = words.iter().filter(|w| !w.starts_with('-'));
                let kind = if program == "systemd-tmpfiles" { Snippet::Tmpfiles } else { Snippet::Sysusers };
                if words.iter().any(|w| w.starts_with('-') && *w != "--create") || names.clone().next().is_none() {
                    return Ok(None);
                }
                for name in names {
                    self.scene.snippet(&kind((*name).to_owned()))?;
                }
                good
            }
            ("pam-auth-update", ["--package"] | ["--package", "--force"]) => self.work(Work::Pam),
            ("update-ca-certificates", []) => self.work(Work::Certificates),
            ("add-shell", shells) => {
                for shell in shells {
                    self.add_shell(shell)?;
                }
                good
            }
            // What these ask for is done at the end, or by nobody.
            ("dpkg-trigger", words)
                if words.iter().all(|w| {
                    w.starts_with("--no-await") || matches!(*w, "ldconfig" | "update-initramfs" | "man-db")
                }) =>
            {
                good
            }
            // Caches of what is not there.
            (compiles, [dir]) if compiles.ends_with("/glib-compile-schemas") || compiles == "glib-compile-schemas" => {
                let any = self.scene.tree.names(dir.as_bytes()).iter().any(|name| name.ends_with(b".gschema.xml"));
                if any { Ok(None) } else { good }
            }
            (queries, [dir]) if queries.ends_with("/gio-querymodules") && !self.scene.tree.exists(dir.as_bytes()) => {
                good
            }
            // Scripts run where these are mounted.
            ("mountpoint", ["-q", "/proc" | "/sys" | "/dev"]) => good,
            ("ucfr", _) => good,
            ("ucf", words) => self.ucf(words),
            _ => Ok(None),
        }
    }

    fn work(&mut self, work: Work) -> Result<Option<Status>, Failure> {
        self.scene.admin.work.insert(work);
        Ok(Some(Some(true)))
    }

    fn add_shell(&mut self, shell: &str) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(self.scene.tree.read(b"/etc/shells").unwrap_or_default()).into_owned();
        if !text.lines().any(|line| line == shell) {
            self.scene.tree.write(b"/etc/shells", format!("{text}{shell}\n").into_bytes())?;
        }
        Ok(())
    }
}

impl Flow {
    /// A status that says whether all options are known: those that are not make the command unknown.
    fn known(self, shell: &mut Shell<'_, '_>) -> Flow {
        if self == Next(Some(false)) { Next(shell.strange(shell.line)) } else { self }
    }
}

/// An account that a command names and that is not there.
pub(super) fn nobody(name: &str) -> Failure {
    missing(format!("there is no account {name}"))
}
