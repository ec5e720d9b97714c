//! Accounts as adduser(8) makes them for packages, and shadow files as shadowconfig(8) does.

use formats::passwd;

use super::apply::missing;
use super::effects::SystemUser;
use super::failure::Failure;
use super::tree::Tree;

const PASSWD: &[u8] = b"/etc/passwd";
const GROUP: &[u8] = b"/etc/group";
const SHADOW: &[u8] = b"/etc/shadow";
const GSHADOW: &[u8] = b"/etc/gshadow";

/// Seconds of a day, for shadow's dates.
const DAY: i64 = 86_400;

fn text(tree: &Tree, path: &[u8]) -> Vec<u8> {
    tree.read(path).unwrap_or_default().to_vec()
}

fn append(tree: &mut Tree, path: &[u8], line: &str) -> Result<(), Failure> {
    let mut edit = passwd::Edit::default();
    edit.append(line);
    let bytes = edit.apply(&text(tree, path));
    tree.write(path, bytes).map(|_| ())
}

/// `dpkg-statoverride --update --add`: the line of the database; the change itself is made by the caller.
pub(super) fn stat_override(tree: &mut Tree, line: &str) -> Result<(), Failure> {
    const DATABASE: &[u8] = b"/var/lib/dpkg/statoverride";
    let before = String::from_utf8_lossy(&text(tree, DATABASE)).into_owned();
    let mut lines: Vec<&str> = before.lines().chain([line]).collect();
    // dpkg writes them in the order of its hash table.
    lines.sort_by_key(|line| super::database::bin(line.splitn(4, ' ').nth(3).unwrap_or_default().as_bytes()));
    tree.write(DATABASE, format!("{}\n", lines.join("\n")).into_bytes()).map(|_| ())
}

/// From which end free ids of the system's accounts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    /// adduser: 100 and up.
    Upwards,
    /// useradd and systemd-sysusers: 999 and down.
    Downwards,
}

impl Ids {
    fn free(self, taken: impl Fn(u32) -> bool) -> Result<u32, Failure> {
        let found = match self {
            Ids::Upwards => (100..=999).find(|id| !taken(*id)),
            Ids::Downwards => (100..=999).rev().find(|id| !taken(*id)),
        };
        found.ok_or_else(|| missing("no free id is left from 100 to 999".into()))
    }
}

/// An account to be made.
pub(super) struct Account {
    pub name: String,
    pub uid: Option<u32>,
    /// Its first group, made where it is not there; none: `gid`, or `nogroup`.
    pub group: Option<String>,
    pub gid: Option<u32>,
    pub home: String,
    /// Whether the home is made.
    pub make_home: bool,
    pub shell: String,
    pub gecos: String,
    pub ids: Ids,
}

impl Account {
    /// As a declaration describes it.
    pub fn of(user: &SystemUser) -> Account {
        let SystemUser { name, group, home, make_home, shell, gecos } = user.clone();
        Account { name, uid: None, group, gid: None, home, make_home, shell, gecos, ids: Ids::Upwards }
    }
}

/// A group with this id, or a free one; its id if it is there already.
pub(super) fn group(tree: &mut Tree, name: &str, gid: Option<u32>, ids: Ids) -> Result<u32, Failure> {
    let groups = passwd::groups(&text(tree, GROUP)).entries;
    if let Some(group) = groups.iter().find(|g| g.value.name == name) {
        return Ok(group.value.gid);
    }
    let free = match gid {
        Some(gid) => gid,
        None => ids.free(|id| groups.iter().any(|g| g.value.gid == id))?,
    };
    group_of_id(tree, name, free)?;
    Ok(free)
}

fn group_of_id(tree: &mut Tree, name: &str, gid: u32) -> Result<(), Failure> {
    append(tree, GROUP, &format!("{name}:x:{gid}:"))?;
    if tree.exists(GSHADOW) {
        append(tree, GSHADOW, &format!("{name}:!::"))?;
    }
    Ok(())
}

/// A user, unless it is there.
pub(super) fn account(tree: &mut Tree, account: &Account) -> Result<(), Failure> {
    let Account { name, gecos, home, shell, ids, .. } = account;
    let users = passwd::users(&text(tree, PASSWD)).entries;
    if users.iter().any(|u| u.value.name == *name) {
        return Ok(());
    }
    let groups = passwd::groups(&text(tree, GROUP)).entries;
    let there = account.group.as_deref().and_then(|name| groups.iter().find(|g| g.value.name == name));
    let uid = match account.uid {
        Some(uid) => uid,
        None => ids.free(|id| users.iter().any(|u| u.value.uid == id))?,
    };
    let gid = match (&account.group, there) {
        (None, _) => account.gid.unwrap_or(65534),
        (Some(_), Some(group)) => group.value.gid,
        // A new group: adduser takes the first id that is free for it, useradd the user's if that is free.
        (Some(name), None) => {
            let same = *ids == Ids::Downwards && !groups.iter().any(|g| g.value.gid == uid);
            group(tree, name, account.gid.or(same.then_some(uid)), *ids)?
        }
    };
    append(tree, PASSWD, &format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}"))?;
    if tree.exists(SHADOW) {
        append(tree, SHADOW, &format!("{name}:!:{}::::::", tree.epoch / DAY))?;
    }
    if account.make_home && !tree.exists(home.as_bytes()) {
        let place = tree.directories(home.as_bytes())?;
        if let Some(node) = tree.nodes.get_mut(&place) {
            (node.mode, node.uid, node.gid) = (0o755, uid, gid);
        }
    }
    Ok(())
}

/// `adduser USER GROUP`
pub(super) fn member(tree: &mut Tree, user: &str, group: &str) -> Result<(), Failure> {
    for path in [GROUP, GSHADOW].into_iter().filter(|p| *p == GROUP || tree.exists(p)).collect::<Vec<_>>() {
        let bytes = text(tree, path);
        let mut edit = passwd::Edit::default();
        let mut found = false;
        for line in formats::line::lines(&bytes).filter(|l| passwd::line_name(l.text) == group.as_bytes()) {
            let text = String::from_utf8_lossy(line.text).into_owned();
            let members = text.rsplit(':').next().unwrap_or_default();
            if !members.split(',').any(|m| m == user) {
                let comma = if members.is_empty() { "" } else { "," };
                edit.replace(line.number, format!("{text}{comma}{user}"));
            }
            found = true;
        }
        if !found {
            return Err(missing(format!("there is no group {group}")));
        }
        let bytes = edit.apply(&bytes);
        tree.write(path, bytes)?;
    }
    Ok(())
}

/// `shadowconfig on`: hashes move from passwd and group into files that only root and `shadow` read.
pub(super) fn shadow(tree: &mut Tree) -> Result<(), Failure> {
    let day = tree.epoch / DAY;
    for (public, secret, tail) in [(PASSWD, SHADOW, format!("{day}:0:99999:7:::")), (GROUP, GSHADOW, String::new())] {
        if tree.exists(secret) {
            continue;
        }
        let (mut open, mut hidden) = (String::new(), String::new());
        for line in String::from_utf8_lossy(&text(tree, public)).lines() {
            let mut fields: Vec<&str> = line.split(':').collect();
            let name = fields.first().copied().unwrap_or_default();
            let hash = fields.get(1).copied().unwrap_or_default();
            // Made by a script before this: adduser sets no password and no terms.
            let (hash, tail) = if hash == "x" { ("!", format!("{day}::::::")) } else { (hash, tail.clone()) };
            let members =
                if public == GROUP { format!(":{}", fields.last().copied().unwrap_or_default()) } else { tail };
            hidden.push_str(&format!("{name}:{hash}:{members}\n"));
            if let Some(field) = fields.get_mut(1) {
                *field = "x";
            }
            open.push_str(&format!("{}\n", fields.join(":")));
        }
        tree.write(public, open.into_bytes())?;
        let node = tree.write(secret, hidden.into_bytes())?;
        // Group `shadow` is 42 in base-passwd's master for ever.
        (node.mode, node.gid) = (0o640, 42);
    }
    Ok(())
}

/// A group as systemd-sysusers makes it.
pub(super) fn sysusers_group(tree: &mut Tree, name: &str, gid: Option<u32>) -> Result<u32, Failure> {
    let groups = passwd::groups(&text(tree, GROUP)).entries;
    if let Some(group) = groups.iter().find(|g| g.value.name == name) {
        return Ok(group.value.gid);
    }
    let users = passwd::users(&text(tree, PASSWD)).entries;
    let taken = |id: u32| groups.iter().any(|g| g.value.gid == id) || users.iter().any(|u| u.value.uid == id);
    let gid = match gid.filter(|gid| !taken(*gid)) {
        Some(gid) => gid,
        None => Ids::Downwards.free(taken)?,
    };
    append(tree, GROUP, &format!("{name}:x:{gid}:"))?;
    if tree.exists(GSHADOW) {
        append(tree, GSHADOW, &format!("{name}:!*::"))?;
    }
    Ok(gid)
}

/// A user as systemd-sysusers makes it; `locked`: `u!`.
pub(super) fn sysusers_user(tree: &mut Tree, user: &Account, locked: bool) -> Result<(), Failure> {
    let users = passwd::users(&text(tree, PASSWD)).entries;
    if users.iter().any(|u| u.value.name == user.name) {
        return Ok(());
    }
    let group = user.group.as_deref().unwrap_or(&user.name);
    let gid = match group.parse() {
        Ok(gid) => gid,
        Err(_) => sysusers_group(tree, group, user.uid)?,
    };
    let groups = passwd::groups(&text(tree, GROUP)).entries;
    let used = |id: u32| users.iter().any(|u| u.value.uid == id);
    let taken = |id: u32| used(id) || groups.iter().any(|g| g.value.gid == id && g.value.name != user.name);
    let own = (group == user.name && !used(gid)).then_some(gid);
    let uid = match user.uid.filter(|uid| !used(*uid)).or(own) {
        Some(uid) => uid,
        None => Ids::Downwards.free(taken)?,
    };
    let Account { name, gecos, home, shell, .. } = user;
    append(tree, PASSWD, &format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}"))?;
    if tree.exists(SHADOW) {
        let hash = "!*";
        let end = if locked { "1:" } else { ":" };
        append(tree, SHADOW, &format!("{name}:{hash}:{}:::::{end}", tree.epoch / DAY))?;
    }
    Ok(())
}
