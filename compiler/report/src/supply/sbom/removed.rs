//! What is not in the image any more, with the reason: annotations of the image.

use std::collections::BTreeMap;

use diag::text::printable;
use serde_json::Value;

use super::Document;
use crate::Part;

/// Reasons that are told for paths; those with the fewest bytes are left to `report.json`.
const REASONS: usize = 50;

/// A sentence for each removed package, then one for each reason why paths went.
pub(super) fn annotations(document: &Document, part: &Part<'_>) -> Vec<Value> {
    let kept = &part.image.kept;
    let mut out = Vec::new();
    for package in kept.packages.iter().filter(|package| !package.kept) {
        let (name, version, arch) = (&package.name, &package.version, &package.arch);
        let text = format!("removed package: {name} {version} ({arch}), because {}", package.reason.in_words());
        out.push(document.annotation(&printable(&text)));
    }
    let mut reasons: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for removed in kept.removed.values() {
        let (paths, bytes) = reasons.entry(removed.reason.in_words()).or_default();
        *paths += 1;
        *bytes = bytes.saturating_add(removed.size);
    }
    let mut sorted: Vec<_> = reasons.into_iter().collect();
    sorted.sort_by(|(a, (_, x)), (b, (_, y))| y.cmp(x).then_with(|| a.cmp(b)));
    for (reason, (paths, bytes)) in sorted.iter().take(REASONS) {
        let text = format!("removed paths: {paths} ({bytes} bytes), because {reason}");
        out.push(document.annotation(&printable(&text)));
    }
    let rest: u64 = sorted.iter().skip(REASONS).map(|(_, (paths, _))| paths).sum();
    if rest > 0 {
        out.push(document.annotation(&format!("removed paths: {rest} more, for other reasons: see report.json")));
    }
    out
}
