//! dpkg's tools: update-alternatives, dpkg-statoverride, dpkg-divert; and ucf(1).

use super::super::apply::Wish;
use super::super::effects::Effect;
use super::super::failure::Failure;
use super::{Shell, Status};

impl Shell<'_, '_> {
    pub(super) fn alternatives(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
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

    pub(super) fn override_command(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
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

    pub(super) fn divert_command(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
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
                self.scene
                    .effect(&Effect::Divert((*from).to_owned(), to.to_owned()), &super::super::script::read(b""))?;
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
    pub(super) fn ucf(&mut self, words: &[&str]) -> Result<Option<Status>, Failure> {
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
