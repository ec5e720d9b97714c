//! `/k8or`: the runtime, its sealed configuration and the filter. Format: stdlib/runtime/INTERFACE.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::generation::{MARKER, hex, marker_text};
use crate::kept::{Content, Entry, LayerKind};
use crate::path::{ImagePath, PathError};
use crate::plan::{Generation, Identity};
use crate::platform::Arch;
use crate::profile::{DefaultAction, Profile};
use crate::reason::Reason;
use crate::tree::{ContentRef, FileNode, Node, NodeKind};

/// What is sealed into an image.
pub struct Sealed<'a> {
    /// Architecture.
    pub arch: Arch,
    /// Whom programs run as.
    pub user: &'a Identity,
    /// The runtime's own bytes.
    pub runtime: &'a Arc<[u8]>,
    /// Filter program (8 bytes an instruction) when `deliver "in-image"`.
    pub filter: Option<&'a [u8]>,
    /// The profile that it was made from.
    pub profile: &'a Profile,
    /// Migrated trees.
    pub generations: &'a BTreeMap<String, Generation>,
    /// Default program and arguments.
    pub command: &'a [String],
    /// Time of the entries.
    pub epoch: i64,
}

/// The entries of `/k8or` and the markers of the migrated trees.
pub fn entries(sealed: &Sealed<'_>) -> Result<Vec<(ImagePath, Entry)>, PathError> {
    let reason = Reason::fact("it is part of the runtime layer");
    let mut out = Vec::new();
    let mut add = |path: &str, mode: u32, bytes: Option<Arc<[u8]>>, layer| -> Result<(), PathError> {
        let path = ImagePath::parse(path.as_bytes())?;
        out.push((path, entry(mode, bytes, layer, sealed.epoch, &reason)));
        Ok(())
    };
    add("/k8or", 0o755, None, LayerKind::App)?;
    add("/k8or/k8or", 0o755, Some(Arc::clone(sealed.runtime)), LayerKind::App)?;
    add("/k8or/sealed.conf", 0o444, Some(Arc::from(configuration(sealed).into_bytes())), LayerKind::App)?;
    if let Some(filter) = sealed.filter {
        add("/k8or/filter.bpf", 0o444, Some(Arc::from(filter)), LayerKind::App)?;
    }
    for (mount, generation) in sealed.generations {
        let text = marker_text(&generation.digest).into_bytes();
        add(&format!("{mount}/{MARKER}"), 0o444, Some(Arc::from(text)), LayerKind::App)?;
    }
    Ok(out)
}

/// An entry of ours, owned by root.
pub fn entry(mode: u32, bytes: Option<Arc<[u8]>>, layer: LayerKind, epoch: i64, reason: &Arc<Reason>) -> Entry {
    let (kind, content) = match bytes {
        None => (NodeKind::Directory, Content::Base),
        Some(bytes) => (NodeKind::File(file_node(&bytes)), Content::Bytes(bytes)),
    };
    let node = Node { kind, mode, uid: 0, gid: 0, mtime: epoch, xattrs: BTreeMap::new() };
    Entry { node, content, layer, reason: Arc::clone(reason) }
}

/// Size and hash of bytes that do not come from the base.
pub fn file_node(bytes: &[u8]) -> FileNode {
    FileNode {
        size: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
        at: ContentRef { layer: u32::MAX, offset: 0 },
        inode: None,
    }
}

fn configuration(sealed: &Sealed<'_>) -> String {
    let mut text = String::from("k8or 1\n");
    let mut line = |words: &[&str]| {
        let encoded: Vec<String> = words.iter().map(|word| encode(word)).collect();
        text.push_str(&encoded.join(" "));
        text.push('\n');
    };
    line(&["arch", sealed.arch.kernel()]);
    line(&["uid", &sealed.user.uid.to_string()]);
    line(&["gid", &sealed.user.gid.to_string()]);
    match sealed.filter {
        Some(filter) => {
            let digest = format!("sha256:{}", hex(&Sha256::digest(filter)));
            line(&["filter", "/k8or/filter.bpf", &digest, &(filter.len() / 8).to_string()]);
        }
        None => line(&["filter", "none"]),
    }
    line(&["on-violation", &on_violation(sealed.profile.otherwise)]);
    for (mount, generation) in sealed.generations {
        line(&["generation", mount, &format!("sha256:{}", generation.digest)]);
    }
    // The format has no empty word; the image's entrypoint says the whole command anyway.
    if !sealed.command.is_empty() && sealed.command.iter().all(|word| !word.is_empty()) {
        let mut words = vec!["program"];
        words.extend(sealed.command.iter().map(String::as_str));
        line(&words);
    }
    text
}

fn on_violation(action: DefaultAction) -> String {
    match action {
        DefaultAction::KillProcess => "kill-process".to_owned(),
        DefaultAction::KillThread => "kill-thread".to_owned(),
        DefaultAction::Errno(number) => match crate::calls::errno::name(number) {
            Some(name) => format!("errno:{name}"),
            None => format!("errno:{number}"),
        },
        DefaultAction::Log => "log".to_owned(),
    }
}

/// Percent-encodes what would break a line of space-separated words.
fn encode(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c.is_ascii() && (c <= ' ' || c == '%' || c == '\u{7f}') {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive() {
        assert_eq!(encode("daemon off;"), "daemon%20off;");
        assert_eq!(encode("100%\n"), "100%25%0A");
        assert_eq!(encode("é b"), "é%20b");
    }
}
