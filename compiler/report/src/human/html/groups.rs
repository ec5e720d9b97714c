//! Where the bytes are: a base and its image by directory and by package, in at most some dozens of groups.

use std::collections::{BTreeMap, BTreeSet};

use diag::text::printable_bytes;
use plan::decide::keep::owned;
use plan::kept::Content;
use plan::path::ImagePath;
use plan::tree::{Node, NodeKind};

use crate::Part;

/// Groups that a picture holds besides the rest.
const MOST: usize = 36;

/// A directory of more than one part in so many is opened.
const LARGEST: u64 = 25;
/// A group of less than one part in so many is too small to be seen.
const SMALLEST: u64 = 200;

/// Bytes of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    /// In the base.
    pub before: u64,
    /// Of the base, still there.
    pub kept: u64,
    /// In the image and not the base's: copied, rewritten, ours.
    pub written: u64,
}

impl Bytes {
    /// In the image.
    pub fn after(self) -> u64 {
        self.kept.saturating_add(self.written)
    }

    fn add(&mut self, other: Bytes) {
        self.before = self.before.saturating_add(other.before);
        self.kept = self.kept.saturating_add(other.kept);
        self.written = self.written.saturating_add(other.written);
    }
}

/// A group and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// As it is shown, not escaped.
    pub name: String,
    pub bytes: Bytes,
}

/// Every path with bytes, base and image together, a hard-linked file once.
struct Paths<'a>(BTreeMap<&'a ImagePath, Bytes>);

impl<'a> Paths<'a> {
    fn of(part: &Part<'a>) -> Self {
        let mut all: BTreeMap<&ImagePath, Bytes> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (path, node) in &part.facts.tree.nodes {
            if let Some(size) = size(node, &mut seen) {
                all.entry(path).or_default().before = size;
            }
        }
        seen.clear();
        for (path, entry) in &part.image.kept.entries {
            let from_base = entry.content == Content::Base;
            // Only names of the base may share an inode.
            let size = if from_base { size(&entry.node, &mut seen) } else { Some(entry.node.size()) };
            if let Some(size) = size.filter(|size| *size > 0) {
                let bytes = all.entry(path).or_default();
                if from_base { bytes.kept = size } else { bytes.written = size }
            }
        }
        Self(all)
    }
}

fn size(node: &Node, seen: &mut BTreeSet<u32>) -> Option<u64> {
    let NodeKind::File(file) = &node.kind else { return None };
    let first = file.inode.is_none_or(|inode| seen.insert(inode));
    (first && file.size > 0).then_some(file.size)
}

/// By directory: large ones are opened where most of what is in them can be seen.
pub(super) fn by_directory(part: &Part<'_>) -> Vec<Group> {
    let paths = Paths::of(part);
    let mut sums: BTreeMap<&[u8], Bytes> = BTreeMap::new();
    let mut children: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
    for (path, bytes) in &paths.0 {
        let path = path.as_bytes();
        let mut child = path;
        sums.entry(path).or_default().add(*bytes);
        while let Some(end) = child.iter().rposition(|byte| *byte == b'/') {
            let parent = if end == 0 { &path[..1] } else { &path[..end] };
            if parent == child {
                break;
            }
            sums.entry(parent).or_default().add(*bytes);
            children.entry(parent).or_default().insert(child);
            child = parent;
        }
    }
    let root: &[u8] = b"/";
    let weight = |path: &&[u8]| sums.get(path).map_or(0, |bytes| bytes.before.max(bytes.after()));
    let total = weight(&root);
    let mut shown: BTreeSet<&[u8]> = BTreeSet::from([root]);
    let visible = |path: &&[u8]| weight(path).saturating_mul(SMALLEST) >= total;
    for _ in 0..MOST {
        let room = MOST.saturating_sub(shown.iter().filter(|path| visible(path)).count());
        let worth = |path: &&&[u8]| {
            let inner: Vec<u64> =
                children.get(**path).into_iter().flatten().filter(|path| visible(path)).map(weight).collect();
            // What cannot be seen of it is lost among the others: a fifth may be.
            let told = inner.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
            weight(path).saturating_mul(LARGEST) > total
                && told.saturating_mul(5) > weight(path).saturating_mul(4)
                && inner.len() <= room + 1
        };
        let Some(next) = shown.iter().filter(worth).max_by_key(|path| (weight(path), *path)).copied() else { break };
        shown.remove(next);
        shown.extend(children.get(next).into_iter().flatten());
    }
    let groups = shown.iter().filter_map(|path| {
        let name = printable_bytes(path);
        let name = if children.contains_key(*path) && *path != root { format!("{name}/") } else { name };
        Some(Group { name, bytes: *sums.get(path)? })
    });
    fewest(groups.collect(), "other paths")
}

/// By package: a file that several own counts for the first of them.
pub(super) fn by_package(part: &Part<'_>) -> Vec<Group> {
    let paths = Paths::of(part);
    let owned = owned(part.facts);
    let packages = &part.facts.packages.packages;
    let mut sums: BTreeMap<String, Bytes> = BTreeMap::new();
    for (path, bytes) in &paths.0 {
        let owner = owned.get(path).and_then(|owners| packages.get(*owners.first()?));
        let name = match owner {
            Some(package) => diag::text::printable(&package.name),
            None if bytes.before == 0 => "written by the build".to_owned(),
            None => "no package".to_owned(),
        };
        sums.entry(name).or_default().add(*bytes);
    }
    fewest(sums.into_iter().map(|(name, bytes)| Group { name, bytes }).collect(), "other packages")
}

/// The largest groups, and the rest as one; largest first.
fn fewest(mut groups: Vec<Group>, rest: &str) -> Vec<Group> {
    groups.retain(|group| group.bytes != Bytes::default());
    let key = |group: &Group| group.bytes.before.max(group.bytes.after());
    groups.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
    let total = groups.iter().map(&key).fold(0_u64, u64::saturating_add);
    let large = groups.iter().take_while(|group| key(group).saturating_mul(SMALLEST) >= total).count().min(MOST);
    // A single one may as well have its name.
    if groups.len() > large + 1 {
        let mut bytes = Bytes::default();
        let tail = groups.split_off(large);
        tail.iter().for_each(|group| bytes.add(group.bytes));
        groups.push(Group { name: format!("{} {rest}", tail.len()), bytes });
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_in_the_rest() {
        let group =
            |n: u64| Group { name: format!("p{n}"), bytes: Bytes { before: n * 1000, kept: n * 500, written: n % 2 } };
        let all: Vec<Group> = (0..200).map(group).collect();
        let sum = |groups: &[Group]| {
            let mut sum = Bytes::default();
            groups.iter().for_each(|group| sum.add(group.bytes));
            sum
        };
        let few = fewest(all.clone(), "others");
        assert_eq!(sum(&few), sum(&all));
        assert_eq!(few.len(), MOST + 1);
        assert_eq!(few.last().map(|rest| rest.name.as_str()), Some("163 others"), "one of nothing is no group");
        assert!(few[..MOST].windows(2).all(|two| two[0].bytes.before >= two[1].bytes.before));
        assert_eq!(fewest(vec![group(1), group(2)], "others").len(), 2);
    }
}
