//! A base's small files → what it holds: packages, accounts; and a look into its programs.
//!
//! The tree is indexed already (`read`); the survey reads the databases and account files, nothing else.

mod accounts;
pub(crate) mod apk;
mod depends;
#[cfg(test)]
mod family_tests;
mod inspect;
mod packages;
pub(crate) mod rpm;
mod rpm_depends;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, codes};
use plan::decide::keep::{ACCOUNT_FILES, apk_directory, dpkg_directory, rpm_directory};
use plan::facts::{AccountFacts, Contents, Family, PackageFacts};
use plan::path::ImagePath;
use plan::platform::Platform;
use plan::tree::{NodeKind, Tree};

pub use inspect::Programs;

/// Longest database file that is read, bytes (the `status` of a full desktop has some 5 MB).
const LONGEST: u64 = 64 << 20;
/// Most bytes of all database files together.
const LONGEST_ALL: u64 = 512 << 20;

/// What the small files of a base say; the rest of `Facts` is the reader's.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The package database.
    pub packages: PackageFacts,
    /// The account files.
    pub accounts: AccountFacts,
    /// The bytes of all files that were read, by their path in the tree.
    pub files: BTreeMap<ImagePath, Vec<u8>>,
}

/// Surveys a tree.
///
/// # Errors
/// What `contents` says when a file cannot be read. What a file holds is complained of in the diagnostics.
pub fn survey(tree: &Tree, platform: &Platform, contents: &dyn Contents) -> Result<(Survey, Diagnostics), Diagnostic> {
    let mut out = Diagnostics::new();
    let database = dpkg_directory(tree);
    let mut files = BTreeMap::new();
    let mut left = LONGEST_ALL;
    for (path, node) in wanted(tree, database.as_ref()) {
        let NodeKind::File(file) = node else { continue };
        if file.size > left.min(LONGEST) {
            let message = format!("{path} is too large to be a file of a package database or an account file");
            return Err(Diagnostic::new(codes::E0640, message).note(format!("it has {} bytes", file.size)));
        }
        left -= file.size;
        let bytes = contents.read(file, LONGEST).map_err(|d| d.note(format!("the file is {path}")))?;
        files.insert(path, bytes);
    }
    let packages = packages::packages(tree, platform, database.as_ref(), &files, &mut out);
    let accounts = accounts::accounts(tree, &files, &mut out);
    Ok((Survey { packages, accounts, files }, out))
}

/// The small files that decisions are made on, with what they are.
fn wanted<'a>(tree: &'a Tree, database: Option<&'a ImagePath>) -> BTreeMap<ImagePath, &'a NodeKind> {
    let mut all = BTreeMap::new();
    let fixed = ACCOUNT_FILES.iter().copied().chain([
        "/etc/ld.so.conf",
        "/etc/nsswitch.conf",
        "/etc/os-release",
        "/usr/lib/os-release",
    ]);
    for name in fixed {
        add(tree, name.as_bytes(), &mut all);
    }
    for directory in ["/etc", "/etc/ld.so.conf.d"] {
        let Ok(directory) = ImagePath::parse(directory.as_bytes()) else { continue };
        for (path, _) in tree.within(&directory) {
            let musl = path.name().starts_with(b"ld-musl-") && path.name().ends_with(b".path");
            let conf = directory.name() == b"ld.so.conf.d" && path.name().ends_with(b".conf");
            if path.parent().as_ref() == Some(&directory) && (musl || conf) {
                add(tree, path.as_bytes(), &mut all);
            }
        }
    }
    others(tree, database, &mut all);
    let Some(database) = database else { return all };
    let skip = database.as_bytes().len() + 1;
    for (path, node) in tree.within(database) {
        let inside = path.as_bytes().get(skip..).unwrap_or_default();
        let kind = inside.rsplit(|b| *b == b'.').next().unwrap_or_default();
        let info = inside.starts_with(b"info/") && [b"list".as_slice(), b"md5sums", b"conffiles"].contains(&kind);
        let single = [b"status".as_slice(), b"diversions", b"statoverride", b"arch"].contains(&inside);
        let folder = [b"status.d/".as_slice(), b"alternatives/", b"triggers/"].iter().any(|f| inside.starts_with(f));
        if (info || single || folder) && matches!(node.kind, NodeKind::File(_)) {
            all.insert(path.clone(), &node.kind);
        }
    }
    all
}

/// Adds a file by its own path, links to it followed.
fn add<'a>(tree: &'a Tree, path: &[u8], all: &mut BTreeMap<ImagePath, &'a NodeKind>) {
    let Ok(path) = ImagePath::parse(path) else { return };
    let Ok((real, _)) = tree.resolve(&path) else { return };
    if let Some(node) = tree.get(&real).filter(|node| matches!(node.kind, NodeKind::File(_))) {
        all.insert(path, &node.kind);
    }
}

/// The databases of apk and rpm.
fn others<'a>(tree: &'a Tree, database: Option<&ImagePath>, all: &mut BTreeMap<ImagePath, &'a NodeKind>) {
    let (directory, names) = match family(tree, database) {
        Family::Apk => (apk_directory(tree), apk::FILES.as_slice()),
        Family::Rpm => (rpm_directory(tree), rpm::FILES.as_slice()),
        Family::Dpkg | Family::None => return,
    };
    add(tree, b"/etc/apk/world", all);
    for path in names.iter().filter_map(|name| directory.as_ref()?.join(name).ok()) {
        add(tree, path.as_bytes(), all);
    }
}

/// Which family's database a base has: the first that lists packages, as each can have the tools of the others.
fn family(tree: &Tree, database: Option<&ImagePath>) -> Family {
    let in_database = |name: &[u8]| database.and_then(|d| tree.get(&d.join(name).ok()?));
    let status = in_database(b"status");
    if status.is_some_and(|node| node.size() > 0) || in_database(b"status.d").is_some() {
        Family::Dpkg
    } else if apk_directory(tree).is_some() {
        Family::Apk
    } else if rpm_directory(tree).is_some() {
        Family::Rpm
    } else if status.is_some() {
        Family::Dpkg
    } else {
        Family::None
    }
}
