//! Programs whose result is written once, when all packages are configured.

use plan::platform::Arch;

use super::apply::Admin;
use super::effects::Work;
use super::failure::Failure;
use super::tree::Tree;
use super::{certificates, loader_cache, pam};

/// Does the work that the effects asked for.
pub(super) fn run(tree: &mut Tree, admin: &Admin, arch: Arch, glibc: &str) -> Result<(), Failure> {
    for work in &admin.work {
        match work {
            Work::Shells => shells(tree, false)?,
            Work::ShellsTwice => shells(tree, true)?,
            Work::Pam => pam::update(tree)?,
            Work::Certificates => certificates::update(tree, &admin.certificates_head)?,
            Work::Ldconfig => loader_cache::write(tree, arch, glibc)?,
            Work::Shadow => {}
        }
    }
    Ok(())
}

const DIRECTORY: &[u8] = b"/usr/share/debianutils";

/// Shells of packages, in the order in which update-shells(8) finds them, and those that are listed as such: each is
/// a shell under its real directory too.
pub(super) fn packaged_shells(tree: &Tree) -> Result<(Vec<String>, Vec<String>), Failure> {
    let mut files = vec![[DIRECTORY, b"/shells"].concat()];
    files
        .extend(tree.names(&[DIRECTORY, b"/shells.d"].concat()).iter().map(|n| [DIRECTORY, b"/shells.d/", n].concat()));
    let (mut known, mut listed): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for file in files {
        let text = String::from_utf8_lossy(tree.read(&file).unwrap_or_default()).into_owned();
        for line in text.lines().map(|l| l.split('#').next().unwrap_or_default()).filter(|l| !l.is_empty()) {
            listed.push(line.to_owned());
            let (dir, name) = line.rsplit_once('/').unwrap_or(("", line));
            let real = format!("/{}/{name}", String::from_utf8_lossy(&tree.follow(dir.as_bytes())?));
            for shell in [line.to_owned(), real] {
                if !known.contains(&shell) {
                    known.push(shell);
                }
            }
        }
    }
    Ok((known, listed))
}

/// update-shells(8): what packages list in `shells.d`, and each under its real directory.
fn shells(tree: &mut Tree, listed_first: bool) -> Result<(), Failure> {
    let (known, listed) = packaged_shells(tree)?;
    let template = [DIRECTORY, b"/shells"].concat();
    let mut text = String::from_utf8_lossy(tree.read(&template).unwrap_or_default()).into_owned();
    let there: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut order = known.clone();
    if listed_first {
        order.sort_by_key(|shell| !listed.contains(shell));
    }
    for shell in order.iter().filter(|shell| !there.contains(shell)) {
        text.push_str(&format!("{shell}\n"));
    }
    let state: String = known.iter().map(|shell| format!("{shell}\n")).collect();
    tree.write(b"/etc/shells", text.into_bytes())?;
    tree.write(b"/var/lib/shells.state", state.into_bytes())?;
    Ok(())
}
