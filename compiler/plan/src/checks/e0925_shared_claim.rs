//! Mistake 25: several replicas on one ReadWriteOnce claim end in a Multi-Attach error (kubernetes #115997).

use diag::{Diagnostic, Diagnostics, codes};

use crate::plan::{Plan, VolumeKind};

/// Every workload with every replica count that a stage gives it.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for workload in &plan.workloads {
        let counts = plan.stages.iter().filter_map(|stage| {
            stage.replicas.get(&workload.name).map(|n| (*n, stage.span, format!(" in stage `{}`", stage.name)))
        });
        let all = std::iter::once((workload.replicas, workload.span, String::new())).chain(counts);
        for (replicas, span, place) in all.filter(|(replicas, ..)| *replicas > 1) {
            for volume in plan.volumes.iter().filter(|volume| workload.volumes.contains(&volume.name)) {
                let VolumeKind::Claim(claim) = &volume.kind else { continue };
                if claim.access == "ReadWriteOnce" || claim.access == "ReadWriteOncePod" {
                    found.push(
                        Diagnostic::new(
                            codes::E0925,
                            format!(
                                "workload `{}` has {replicas} replicas{place} on the one {} claim `{}`",
                                workload.name, claim.access, volume.name
                            ),
                        )
                        .at(span, "this many pods")
                        .label(volume.span, "one node can attach it")
                        .note("a second pod on another node waits for the volume for ever: Multi-Attach error")
                        .help("give the volume per-pod=#true (content from the image) or access=\"ReadWriteMany\", or run one replica"),
                    );
                }
            }
        }
    }
    shared_by_workloads(plan, found);
}

/// Two workloads on one claim are two pods too.
fn shared_by_workloads(plan: &Plan, found: &mut Diagnostics) {
    for volume in &plan.volumes {
        let VolumeKind::Claim(claim) = &volume.kind else { continue };
        if !claim.access.starts_with("ReadWriteOnce") {
            continue;
        }
        let users: Vec<_> = plan.workloads.iter().filter(|w| w.volumes.contains(&volume.name)).collect();
        if let [first, second, ..] = users.as_slice() {
            found.push(
                Diagnostic::new(
                    codes::E0925,
                    format!(
                        "workloads `{}` and `{}` share the one {} claim `{}`",
                        first.name, second.name, claim.access, volume.name
                    ),
                )
                .at(volume.span, "one node can attach it")
                .label(first.span, "mounts it")
                .label(second.span, "mounts it too")
                .help(
                    "name the volumes of each workload (volumes \"data\"), or give the volume access=\"ReadWriteMany\"",
                ),
            );
        }
    }
}
