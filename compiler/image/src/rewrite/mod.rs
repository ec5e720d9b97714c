//! Files of the base that name what is gone, made anew: account files and the package databases.
//!
//! `plan` says which accounts, packages and paths stay; here the bytes follow. Lines that stay are the base's,
//! byte for byte, and a file that comes out unchanged stays the base's own.

mod accounts;
mod apk;
mod differences;
mod differences_apk;
mod differences_rpm;
mod dpkg;
#[cfg(test)]
mod family_tests;
mod rpm;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, Diagnostics, codes};
use plan::decide::keep::{ACCOUNT_FILES, apk_directory, dpkg_directory, rpm_directory};
use plan::decide::sealed::file_node;
use plan::facts::{Contents, Facts, Family};
use plan::kept::{AccountDecision, AccountFate, Content, Kept, LayerKind, Removed};
use plan::path::ImagePath;
use plan::reason::Reason;
use plan::tree::NodeKind;

/// What becomes of a file's bytes.
enum New {
    /// These.
    Bytes(Vec<u8>),
    /// Nothing is left to say: it goes, because.
    Gone(&'static str),
}

/// What the writers of single files look things up in.
struct Outcome<'a> {
    facts: &'a Facts,
    kept: &'a Kept,
    /// Its directory, where the base has dpkg's database.
    database: Option<ImagePath>,
    /// Of each package, its listed paths that do not stay.
    missing: Vec<BTreeSet<&'a ImagePath>>,
    /// Package whose file of the database this is.
    owner: BTreeMap<&'a ImagePath, usize>,
    /// Names of the packages, users and groups that stay.
    packages: BTreeSet<&'a str>,
    users: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
}

impl Outcome<'_> {
    /// Whether a path, links followed, leads to something in the result.
    fn leads_somewhere(&self, path: &ImagePath) -> bool {
        match self.facts.tree.resolve(path) {
            Ok((end, links)) => {
                let there = |path: &ImagePath| path.is_root() || self.kept.entries.contains_key(path);
                there(&end) && links.iter().all(there)
            }
            Err(_) => self.kept.entries.contains_key(path),
        }
    }

    /// Whether the name itself, whatever it is, is in the result; directories on the way may be links.
    fn is_there(&self, path: &ImagePath) -> bool {
        let parent = path.parent().and_then(|parent| self.facts.tree.resolve(&parent).ok());
        let real = parent.and_then(|(parent, _)| parent.join(path.name()).ok());
        path.is_root() || real.is_some_and(|real| self.kept.entries.contains_key(&real))
    }
}

/// Makes the bytes of all entries that are [`Content::Rewrite`], and completes the list of deviations with the
/// configuration files that the base itself had changed.
pub fn rewrite(kept: Kept, facts: &Facts, contents: &dyn Contents) -> (Kept, Diagnostics) {
    let mut out = Diagnostics::new();
    let mut made: Vec<(ImagePath, New)> = Vec::new();
    let deviations;
    {
        let mut result = Outcome {
            facts,
            kept: &kept,
            database: dpkg_directory(&facts.tree),
            missing: kept.packages.iter().map(|p| p.missing.iter().collect()).collect(),
            owner: BTreeMap::new(),
            packages: kept.packages.iter().filter(|p| p.kept).map(|p| p.name.as_str()).collect(),
            users: there(&kept.users, |u| &u.name),
            groups: there(&kept.groups, |g| &g.name),
        };
        for (at, package) in facts.packages.packages.iter().enumerate() {
            result.owner.extend(package.database_files.iter().map(|path| (path, at)));
        }
        for (path, _) in kept.entries.iter().filter(|(_, entry)| entry.content == Content::Rewrite) {
            let base = facts.files.get(path).map(Vec::as_slice).unwrap_or_default();
            match one(&result, path, base) {
                Ok(new) => made.push((path.clone(), new)),
                Err(what) => out.push(
                    Diagnostic::new(codes::E0640, format!("{path} of the base cannot be read: {what}"))
                        .help("repair the base, or take another one"),
                ),
            }
        }
        deviations = match facts.packages.family {
            Family::Dpkg => verify::changed_before(&result, contents, &mut out),
            _ => Vec::new(),
        };
    }
    let mut kept = kept;
    for (path, new) in made {
        match new {
            New::Bytes(bytes) => put(&mut kept, facts, &path, bytes),
            New::Gone(why) => {
                kept.entries.remove(&path);
                let size = facts.tree.get(&path).map_or(0, plan::tree::Node::size);
                kept.removed.insert(path, Removed { size, reason: Reason::fact(why) });
            }
        }
    }
    kept.deviations.extend(deviations);
    if !out.has_errors() {
        let found = differences::differences(&kept, facts, contents, &mut out);
        kept.deviations.extend(found);
    }
    kept.deviations.sort();
    kept.deviations.dedup();
    (kept, out)
}

/// Names of the accounts of the result.
fn there<T>(all: &[AccountDecision<T>], name: impl Fn(&T) -> &String) -> BTreeSet<&str> {
    let there = all.iter().filter(|one| one.fate != AccountFate::Removed);
    there.map(|one| name(&one.account).as_str()).collect()
}

/// Puts new bytes in the place of an entry; the base's own stay the base's.
fn put(kept: &mut Kept, facts: &Facts, path: &ImagePath, bytes: Vec<u8>) {
    let Some(entry) = kept.entries.get_mut(path) else { return };
    let node = file_node(&bytes);
    if let Some(base) = facts.tree.get(path)
        && let NodeKind::File(old) = &base.kind
        && (old.size, old.sha256) == (node.size, node.sha256)
    {
        entry.node = base.clone();
        entry.content = Content::Base;
        entry.layer = LayerKind::Os;
        return;
    }
    entry.node.kind = NodeKind::File(node);
    entry.content = Content::Bytes(Arc::from(bytes));
    entry.layer = LayerKind::App;
}

fn one(result: &Outcome<'_>, path: &ImagePath, base: &[u8]) -> Result<New, String> {
    if path.to_str().is_some_and(|p| ACCOUNT_FILES.contains(&p)) {
        return Ok(New::Bytes(accounts::rewrite(result, path, base)));
    }
    let within = |directory: Option<ImagePath>| directory.is_some_and(|directory| path.is_within(&directory));
    match result.facts.packages.family {
        Family::Apk if within(apk_directory(&result.facts.tree)) || path.as_bytes() == b"/etc/apk/world" => {
            return apk::rewrite(result, path, base);
        }
        Family::Rpm if within(rpm_directory(&result.facts.tree)) => return rpm::rewrite(result, path, base),
        _ => {}
    }
    let database = result.database.as_ref().filter(|database| path.is_within(database));
    match database {
        Some(database) => dpkg::rewrite(result, database, path, base),
        None => Ok(New::Bytes(base.to_vec())),
    }
}
