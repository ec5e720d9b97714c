//! What `rpm -V` will print (rpm, `lib/verify.cc`).

use std::collections::BTreeMap;

use diag::Diagnostic;
use formats::rpm::{File, flag, state};
use plan::kept::{Deviation, Entry};
use plan::path::ImagePath;
use plan::tree::{Node, NodeKind};

use super::differences::{Algorithm, View};
use crate::survey::rpm::load;

/// What rpm looks at, by its bits and in the order in which it prints them.
const CHECKS: [(char, u64); 9] = [
    ('S', 1 << 1),
    ('M', 1 << 6),
    ('5', 1),
    ('D', 1 << 7),
    ('L', 1 << 2),
    ('U', 1 << 3),
    ('G', 1 << 4),
    ('T', 1 << 5),
    ('P', 1 << 8),
];

/// Of each file of a kept package.
pub(super) fn differences(view: &View<'_>) -> Result<Vec<Deviation>, Diagnostic> {
    let loaded = load(&view.facts.tree, &view.facts.files)?;
    let (users, groups) = view.ids();
    let mut all = Vec::new();
    for ((_, package), decision) in loaded.packages.iter().zip(&view.kept.packages) {
        if !decision.kept {
            continue;
        }
        let algorithm = Algorithm::of_number(package.digest_algorithm);
        for file in package.files.iter().filter(|file| file.state == state::NORMAL) {
            let Some((path, entry)) = ImagePath::parse(&file.path).ok().and_then(|path| view.entry(&path)) else {
                continue;
            };
            let ids = (&users, &groups);
            let differs = one(view, file, &path, entry, algorithm, ids)?;
            if !differs.is_empty() {
                let marks: String =
                    CHECKS.iter().map(|(mark, _)| if differs.contains(mark) { *mark } else { '.' }).collect();
                let shown = String::from_utf8_lossy(&file.path);
                let line = format!("{marks}  {} {shown}", attribute(file.flags));
                all.push(Deviation { line, why: view.why(&path, entry), path });
            }
        }
    }
    Ok(all)
}

fn attribute(flags: u64) -> char {
    let known = [
        (flag::CONFIG, 'c'),
        (flag::DOC, 'd'),
        (flag::GHOST, 'g'),
        (flag::LICENSE, 'l'),
        (flag::README, 'r'),
        (flag::ARTIFACT, 'a'),
    ];
    known.iter().find(|(bit, _)| flags & bit != 0).map_or(' ', |(_, mark)| *mark)
}

/// Type bits of a mode, stat(2).
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;

fn mode(node: &Node) -> u32 {
    let kind = match node.kind {
        NodeKind::Directory => DIRECTORY,
        NodeKind::File(_) => 0o100_000,
        NodeKind::Symlink(_) => 0o120_000,
        NodeKind::CharDevice { .. } => 0o020_000,
        NodeKind::BlockDevice { .. } => 0o060_000,
        NodeKind::Fifo => 0o010_000,
    };
    kind | node.mode
}

type Ids<'a> = BTreeMap<&'a str, u32>;

fn one(
    view: &View<'_>,
    file: &File,
    path: &ImagePath,
    entry: &Entry,
    algorithm: Option<Algorithm>,
    (users, groups): (&Ids<'_>, &Ids<'_>),
) -> Result<Vec<char>, Diagnostic> {
    let mut node = &entry.node;
    let is_link = |node: &Node| matches!(node.kind, NodeKind::Symlink(_));
    // A link to a directory where the package has a directory is followed.
    if file.mode & TYPE == DIRECTORY
        && is_link(node)
        && let Some(end) = view.target(path).filter(|end| end.is_directory())
    {
        node = end;
    }
    let ghost = file.flags & flag::GHOST != 0;
    let regular = match &node.kind {
        NodeKind::File(file) => Some(file),
        _ => None,
    };
    let mut differs = Vec::new();
    for (mark, bit) in CHECKS {
        let content = matches!(mark, 'S' | '5' | 'T');
        let skip = file.verify & bit == 0
            || ghost && (content || mark == 'L')
            || (content || mark == 'P') && regular.is_none();
        if skip {
            continue;
        }
        let other = match mark {
            'S' => regular.is_some_and(|regular| regular.size != file.size),
            'M' if is_link(node) => false,
            'M' if ghost => (mode(node) ^ file.mode) & !TYPE != 0,
            'M' => mode(node) != file.mode,
            '5' => match (algorithm, hex(&file.digest)) {
                (Some(algorithm), Some(recorded)) if !recorded.is_empty() => {
                    view.differs(path, entry, algorithm, &recorded, file.flags & flag::CONFIG != 0)?
                }
                (None, _) => false,
                _ => true,
            },
            'D' => device(node) != recorded_device(file),
            'L' => matches!(&node.kind, NodeKind::Symlink(target) if **target != *file.link),
            'U' => id(users, &file.user) != Some(node.uid),
            'G' => id(groups, &file.group) != Some(node.gid),
            'T' => u64::try_from(node.mtime) != Ok(file.mtime),
            _ => file.capabilities.is_empty() == node.xattrs.contains_key(b"security.capability".as_slice()),
        };
        if other {
            differs.push(mark);
        }
    }
    Ok(differs)
}

/// The superuser's names are built into rpm.
fn id(ids: &Ids<'_>, name: &str) -> Option<u32> {
    if name == "root" { Some(0) } else { ids.get(name).copied() }
}

fn device(node: &Node) -> Option<(bool, u64)> {
    // As rpm packs them: 16 bits.
    let packed = |major: u32, minor: u32| u64::from(major & 0xff) << 8 | u64::from(minor & 0xff);
    match node.kind {
        NodeKind::CharDevice { major, minor } => Some((true, packed(major, minor))),
        NodeKind::BlockDevice { major, minor } => Some((false, packed(major, minor))),
        _ => None,
    }
}

fn recorded_device(file: &File) -> Option<(bool, u64)> {
    match file.mode & TYPE {
        0o020_000 => Some((true, file.device & 0xffff)),
        0o060_000 => Some((false, file.device & 0xffff)),
        _ => None,
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}
