//! Programs whose result a base has already, done once more without undoing what somebody changed by hand.

use diag::{Diagnostic, codes};

use super::apply::Wanted;
use super::failure::Failure;
use super::seed::Base;
use super::tree::Tree;
use super::{pam, work};

const SHELLS: &[u8] = b"/etc/shells";
const STATE: &[u8] = b"/var/lib/shells.state";

/// update-shells(8): shells that packages have now and had not when it ran last are added, those that they have no more
/// go; what somebody added or took out stays so.
pub(super) fn shells(tree: &mut Tree) -> Result<(), Failure> {
    let (packaged, _) = work::packaged_shells(tree)?;
    let text = |path: &[u8]| tree.read(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let template = || text(b"/usr/share/debianutils/shells").unwrap_or_default();
    let (there, state) = (text(SHELLS).unwrap_or_else(template), text(STATE).unwrap_or_default());
    let before: Vec<&str> = state.lines().collect();
    let mut out = String::new();
    let mut listed: Vec<&str> = Vec::new();
    for line in there.lines() {
        let shell = line.split('#').next().unwrap_or_default();
        let ours = packaged.iter().any(|p| p == shell);
        let stays = shell.is_empty() || ((ours || !before.contains(&shell)) && !listed.contains(&shell));
        if stays {
            out.push_str(&format!("{line}\n"));
            listed.push(shell);
        }
    }
    for shell in packaged.iter().filter(|s| !listed.contains(&s.as_str()) && !before.contains(&s.as_str())) {
        out.push_str(&format!("{shell}\n"));
    }
    let state: String = packaged.iter().map(|shell| format!("{shell}\n")).collect();
    tree.write(SHELLS, out.into_bytes())?;
    tree.write(STATE, state.into_bytes())?;
    Ok(())
}

/// pam-auth-update(8) asks before it overwrites what somebody changed, and takes no profile that somebody refused. What
/// it made of the base must be what it would make again, or there is nobody to ask.
///
/// # Errors
/// E0566 where the base's common files are not as made.
pub(super) fn pam_is_as_made(base: &Base<'_>, wanted: &Wanted, epoch: i64) -> Result<(), Diagnostic> {
    let mut tree = base.seed(epoch);
    base.capture(&mut tree, wanted, false)?;
    let names = ["auth", "account", "session", "session-noninteractive", "password"];
    let common = |tree: &Tree| -> Vec<Option<Vec<u8>>> {
        names.iter().map(|name| tree.read(format!("/etc/pam.d/common-{name}").as_bytes()).map(<[u8]>::to_vec)).collect()
    };
    let before = common(&tree);
    pam::update(&mut tree).map_err(|e| e.of("the base"))?;
    let differs = before.iter().zip(common(&tree)).zip(names).find(|((old, new), _)| old.is_some() && **old != *new);
    let Some((_, name)) = differs else { return Ok(()) };
    let message =
        format!("the base's /etc/pam.d/common-{name} was changed by hand, and pam-auth-update would ask about it");
    Err(Diagnostic::new(codes::E0566, message)
        .help("add the packages to a base where it was not, and give the file with `files { copy … }`"))
}
