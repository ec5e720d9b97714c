//! Mistake 8: the content of a claim is to be executed, but its class mounts it `noexec`: exec(2) and mmap(2) with
//! PROT_EXEC fail.

use diag::{Diagnostic, Diagnostics, codes};

use super::view::View;
use crate::plan::{MountSource, Plan, VolumeKind};

/// Every claim that brings a program or library, in every stage.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan) {
        let programs = view.programs();
        for (volume, mount) in view.mounts() {
            let (VolumeKind::Claim(claim) | VolumeKind::PerPod(claim)) = &volume.kind else { continue };
            let (MountSource::Generation { .. }, Some(at)) = (&mount.source, view.at(&mount.path)) else { continue };
            let mut needed = view.image.kept.needed.iter();
            let Some((path, _)) = needed.find(|(path, by)| path.is_within(&at) && !by.is_disjoint(&programs)) else {
                continue;
            };
            for stage in &plan.stages {
                let options = plan.said.mount_options.get(&(stage.name.clone(), claim.class.clone()));
                let Some(noexec) = options.into_iter().flatten().find(|option| option.value == "noexec") else {
                    continue;
                };
                let message = format!(
                    "stage `{}` mounts claim `{}` noexec, but {path} on it is to be executed",
                    stage.name, volume.name
                );
                found.push(
                    Diagnostic::new(codes::E0908, message)
                        .at(noexec.span, "forbids execution")
                        .label(view.mount_span(volume, mount), "programs come from this claim")
                        .help("leave the option out, or give the volume a class of its own without it"),
                );
            }
        }
    }
}
