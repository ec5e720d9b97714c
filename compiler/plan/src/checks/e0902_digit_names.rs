//! Mistake 2: a number in `User` is looked up as a name first by some runtimes, so an account whose name is that
//! number decides who runs (CVE-2024-40635, CVE-2026-46680). Ids above int32 are E0691, in `decide::identity`.

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};

use crate::kept::AccountFate;
use crate::plan::Plan;

/// The image's user and group on every platform.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let span = plan.said.image.user.or(plan.said.image.span);
    for image in &plan.images {
        let users = image.kept.users.iter().filter(|one| one.fate != AccountFate::Removed);
        let groups = image.kept.groups.iter().filter(|one| one.fate != AccountFate::Removed);
        let users =
            users.map(|one| ("user", "/etc/passwd", one.account.name.as_str(), one.account.uid, image.user.uid));
        let groups =
            groups.map(|one| ("group", "/etc/group", one.account.name.as_str(), one.account.gid, image.user.gid));
        for (what, file, name, id, wanted) in users.chain(groups) {
            if name != wanted.to_string() || id == wanted {
                continue;
            }
            let message = format!("the {what} id {wanted} is also the name of the {what} with the id {id} in {file}");
            let mut one = Diagnostic::new(codes::E0902, message).at_opt(span, "runs with this id");
            if id == 0 {
                one = one.note("a runtime that looks for the name first runs the program as root");
            }
            found.push(one.note(format!("the base's line: {}:x:{id}:…", printable(name))).help(
                "run as an account with another id: users { create \"app\" uid=auto gid=auto }, and user \"app\"",
            ));
        }
    }
}
