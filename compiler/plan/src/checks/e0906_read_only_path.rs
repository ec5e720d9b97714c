//! Mistake 6: a directory is made for the program to write, but the pod's root is read-only and nothing is mounted
//! there (openobserve-helm #54, devlake-helm #239, knative/specs #98).

use diag::{Diagnostic, Diagnostics, codes};

use super::e0904_foreign_directory::{empty, owner};
use super::view::{View, can_write, entry, keys};
use crate::path::ImagePath;
use crate::plan::Plan;

/// Every directory that the spec gives to the image's user and no pod mounts.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let views = View::pods(plan);
    // A workload that writes there mounts it; the others have other commands.
    let covered =
        |path: &ImagePath| views.iter().any(|(view, _)| view.cover(path).is_some() || view.mounts_below(path));
    if let Some((view, workload)) = views.first() {
        let image = view.image;
        let home = image.user.home.as_deref().and_then(|home| ImagePath::parse(home.as_bytes()).ok());
        for (said, span) in &plan.said.image.directories {
            let Ok(path) = ImagePath::parse(said.as_bytes()) else { continue };
            let Some((_, entry)) = entry(image, &path) else { continue };
            let own = entry.node.uid == image.user.uid && image.user.uid != 0 && can_write(entry, &image.user);
            // A home directory is often there only because an account has one; a volume of the base is E0923.
            if !own || home.as_ref() == Some(&path) || keys(image, "Volumes").contains(&said.as_str()) {
                continue;
            }
            if covered(&path) || !empty(image, &path) {
                continue;
            }
            let message = format!(
                "{path} is made for uid {} to write, but it is read-only in workload `{}`",
                image.user.uid, workload.name
            );
            found.push(
                Diagnostic::new(codes::E0906, message)
                    .at(*span, "this directory")
                    .label(workload.span, "its root is read-only, and no volume is mounted there")
                    .help(format!(
                        "mount one: volumes {{ volume \"{}\" ephemeral=#true size=\"64Mi\" {{ mount \"{path}\" owner=\"{}\" }} }}",
                        name(&path),
                        owner(image)
                    ))
                    .help("or, where nothing writes there, leave its owner out"),
            );
        }
    }
}

/// A name for a volume: the last component, as a DNS label.
pub(super) fn name(path: &ImagePath) -> String {
    let text: String = String::from_utf8_lossy(path.name()).to_ascii_lowercase();
    let label: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "scratch".to_owned() } else { label.to_owned() }
}
