//! Mistake 3: the user that programs run as has no line in the passwd that is there: getpwuid(3) fails, and HOME
//! is `/`. An image without passwd (`scratch`) has no program that asks.

use diag::{Diagnostic, Diagnostics, codes};

use crate::kept::AccountFate;
use crate::plan::Plan;

use super::view::entry;
use crate::path::ImagePath;

/// The image's user on every platform.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let Ok(passwd) = ImagePath::parse(b"/etc/passwd") else { return };
    for image in &plan.images {
        let uid = image.user.uid;
        if image.user.name.is_some() || entry(image, &passwd).is_none() {
            continue;
        }
        let span = plan.said.image.user.or(plan.said.image.span);
        let mut one = Diagnostic::new(
            codes::E0903,
            format!("no account of the image has the user id {uid} that programs run as"),
        )
        .at_opt(span, "this user");
        let removed = image.kept.users.iter().find(|one| one.fate == AccountFate::Removed && one.account.uid == uid);
        one = match removed {
            Some(user) => one
                .note(format!("`{}` of the base has it, and goes: {}", user.account.name, user.reason.in_words()))
                .help(format!("keep it: users {{ keep \"{}\" }}", user.account.name)),
            None => one.help(format!(
                "make one: users {{ create \"app\" uid={uid} gid={} }}, and user \"app\"",
                if image.user.gid == 0 { "auto".to_owned() } else { image.user.gid.to_string() }
            )),
        };
        found.push(one.note("/etc/passwd of the image has no line for it: getpwuid(3) fails, and HOME is /"));
    }
}
