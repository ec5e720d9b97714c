//! Files of no package: whether the spec must speak of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::Unowned;

use super::{Index, Input};
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::NodeKind;

/// Why unowned files stay; complains when the spec must say so and does not.
///
/// `counted` tells of each name whether it is one of them.
pub(super) fn unowned(input: &Input<'_>, index: &Index<'_>, counted: &[bool], out: &mut Diagnostics) -> Arc<Reason> {
    if let Some(said) = &input.spec.files.unowned {
        return match said.value {
            Unowned::Keep => Reason::spec("files unowned \"keep\"", said.span),
            Unowned::Closure => Reason::spec("files unowned \"closure\", and nothing reaches it", said.span),
        };
    }
    let mut all = Share::default();
    let mut theirs = Share::default();
    let mut places: BTreeMap<ImagePath, Share> = BTreeMap::new();
    let mut inodes = BTreeSet::new();
    for (at, (name, node)) in index.names.iter().zip(&index.nodes).enumerate() {
        let (false, Some(is_theirs)) = (node.is_directory(), counted.get(at)) else { continue };
        let size = match &node.kind {
            NodeKind::File(file) if file.inode.is_none_or(|inode| inodes.insert(inode)) => file.size,
            _ => 0,
        };
        all.add(size);
        if *is_theirs {
            theirs.add(size);
            places.entry(place(name)).or_default().add(size);
        }
    }
    // More than one in a hundred, of names or of bytes.
    if theirs.names * 100 > all.names || theirs.bytes.saturating_mul(100) > all.bytes {
        let message = format!(
            "{} files ({}) of the base belong to no package: say what becomes of them",
            theirs.names,
            bytes(theirs.bytes)
        );
        let share = |part: u64, whole: u64| part.saturating_mul(1000).checked_div(whole).unwrap_or(0) as f64 / 10.0;
        let mut one = Diagnostic::new(codes::E0613, message)
            .at(input.spec.files.span.unwrap_or(input.spec.image.span), "no unowned line")
            .note(format!(
                "that is {:.1} % of its files and {:.1} % of its bytes",
                share(theirs.names, all.names),
                share(theirs.bytes, all.bytes)
            ));
        let mut largest: Vec<(&ImagePath, &Share)> = places.iter().collect();
        largest.sort_by_key(|(path, share)| (std::cmp::Reverse((share.bytes, share.names)), *path));
        for (path, share) in largest.iter().take(8) {
            one = one.note(format!(
                "{path}: {} file{}, {}",
                share.names,
                if share.names == 1 { "" } else { "s" },
                bytes(share.bytes)
            ));
        }
        out.push(one.help("files { unowned \"keep\" } and remove the directories that you do not want"));
    }
    Reason::fact("it belongs to no package, and such files are less than 1 % of the base")
}

#[derive(Default)]
struct Share {
    names: u64,
    bytes: u64,
}

impl Share {
    fn add(&mut self, bytes: u64) {
        self.names = self.names.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The directory under which a file is counted: two or three levels deep.
fn place(name: &ImagePath) -> ImagePath {
    let depth = if name.as_bytes().starts_with(b"/usr/") || name.as_bytes().starts_with(b"/var/") { 3 } else { 2 };
    let parent = name.parent().unwrap_or_else(ImagePath::root);
    let parts: Vec<&[u8]> = parent.components().take(depth).collect();
    ImagePath::parse(&parts.join(&b'/')).unwrap_or(parent.clone())
}

/// A size for people.
fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}
