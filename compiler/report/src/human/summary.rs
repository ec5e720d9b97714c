//! The summary: base → result, what was widened, what comes next.

use std::fmt::Write as _;

use plan::plan::{ImagePlan, Plan, VolumeKind};
use plan::profile::{Action, DefaultAction};

/// What the build knows beyond the plan.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Digest of the image (manifest, or index with several platforms).
    pub digest: String,
    /// Compressed bytes of the result's layers, by platform in the plan's order.
    pub compressed: Vec<u64>,
    /// Compressed bytes of the base's layers, by platform in the plan's order; 0 where unknown.
    pub base_compressed: Vec<u64>,
    /// Where it was written, as the user sees it.
    pub output: String,
}

/// Plain text, a table a platform; the first line names a widening if there is one (design §8).
pub fn summary(plan: &Plan, outcome: &Outcome) -> String {
    let mut out = String::new();
    for widening in &plan.profile.widenings {
        let _ = writeln!(out, "widened: {widening}");
    }
    for (n, image) in plan.images.iter().enumerate() {
        let base_compressed = outcome.base_compressed.get(n).copied().unwrap_or(0);
        let compressed = outcome.compressed.get(n).copied().unwrap_or(0);
        table(&mut out, plan, image, base_compressed, compressed);
    }
    let _ = writeln!(out, "{:<11} {}", "image", outcome.digest);
    let _ = writeln!(out, "{:<11} {}", "written to", outcome.output);
    for line in notes(plan) {
        let _ = writeln!(out, "{:<11} {line}", "note");
    }
    let _ = writeln!(out, "{:<11} k8orc test runs it under its profile", "not tested");
    out
}

fn table(out: &mut String, plan: &Plan, image: &ImagePlan, base_compressed: u64, compressed: u64) {
    let (before, after) = (&image.before, &image.after);
    let _ = writeln!(out, "{} {} from {}", plan.name, image.platform, image.base.reference);
    let mut row = |name: &str, a: String, b: String| {
        let _ = writeln!(out, "  {name:<11} {a:>12} → {b}");
    };
    row("size", bytes(before.bytes), format!("{}{}", bytes(after.bytes), percent(before.bytes, after.bytes)));
    // A plain tar has no compressed size to compare with.
    if base_compressed > 0 && base_compressed < before.bytes {
        row("compressed", bytes(base_compressed), bytes(compressed));
    } else {
        row("compressed", "–".to_owned(), bytes(compressed));
    }
    row("files", before.files.to_string(), after.files.to_string());
    row("packages", before.packages.to_string(), after.packages.to_string());
    row("users", before.users.to_string(), after.users.to_string());
    row("groups", before.groups.to_string(), after.groups.to_string());
    row("setuid", before.setuid.to_string(), after.setuid.to_string());
    let allowed = plan.profile.calls.values().filter(|call| call.action == Action::Allow).count();
    let refused = plan.profile.calls.len() - allowed;
    let rest = otherwise(plan.profile.otherwise);
    row(
        "syscalls",
        "all".to_owned(),
        format!(
            "{allowed} allowed, {refused} refused, {rest}; {}",
            if plan.profile_in_image() { "installed by k8or in the image" } else { "a file on the node" }
        ),
    );
    let _ = writeln!(out, "  {:<11} uid {} gid {}", "runs as", image.user.uid, image.user.gid);
}

/// What happens at a call that is not named.
pub(super) fn otherwise(action: DefaultAction) -> &'static str {
    match action {
        DefaultAction::KillProcess => "any other kills the process",
        DefaultAction::KillThread => "any other kills the thread",
        DefaultAction::Errno(_) => "any other fails",
        DefaultAction::Log => "any other is logged",
    }
}

fn notes(plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    if plan.publish.is_none() {
        notes.push(
            "no manifests: say where the image is published (image { publish \"registry.example.com/team/name\" })"
                .to_owned(),
        );
    } else if plan.stages.is_empty() && !plan.workloads.is_empty() {
        notes.push("no manifests: no stage says where they are applied (stage \"dev\" { target \"k3s\" })".to_owned());
    }
    for workload in plan.workloads.iter().filter(|workload| workload.recreate) {
        let claims: Vec<&str> = plan
            .volumes
            .iter()
            .filter(|v| workload.volumes.contains(&v.name) && matches!(v.kind, VolumeKind::Claim(_)))
            .map(|v| v.name.as_str())
            .collect();
        notes.push(format!(
            "a roll-out of {} is down meanwhile (Recreate): one pod holds the claim {}",
            workload.name,
            claims.join(", ")
        ));
    }
    notes
}

/// `154.2 MB`: decimal units, as registries show them.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n;
    let mut unit = 0;
    // Tenths, in whole numbers: no rounding differs between machines.
    let mut tenths = value / 100;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        value /= 1000;
        tenths = value / 100;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

fn percent(before: u64, after: u64) -> String {
    if before == 0 || after >= before {
        return String::new();
    }
    format!(" (−{} %)", 100 - after.saturating_mul(100) / before)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(154_234_567), "154.2 MB");
        assert_eq!(bytes(2_000_000_000), "2.0 GB");
    }
}
