//! passwd, group, shadow, gshadow, subuid, subgid with the accounts that stay and the new ones.

use std::collections::{BTreeMap, BTreeSet};

use formats::passwd::{self, Edit};
use plan::facts::{Group, User};
use plan::kept::{AccountDecision, AccountFate};
use plan::path::ImagePath;

use super::Outcome;

/// New bytes of one account file.
pub(super) fn rewrite(result: &Outcome<'_>, path: &ImagePath, base: &[u8]) -> Vec<u8> {
    let users = Names::new(&result.kept.users, |u: &User| &u.name);
    let groups = Names::new(&result.kept.groups, |g: &Group| &g.name);
    match path.name() {
        b"passwd" => {
            let shadowed = ImagePath::parse(b"/etc/shadow").is_ok_and(|p| result.kept.entries.contains_key(&p));
            let lock = if shadowed { "x" } else { "*" };
            let file = passwd::users(base);
            edit(
                base,
                &file,
                &users,
                |u| u.name.as_str(),
                |_, _| None,
                users
                    .created
                    .iter()
                    .map(|u| format!("{}:{lock}:{}:{}:{}:{}:{}", u.name, u.uid, u.gid, u.comment, u.home, u.shell)),
            )
        }
        b"group" => {
            let file = passwd::groups(base);
            let change = |group: &passwd::Group, now: &Group| {
                let line = |members: &[String]| {
                    let password = String::from_utf8_lossy(&group.password).into_owned();
                    format!("{}:{password}:{}:{}", group.name, group.gid, members.join(","))
                };
                (group.members != now.members).then(|| line(&now.members))
            };
            let new = groups.created.iter().map(|g| format!("{}:x:{}:{}", g.name, g.gid, g.members.join(",")));
            edit(base, &file, &groups, |g| g.name.as_str(), change, new)
        }
        // No date of the last change: it would be the day of the build. Empty means that nothing expires.
        b"shadow" => {
            let new = users.created.iter().map(|u| format!("{}:!*:::::::", u.name));
            edit(base, &passwd::shadow(base), &users, |s| s.name.as_str(), |_, _| None, new)
        }
        b"gshadow" => {
            let file = passwd::group_shadow(base);
            let change = |group: &passwd::GroupShadow, now: &Group| {
                let stay = |name: &&String| users.stay.contains_key(name.as_str());
                let admins: Vec<&str> = group.administrators.iter().filter(stay).map(String::as_str).collect();
                let same = admins.len() == group.administrators.len() && group.members == now.members;
                let hash = String::from_utf8_lossy(&group.hash).into_owned();
                (!same).then(|| format!("{}:{hash}:{}:{}", group.name, admins.join(","), now.members.join(",")))
            };
            let new = groups.created.iter().map(|g| format!("{}:!*::{}", g.name, g.members.join(",")));
            edit(base, &file, &groups, |g| g.name.as_str(), change, new)
        }
        // subuid, subgid: lines of users, by name or number.
        _ => {
            let numbers: BTreeSet<String> = users.stay.values().map(|u| u.uid.to_string()).collect();
            let file = passwd::sub_ids(base);
            let mut change = Edit::default();
            for entry in &file.entries {
                let owner = &entry.value.owner;
                if !users.stay.contains_key(owner.as_str()) && !numbers.contains(owner) {
                    change.remove(entry.line);
                }
            }
            drop_unread(&mut change, &file);
            change.apply(base)
        }
    }
}

/// Accounts by what becomes of them.
struct Names<'a, T> {
    /// Of the base, and staying.
    stay: BTreeMap<&'a str, &'a T>,
    created: Vec<&'a T>,
}

impl<'a, T> Names<'a, T> {
    fn new(all: &'a [AccountDecision<T>], name: impl Fn(&'a T) -> &'a String) -> Self {
        let of = |fate: AccountFate| all.iter().filter(move |one| one.fate == fate).map(|one| &one.account);
        Self {
            stay: of(AccountFate::Kept).map(|one| (name(one).as_str(), one)).collect(),
            created: of(AccountFate::Created).collect(),
        }
    }
}

/// Takes out the lines of accounts that go and every second line of a name, changes some, appends the new ones.
fn edit<T, A>(
    base: &[u8],
    file: &passwd::File<T>,
    names: &Names<'_, A>,
    name: impl Fn(&T) -> &str,
    change: impl Fn(&T, &A) -> Option<String>,
    new: impl Iterator<Item = String>,
) -> Vec<u8> {
    let mut edit = Edit::default();
    let mut seen = BTreeSet::new();
    for entry in &file.entries {
        match names.stay.get(name(&entry.value)) {
            Some(now) if seen.insert(name(&entry.value)) => {
                if let Some(line) = change(&entry.value, now) {
                    edit.replace(entry.line, line);
                }
            }
            _ => edit.remove(entry.line),
        }
    }
    drop_unread(&mut edit, file);
    new.for_each(|line| edit.append(line));
    edit.apply(base)
}

/// NIS lines and broken ones go: they may mean accounts that nobody has seen.
fn drop_unread<T>(edit: &mut Edit, file: &passwd::File<T>) {
    file.nis.iter().for_each(|line| edit.remove(*line));
    file.broken.iter().for_each(|error| edit.remove(error.place.line));
}
