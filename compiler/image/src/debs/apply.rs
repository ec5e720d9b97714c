//! Carrying effects out on the tree.

use std::collections::{BTreeMap, BTreeSet};

use diag::codes;
use formats::passwd;
use plan::platform::Arch;

use super::accounts::{self, Account, Ids};
use super::alternatives::Groups;
use super::effects::{Effect, Work};
use super::failure::Failure;
use super::script::{self, Script, Snippet};
use super::shell::Answers;
use super::tree::{Content, Kind, Tree};
use super::{services, sysusers, tmpfiles, unpack};

/// What effects change beside the tree.
#[derive(Default)]
pub(super) struct Admin {
    pub alternatives: Groups,
    /// From → to, and the package that keeps the path.
    pub diversions: BTreeMap<Vec<u8>, (Vec<u8>, String)>,
    /// Programs to run at the end.
    pub work: BTreeSet<Work>,
    /// The comment at the head of ca-certificates.conf.
    pub certificates_head: Vec<u8>,
    /// What debconf would answer.
    pub answers: Answers,
    /// Names of all packages that are or will be there.
    pub selected: BTreeSet<String>,
    /// adduser before 3.135 (bookworm), which fills names up with commas.
    pub old_adduser: bool,
}

/// Whose a path is to be; None: as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Owner {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// A mode and an owner (`user:group`) that dpkg is to keep.
pub(super) struct Wish {
    pub path: String,
    pub mode: u32,
    pub owner: String,
}

/// Where effects happen.
pub(super) struct Scene<'a> {
    pub tree: &'a mut Tree,
    pub admin: &'a mut Admin,
    pub arch: Arch,
    pub package: &'a str,
}

impl Scene<'_> {
    /// A path of a declaration, with its variables.
    fn text(&self, text: &str) -> String {
        let triple = format!("{}-linux-gnu", self.arch.kernel());
        text.replace("@multiarch@", &triple).replace("@arch@", self.arch.oci())
    }

    fn owner(&self, owner: &str) -> Result<(u32, u32), Failure> {
        let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
        let users = passwd::users(self.tree.read(b"/etc/passwd").unwrap_or_default()).entries;
        let groups = passwd::groups(self.tree.read(b"/etc/group").unwrap_or_default()).entries;
        let uid = users.iter().find(|u| u.value.name == user).map(|u| u.value.uid);
        let gid = groups.iter().find(|g| g.value.name == group).map(|g| g.value.gid);
        match (uid, gid) {
            (Some(uid), Some(gid)) => Ok((uid, gid)),
            _ => Err(missing(format!("there is no account {owner}"))),
        }
    }

    /// A generated snippet, or a plain command.
    pub fn snippet(&mut self, snippet: &Snippet) -> Result<(), Failure> {
        match snippet {
            Snippet::Enable(unit, user) => services::enable(self.tree, unit, *user, true),
            Snippet::Note(unit, user) => services::enable(self.tree, unit, *user, false),
            Snippet::RcLinks(name, words) => services::rc_links(self.tree, name, words),
            Snippet::Alternative(words) => self.admin.alternatives.install(words),
            // Without the programs, which the essential packages do not bring, nothing happens.
            Snippet::Tmpfiles(name) if self.tree.exists(b"/usr/bin/systemd-tmpfiles") => tmpfiles::create(self, name),
            Snippet::Sysusers(name) if self.tree.exists(b"/usr/bin/systemd-sysusers") => sysusers::run(self, name),
            Snippet::Tmpfiles(_) | Snippet::Sysusers(_) => Ok(()),
            Snippet::NginxModule(from, to) => {
                let target = format!("/usr/share/nginx/modules-available/{from}");
                let link = format!("/etc/nginx/modules-enabled/{to}");
                self.tree.link(link.as_bytes(), target.as_bytes()).map(|_| ())
            }
            Snippet::AppArmor(path) => self.tree.write(path.as_bytes(), Vec::new()).map(|_| ()),
        }
    }

    /// A declared effect.
    pub fn effect(&mut self, effect: &Effect, script: &Script) -> Result<(), Failure> {
        match effect {
            Effect::Alternatives => {
                for snippet in script::alternatives(&script.text) {
                    self.snippet(&snippet)?;
                }
            }
            Effect::WhenThere(path, inner) => {
                if self.tree.exists(self.text(path).as_bytes()) {
                    self.effect(inner, script)?;
                }
            }
            Effect::Divert(from, to) => {
                let (from, to) = (self.text(from).into_bytes(), self.text(to).into_bytes());
                self.admin.diversions.insert(from, (to, self.package.to_owned()));
            }
            Effect::Copy(from, to, keep) => self.copy(&self.text(from), &self.text(to), *keep)?,
            Effect::Directory(path, mode, owner) => {
                let path = self.text(path);
                if !self.tree.exists(path.as_bytes()) {
                    let place = self.tree.directories(path.as_bytes())?;
                    self.set(&place, *mode, owner)?;
                }
            }
            Effect::Own(path, mode, owner) => {
                let place = self.tree.follow(self.text(path).as_bytes())?;
                self.set(&place, *mode, owner)?;
            }
            Effect::Override(path, mode, owner) => {
                self.set_override(&Wish { path: path.clone(), mode: *mode, owner: owner.clone() })?;
            }
            Effect::Pages(page, dir, priority) => {
                let words = pages(self.tree, page, dir, *priority);
                self.admin.alternatives.install(&words)?;
            }
            Effect::Alternative(words) => self.admin.alternatives.install(words)?,
            Effect::Empty(path, mode, owner) => {
                let path = self.text(path);
                if !self.tree.exists(path.as_bytes()) {
                    self.tree.write(path.as_bytes(), Vec::new())?;
                    let place = self.tree.follow(path.as_bytes())?;
                    self.set(&place, *mode, owner)?;
                }
            }
            Effect::Link(path, target) => {
                let (path, target) = (self.text(path), self.text(target));
                if self.tree.get(path.as_bytes()).is_none() {
                    self.tree.link(path.as_bytes(), target.as_bytes())?;
                }
            }
            Effect::Relink(path, target) => {
                let (path, target) = (self.text(path), self.text(target));
                self.tree.link(path.as_bytes(), target.as_bytes())?;
            }
            Effect::Heredoc(word, path) => {
                let text = script::heredoc(&script.text, word);
                let text = text.ok_or_else(|| missing(format!("the script holds no text for {path}")))?;
                if path == "/etc/ca-certificates.conf" {
                    self.admin.certificates_head = text;
                } else if !self.tree.exists(path.as_bytes()) {
                    self.tree.write(path.as_bytes(), text)?;
                }
            }
            Effect::Write(path, mode, text) => {
                let (path, text) = (self.text(path), self.text(text));
                self.tree.write(path.as_bytes(), text.into_bytes())?.mode = *mode;
            }
            Effect::Remove(path) => self.tree.remove(self.text(path).as_bytes())?,
            Effect::SystemUser(user) => accounts::account(self.tree, &Account::of(user))?,
            Effect::SystemGroup(name) => accounts::group(self.tree, name, None, Ids::Upwards).map(|_| ())?,
            Effect::Member(user, group) => accounts::member(self.tree, user, group)?,
            Effect::Work(Work::Shadow) => accounts::shadow(self.tree)?,
            Effect::Work(work) => {
                self.admin.work.insert(*work);
            }
        }
        Ok(())
    }

    /// `dpkg-statoverride --update --add`
    pub fn set_override(&mut self, wish: &Wish) -> Result<(), Failure> {
        let place = self.tree.follow(wish.path.as_bytes())?;
        if self.tree.nodes.contains_key(&place) {
            self.set(&place, wish.mode, &wish.owner)?;
        }
        let line = format!("{} {:o} {}", wish.owner.replace(':', " "), wish.mode, wish.path);
        accounts::stat_override(self.tree, &line)
    }

    /// The numbers of a user and a group, each by name or number.
    pub fn owner_of(&self, user: Option<&str>, group: Option<&str>) -> Result<Owner, Failure> {
        let id = |path: &[u8], name: &str| -> Result<u32, Failure> {
            let text = String::from_utf8_lossy(self.tree.read(path).unwrap_or_default()).into_owned();
            let line = text.lines().find(|line| line.split(':').next() == Some(name));
            let id = line.and_then(|line| line.split(':').nth(2)?.parse().ok()).or_else(|| name.parse().ok());
            id.ok_or_else(|| missing(format!("there is no account {name}")))
        };
        Ok(Owner {
            uid: user.map(|name| id(b"/etc/passwd", name)).transpose()?,
            gid: group.map(|name| id(b"/etc/group", name)).transpose()?,
        })
    }

    fn set(&mut self, place: &[u8], mode: u32, owner: &str) -> Result<(), Failure> {
        let (uid, gid) = self.owner(owner)?;
        let name = String::from_utf8_lossy(place).into_owned();
        let node = self.tree.nodes.get_mut(place).ok_or_else(|| missing(format!("there is no /{name}")))?;
        (node.mode, node.uid, node.gid) = (mode, uid, gid);
        Ok(())
    }

    /// `cp`, or `cp -p`, when the target is not there yet.
    pub fn copy(&mut self, from: &str, to: &str, keep: bool) -> Result<(), Failure> {
        if self.tree.exists(to.as_bytes()) {
            return Ok(());
        }
        let source = self.tree.follow(from.as_bytes())?;
        let node = self.tree.nodes.get(&source).cloned();
        let (Some(node), Some(bytes)) = (node, self.tree.read(from.as_bytes()).map(<[u8]>::to_vec)) else {
            return Err(missing(format!("there is no {from} to copy")));
        };
        let size = bytes.len() as u64;
        let copy = self.tree.put(to.as_bytes(), Kind::File(Content::Made(bytes), size), node.mode)?;
        if keep {
            (copy.mtime, copy.uid, copy.gid) = (node.mtime, node.uid, node.gid);
        }
        Ok(())
    }
}

/// The words of update-alternatives for a page of section 1 and every other page of `dir` as its slave.
fn pages(tree: &Tree, page: &str, dir: &str, priority: i64) -> Vec<String> {
    let (man, name) = ("/usr/share/man", page.to_owned());
    let mut words = vec![format!("{man}/man1/{page}"), name, format!("{dir}/man1/{page}"), priority.to_string()];
    for section in tree.names(dir.as_bytes()) {
        let section = String::from_utf8_lossy(&section).into_owned();
        for slave in tree.names(format!("{dir}/{section}").as_bytes()) {
            let slave = String::from_utf8_lossy(&slave).into_owned();
            if slave != page {
                let link = format!("{man}/{section}/{slave}");
                words.extend(["--slave".into(), link, slave.clone(), format!("{dir}/{section}/{slave}")]);
            }
        }
    }
    words
}

/// Something that an effect needs and that is not there.
pub(super) fn missing(what: String) -> Failure {
    Failure::new(codes::E0566, what, "add the package that brings it, or correct the declaration of the effect")
}

/// Which files' bytes the effects want.
pub(super) struct Wanted<'a> {
    pub arch: Arch,
    pub sources: BTreeSet<Vec<u8>>,
    /// Names that scripts mention: they may copy those files.
    pub named: &'a BTreeSet<Vec<u8>>,
}

impl unpack::Interest for Wanted<'_> {
    fn wants(&self, path: &[u8], size: u64) -> bool {
        const DIRECTORIES: [&str; 9] = [
            "/etc/",
            "/usr/share/ca-certificates/",
            "/usr/share/pam-configs/",
            "/usr/share/pam/",
            "/lib/systemd/",
            "/usr/lib/systemd/",
            "/usr/share/debianutils/",
            "/usr/lib/sysusers.d/",
            "/usr/lib/tmpfiles.d/",
        ];
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let library = super::loader_cache::is_library_name(name);
        let small = size <= 1 << 20 && DIRECTORIES.iter().any(|d| path.starts_with(d.as_bytes()));
        let named = size <= 256 << 10 && self.named.contains(name);
        // Scripts put the names of such files together.
        let ending = name.rsplit(|b| *b == b'.').next().unwrap_or_default();
        let named = named || size <= 64 << 10 && [b"ini".as_slice(), b"conf", b"cnf", b"cfg"].contains(&ending);
        library || named || (small && !path.contains(&0) && !is_program(path)) || self.sources.contains(path)
    }

    fn keep(&self, path: &[u8], bytes: unpack::Window) -> Option<Vec<u8>> {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        if !super::loader_cache::is_library_name(name) {
            return bytes.whole();
        }
        let soname = super::loader_cache::library(&bytes, self.arch)?;
        Some([b"soname ".as_slice(), &soname].concat())
    }
}

/// systemd's own programs lie beside its units.
fn is_program(path: &[u8]) -> bool {
    path.windows(9).any(|w| w == b"/systemd/") && !path.windows(8).any(|w| w == b"/system/" || w == b"md/user/")
}
