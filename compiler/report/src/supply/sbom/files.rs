//! Files that no package owns: an element each for those that the build wrote and those of the base.
//!
//! SPDX wants a SHA-1 of each *file* element; the facts hold SHA-256. So they are annotations of one package
//! element without a purl, which scanners do not look up.

use diag::text::printable_bytes;
use plan::decide::generation::hex;
use plan::decide::keep::owned;
use plan::kept::{Content, Entry};
use plan::path::ImagePath;
use plan::tree::NodeKind;
use serde_json::json;

use super::{Document, UNKNOWN};
use crate::Part;

/// More than this are counted, not named: Docker Hub's images hold tens of thousands.
const FEW: usize = 100;

/// What the spec added and what the build rewrote (databases, accounts, caches, the runtime layer).
pub(super) fn of_the_spec(document: &mut Document, part: &Part<'_>) -> Option<String> {
    let entries = part.image.kept.entries.iter();
    let files: Vec<_> = entries.filter(|(_, entry)| entry.content != Content::Base && is_file(entry)).collect();
    group(document, part, "files-written", "files that the build wrote", &files)
}

/// What stays of the base without belonging to a package.
pub(super) fn of_nobody(document: &mut Document, part: &Part<'_>) -> Option<String> {
    let owned = owned(part.facts);
    let entries = part.image.kept.entries.iter();
    let files: Vec<_> = entries
        .filter(|(path, entry)| entry.content == Content::Base && is_file(entry) && !owned.contains_key(path))
        .collect();
    group(document, part, "files-unowned", "files of the base that no package owns", &files)
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.node.kind, NodeKind::File(_))
}

fn group(
    document: &mut Document,
    part: &Part<'_>,
    name: &str,
    title: &str,
    files: &[(&ImagePath, &Entry)],
) -> Option<String> {
    if files.is_empty() {
        return None;
    }
    let id = document.ids.take(name, &part.image.platform.to_string());
    let bytes = files.iter().fold(0_u64, |sum, (_, entry)| sum.saturating_add(entry.node.size()));
    let mut value = json!({
        "SPDXID": id, "name": title, "primaryPackagePurpose": "OTHER",
        "downloadLocation": UNKNOWN, "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN, "copyrightText": UNKNOWN,
        "comment": format!("{} files, {bytes} bytes", files.len()),
    });
    if files.len() <= FEW {
        let lines = files.iter().filter_map(|(path, entry)| {
            let NodeKind::File(file) = &entry.node.kind else { return None };
            Some(document.annotation(&format!("sha256:{} {}", hex(&file.sha256), printable_bytes(path.as_bytes()))))
        });
        value["annotations"] = json!(lines.collect::<Vec<_>>());
    }
    document.packages.push(value);
    Some(id)
}
