//! Mistake 28: a variable that names a directory to write points at one that cannot be written: the root of a pod
//! is read-only (OpenSandbox #1590).

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Severity, codes};

use super::e0904_foreign_directory::owner;
use super::e0906_read_only_path::name;
use super::view::{Setting, View, Whose, entry, permits};
use crate::path::ImagePath;
use crate::plan::Plan;

/// Variables whose directory exists to be written.
const SCRATCH: &[&str] = &["TEMP", "TMP", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];

/// How people say that there is no home.
const NOWHERE: &[&str] = &["/", "/dev/null", "/nonexistent", "/var/empty"];

/// Every pod, or the bare image.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan).into_iter().filter(|view| view.image.user.uid != 0) {
        let environment = view.environment();
        for variable in SCRATCH {
            if let Some(setting) = environment.get(*variable) {
                let severity = if setting.whose == Whose::Spec { Severity::Error } else { Severity::Warning };
                found.extend(unwritable(&view, variable, setting).map(|one| one.severity(severity)));
            }
        }
        let Some(home) = environment.get("HOME").filter(|home| !NOWHERE.contains(&home.value.as_str())) else {
            continue;
        };
        // A home of the base is often never written; one that cannot even be entered breaks programs that look in it.
        if home.whose == Whose::Spec || closed(&view, &home.value) {
            found.extend(unwritable(&view, "HOME", home).map(|one| one.severity(Severity::Warning)));
        }
    }
}

fn closed(view: &View<'_>, path: &str) -> bool {
    let path = ImagePath::parse(path.as_bytes()).ok();
    let entry = path.filter(|path| view.cover(path).is_none()).and_then(|path| entry(view.image, &path));
    entry.is_some_and(|(_, entry)| !permits(entry, &view.image.user, 0o1))
}

fn unwritable(view: &View<'_>, variable: &str, setting: &Setting) -> Option<Diagnostic> {
    let value = setting.value.as_str();
    let path = ImagePath::parse(value.as_bytes()).ok().filter(|_| value.starts_with('/'))?;
    if view.writable(&path) {
        return None;
    }
    // A mount below may be all that is written.
    if variable == "HOME" && view.mounts_below(&path) {
        return None;
    }
    let (why, label) = match (view.workload, view.cover(&path)) {
        (Some(_), Some(_)) => ("what is mounted there is read-only", "this directory"),
        (Some(_), None) => ("the root is read-only and nothing is mounted there", "this directory"),
        (None, _) if entry(view.image, &path).is_none() => ("the image has no such directory", "this directory"),
        (None, _) => ("it belongs to somebody else", "this directory"),
    };
    let message = format!(
        "{variable} is {}, where uid {} cannot write{}: {why}",
        printable(value),
        view.image.user.uid,
        view.place()
    );
    let label = if setting.whose == Whose::Spec { label } else { "the base's config sets the variable" };
    let mut one = Diagnostic::new(codes::E0928, message).at_opt(setting.span, label);
    if let Some(workload) = view.workload {
        if setting.span != Some(workload.span) {
            one = one.label(workload.span, "this pod");
        }
        one = one.help(format!(
            "volumes {{ volume \"{}\" ephemeral=#true size=\"64Mi\" {{ mount \"{path}\" owner=\"{}\" }} }}",
            name(&path),
            owner(view.image)
        ));
    } else {
        one = one.help(format!("files {{ directory \"{path}\" owner=\"{}\" mode=\"0700\" }}", owner(view.image)));
    }
    Some(one)
}
