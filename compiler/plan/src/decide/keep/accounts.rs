//! Users and groups: which of the base stay, which are new, and what their names mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{IdChoice, Spanned, Spec};

use super::globs::unmatched;
use super::near::near;
use super::{Ids, Input};
use crate::decide::config::base_config;
use crate::facts::{AccountFacts, Group, User};
use crate::kept::{AccountDecision, AccountFate};
use crate::path::ImagePath;
use crate::reason::Reason;

/// All names of the base and of the spec, with their ids.
#[derive(Default)]
pub(super) struct Accounts {
    /// Login name → user id, primary group.
    pub users: BTreeMap<String, (u32, u32)>,
    /// Group name → group id.
    pub groups: BTreeMap<String, u32>,
    /// New users and the lines that ask for them.
    created_users: Vec<(User, Arc<Reason>)>,
    /// New groups and the lines that ask for them.
    created_groups: Vec<(Group, Arc<Reason>)>,
    /// Members that the spec adds to groups of the base.
    joined: BTreeMap<String, BTreeSet<String>>,
    /// Accounts of the base that the spec names, and where.
    named_users: BTreeMap<String, Arc<Reason>>,
    named_groups: BTreeMap<String, Arc<Reason>>,
}

/// What uses an id: the first path that has it.
#[derive(Default)]
pub(super) struct Used {
    pub users: BTreeMap<u32, ImagePath>,
    pub groups: BTreeMap<u32, ImagePath>,
}

impl Accounts {
    /// Reads the spec's accounts against the base's.
    pub fn new(input: &Input<'_>, out: &mut Diagnostics) -> Self {
        let base = &input.facts.accounts;
        let mut all = Self::default();
        for user in &base.users {
            all.users.entry(user.name.clone()).or_insert((user.uid, user.gid));
        }
        for group in &base.groups {
            all.groups.entry(group.name.clone()).or_insert(group.gid);
        }
        all.keeps(input.spec, out);
        all.creates(input, out);
        all.members(input.spec, out);
        all.image_user(input);
        all
    }

    fn keeps(&mut self, spec: &Spec, out: &mut Diagnostics) {
        for name in &spec.users.keep {
            let reason = Reason::spec(format!("users keep \"{}\"", printable(&name.value)), name.span);
            let (user, group) = (self.users.contains_key(&name.value), self.groups.contains_key(&name.value));
            if user {
                self.named_users.insert(name.value.clone(), Arc::clone(&reason));
            }
            if group {
                self.named_groups.insert(name.value.clone(), reason);
            }
            if !user && !group {
                out.push(unmatched(
                    spec,
                    name.span,
                    unknown("account", name, self.users.keys().chain(self.groups.keys())),
                ));
            }
        }
    }

    fn creates(&mut self, input: &Input<'_>, out: &mut Diagnostics) {
        let Input { spec, ids, facts, .. } = input;
        for create in &spec.users.create {
            let name = &create.name;
            let reason = Reason::spec(format!("users create \"{}\"", printable(&name.value)), name.span);
            if self.users.contains_key(&name.value) {
                out.push(taken("user", name));
                continue;
            }
            // A group of the same name: said on its own line, or made here.
            let said = spec.users.groups.iter().find(|g| g.name.value == name.value);
            let gid = match (create.gid.value, said.map(|g| g.gid.value)) {
                (IdChoice::Fixed(a), Some(IdChoice::Fixed(b))) if a != b => {
                    let message = format!("the group \"{}\" has two ids, {a} and {b}", printable(&name.value));
                    let other = said.map_or(name.span, |g| g.gid.span);
                    out.push(Diagnostic::new(codes::E0621, message).at(create.gid.span, "one").label(other, "another"));
                    continue;
                }
                (IdChoice::Auto, Some(fixed @ IdChoice::Fixed(_))) => fixed,
                (choice, _) => choice,
            };
            let uid = id(create.uid.value, &ids.users, name, out);
            let gid = id(gid, &ids.groups, name, out);
            let (Some(uid), Some(gid)) = (uid, gid) else { continue };
            if self.groups.contains_key(&name.value) {
                out.push(taken("group", name));
                continue;
            }
            let free = free_uid(&facts.accounts, &self.created_users, uid, &create.uid, out)
                & free_gid(&facts.accounts, &self.created_groups, gid, &create.gid, out);
            if !free {
                continue;
            }
            let text = |value: &Option<Spanned<String>>, default: &str| {
                value.as_ref().map_or(default.to_string(), |v| v.value.clone())
            };
            let user = User {
                name: name.value.clone(),
                uid,
                gid,
                comment: text(&create.comment, ""),
                home: text(&create.home, "/nonexistent"),
                shell: text(&create.shell, "/usr/sbin/nologin"),
            };
            let group = Group { name: name.value.clone(), gid, members: Vec::new() };
            self.users.insert(name.value.clone(), (uid, gid));
            self.groups.insert(name.value.clone(), gid);
            self.created_groups.push((group, Reason::link("it is the group of a new user", &reason)));
            self.created_users.push((user, reason));
        }
        for create in &spec.users.groups {
            let name = &create.name;
            if spec.users.create.iter().any(|u| u.name.value == name.value) {
                continue;
            }
            let reason = Reason::spec(format!("users group \"{}\"", printable(&name.value)), name.span);
            if let Some(have) = self.groups.get(&name.value) {
                match create.gid.value {
                    IdChoice::Fixed(gid) if gid != *have => {
                        let message = format!(
                            "the group \"{}\" of the base has the id {have}, not {gid}",
                            printable(&name.value)
                        );
                        out.push(
                            Diagnostic::new(codes::E0621, message)
                                .at(create.gid.span, "another id")
                                .help(format!("leave gid= out, or write gid={have}")),
                        );
                    }
                    _ => drop(self.named_groups.insert(name.value.clone(), reason)),
                }
                continue;
            }
            let Some(gid) = id(create.gid.value, &ids.groups, name, out) else { continue };
            if free_gid(&facts.accounts, &self.created_groups, gid, &create.gid, out) {
                self.groups.insert(name.value.clone(), gid);
                self.created_groups.push((Group { name: name.value.clone(), gid, members: Vec::new() }, reason));
            }
        }
    }

    fn members(&mut self, spec: &Spec, out: &mut Diagnostics) {
        for group in &spec.users.groups {
            for member in &group.members {
                if !self.users.contains_key(&member.value) {
                    out.push(unknown("user", member, self.users.keys()));
                    continue;
                }
                let reason =
                    Reason::spec(format!("member of the group \"{}\"", printable(&group.name.value)), member.span);
                self.named_users.entry(member.value.clone()).or_insert(reason);
                self.joined.entry(group.name.value.clone()).or_default().insert(member.value.clone());
            }
        }
    }

    /// `user "web:certs"` of the image, or the base's where it says none: both stay. Whether they exist at all is
    /// looked at when the user is resolved (`decide::identity`).
    fn image_user(&mut self, input: &Input<'_>) {
        let (text, reason) = match &input.spec.image.user {
            Some(said) => {
                let text = format!("user \"{}\" of the image", printable(&said.value));
                (said.value.clone(), Reason::spec(text, said.span))
            }
            None => (base_config(input.facts).user, Reason::fact("it is the user of the base")),
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text.as_str(), None),
        };
        if self.users.contains_key(user) {
            self.named_users.entry(user.into()).or_insert(Arc::clone(&reason));
        }
        if let Some(group) = group.filter(|g| self.groups.contains_key(*g)) {
            self.named_groups.entry(group.into()).or_insert(reason);
        }
    }

    /// `owner="root:web"` as ids.
    pub fn owner(&self, owner: Option<&Spanned<String>>, out: &mut Diagnostics) -> (u32, u32) {
        let Some(owner) = owner else { return (0, 0) };
        let (user, group) = match owner.value.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (owner.value.as_str(), None),
        };
        let part = |text: &str| Spanned::new(text.to_string(), owner.span);
        let number =
            |text: &str| is_number(text).then(|| text.parse::<u32>().ok().filter(|n| *n != u32::MAX)).flatten();
        let (uid, primary) = match (number(user), self.users.get(user)) {
            (Some(uid), _) => (uid, self.users.values().find(|(u, _)| *u == uid).map_or(uid, |(_, gid)| *gid)),
            (None, Some(known)) => *known,
            (None, None) => {
                out.push(unknown("user", &part(user), self.users.keys()));
                (0, 0)
            }
        };
        let gid = match group.map(|g| (number(g), self.groups.get(g))) {
            None => primary,
            Some((Some(gid), _)) => gid,
            Some((None, Some(gid))) => *gid,
            Some((None, None)) => {
                out.push(unknown("group", &part(group.unwrap_or_default()), self.groups.keys()));
                0
            }
        };
        (uid, gid)
    }

    /// Numeric user and group of an OCI `User`.
    pub fn identity(&self, user: &str) -> Option<(u32, u32)> {
        let (user, group) = match user.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (user, None),
        };
        let (uid, primary) = match self.users.get(user) {
            Some(known) => *known,
            None => {
                let uid = user.parse().ok()?;
                (uid, self.users.values().find(|(u, _)| *u == uid).map_or(uid, |(_, gid)| *gid))
            }
        };
        match group {
            None => Some((uid, primary)),
            Some(group) => Some((uid, self.groups.get(group).copied().or_else(|| group.parse().ok())?)),
        }
    }

    /// What becomes of each account, given the ids that files of the result have.
    pub fn decide(self, base: &AccountFacts, used: &Used) -> (Vec<AccountDecision<User>>, Vec<AccountDecision<Group>>) {
        let mut users: Vec<AccountDecision<User>> = Vec::new();
        for user in &base.users {
            let of_file = used.users.get(&user.uid).map(|path| Reason::fact(format!("{path} belongs to it")));
            users.push(fate(user, self.named_users.get(&user.name).cloned().or(of_file)));
        }
        for (user, reason) in &self.created_users {
            let account = user.clone();
            users.push(AccountDecision { account, fate: AccountFate::Created, reason: Arc::clone(reason) });
        }
        let staying = users.iter().filter(|user| user.fate != AccountFate::Removed);
        let stay: BTreeSet<&str> = staying.clone().map(|user| user.account.name.as_str()).collect();
        let mut primaries: BTreeMap<u32, &str> = BTreeMap::new();
        for user in staying {
            primaries.entry(user.account.gid).or_insert(&user.account.name);
        }
        let mut groups: Vec<AccountDecision<Group>> = Vec::new();
        for group in &base.groups {
            let named = self.named_groups.get(&group.name).cloned();
            let of_file = || used.groups.get(&group.gid).map(|path| Reason::fact(format!("{path} belongs to it")));
            let primary = || {
                let user = primaries.get(&group.gid)?;
                Some(Reason::fact(format!("it is the primary group of {}", printable(user))))
            };
            groups.push(fate(group, named.or_else(of_file).or_else(primary)));
        }
        for (group, reason) in &self.created_groups {
            let account = group.clone();
            groups.push(AccountDecision { account, fate: AccountFate::Created, reason: Arc::clone(reason) });
        }
        for group in &mut groups {
            let group = &mut group.account;
            group.members.retain(|member| stay.contains(member.as_str()));
            for member in self.joined.get(&group.name).into_iter().flatten() {
                if !group.members.contains(member) {
                    group.members.push(member.clone());
                }
            }
        }
        (users, groups)
    }
}

fn fate<T: Clone>(account: &T, why: Option<Arc<Reason>>) -> AccountDecision<T> {
    let (fate, reason) = match why {
        Some(reason) => (AccountFate::Kept, reason),
        None => (AccountFate::Removed, Reason::fact("no line keeps it and no kept file belongs to it")),
    };
    AccountDecision { account: account.clone(), fate, reason }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn id(
    choice: IdChoice,
    allotted: &BTreeMap<String, u32>,
    name: &Spanned<String>,
    out: &mut Diagnostics,
) -> Option<u32> {
    match choice {
        IdChoice::Fixed(id) => Some(id),
        IdChoice::Auto => {
            let found = allotted.get(&name.value).copied();
            if found.is_none() {
                let message = format!("the lock has no id for \"{}\"", printable(&name.value));
                out.push(Diagnostic::new(codes::E0624, message).at(name.span, "").help("run k8orc lock"));
            }
            found
        }
    }
}

fn taken(what: &str, name: &Spanned<String>) -> Diagnostic {
    Diagnostic::new(codes::E0621, format!("the base already has a {what} \"{}\"", printable(&name.value)))
        .at(name.span, "taken")
        .help(format!("choose another name, or keep the base's: users {{ keep \"{}\" }}", printable(&name.value)))
}

fn free_uid(
    base: &AccountFacts,
    new: &[(User, Arc<Reason>)],
    uid: u32,
    place: &Spanned<IdChoice>,
    out: &mut Diagnostics,
) -> bool {
    let old = base.users.iter().find(|u| u.uid == uid);
    let fresh = new.iter().find(|(u, _)| u.uid == uid).map(|(u, _)| u);
    let Some(user) = old.or(fresh) else { return true };
    out.push(id_taken("user", uid, &user.name, old.is_some(), place));
    false
}

fn free_gid(
    base: &AccountFacts,
    new: &[(Group, Arc<Reason>)],
    gid: u32,
    place: &Spanned<IdChoice>,
    out: &mut Diagnostics,
) -> bool {
    let old = base.groups.iter().find(|g| g.gid == gid);
    let fresh = new.iter().find(|(g, _)| g.gid == gid).map(|(g, _)| g);
    let Some(group) = old.or(fresh) else { return true };
    out.push(id_taken("group", gid, &group.name, old.is_some(), place));
    false
}

fn id_taken(what: &str, id: u32, name: &str, base: bool, place: &Spanned<IdChoice>) -> Diagnostic {
    let whose = if base { " of the base" } else { "" };
    Diagnostic::new(codes::E0621, format!("the {what} id {id} is that of \"{}\"{whose}", printable(name)))
        .at(place.span, "taken")
        .help("choose another number, or auto")
}

fn unknown<'a>(what: &str, name: &Spanned<String>, known: impl Iterator<Item = &'a String>) -> Diagnostic {
    let message = format!("there is no {what} \"{}\" in the base or the spec", printable(&name.value));
    let one = Diagnostic::new(codes::E0620, message).at(name.span, "unknown");
    match near(&name.value, known.map(String::as_str)) {
        Some(better) => one.help(format!("did you mean \"{}\"?", printable(better))),
        None => one.help(format!("create it: users {{ create \"{}\" uid=auto gid=auto }}", printable(&name.value))),
    }
}

/// Names of new accounts whose ids are to be allotted: users, groups.
pub fn wanted_ids(spec: &Spec) -> (BTreeSet<String>, BTreeSet<String>) {
    let users = spec.users.create.iter();
    let auto_user = users.clone().filter(|u| u.uid.value == IdChoice::Auto).map(|u| u.name.value.clone());
    let own = users.filter(|u| u.gid.value == IdChoice::Auto).map(|u| u.name.value.clone());
    let groups = spec.users.groups.iter().filter(|g| g.gid.value == IdChoice::Auto).map(|g| g.name.value.clone());
    (auto_user.collect(), own.chain(groups).collect())
}

impl Ids {
    /// No ids at all: for specs without `auto`.
    pub fn none() -> Self {
        Self::default()
    }
}
