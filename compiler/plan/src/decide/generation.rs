//! Tree digests of what is migrated to a volume. The runtime computes the same: stdlib/runtime/INTERFACE.md.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, Span, codes};
use sha2::{Digest as _, Sha256};

use crate::kept::Entry;
use crate::path::ImagePath;
use crate::plan::{Generation, Identity};
use crate::tree::NodeKind;

/// Name of the completion marker at the root of a migrated tree.
pub const MARKER: &str = ".k8or-generation";

/// The digest of the tree at `mount`, with an error for each entry that a pod could not migrate.
pub fn generation(
    mount: &ImagePath,
    span: Span,
    entries: &BTreeMap<ImagePath, Entry>,
    user: &Identity,
) -> Result<Generation, Diagnostics> {
    let mut problems = Diagnostics::new();
    match entries.get(mount).map(|entry| &entry.node.kind) {
        Some(NodeKind::Directory) => {}
        Some(_) => {
            problems
                .push(Diagnostic::new(codes::E0860, format!("{mount} is not a directory in the image")).at(span, ""));
            return Err(problems);
        }
        None => {
            problems.push(
                Diagnostic::new(codes::E0860, format!("the image has no {mount} to migrate"))
                    .at(span, "`from-image` copies what the image holds here"),
            );
            return Err(problems);
        }
    }
    let mut hasher = Sha256::new();
    let (mut count, mut bytes) = (0_u64, 0_u64);
    let marker = mount.join(MARKER.as_bytes()).ok();
    for (path, entry) in within(entries, mount) {
        if path == mount || Some(path) == marker.as_ref() {
            continue;
        }
        let (kind, payload): (u8, Vec<u8>) = match &entry.node.kind {
            NodeKind::Directory => (b'd', Vec::new()),
            NodeKind::File(file) => {
                bytes += file.size;
                (b'f', hex(&file.sha256).into_bytes())
            }
            NodeKind::Symlink(target) => (b'l', target.to_vec()),
            NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } | NodeKind::Fifo => {
                problems.push(
                    Diagnostic::new(
                        codes::E0861,
                        format!("{path} is a device or pipe; a pod cannot copy it to a claim"),
                    )
                    .at(span, "this mount is migrated")
                    .help(format!("remove it: files {{ remove \"{path}\" }}")),
                );
                continue;
            }
        };
        if !readable(entry, user) {
            problems.push(
                Diagnostic::new(
                    codes::E0862,
                    format!("user {} cannot read {path}, so it cannot be migrated", user.uid),
                )
                .at(span, "this mount is migrated by the pod's own user")
                .note(format!("its mode is {:04o}, owner {}:{}", entry.node.mode, entry.node.uid, entry.node.gid))
                .help(format!("remove it, or give it another mode: files {{ remove \"{path}\" }}")),
            );
        }
        let mode = if kind == b'l' { 0o555 } else { entry.node.mode & 0o555 };
        let relative = path.as_bytes().get(mount.as_bytes().len() + 1..).unwrap_or(&[]);
        hasher.update([kind, b' ']);
        hasher.update(format!("{mode:04o} ").as_bytes());
        hasher.update(relative);
        hasher.update([0]);
        hasher.update(&payload);
        hasher.update(b"\n");
        count += 1;
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Generation { digest: hex(&hasher.finalize()), entries: count, bytes })
}

/// The marker's content.
pub fn marker_text(digest: &str) -> String {
    format!("k8or-generation 1 sha256:{digest}\n")
}

/// Entries at and below a directory, in byte order of the path relative to it.
fn within<'a>(
    entries: &'a BTreeMap<ImagePath, Entry>,
    dir: &'a ImagePath,
) -> impl Iterator<Item = (&'a ImagePath, &'a Entry)> {
    entries
        .range(dir.clone()..)
        .take_while(move |(path, _)| path.as_bytes().starts_with(dir.as_bytes()))
        .filter(move |(path, _)| path.is_within(dir))
}

/// POSIX read (and for directories search) permission, by owner, group, others.
fn readable(entry: &Entry, user: &Identity) -> bool {
    if user.uid == 0 || matches!(entry.node.kind, NodeKind::Symlink(_)) {
        return true;
    }
    let need = if entry.node.is_directory() { 0o5 } else { 0o4 };
    let shift = if entry.node.uid == user.uid {
        6
    } else if entry.node.gid == user.gid || user.groups.contains(&entry.node.gid) {
        3
    } else {
        0
    };
    (entry.node.mode >> shift) & need == need
}

/// Lower hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
