//! a2enmod(8), a2enconf(8) and a2ensite(8): links, and the notes of who asked for them.

use super::super::failure::Failure;
use super::{Shell, Status};

/// Most modules that depend on each other.
const MOST: usize = 64;

impl Shell<'_, '_> {
    /// None: no command of these.
    pub(super) fn apache(&mut self, program: &str, words: &[&str]) -> Option<Result<Option<Status>, Failure>> {
        let (kind, dir, endings): (&str, &str, &[&str]) = match program {
            "a2enmod" => ("module", "mods", &["load", "conf"]),
            "a2enconf" => ("conf", "conf", &["conf"]),
            "a2ensite" => ("site", "sites", &["conf"]),
            _ => return None,
        };
        if !words.iter().all(|w| !w.starts_with('-') || matches!(*w, "-m" | "-q" | "--maintmode" | "--quiet")) {
            return Some(Ok(None));
        }
        let who = if words.iter().any(|w| matches!(*w, "-m" | "--maintmode")) { "maint" } else { "admin" };
        let mut todo: Vec<String> =
            words.iter().filter(|w| !w.starts_with('-')).rev().map(|w| (*w).to_owned()).collect();
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = todo.pop() {
            if seen.contains(&name) || seen.len() > MOST || name.contains('/') {
                continue;
            }
            let first = format!("/etc/apache2/{dir}-available/{name}.{}", endings.first().copied().unwrap_or("conf"));
            let Some(text) = self.scene.tree.read(first.as_bytes()) else { return Some(Ok(Some(Some(false)))) };
            let text = String::from_utf8_lossy(text).into_owned();
            let needs = text.lines().filter_map(|line| line.strip_prefix("# Depends:"));
            todo.extend(needs.flat_map(str::split_whitespace).map(str::to_owned));
            for ending in endings {
                let file = format!("{name}.{ending}");
                if self.scene.tree.exists(format!("/etc/apache2/{dir}-available/{file}").as_bytes()) {
                    let link = format!("/etc/apache2/{dir}-enabled/{file}");
                    if self.scene.tree.get(link.as_bytes()).is_none() {
                        let target = format!("../{dir}-available/{file}");
                        if let Err(failure) = self.scene.tree.link(link.as_bytes(), target.as_bytes()) {
                            return Some(Err(failure));
                        }
                    }
                }
            }
            let note = format!("/var/lib/apache2/{kind}/enabled_by_{who}/{name}");
            if let Err(failure) = self.scene.tree.write(note.as_bytes(), Vec::new()) {
                return Some(Err(failure));
            }
            seen.push(name);
        }
        Some(Ok(Some(Some(true))))
    }
}
