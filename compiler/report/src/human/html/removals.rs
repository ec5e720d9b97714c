//! The removed paths as data for the script: reasons once, paths without what they share with the one before.
//!
//! Where a list would be larger than its room, paths are taken together by directory and reason, deeper
//! directories first, until it fits: the page stays small whatever the base was.

use std::collections::{BTreeMap, HashMap};

use diag::text::printable_bytes;
use plan::kept::Removed;
use plan::path::ImagePath;
use serde_json::json;

use super::tables;
use super::text::{Place, reason, script_json};
use crate::Part;
use crate::human::bytes;

/// Components of a path that are still told apart; the last is the last resort.
const DEPTHS: [usize; 7] = [usize::MAX, 8, 6, 4, 3, 2, 1];

/// The list and the table that the script fills.
pub(super) fn section(part: &Part<'_>, room: usize, place: &Place<'_>) -> String {
    let removed = &part.image.kept.removed;
    if removed.is_empty() {
        return "<p class=none>Nothing was removed.</p>\n".to_owned();
    }
    let total = removed.values().fold(0_u64, |sum, one| sum.saturating_add(one.size));
    let reasons = Reasons::of(removed.values(), place);
    // Half of the room for each, as a reason may be as long as a path.
    let told = reasons.within(room / 2);
    let sizes = DEPTHS.iter().map(|depth| (*depth, rows(removed, &reasons, told, *depth)));
    let room = room / 2;
    let Some((depth, rows)) = sizes.into_iter().find(|(depth, rows)| *depth == 1 || rows.len() <= room) else {
        return String::new();
    };
    // One row a directory of the first level and reason may still be too much: the first ones, then.
    let (rows, cut) = within(rows, room);
    let texts: Vec<_> = reasons.all.iter().take(told).collect();
    let data = script_json(&json!({ "reasons": texts, "more": "a reason that report.json tells" }));
    let mut out = format!("<p>{} paths, {} in all.", removed.len(), bytes(total));
    if depth != usize::MAX || cut {
        out.push_str(" Here they are taken together by directory; <code>report.json</code> has each.");
    }
    out.push_str("</p>\n<div class=\"data wide\" data-label=\"removed paths\">");
    tables::head(&mut out, &tables::removed_columns());
    out.push_str(&format!(
        "<tbody></tbody></table><script type=\"application/json\" class=reasons>{data}</script>\
         <script type=\"application/json\" class=rows>[{rows}]</script>\
         <noscript><p class=none>This list needs the page's script; <code>report.json</code> has it too.</p></noscript>\
         </div>\n"
    ));
    out
}

/// Distinct reasons, those of the most paths first.
struct Reasons {
    /// Words and place.
    all: Vec<(String, Option<String>)>,
    numbers: HashMap<(String, Option<String>), usize>,
    /// By the address of the shared chain, as most paths share one.
    known: HashMap<usize, usize>,
}

impl Reasons {
    fn of<'a>(removed: impl Iterator<Item = &'a Removed>, place: &Place<'_>) -> Self {
        let mut counts: BTreeMap<(String, Option<String>), u64> = BTreeMap::new();
        let mut chains: BTreeMap<usize, (String, Option<String>)> = BTreeMap::new();
        for one in removed {
            let address = std::sync::Arc::as_ptr(&one.reason) as usize;
            let words = chains.entry(address).or_insert_with(|| reason(&one.reason, place));
            *counts.entry(words.clone()).or_default() += 1;
        }
        let mut sorted: Vec<_> = counts.into_iter().collect();
        // Stable: equal counts stay in the order of their words.
        sorted.sort_by(|(_, a), (_, b)| b.cmp(a));
        let all: Vec<_> = sorted.into_iter().map(|(words, _)| words).collect();
        let numbers: HashMap<_, _> = all.iter().cloned().enumerate().map(|(n, words)| (words, n)).collect();
        let known = chains.into_iter().filter_map(|(at, words)| Some((at, *numbers.get(&words)?))).collect();
        Self { all, numbers, known }
    }

    /// How many, from the first, take no more than `room` bytes.
    fn within(&self, room: usize) -> usize {
        let mut left = room;
        let fits = self.all.iter().take_while(|(words, at)| {
            let size = words.len() + at.as_ref().map_or(0, String::len) + 12;
            left.checked_sub(size).map(|rest| left = rest).is_some()
        });
        fits.count()
    }

    fn number(&self, removed: &Removed) -> usize {
        let address = std::sync::Arc::as_ptr(&removed.reason) as usize;
        self.known.get(&address).copied().unwrap_or(self.numbers.len())
    }
}

/// `[shared,"rest",bytes,reason]` a path, with a fifth number where a row is several paths; lines joined by `,\n`.
fn rows(removed: &BTreeMap<ImagePath, Removed>, reasons: &Reasons, told: usize, depth: usize) -> String {
    let mut grouped: BTreeMap<(&[u8], usize), (u64, u64)> = BTreeMap::new();
    for (path, one) in removed {
        let key = (above(path.as_bytes(), depth), reasons.number(one).min(told));
        let (paths, bytes) = grouped.entry(key).or_default();
        *paths += 1;
        *bytes = bytes.saturating_add(one.size);
    }
    let mut out = String::new();
    let mut last: Vec<char> = Vec::new();
    for ((path, why), (paths, bytes)) in grouped {
        let shown: Vec<char> = printable_bytes(path).chars().collect();
        let shared = shown.iter().zip(&last).take_while(|(a, b)| a == b).count();
        let rest: String = shown.iter().skip(shared).collect();
        let rest = script_json(&json!(rest));
        // JavaScript counts UTF-16 units.
        let units: usize = shown.iter().take(shared).map(|c| c.len_utf16()).sum();
        if !out.is_empty() {
            out.push_str(",\n");
        }
        out.push_str(&format!("[{units},{rest},{bytes},{why}"));
        if paths > 1 {
            out.push_str(&format!(",{paths}"));
        }
        out.push(']');
        last = shown;
    }
    out
}

/// The first `depth` components of a path.
fn above(path: &[u8], depth: usize) -> &[u8] {
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    match slashes.nth(depth) {
        Some(end) => path.get(..end).unwrap_or(path),
        None => path,
    }
}

/// Whole lines of at most `room` bytes, and whether some were left out.
fn within(rows: String, room: usize) -> (String, bool) {
    if rows.len() <= room {
        return (rows, false);
    }
    let head = rows.as_bytes().get(..room).unwrap_or_default();
    let end = head.windows(2).rposition(|two| two == b",\n").unwrap_or(0);
    (rows.get(..end).unwrap_or_default().to_owned(), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::reason::Reason;

    fn many(count: usize) -> BTreeMap<ImagePath, Removed> {
        let why = Reason::fact("nothing needs it");
        let path = |n: usize| {
            ImagePath::parse(format!("/usr/share/d{}/e{}/file-{n}", n / 1000, n / 10).as_bytes())
                .unwrap_or_else(|_| ImagePath::root())
        };
        (0..count).map(|n| (path(n), Removed { size: 1, reason: std::sync::Arc::clone(&why) })).collect()
    }

    #[test]
    fn paths_are_told_once_or_together() {
        let removed = many(30_000);
        let reasons = Reasons::of(removed.values(), &|_| String::new());
        assert_eq!(reasons.all, [("nothing needs it".to_owned(), None)]);
        let all = rows(&removed, &reasons, 1, usize::MAX);
        assert_eq!(all.lines().count(), 30_000);
        assert!(all.len() < 30_000 * 30, "{}", all.len());
        let fewer = rows(&removed, &reasons, 1, 3);
        assert_eq!(fewer.lines().count(), 30);
        assert!(fewer.starts_with("[0,\"/usr/share/d0\",1000,0,1000]"), "{fewer}");
        assert_eq!(within(fewer.clone(), fewer.len()), (fewer.clone(), false));
        let (cut, was_cut) = within(fewer, 100);
        assert!(was_cut && cut.ends_with(']') && cut.len() < 100);
    }

    #[test]
    fn components() {
        assert_eq!(above(b"/a/b/c", 1), b"/a");
        assert_eq!(above(b"/a/b/c", 3), b"/a/b/c");
        assert_eq!(above(b"/a/b/c", usize::MAX), b"/a/b/c");
    }
}
