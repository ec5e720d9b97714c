//! What commands do: the shell's own here, those of Debian's tools and of coreutils by their families.

use super::super::apply::{Wish, missing};
use super::super::effects::{Effect, Work};
use super::super::failure::Failure;
use super::super::script::Snippet;
use super::super::services;
use super::run::Flow::{self, Break, Continue, Exit, Next, Return};
use super::run::{is_quiet_name, only_running};
use super::syntax::Word;
use super::{BLOCK, Shell, Status};

/// Programs that refresh a cache of a running desktop or manual; without their package they are not there, and what
/// they write is made by no image build.
const REFRESH: [&str; 16] = [
    "update-mime", "update-desktop-database", "update-menus", "update-icon-caches", "update-info-dir", "install-info",
    "update-initramfs", "dpkg-trigger", "ldconfig", "py3compile", "py3clean", "pypy3compile", "update-xmlcatalog",
    "install-docs", "update-fonts-dir", "update-fonts-scale",
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
        let fields = self.fields(words);
        if self.unknown.len() > noted {
            return Ok(Next(None));
        }
        let Some(first) = fields.first() else {
            // The status is that of the last substitution.
            let substitutes = assigns.iter().any(|(_, w)| w.iter().any(|p| matches!(p, super::syntax::Part::Command(..))));
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
            let inside = if name == "[" { rest.split_last().map(|(_, inside)| inside).unwrap_or_default() } else { rest };
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
        match self.changes(&program, &words) {
            Ok(Some(status)) => Ok(Next(status)),
            Ok(None) => Ok(Next(self.strange(line))),
            // A known command that fails: what follows decides whether that matters.
            Err(failure) => {
                self.failure = Some(failure);
                Ok(Next(Some(false)))
            }
        }
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
            ("export" | "readonly" | "local" | "declare", words) => {
                for word in words {
                    if let Some((name, value)) = word.split_once('=') {
                        self.variables.insert(name.to_owned(), Some(value.to_owned()));
                    } else if name == "local" {
                        self.variables.insert((*word).to_owned(), Some(String::new()));
                    }
                }
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
            ("dpkg-maintscript-helper", [verb, ..]) => match *verb {
                // All of them look at what an older version left.
                "supports" | "rm_conffile" | "mv_conffile" | "symlink_to_dir" | "dir_to_symlink" => good,
                _ => Ok(None),
            },
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
                // Every container gets its own: this is what an image that has not started yet says.
                self.scene.tree.write(b"/etc/machine-id", b"uninitialized\n".to_vec())?.mode = 0o444;
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
                    ["unmask" | "update-state" | "purge", ..] => good,
                    // Nothing was said of a unit that is new.
                    ["was-enabled", ..] => good,
                    ["debian-installed", ..] => Ok(Some(Some(false))),
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

    fn alternatives(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
        let options = words.iter().take_while(|w| matches!(**w, "--quiet" | "--force" | "--skip-auto")).count();
        match words.get(options..).unwrap_or_default() {
            ["--install", rest @ ..] => {
                let words: Vec<String> = rest.iter().map(|w| (*w).to_owned()).collect();
                self.scene.admin.alternatives.install(&words)?;
                Ok(Some(Some(true)))
            }
            ["--remove", name, path] => {
                self.scene.admin.alternatives.remove(name, path);
                Ok(Some(Some(true)))
            }
            ["--remove-all", name] => Ok((!self.scene.admin.alternatives.has(name)).then_some(Some(true))),
            ["--auto", _] => Ok(Some(Some(true))),
            ["--display" | "--query" | "--list", name] if !self.scene.admin.alternatives.has(name) => {
                Ok(Some(Some(false)))
            }
            _ => Ok(None),
        }
    }

    fn override_command(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
        let known = |w: &&str| matches!(*w, "--quiet" | "--force" | "--force-all" | "--force-statoverride-add");
        let update = words.contains(&"--update");
        let words: Vec<&str> = words.iter().copied().filter(|w| !known(w) && *w != "--update").collect();
        let database = self.scene.tree.read(b"/var/lib/dpkg/statoverride").unwrap_or_default();
        let database = String::from_utf8_lossy(database).into_owned();
        match words.as_slice() {
            ["--list", path] => {
                let line = database.lines().find(|line| line.split(' ').next_back() == Some(path));
                if let Some(line) = line {
                    self.print(Some(&format!("{line}\n")));
                }
                Ok(Some(Some(line.is_some())))
            }
            ["--add", user, group, mode, path] if update => {
                let Ok(mode) = u32::from_str_radix(mode, 8) else { return Ok(None) };
                let wish = Wish { path: (*path).to_owned(), mode, owner: format!("{user}:{group}") };
                self.scene.set_override(&wish)?;
                Ok(Some(Some(true)))
            }
            ["--remove", path] if !database.lines().any(|line| line.ends_with(&format!(" {path}"))) => {
                Ok(Some(Some(false)))
            }
            _ => Ok(None),
        }
    }

    fn divert_command(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
        let (mut package, mut to, mut rename, mut verb, mut rest) = (None, None, false, "--add", Vec::new());
        let mut all = words.iter();
        while let Some(word) = all.next() {
            match *word {
                "--package" => package = all.next().copied(),
                "--divert" => to = all.next().copied(),
                "--rename" => rename = true,
                "--no-rename" => rename = false,
                "--quiet" => {}
                "--add" | "--remove" | "--list" | "--truename" => verb = word,
                word if word.starts_with("--") => return Ok(None),
                path => rest.push(path),
            }
        }
        let [from] = rest.as_slice() else { return Ok(None) };
        let diverted = self.scene.admin.diversions.contains_key(from.as_bytes());
        match (verb, package, to) {
            ("--add", Some(package), Some(to)) if package == self.scene.package && !diverted => {
                self.scene.effect(&Effect::Divert((*from).to_owned(), to.to_owned()), &super::super::script::read(b""))?;
                // dpkg-divert moves what another package brought, never the package's own.
                let there = self.scene.tree.get(from.as_bytes()).is_some();
                if there && (!rename || self.kind == "postinst") {
                    return Ok(if rename { None } else { Some(Some(true)) });
                }
                if there {
                    self.scene.tree.rename(from.as_bytes(), to.as_bytes())?;
                }
                Ok(Some(Some(true)))
            }
            ("--remove", ..) if !diverted => Ok(Some(Some(true))),
            ("--list", ..) if !diverted => Ok(Some(Some(true))),
            ("--truename", ..) if !diverted => {
                self.print(Some(&format!("{from}\n")));
                Ok(Some(Some(true)))
            }
            _ => Ok(None),
        }
    }

    /// ucf(1) where the file is new: it is copied.
    fn ucf(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
        let mut paths = Vec::new();
        let mut all = words.iter();
        while let Some(word) = all.next() {
            match *word {
                "--three-way" | "--debconf-ok" | "-d" | "--debug" => {}
                "--sum-file" | "--src-dir" | "--state-dir" => {
                    all.next();
                }
                word if word.starts_with("--sum-file=") || word.starts_with("--src-dir=") => {}
                word if word.starts_with('-') => return Ok(None),
                path => paths.push(path),
            }
        }
        let [from, to] = paths.as_slice() else { return Ok(None) };
        if self.scene.tree.exists(to.as_bytes()) {
            return Ok(None);
        }
        self.scene.copy(from, to, true)?;
        Ok(Some(Some(true)))
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
