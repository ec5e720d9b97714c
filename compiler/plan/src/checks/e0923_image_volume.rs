//! Mistake 23: the base declares a VOLUME, and the pod mounts nothing there: Docker would make a volume, Kubernetes
//! leaves a read-only directory (CRI-O) or one that is lost with the container (containerd).

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};

use super::e0904_foreign_directory::owner;
use super::e0906_read_only_path::name;
use super::view::{View, keys};
use crate::path::ImagePath;
use crate::plan::Plan;

/// Every VOLUME that no pod mounts.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let views = View::pods(plan);
    // A workload that keeps data there mounts it; the others have other commands.
    let covered =
        |path: &ImagePath| views.iter().any(|(view, _)| view.cover(path).is_some() || view.mounts_below(path));
    if let Some((view, workload)) = views.first() {
        for volume in keys(view.image, "Volumes") {
            let Ok(path) = ImagePath::parse(volume.as_bytes()) else { continue };
            if covered(&path) {
                continue;
            }
            let message = format!(
                "the base declares the volume {}, but workload `{}` mounts nothing there, and its root is read-only",
                printable(volume),
                workload.name
            );
            let mut one = Diagnostic::new(codes::E0923, message).at(workload.span, "lacks a mount");
            if let Some(image) = plan.said.image.span {
                one = one.label(image, "the config of its base has the VOLUME");
            }
            found.push(one.help(format!(
                "mount a claim there, or volumes {{ volume \"{}\" ephemeral=#true size=\"64Mi\" {{ mount \"{path}\" owner=\"{}\" }} }}",
                name(&path),
                owner(view.image)
            )));
        }
    }
}
