//! `users`, and whether the accounts that the spec names can exist.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Diagnostics, Spanned, codes};

use super::{clash, suggest};
use crate::spec::*;
use crate::tree::{Node, Scalar};

pub(super) fn users(node: Option<&Node>) -> Users {
    let Some(node) = node else { return Users::default() };
    Users {
        span: Some(node.span),
        keep: node.each("keep"),
        create: node.all("create").filter_map(create).collect(),
        groups: node.all("group").filter_map(group).collect(),
    }
}

fn create(node: &Node) -> Option<CreateUser> {
    Some(CreateUser {
        name: node.text(0)?,
        uid: id(node, "uid"),
        gid: id(node, "gid"),
        home: node.text_prop("home"),
        shell: node.text_prop("shell"),
        comment: node.text_prop("comment"),
    })
}

fn group(node: &Node) -> Option<CreateGroup> {
    Some(CreateGroup { name: node.text(0)?, gid: id(node, "gid"), members: node.each("member") })
}

fn id(node: &Node, name: &str) -> Spanned<IdChoice> {
    match node.prop(name) {
        Some(Spanned { value: Scalar::Integer(number), span }) => {
            Spanned::new(u32::try_from(*number).map_or(IdChoice::Auto, IdChoice::Fixed), *span)
        }
        Some(value) => Spanned::new(IdChoice::Auto, value.span),
        None => Spanned::new(IdChoice::Auto, node.span),
    }
}

/// Names and ids given twice.
pub(super) fn check(users: &Users, found: &mut Diagnostics) {
    let kept: BTreeMap<&str, &Spanned<String>> = users.keep.iter().map(|name| (name.value.as_str(), name)).collect();
    let groups: BTreeMap<&str, &CreateGroup> =
        users.groups.iter().map(|group| (group.name.value.as_str(), group)).collect();
    for user in &users.create {
        if let Some(kept) = kept.get(user.name.value.as_str()) {
            let message = format!("`{}` is both kept and created", user.name.value);
            found.push(
                clash(message, user.name.span, "a new account", kept.span, "an account of the base")
                    .help("keep one of them"),
            );
        }
        if let Some(group) = groups.get(user.name.value.as_str()) {
            let message = format!("group `{}` is made twice", user.name.value);
            found.push(
                clash(message, group.name.span, "again here", user.name.span, "the user's own group")
                    .help(format!("say its id at the user: create \"{}\" gid=…", user.name.value)),
            );
        }
    }
    let uids = users.create.iter().map(|user| (user.uid, &user.name));
    once("user", uids, found);
    let gids = users.create.iter().map(|user| (user.gid, &user.name));
    once("group", gids.chain(users.groups.iter().map(|group| (group.gid, &group.name))), found);
}

fn once<'a>(what: &str, ids: impl Iterator<Item = (Spanned<IdChoice>, &'a Spanned<String>)>, found: &mut Diagnostics) {
    let mut seen: BTreeMap<u32, Spanned<IdChoice>> = BTreeMap::new();
    for (id, name) in ids {
        let IdChoice::Fixed(number) = id.value else { continue };
        let Some(first) = seen.insert(number, id) else { continue };
        found.push(
            Diagnostic::new(
                codes::E0129,
                format!("{what} id {number} is given twice, the second time to `{}`", name.value),
            )
            .at(id.span, "again here")
            .label(first.span, "first here")
            .help("let k8orc choose: auto"),
        );
    }
}

/// Accounts that nothing can have made. Only without a base are all accounts known here.
pub(super) fn known(spec: &Spec, found: &mut Diagnostics) {
    if spec.image.base.value != BaseRef::Scratch {
        return;
    }
    let mut users = BTreeSet::from(["root"]);
    users.extend(spec.users.keep.iter().map(|name| name.value.as_str()));
    users.extend(spec.users.create.iter().map(|user| user.name.value.as_str()));
    let mut groups = users.clone();
    groups.extend(spec.users.groups.iter().map(|group| group.name.value.as_str()));
    let mut named: Vec<&Spanned<String>> = Vec::new();
    named.extend(&spec.image.user);
    named.extend(spec.files.add.iter().filter_map(|file| file.owner.as_ref()));
    named.extend(spec.volumes.iter().flat_map(|volume| &volume.mounts).filter_map(|mount| mount.owner.as_ref()));
    named.extend(spec.users.groups.iter().flat_map(|group| &group.members));
    for text in named {
        let mut parts = text.value.split(':');
        let user = parts.next().filter(|name| !users.contains(name)).map(|name| (name, "user", &users));
        let group = parts.next().filter(|name| !groups.contains(name)).map(|name| (name, "group", &groups));
        let unknown =
            user.into_iter().chain(group).find(|(name, _, _)| !name.starts_with(|c: char| c.is_ascii_digit()));
        let Some((name, what, names)) = unknown else { continue };
        let diagnostic = Diagnostic::new(codes::E0122, format!("there is no {what} `{name}`"));
        let near = suggest(found, name, names.iter().copied());
        found.push(match near {
            Some(near) => diagnostic.at(text.span, format!("did you mean `{near}`?")),
            None if what == "user" => diagnostic
                .at(text.span, "neither created nor in the base")
                .help(format!("users {{ create \"{name}\" }}")),
            None => diagnostic
                .at(text.span, "neither created nor in the base")
                .help(format!("users {{ group \"{name}\" }}")),
        });
    }
}
