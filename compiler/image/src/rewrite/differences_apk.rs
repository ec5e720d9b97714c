//! What `apk audit --check-permissions` (of `/etc`) and `apk audit --full --check-permissions` (of the rest) will print of
//! files that packages own (apk-tools, `src/app_audit.c`). `A` and `D` lines, of what no package owns, are not among it.

use std::collections::BTreeMap;

use diag::{Diagnostic, codes};
use formats::apk::{self, Listed};
use plan::decide::keep::apk_directory;
use plan::kept::Deviation;
use plan::path::ImagePath;
use plan::tree::{Node, NodeKind};

use super::differences::{Algorithm, View};

/// What `--full` leaves out.
const NOT_LOOKED_AT: [&str; 8] = ["/dev", "/home", "/lib/apk", "/lib/rc/cache", "/proc", "/root", "/run", "/sys"];
const NOT_EITHER: [&str; 2] = ["/tmp", "/var"];

/// Of each path that a kept package lists.
pub(super) fn differences(view: &View<'_>) -> Result<Vec<Deviation>, Diagnostic> {
    let directory = apk_directory(&view.facts.tree).and_then(|directory| directory.join(b"installed").ok());
    let Some(bytes) = directory.as_ref().and_then(|path| view.facts.files.get(path)) else { return Ok(Vec::new()) };
    let all = apk::installed(bytes).map_err(|error| {
        let path = directory.as_ref().map(ToString::to_string).unwrap_or_default();
        Diagnostic::new(codes::E0640, format!("{path} of the base cannot be read: {error}"))
    })?;
    let kept: Vec<&str> = view.kept.packages.iter().filter(|p| p.kept).map(|p| p.name.as_str()).collect();
    let hidden: Vec<ImagePath> =
        NOT_LOOKED_AT.iter().chain(&NOT_EITHER).filter_map(|path| ImagePath::parse(path.as_bytes()).ok()).collect();
    let mut found = Vec::new();
    // A directory that several packages list has to be as one of them says.
    let mut directories: BTreeMap<ImagePath, bool> = BTreeMap::new();
    for package in all.packages.iter().filter(|package| kept.binary_search(&package.name.as_str()).is_ok()) {
        for listed in &package.listed {
            let Ok(path) = ImagePath::parse(&listed.path) else { continue };
            if path.is_root() || hidden.iter().any(|hidden| path.is_within(hidden)) {
                continue;
            }
            if listed.directory {
                if let Some((path, entry)) = view.entry(&path).filter(|(_, entry)| entry.node.is_directory()) {
                    *directories.entry(path).or_default() |= owned_as(&entry.node, listed);
                }
            } else if let Some(mark) = file(view, &path, listed, package.short_sha256)?
                && let Some((real, entry)) = view.entry(&path)
            {
                found.push(Deviation { line: line(mark, &path, ""), why: view.why(&real, entry), path: real });
            }
        }
    }
    for (path, _) in directories.into_iter().filter(|(_, fine)| !fine) {
        let Some(entry) = view.kept.entries.get(&path) else { continue };
        found.push(Deviation { line: line('m', &path, "/"), why: view.why(&path, entry), path });
    }
    Ok(found)
}

fn line(mark: char, path: &ImagePath, end: &str) -> String {
    format!("{mark} {}{end}", String::from_utf8_lossy(path.relative()))
}

fn owned_as(node: &Node, listed: &Listed) -> bool {
    (node.uid, node.gid, node.mode) == (listed.owner.uid, listed.owner.gid, listed.owner.mode)
}

/// `U` for another content, `M` for another owner or mode.
fn file(view: &View<'_>, path: &ImagePath, listed: &Listed, short: bool) -> Result<Option<char>, Diagnostic> {
    let Some((real, entry)) = view.entry(path) else { return Ok(None) };
    let recorded = listed.checksum.as_deref().and_then(checksum).map(|(algorithm, recorded)| match short {
        true => (Algorithm::Sha256, recorded),
        false => (algorithm, recorded),
    });
    let in_etc = path.components().next() == Some(b"etc");
    let other = match (&entry.node.kind, &recorded) {
        (NodeKind::File(_), Some((algorithm, recorded))) => view.differs(&real, entry, *algorithm, recorded, in_etc)?,
        (NodeKind::Symlink(target), Some((algorithm, recorded))) => !algorithm.digest(target).starts_with(recorded),
        // Links of old packages have no checksum: apk calls each changed.
        (NodeKind::Symlink(_), None) => true,
        _ => false,
    };
    if other {
        return Ok(Some('U'));
    }
    let mode = !matches!(entry.node.kind, NodeKind::Symlink(_)) && !owned_as(&entry.node, listed);
    Ok(mode.then_some('M'))
}

/// `Q1` and a SHA-1 in base64, `Q2` and a SHA-256.
fn checksum(text: &str) -> Option<(Algorithm, Vec<u8>)> {
    let (algorithm, rest) = match text.split_at_checked(2)? {
        ("Q1", rest) => (Algorithm::Sha1, rest),
        ("Q2", rest) => (Algorithm::Sha256, rest),
        _ => return None,
    };
    Some((algorithm, base64(rest)?))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
