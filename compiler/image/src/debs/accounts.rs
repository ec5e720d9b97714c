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
    append(tree, b"/var/lib/dpkg/statoverride", line)
}

/// A group with the first free id of 100 to 999; its id if it is there already.
pub(super) fn system_group(tree: &mut Tree, name: &str) -> Result<u32, Failure> {
    let groups = passwd::groups(&text(tree, GROUP)).entries;
    if let Some(group) = groups.iter().find(|g| g.value.name == name) {
        return Ok(group.value.gid);
    }
    let free = free_id(|id| groups.iter().any(|g| g.value.gid == id))?;
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

/// adduser's FIRST_SYSTEM_UID to LAST_SYSTEM_UID.
fn free_id(taken: impl Fn(u32) -> bool) -> Result<u32, Failure> {
    (100..=999).find(|id| !taken(*id)).ok_or_else(|| missing("no free id is left from 100 to 999".into()))
}

/// A user with the first free id, unless it is there.
pub(super) fn system_user(tree: &mut Tree, user: &SystemUser) -> Result<(), Failure> {
    let users = passwd::users(&text(tree, PASSWD)).entries;
    if users.iter().any(|u| u.value.name == user.name) {
        return Ok(());
    }
    let groups = passwd::groups(&text(tree, GROUP)).entries;
    let group = user.group.as_deref().and_then(|name| groups.iter().find(|g| g.value.name == name));
    let uid_taken = |id: u32| users.iter().any(|u| u.value.uid == id);
    let (uid, gid) = match (&user.group, group) {
        (None, _) => (free_id(uid_taken)?, 65534),
        (Some(_), Some(group)) => (free_id(uid_taken)?, group.value.gid),
        // `--group` with a new group: each takes the first id that is free for it.
        (Some(name), None) => (free_id(uid_taken)?, system_group(tree, name)?),
    };
    let SystemUser { name, gecos, home, shell, .. } = user;
    append(tree, PASSWD, &format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}"))?;
    if tree.exists(SHADOW) {
        append(tree, SHADOW, &format!("{name}:!:{}::::::", tree.epoch / DAY))?;
    }
    if user.make_home && !tree.exists(home.as_bytes()) {
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
            let members =
                if public == GROUP { format!(":{}", fields.last().copied().unwrap_or_default()) } else { tail.clone() };
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
