//! Mistake 4: a directory that is there to be written belongs to somebody as whom nothing runs
//! (kubernetes #2630, planka #1542). Mounts of a pod always belong to its user: E0863.

use diag::{Diagnostic, Diagnostics, Span, codes};

use super::view::{View, can_write, entry, keys, real};
use crate::kept::Entry;
use crate::path::ImagePath;
use crate::plan::{ImagePlan, Plan};

/// Directories that a line of the spec makes, and (where no pod is said) volumes of the base's config.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let views = View::all(plan);
    let covered = |path: &ImagePath| {
        // A workload that needs it mounts it; the others have other commands.
        views.iter().any(|view| view.cover(path).is_some() || view.mounts_below(path))
    };
    for image in plan.images.iter().filter(|image| image.user.uid != 0) {
        for (path, span) in &plan.said.image.directories {
            let Ok(path) = ImagePath::parse(path.as_bytes()) else { continue };
            let Some((_, entry)) = entry(image, &path) else { continue };
            // One of root's is there to be read; one with content may be, whoever owns it.
            let foreign = entry.node.uid != 0 && entry.node.uid != image.user.uid;
            if foreign && writes(entry) && !can_write(entry, &image.user) && !covered(&path) && empty(image, &path) {
                found.push(
                    complain(image, &path, entry, Some(*span), "this directory")
                        .help(format!("give it to the image's user: owner=\"{}\"", owner(image))),
                );
            }
        }
        if !plan.workloads.is_empty() {
            continue;
        }
        for volume in keys(image, "Volumes") {
            let Ok(path) = ImagePath::parse(volume.as_bytes()) else { continue };
            let Some((_, entry)) = entry(image, &path) else { continue };
            let ours = plan.said.image.directories.contains_key(volume);
            if !ours && entry.node.is_directory() && !can_write(entry, &image.user) {
                let span = plan.said.image.user.or(plan.said.image.span);
                found.push(
                    complain(image, &path, entry, span, "programs run as this user")
                        .note("the base's config calls it a VOLUME: a directory that the program writes")
                        .help(format!("files {{ directory \"{path}\" owner=\"{}\" }}", owner(image))),
                );
            }
        }
    }
}

fn complain(image: &ImagePlan, path: &ImagePath, entry: &Entry, span: Option<Span>, label: &str) -> Diagnostic {
    let node = &entry.node;
    let account = image.kept.users.iter().find(|one| one.account.uid == node.uid);
    let name = account.map(|one| format!(" ({})", one.account.name)).unwrap_or_default();
    let message = format!(
        "{path} belongs to uid {}{name}, but programs run as uid {} and cannot write there",
        node.uid, image.user.uid
    );
    Diagnostic::new(codes::E0904, message)
        .at_opt(span, label)
        .note(format!("its mode is {:04o}, owner {}:{}", node.mode, node.uid, node.gid))
}

/// Whether its owner may write: else it is nobody's to write.
fn writes(entry: &Entry) -> bool {
    entry.node.is_directory() && entry.node.mode & 0o200 != 0
}

/// Whether the image has no file in it.
pub(super) fn empty(image: &ImagePlan, path: &ImagePath) -> bool {
    let path = real(image, path);
    let below =
        image.kept.entries.range(path.clone()..).take_while(|(name, _)| name.as_bytes().starts_with(path.as_bytes()));
    !below.filter(|(name, _)| name.is_within(&path)).any(|(_, entry)| !entry.node.is_directory())
}

/// `web:web`, or the numbers.
pub(super) fn owner(image: &ImagePlan) -> String {
    let user = &image.user;
    match &user.name {
        Some(name) => {
            let group = image.kept.groups.iter().find(|one| one.account.gid == user.gid);
            format!("{name}:{}", group.map_or_else(|| user.gid.to_string(), |one| one.account.name.clone()))
        }
        None => format!("{}:{}", user.uid, user.gid),
    }
}
