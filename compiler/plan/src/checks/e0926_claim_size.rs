//! Mistake 26: a claim that is smaller than what is seeded into it, or whose class no stage defines.

use diag::{Diagnostic, Diagnostics, codes};

use crate::plan::{ClaimPlan, MountSource, Plan, VolumeKind, VolumePlan};

/// Bytes that an entry takes on a file system beside its content: an inode and rounding to a block.
const PER_ENTRY: u64 = 4096;

/// Every claim, in every stage.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for volume in &plan.volumes {
        let (VolumeKind::Claim(claim) | VolumeKind::PerPod(claim)) = &volume.kind else { continue };
        size(volume, claim, found);
        for stage in plan.stages.iter().filter(|stage| !stage.classes.contains_key(&claim.class)) {
            found.push(
                Diagnostic::new(
                    codes::E0926,
                    format!("stage `{}` does not say what class `{}` is", stage.name, claim.class),
                )
                .at(stage.span, "this stage")
                .label(volume.span, "the volume asks for the class here")
                .help(format!(
                    "add to the stage: class \"{0}\" existing=#true as=\"NAME-IN-THE-CLUSTER\", or class \"{0}\" provisioner=\"…\"",
                    claim.class
                )),
            );
        }
    }
}

fn size(volume: &VolumePlan, claim: &ClaimPlan, found: &mut Diagnostics) {
    let need: u64 = volume
        .mounts
        .iter()
        .map(|mount| match &mount.source {
            MountSource::Generation { bytes, entries, .. } => bytes.saturating_add(entries.saturating_mul(PER_ENTRY)),
            _ => 0,
        })
        .fold(0, u64::saturating_add);
    if need == 0 {
        return;
    }
    if claim.bytes < need {
        found.push(
            Diagnostic::new(
                codes::E0926,
                format!(
                    "claim `{}` of {} cannot hold the {} that are migrated to it",
                    volume.name,
                    claim.size,
                    mebibytes(need)
                ),
            )
            .at(volume.span, "too small")
            .help(format!(
                "ask for at least three times as much, so that two generations stay while a third comes: size=\"{}Mi\"",
                need.saturating_mul(3).div_ceil(1 << 20)
            )),
        );
    } else if claim.bytes < need.saturating_mul(3) {
        found.push(
            Diagnostic::new(
                codes::E0926,
                format!(
                    "claim `{}` of {} holds the content ({}), but not two generations and a third that comes",
                    volume.name,
                    claim.size,
                    mebibytes(need)
                ),
            )
            .severity(diag::Severity::Warning)
            .at(volume.span, "tight")
            .help(format!(
                "size=\"{}Mi\" leaves room for a roll-out and a roll-back",
                need.saturating_mul(3).div_ceil(1 << 20)
            )),
        );
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
