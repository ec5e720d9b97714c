//! systemd-tmpfiles(8) `--create`: what a file of `tmpfiles.d` makes before the first boot.

use super::apply::{Scene, missing};
use super::failure::Failure;
use super::sysusers::words;
use super::tree::Kind;

/// Carries a file out, by its name or path.
pub(super) fn create(scene: &mut Scene<'_>, name: &str) -> Result<(), Failure> {
    let candidates: Vec<String> = match name.starts_with('/') {
        true => vec![name.to_owned()],
        false => ["/etc", "/run", "/usr/lib"].iter().map(|top| format!("{top}/tmpfiles.d/{name}")).collect(),
    };
    let found = candidates.iter().find(|path| scene.tree.exists(path.as_bytes()));
    let text = found.and_then(|path| scene.tree.read(path.as_bytes())).map(|t| String::from_utf8_lossy(t).into_owned());
    let (Some(path), Some(text)) = (found, text) else {
        return Err(missing(format!("systemd-tmpfiles would read {name}, which is not there")));
    };
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if !one(scene, &words(line))? {
            let line = diag::text::printable(line);
            return Err(missing(format!("a line of {path} asks for more than k8orc does: {line}")));
        }
    }
    Ok(())
}

/// One line; false: not known.
fn one(scene: &mut Scene<'_>, words: &[String]) -> Result<bool, Failure> {
    let field = |n: usize| words.get(n).map(String::as_str).filter(|w| *w != "-" && !w.is_empty());
    let (Some(kind), Some(path)) = (field(0), field(1)) else { return Ok(false) };
    // Only at boot; or what a credential of the machine says, and an image has none.
    if kind.contains(['!', '^']) {
        return Ok(true);
    }
    let kind = kind.trim_end_matches(['-', '=', '^', '~', '$', '?']);
    // A running system's own, or lines that only clean up and remove.
    let below = |top: &str| path.starts_with(&format!("{top}/"));
    if matches!(kind, "x" | "X" | "r" | "R" | "D!" | "r!" | "R!") || below("/proc") || below("/sys") || below("/dev") {
        return Ok(true);
    }
    // Attributes of a file system and access lists: no layer of ours holds them.
    if matches!(kind, "a" | "a+" | "A" | "A+" | "h" | "H" | "t" | "T") {
        return Ok(true);
    }
    // What names the machine or its boot cannot be there yet; only these lines leave what is not there alone.
    if path.contains('%') && matches!(kind, "z" | "Z" | "m" | "e") {
        return Ok(true);
    }
    if path.contains('%') || !path.starts_with('/') {
        return Ok(false);
    }
    let mode = match field(2) {
        None => None,
        Some(mode) => match u32::from_str_radix(mode.trim_start_matches(['~', ':']), 8) {
            Ok(mode) => Some(mode),
            Err(_) => return Ok(false),
        },
    };
    let only_new = |n: usize| field(n).is_some_and(|w| w.starts_with(':'));
    let name = |n: usize| field(n).map(|w| w.trim_start_matches(':'));
    let owner = scene.owner_of(name(3), name(4))?;
    let argument = words.get(6..).unwrap_or_default().join(" ");
    let there = scene.tree.exists(path.as_bytes());
    match kind {
        "d" | "D" | "v" | "q" | "Q" | "e" => {
            if kind == "e" && !there {
                return Ok(true);
            }
            let place = scene.tree.directories(path.as_bytes())?;
            if let Some(node) = scene.tree.nodes.get_mut(&place) {
                if !there || (mode.is_some() && !only_new(2)) {
                    node.mode = mode.unwrap_or(0o755);
                }
                node.uid = owner.uid.filter(|_| !there || !only_new(3)).unwrap_or(node.uid);
                node.gid = owner.gid.filter(|_| !there || !only_new(4)).unwrap_or(node.gid);
            }
        }
        "f" | "f+" | "F" => {
            if !there || kind != "f" {
                scene.tree.write(path.as_bytes(), argument.into_bytes())?;
            }
            let place = scene.tree.follow(path.as_bytes())?;
            if let Some(node) = scene.tree.nodes.get_mut(&place) {
                node.mode = mode.unwrap_or(if there { node.mode } else { 0o644 });
                node.uid = owner.uid.unwrap_or(node.uid);
                node.gid = owner.gid.unwrap_or(node.gid);
            }
        }
        "L" | "L+" => {
            let is = scene.tree.get(path.as_bytes()).map(|n| n.kind.clone());
            let target = if argument.is_empty() { format!("/usr/share/factory{path}") } else { argument };
            let place = |kind: &Option<Kind>| matches!(kind, None | Some(Kind::Symlink(_)));
            if is.is_none() || kind == "L+" && place(&is) {
                scene.tree.link(path.as_bytes(), target.as_bytes())?;
            } else if kind == "L+" {
                return Ok(false);
            }
        }
        "z" | "m" => {
            let place = scene.tree.follow(path.as_bytes())?;
            if path.contains(['*', '?', '[']) {
                return Ok(false);
            }
            if let Some(node) = scene.tree.nodes.get_mut(&place) {
                node.mode = mode.unwrap_or(node.mode);
                node.uid = owner.uid.unwrap_or(node.uid);
                node.gid = owner.gid.unwrap_or(node.gid);
            }
        }
        // A copy of what is not there is none.
        "C" | "C+" => {
            let source = if argument.is_empty() { format!("/usr/share/factory{path}") } else { argument };
            return Ok(there && kind == "C" || !scene.tree.exists(source.as_bytes()));
        }
        _ => return Ok(false),
    }
    Ok(true)
}
