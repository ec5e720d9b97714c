//! update-alternatives(1): what is chosen when nobody chose, its links and its file in dpkg's database.

use std::collections::BTreeMap;

use formats::dpkg::{Alternative, Choice, Slave, write_alternative};

use super::failure::{Failure, fail};
use super::tree::Tree;

/// All groups by name.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, Group>);

#[derive(Default)]
struct Group {
    link: String,
    /// Name of each slave and its link.
    slaves: BTreeMap<String, String>,
    /// Path → priority, and the file of each slave by its name.
    choices: BTreeMap<String, (i64, BTreeMap<String, String>)>,
    /// The choice that was there first.
    first: String,
}

impl Groups {
    /// One `update-alternatives --install`: its words from the link on.
    pub fn install(&mut self, words: &[String]) -> Result<(), Failure> {
        let bad = || fail("an update-alternatives command that cannot be read", words.join(" ").as_bytes());
        let [link, name, path, priority, rest @ ..] = words else { return bad() };
        let Ok(priority) = priority.parse() else { return bad() };
        let good = |name: &str| !name.is_empty() && !name.contains('/');
        if ![link, path].into_iter().all(|p| p.starts_with('/')) || !good(name) {
            return bad();
        }
        let group = self.0.entry(name.clone()).or_default();
        group.link.clone_from(link);
        let mut files = BTreeMap::new();
        for slave in rest.chunks(4) {
            match slave {
                [word, link, name, file] if word == "--slave" && good(name) && link.starts_with('/') => {
                    group.slaves.insert(name.clone(), link.clone());
                    files.insert(name.clone(), file.clone());
                }
                _ => return bad(),
            }
        }
        if group.choices.is_empty() {
            group.first.clone_from(path);
        }
        group.choices.insert(path.clone(), (priority, files));
        Ok(())
    }

    /// Whether anybody installed one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|group| !group.choices.is_empty())
    }

    /// `update-alternatives --remove`, of one that may never have been there.
    pub fn remove(&mut self, name: &str, path: &str) {
        if let Some(group) = self.0.get_mut(name) {
            group.choices.remove(path);
        }
    }

    /// Makes the links of the best choices, and the database's files.
    pub fn finish(&self, tree: &mut Tree) -> Result<(), Failure> {
        for (name, group) in &self.0 {
            let best = group.choices.iter().filter(|(path, _)| tree.exists(path.as_bytes()));
            // The first of equals wins, as update-alternatives prefers by path.
            let best = best.rev().max_by_key(|(_, (priority, _))| *priority);
            let Some((path, (_, files))) = best else { continue };
            links(tree, name, &group.link, path, &group.first)?;
            let before = group.choices.get(&group.first).map(|(_, files)| files);
            for (slave, link) in &group.slaves {
                match files.get(slave) {
                    Some(file) if tree.exists(file.as_bytes()) => {
                        let first = before.and_then(|files| files.get(slave)).filter(|f| tree.exists(f.as_bytes()));
                        links(tree, slave, link, file, first.unwrap_or(file))?;
                    }
                    _ => {}
                }
            }
            let bytes = write_alternative(&group.describe());
            tree.write(format!("var/lib/dpkg/alternatives/{name}").as_bytes(), bytes)?;
        }
        Ok(())
    }
}

impl Group {
    fn describe(&self) -> Alternative {
        let slave = |(name, link): (&String, &String)| Slave { name: name.clone().into(), link: link.clone().into() };
        let choice = |(path, (priority, files)): (&String, &(i64, BTreeMap<String, String>))| Choice {
            path: path.clone().into(),
            priority: *priority,
            slaves: self.slaves.keys().map(|name| files.get(name).cloned().unwrap_or_default().into()).collect(),
        };
        Alternative {
            auto: true,
            link: self.link.clone().into(),
            slaves: self.slaves.iter().map(slave).collect(),
            choices: self.choices.iter().map(choice).collect(),
        }
    }
}

/// `LINK → /etc/alternatives/NAME → FILE`, with the time of the file (or of the link that it is). Where another file was
/// chosen before, the first link stays as it was made for that, and the second one is new.
fn links(tree: &mut Tree, name: &str, link: &str, file: &str, first: &str) -> Result<(), Failure> {
    let time = |tree: &Tree, file: &str| tree.get(file.as_bytes()).map_or(tree.epoch, |n| n.mtime);
    let outer = time(tree, first);
    let inner = if first == file { outer } else { tree.epoch };
    let middle = format!("/etc/alternatives/{name}");
    tree.link(middle.as_bytes(), file.as_bytes())?.mtime = inner;
    tree.link(link.as_bytes(), middle.as_bytes())?.mtime = outer;
    Ok(())
}
