//! `/var/lib/dpkg` as dpkg leaves it after everything is installed and configured.

use std::collections::BTreeMap;

use formats::dpkg::{Diversion, write_diversions};

use super::apply::Admin;
use super::failure::Failure;
use super::package::Package;
use super::tree::{Content, Kind, Tree};

const ROOT: &str = "/var/lib/dpkg";

/// Writes `status`, `info/*`, `triggers/*`, `diversions` and the files that are there from the start.
pub(super) fn write(tree: &mut Tree, packages: &[Package], admin: &Admin, arch: &str) -> Result<(), Failure> {
    let mut order: Vec<&Package> = packages.iter().collect();
    order.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    let status = order.iter().flat_map(|p| p.stanza()).collect();
    tree.write(format!("{ROOT}/status").as_bytes(), status)?;
    tree.write(format!("{ROOT}/arch").as_bytes(), format!("{arch}\n").into_bytes())?;
    tree.write(format!("{ROOT}/info/format").as_bytes(), b"1\n".to_vec())?;
    let updates = tree.directories(format!("{ROOT}/updates").as_bytes())?;
    tree.touched.insert(updates);
    for lock in ["lock", "lock-frontend"] {
        tree.write(format!("{ROOT}/{lock}").as_bytes(), Vec::new())?.mode = 0o640;
    }
    for package in packages {
        info(tree, package)?;
    }
    triggers(tree, packages)?;
    diversions(tree, admin)
}

fn info(tree: &mut Tree, package: &Package) -> Result<(), Failure> {
    let name = package.info_name();
    for (kind, file) in package.control.0.iter().filter(|(kind, _)| *kind != "control") {
        let size = file.bytes.len() as u64;
        let content = Kind::File(Content::Made(file.bytes.clone()), size);
        let node = tree.put(format!("{ROOT}/info/{name}.{kind}").as_bytes(), content, file.mode)?;
        node.mtime = file.mtime;
    }
    let mut list = Vec::new();
    for path in package.list.iter().filter(|p| !package.taken.contains(*p)) {
        list.extend_from_slice(path);
        list.push(b'\n');
    }
    tree.write(format!("{ROOT}/info/{name}.list").as_bytes(), list).map(|_| ())
}

/// A file for each trigger that is a name, and `File` for those that are paths.
fn triggers(tree: &mut Tree, packages: &[Package]) -> Result<(), Failure> {
    let mut named: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut paths = Vec::new();
    for package in packages {
        for (trigger, no_wait) in package.interests() {
            let who = format!("{}{}", package.info_name(), if no_wait { "/noawait" } else { "" });
            if trigger.starts_with(b"/") {
                paths.extend_from_slice(&[&trigger, b" ".as_slice(), who.as_bytes(), b"\n"].concat());
            } else if !trigger.contains(&b'/') {
                named.entry(trigger).or_default().extend_from_slice(format!("{who}\n").as_bytes());
            }
        }
    }
    for (name, text) in named {
        tree.write(&[ROOT.as_bytes(), b"/triggers/", &name].concat(), text)?;
    }
    tree.write(format!("{ROOT}/triggers/File").as_bytes(), paths)?;
    tree.write(format!("{ROOT}/triggers/Unincorp").as_bytes(), Vec::new())?;
    tree.write(format!("{ROOT}/triggers/Lock").as_bytes(), Vec::new())?.mode = 0o600;
    Ok(())
}

fn diversions(tree: &mut Tree, admin: &Admin) -> Result<(), Failure> {
    let one = |from: &Vec<u8>| {
        let (to, package) = admin.diversions.get(from)?;
        Some(Diversion { from: from.clone(), to: to.clone(), package: Some(package.clone()) })
    };
    let mut all: Vec<Diversion> = admin.diversions.keys().filter_map(one).collect();
    all.sort_by_key(|d| bin(&d.from));
    tree.write(format!("{ROOT}/diversions").as_bytes(), write_diversions(&all)).map(|_| ())
}

/// dpkg writes diversions in the order of its hash table (lib/dpkg/fsys-hash.c): FNV-1a of the path without its first
/// slash, in 262,139 bins.
pub(super) fn bin(path: &[u8]) -> u32 {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.iter().fold(2_166_136_261u32, |hash, b| (hash ^ u32::from(*b)).wrapping_mul(16_777_619)) % 262_139
}
