//! The numeric user that programs run as.
//!
//! Always numbers in what we write: a kubelet refuses `runAsNonRoot` beside a name (cross-artifact mistake 1),
//! and runtimes differ on digit strings that are also names (CVE-2024-40635).

use diag::{Code, Diagnostic, Span, codes};

use crate::facts::{Group, User};
use crate::kept::{AccountDecision, AccountFate};
use crate::plan::Identity;

/// Highest id that Kubernetes takes (int32).
const MAX_ID: u32 = i32::MAX as u32;

/// Resolves an OCI `User` (`web`, `web:certs`, `101`, `101:101`; empty: root) against the result's accounts.
pub fn identity(
    user: &str,
    span: Option<Span>,
    users: &[AccountDecision<User>],
    groups: &[AccountDecision<Group>],
) -> Result<Identity, Diagnostic> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let present = |fate: AccountFate| fate != AccountFate::Removed;
    let account = if name.is_empty() || name.bytes().all(|b| b.is_ascii_digit()) {
        let uid = number(if name.is_empty() { "0" } else { name }, span)?;
        let known = users.iter().find(|u| present(u.fate) && u.account.uid == uid).map(|u| &u.account);
        (uid, known)
    } else {
        let found = users.iter().find(|u| u.account.name == name);
        match found {
            Some(user) if present(user.fate) => (user.account.uid, Some(&user.account)),
            Some(_) => {
                return Err(refuse(codes::E0690, span, format!("user `{name}` of the base is removed"))
                    .help(format!("keep it: users {{ keep \"{name}\" }}")));
            }
            None => {
                let near = lang::schema::nearest(
                    name,
                    users.iter().filter(|u| present(u.fate)).map(|u| u.account.name.as_str()),
                );
                let found = refuse(codes::E0690, span, format!("the image has no user `{name}`"));
                let found = match near {
                    Some(near) => found.help(format!("did you mean `{near}`?")),
                    None => found,
                };
                return Err(found.help(format!("make it: users {{ create \"{name}\" uid=auto gid=auto }}")));
            }
        }
    };
    let (uid, known) = account;
    let gid = match group {
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => number(text, span)?,
        Some(text) => groups
            .iter()
            .find(|g| present(g.fate) && g.account.name == text)
            .map(|g| g.account.gid)
            .ok_or_else(|| refuse(codes::E0690, span, format!("the image has no group `{text}`")))?,
        None => known.map_or(uid, |user| user.gid),
    };
    let login = known.map(|user| user.name.clone());
    let mut supplementary: Vec<u32> = groups
        .iter()
        .filter(|g| present(g.fate) && g.account.gid != gid)
        .filter(|g| login.as_ref().is_some_and(|name| g.account.members.contains(name)))
        .map(|g| g.account.gid)
        .collect();
    supplementary.sort_unstable();
    supplementary.dedup();
    Ok(Identity { uid, gid, groups: supplementary, name: login, home: known.map(|user| user.home.clone()) })
}

fn number(text: &str, span: Option<Span>) -> Result<u32, Diagnostic> {
    text.parse::<u32>().ok().filter(|id| *id <= MAX_ID).ok_or_else(|| {
        refuse(codes::E0691, span, format!("id `{text}` is larger than Kubernetes takes (2147483647)"))
            .note("a runtime that wraps the number around runs the program as another user, even root: CVE-2024-40635")
    })
}

fn refuse(code: Code, span: Option<Span>, message: String) -> Diagnostic {
    Diagnostic::new(code, message).at_opt(span, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reason::Reason;

    fn accounts() -> (Vec<AccountDecision<User>>, Vec<AccountDecision<Group>>) {
        let user = |name: &str, id, fate| AccountDecision {
            account: User {
                name: name.into(),
                uid: id,
                gid: id,
                comment: String::new(),
                home: "/".into(),
                shell: "/bin/sh".into(),
            },
            fate,
            reason: Reason::fact("test"),
        };
        let group = |name: &str, id, members: &[&str]| AccountDecision {
            account: Group { name: name.into(), gid: id, members: members.iter().map(|m| (*m).to_owned()).collect() },
            fate: AccountFate::Kept,
            reason: Reason::fact("test"),
        };
        (
            vec![
                user("root", 0, AccountFate::Kept),
                user("web", 10001, AccountFate::Created),
                user("www-data", 33, AccountFate::Removed),
            ],
            vec![group("web", 10001, &[]), group("certs", 20001, &["web"])],
        )
    }

    #[test]
    fn names_and_numbers() {
        let (users, groups) = accounts();
        let web = identity("web", None, &users, &groups).unwrap();
        assert_eq!((web.uid, web.gid, web.groups.as_slice()), (10001, 10001, &[20001][..]));
        assert_eq!(identity("web:certs", None, &users, &groups).unwrap().gid, 20001);
        assert_eq!(identity("", None, &users, &groups).unwrap().uid, 0);
        assert_eq!(identity("4242", None, &users, &groups).unwrap().gid, 4242);
        assert_eq!(identity("www-data", None, &users, &groups).unwrap_err().code, codes::E0690);
        let near = identity("wbe", None, &users, &groups).unwrap_err();
        assert_eq!(near.help[0], "did you mean `web`?");
        assert_eq!(identity("4294967296", None, &users, &groups).unwrap_err().code, codes::E0691);
    }
}
