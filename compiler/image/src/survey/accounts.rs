//! passwd and group → accounts; lines that mean different things to different programs are left out.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Diagnostics, Severity, codes};
use formats::passwd;
use plan::decide::keep::ACCOUNT_FILES;
use plan::facts::{AccountFacts, Group, User};
use plan::path::ImagePath;
use plan::tree::{NodeKind, Tree};

/// Reads the accounts of a base.
pub(super) fn accounts(tree: &Tree, files: &BTreeMap<ImagePath, Vec<u8>>, out: &mut Diagnostics) -> AccountFacts {
    for name in ACCOUNT_FILES {
        let path = ImagePath::parse(name.as_bytes()).ok();
        if path.and_then(|path| tree.get(&path)).is_some_and(|node| !matches!(node.kind, NodeKind::File(_))) {
            out.push(
                Diagnostic::new(codes::E0622, format!("{name} of the base is no plain file"))
                    .severity(Severity::Error)
                    .help("use a base in which it is a file: k8orc writes it anew"),
            );
        }
    }
    let bytes = |name: &str| {
        let path = ImagePath::parse(name.as_bytes()).ok();
        path.and_then(|path| files.get(&path)).map(Vec::as_slice).unwrap_or_default()
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let users = passwd::users(bytes("/etc/passwd"));
    let mut broken: Vec<String> = complaints("/etc/passwd", &users);
    let users = once("/etc/passwd", users, |u| u.name.clone(), &mut broken)
        .map(|user| User {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
            comment: text(user.gecos),
            home: text(user.home),
            shell: text(user.shell),
        })
        .collect();
    let groups = passwd::groups(bytes("/etc/group"));
    broken.extend(complaints("/etc/group", &groups));
    let groups = once("/etc/group", groups, |g| g.name.clone(), &mut broken)
        .map(|group| Group { name: group.name, gid: group.gid, members: group.members })
        .collect();
    if let Some(first) = broken.first() {
        let more = if broken.len() > 1 { format!(" (and {} more)", broken.len() - 1) } else { String::new() };
        let mut one = Diagnostic::new(codes::E0622, format!("{first}; the line is left out{more}"));
        one.notes.extend(broken.iter().skip(1).take(20).cloned());
        out.push(one);
    }
    AccountFacts { users, groups }
}

fn complaints<T>(name: &str, file: &passwd::File<T>) -> Vec<String> {
    let broken = file.broken.iter().map(|error| format!("{name}, {error}"));
    broken.chain(file.nis.iter().map(|line| format!("{name}, line {line}: a NIS line"))).collect()
}

/// The records whose name stands there for the first time.
fn once<T>(
    file: &str,
    records: passwd::File<T>,
    name: impl Fn(&T) -> String,
    broken: &mut Vec<String>,
) -> impl Iterator<Item = T> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for entry in records.entries {
        let name = name(&entry.value);
        if seen.insert(name.clone()) {
            kept.push(entry.value);
        } else {
            let name = diag::text::printable(&name);
            broken.push(format!("{file}, line {}: \"{name}\" stands there a second time", entry.line));
        }
    }
    kept.into_iter()
}
