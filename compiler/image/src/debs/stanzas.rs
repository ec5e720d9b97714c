//! dpkg's database of a base with added packages: what is there stays byte for byte, new packages stand in their place.

use formats::deb822;

use super::database;
use super::failure::Failure;
use super::installed::Installed;
use super::package::Package;
use super::tree::Tree;

const ROOT: &str = "/var/lib/dpkg";

/// Writes what changed: the packages from number `old` on were added.
pub(super) fn write(tree: &mut Tree, packages: &[Package], old: usize, installed: &Installed) -> Result<(), Failure> {
    let new = packages.get(old..).unwrap_or_default();
    let Some(status) = &installed.status else { return single_files(tree, new) };
    tree.write(format!("{ROOT}/status").as_bytes(), merged(status, new))?;
    for package in new {
        database::info(tree, package)?;
    }
    for (at, package) in packages.iter().enumerate().take(old).filter(|(_, package)| !package.taken.is_empty()) {
        let list = installed.list(at).iter().filter(|path| !package.taken.contains(*path));
        let list: Vec<u8> = list.flat_map(|path| [path.as_slice(), b"\n"].concat()).collect();
        tree.write(format!("{ROOT}/info/{}.list", package.info_name()).as_bytes(), list)?;
    }
    triggers(tree, new)
}

/// The stanzas in the order of names, as dpkg has them. What dpkg only remembered of a package that is there now goes.
fn merged(status: &[u8], new: &[Package]) -> Vec<u8> {
    let mut order: Vec<&Package> = new.iter().collect();
    order.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    let mut order = order.into_iter().peekable();
    let mut out = Vec::with_capacity(status.len());
    for stanza in deb822::stanzas(status).unwrap_or_default() {
        let name = stanza.value("Package").unwrap_or_default();
        let architecture = stanza.value("Architecture").unwrap_or_default();
        let before = |p: &&Package| (p.name.as_bytes(), p.architecture.as_bytes()) < (name, architecture);
        while let Some(package) = order.next_if(before) {
            out.extend_from_slice(&package.stanza());
        }
        let remembered = stanza.value("Status").is_some_and(|words| !words.ends_with(b" installed"))
            && new.iter().any(|p| p.name.as_bytes() == name);
        if remembered {
            continue;
        }
        out.extend_from_slice(status.get(stanza.bytes.clone()).unwrap_or_default());
        if !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.push(b'\n');
    }
    order.for_each(|package| out.extend_from_slice(&package.stanza()));
    out
}

/// Distroless' form, which has no scripts, lists or triggers.
fn single_files(tree: &mut Tree, new: &[Package]) -> Result<(), Failure> {
    for package in new {
        let of = |file: &str| package.control.get(file).unwrap_or_default().to_vec();
        tree.write(format!("{ROOT}/status.d/{}", package.name).as_bytes(), of("control"))?;
        tree.write(format!("{ROOT}/status.d/{}.md5sums", package.name).as_bytes(), of("md5sums"))?;
    }
    Ok(())
}

/// Triggers of the new packages behind those that are there.
fn triggers(tree: &mut Tree, new: &[Package]) -> Result<(), Failure> {
    for package in new {
        for (trigger, no_wait) in package.interests() {
            let who = format!("{}{}", package.info_name(), if no_wait { "/noawait" } else { "" });
            let (file, line) = match trigger.starts_with(b"/") {
                true => (b"File".to_vec(), [trigger.as_slice(), b" ", who.as_bytes(), b"\n"].concat()),
                false if trigger.contains(&b'/') => continue,
                false => (trigger, format!("{who}\n").into_bytes()),
            };
            let path = [ROOT.as_bytes(), b"/triggers/", &file].concat();
            let mut text = tree.read(&path).unwrap_or_default().to_vec();
            if !text.split_inclusive(|b| *b == b'\n').any(|there| there == line) {
                text.extend_from_slice(&line);
                tree.write(&path, text)?;
            }
        }
    }
    Ok(())
}
