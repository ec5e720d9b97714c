//! What scripts do, as data: the text files of `stdlib/modules/debian/effects`.
//!
//! ```text
//! package NAME                      the package whose scripts follow
//! script postinst SHA256 …          a script as it was read by whoever wrote this, outside generated blocks
//!   VERB WORD …                     what it does on a first installation; none at all: nothing that counts
//! triggered                         what the package does, installed in a base, when an added one pulls its triggers
//!   VERB WORD …
//! ```

use std::collections::BTreeMap;

use diag::codes;
use diag::text::printable;

use super::failure::Failure;

/// Ours, by file name.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("essential.effects", include_str!("../../../../stdlib/modules/debian/effects/essential.effects")),
    ("python.effects", include_str!("../../../../stdlib/modules/debian/effects/python.effects")),
    ("servers.effects", include_str!("../../../../stdlib/modules/debian/effects/servers.effects")),
    ("triggers.effects", include_str!("../../../../stdlib/modules/debian/effects/triggers.effects")),
];

/// An effect: its verb and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Every `update-alternatives --install` of the script.
    Alternatives,
    /// One of them, where the script puts it together: the words after `--install`.
    Alternative(Vec<String>),
    /// A manual page with all pages beside it as slaves: its name, their directory, the priority (PostgreSQL).
    Pages(String, String, i64),
    /// `[when-there PATH]`: the rest only when the path exists.
    WhenThere(String, Box<Effect>),
    /// From, to.
    Divert(String, String),
    /// From, to, whether the time is kept (`cp -p`).
    Copy(String, String, bool),
    /// Path, mode, `user:group`; `existing` too: chown and chmod.
    Directory(String, u32, String),
    Own(String, u32, String),
    /// The same, as an override in dpkg's database.
    Override(String, u32, String),
    /// An empty file unless it is there.
    Empty(String, u32, String),
    /// A link unless something is there; a link that replaces.
    Link(String, String),
    Relink(String, String),
    /// The here-document that the script writes there: what stands in the script, and the path.
    Heredoc(String, String),
    /// A text.
    Write(String, u32, String),
    Remove(String),
    /// `adduser --system`, `addgroup --system`, `adduser USER GROUP`.
    SystemUser(SystemUser),
    SystemGroup(String),
    Member(String, String),
    /// Work that needs a program of its own.
    Work(Work),
}

/// A system account to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemUser {
    pub name: String,
    /// None: `nogroup`.
    pub group: Option<String>,
    pub home: String,
    /// Whether the home is made, root's otherwise.
    pub make_home: bool,
    pub shell: String,
    pub gecos: String,
}

/// Programs of Debian whose result we write ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Shells,
    /// The same where it ran before directories were resolved, and again afterwards (bookworm).
    ShellsTwice,
    Pam,
    Certificates,
    Ldconfig,
    Shadow,
}

/// One declared script.
#[derive(Debug)]
struct Declared {
    package: String,
    script: String,
    effects: Vec<Effect>,
}

/// All declarations.
#[derive(Debug)]
pub(super) struct Effects {
    /// By the digest of the script.
    by_digest: BTreeMap<String, Vec<Declared>>,
    /// What an installed package does when a trigger of its is pulled, by its name.
    triggered: BTreeMap<String, Vec<Effect>>,
}

impl Effects {
    /// Ours and `more`: name and text of each file.
    pub fn read(more: &[(&str, &str)]) -> Result<Effects, Failure> {
        let mut all = Effects { by_digest: BTreeMap::new(), triggered: BTreeMap::new() };
        for (name, text) in BUILT_IN.iter().chain(more) {
            all.file(text).map_err(|(line, what)| {
                let message = format!("{}, line {line}: {what}", printable(name));
                Failure::new(codes::E0565, message, "see the head of each file in stdlib/modules/debian/effects")
            })?;
        }
        Ok(all)
    }

    /// What is declared for a script of this digest. Two packages may share a script.
    pub fn of(&self, package: &str, script: &str, digest: &str) -> Option<&[Effect]> {
        let all = self.by_digest.get(digest)?;
        all.iter().find(|d| d.package == package && d.script == script).map(|d| d.effects.as_slice())
    }

    /// Whether anything is declared for this script of the package, of whatever digest.
    pub fn knows(&self, package: &str, script: &str) -> bool {
        self.by_digest.values().flatten().any(|d| d.package == package && d.script == script)
    }

    /// What is declared for the triggers of a package of the base.
    pub fn triggered(&self, package: &str) -> Option<&[Effect]> {
        self.triggered.get(package).map(Vec::as_slice)
    }

    /// Paths that effects copy.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.by_digest.values().flatten().flat_map(|d| &d.effects).filter_map(|effect| match effect {
            Effect::Copy(from, ..) => Some(from.as_str()),
            Effect::WhenThere(_, inner) => match inner.as_ref() {
                Effect::Copy(from, ..) => Some(from.as_str()),
                _ => None,
            },
            _ => None,
        })
    }

    fn file(&mut self, text: &str) -> Result<(), (usize, String)> {
        let mut package = None;
        let mut open: Option<(String, Vec<String>, Vec<Effect>)> = None;
        for (at, line) in text.lines().enumerate() {
            let fail = |what: &str| (at + 1, what.to_owned());
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with(' ') {
                let Some((_, _, effects)) = &mut open else { return Err(fail("an effect stands before any script")) };
                effects.push(effect(line.trim()).ok_or_else(|| fail("unknown effect, or not its words"))?);
                continue;
            }
            self.close(&package, open.take());
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["package", name] => package = Some((*name).to_owned()),
                ["script", kind @ ("preinst" | "postinst"), digests @ ..]
                    if package.is_some() && !digests.is_empty() =>
                {
                    let good = |d: &&str| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit());
                    if !digests.iter().all(good) {
                        return Err(fail("expected SHA-256 digests, in hexadecimal"));
                    }
                    let digests = digests.iter().map(|d| d.to_ascii_lowercase()).collect();
                    open = Some(((*kind).to_owned(), digests, Vec::new()));
                }
                ["triggered"] if package.is_some() => open = Some(("triggered".to_owned(), Vec::new(), Vec::new())),
                _ => {
                    return Err(fail(
                        "expected \"package NAME\", \"script preinst|postinst SHA256 …\" or \"triggered\"",
                    ));
                }
            }
        }
        self.close(&package, open);
        Ok(())
    }

    fn close(&mut self, package: &Option<String>, open: Option<(String, Vec<String>, Vec<Effect>)>) {
        let (Some(package), Some((script, digests, effects))) = (package, open) else { return };
        if digests.is_empty() {
            self.triggered.insert(package.clone(), effects);
            return;
        }
        for digest in digests {
            let declared = Declared { package: package.clone(), script: script.clone(), effects: effects.clone() };
            self.by_digest.entry(digest).or_default().push(declared);
        }
    }
}

fn effect(line: &str) -> Option<Effect> {
    let text = |word: &str| word.to_owned();
    let mode = |word: &str| u32::from_str_radix(word, 8).ok().filter(|m| *m <= 0o7777);
    let words: Vec<&str> = line.split_whitespace().collect();
    Some(match words.as_slice() {
        ["alternatives"] => Effect::Alternatives,
        ["when-there", path, rest @ ..] => Effect::WhenThere(text(path), Box::new(effect(&rest.join(" "))?)),
        ["divert", from, to] => Effect::Divert(text(from), text(to)),
        ["copy", from, to] => Effect::Copy(text(from), text(to), true),
        ["copy-now", from, to] => Effect::Copy(text(from), text(to), false),
        ["directory", path, m, owner] => Effect::Directory(text(path), mode(m)?, text(owner)),
        ["own", path, m, owner] => Effect::Own(text(path), mode(m)?, text(owner)),
        ["statoverride", path, m, owner] => Effect::Override(text(path), mode(m)?, text(owner)),
        ["alternative-pages", page, dir, priority] => Effect::Pages(text(page), text(dir), priority.parse().ok()?),
        ["alternative", words @ ..] => Effect::Alternative(words.iter().map(|w| text(w)).collect()),
        ["empty", path, m, owner] => Effect::Empty(text(path), mode(m)?, text(owner)),
        ["link", path, target] => Effect::Link(text(path), text(target)),
        ["relink", path, target] => Effect::Relink(text(path), text(target)),
        ["heredoc", path] => Effect::Heredoc(text(path), text(path)),
        ["heredoc", word, path] => Effect::Heredoc(text(word), text(path)),
        ["write", path, m, ..] => {
            // The text as it stands after the mode, `\n` for a newline.
            let rest = line.splitn(4, ' ').nth(3)?;
            Effect::Write(text(path), mode(m)?, rest.replace("\\n", "\n"))
        }
        ["remove", path] => Effect::Remove(text(path)),
        ["system-group", name] => Effect::SystemGroup(text(name)),
        ["member", user, group] => Effect::Member(text(user), text(group)),
        ["system-user", name, group, home, shell, rest @ ..] => {
            let (make_home, gecos) = match rest {
                ["no-home", gecos @ ..] => (false, gecos),
                gecos => (true, gecos),
            };
            let group = (*group != "-").then(|| text(group));
            Effect::SystemUser(SystemUser {
                name: text(name),
                group,
                home: text(home),
                make_home,
                shell: text(shell),
                gecos: gecos.join(" "),
            })
        }
        ["update-shells"] => Effect::Work(Work::Shells),
        ["update-shells-twice"] => Effect::Work(Work::ShellsTwice),
        ["pam-auth-update"] => Effect::Work(Work::Pam),
        ["update-ca-certificates"] => Effect::Work(Work::Certificates),
        ["ldconfig"] => Effect::Work(Work::Ldconfig),
        ["shadow"] => Effect::Work(Work::Shadow),
        _ => return None,
    })
}
