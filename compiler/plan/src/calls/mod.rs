//! System calls by name and number, and named groups of them.
//!
//! The tables are data in `stdlib/syscalls`, embedded when this crate is
//! compiled: `tables.txt` comes from the kernel's headers, `groups.txt` is
//! written by hand. Numbers differ between architectures, and many old calls
//! exist on x86_64 alone, so everything that leaves this compiler goes through
//! [`number`] for the architecture at hand.

pub mod errno;
pub mod groups;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::platform::Arch;

const TABLE: &str = include_str!("../../../../stdlib/syscalls/tables.txt");

/// Both directions of `tables.txt`, one pair of maps for each architecture.
struct Tables {
    names: BTreeMap<&'static str, [Option<u32>; 2]>,
    numbers: [BTreeMap<u32, &'static str>; 2],
}

fn column(arch: Arch) -> usize {
    match arch {
        Arch::X86_64 => 0,
        Arch::Aarch64 => 1,
    }
}

/// One line of the table: the name and a number, or none, for each column.
fn line(text: &'static str) -> Option<(&'static str, [Option<u32>; 2])> {
    let mut words = text.split_ascii_whitespace();
    let name = words.next()?;
    let mut cell = || match words.next()? {
        "-" => Some(None),
        digits => digits.parse().ok().map(Some),
    };
    Some((name, [cell()?, cell()?]))
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let mut read = Tables { names: BTreeMap::new(), numbers: [BTreeMap::new(), BTreeMap::new()] };
        let lines = TABLE.lines().filter(|text| !text.starts_with('#'));
        for (name, cells) in lines.filter_map(line) {
            read.names.insert(name, cells);
            for (numbers, cell) in read.numbers.iter_mut().zip(cells) {
                if let Some(number) = cell {
                    numbers.insert(number, name);
                }
            }
        }
        read
    })
}

/// The number of the call `name` on `arch`; none when the call does not exist there.
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    tables().names.get(name)?[column(arch)]
}

/// The name of call `number` on `arch`, without the x32 bit.
pub fn name(arch: Arch, number: u32) -> Option<&'static str> {
    tables().numbers[column(arch)].get(&number).copied()
}

/// Every call of `arch` in the order of its number.
pub fn all(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    tables().numbers[column(arch)].iter().map(|(number, name)| (*name, *number))
}

/// Whether any architecture has a call of this name.
pub fn known(name: &str) -> bool {
    tables().names.contains_key(name)
}

/// The table's own spelling of `name`, when there is such a call.
pub fn interned(name: &str) -> Option<&'static str> {
    tables().names.get_key_value(name).map(|(name, _)| *name)
}

/// The call whose name is most like `name`, for "did you mean"; none when no
/// name is near enough to be meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    closest(name, tables().names.keys().copied())
}

/// The candidate with the smallest edit distance, at most a third of the word.
fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no syscall misspelt, and the distance costs length squared.
    if word.len() > 64 {
        return None;
    }
    let length = word.chars().count();
    let limit = (length / 3).max(1);
    candidates
        .filter(|candidate| candidate.len().abs_diff(length) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(steps, _)| *steps <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &from) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (col, &to) in right.iter().enumerate() {
            let mut best = (above[col] + usize::from(from != to)).min(above[col + 1] + 1).min(current[col] + 1);
            let swapped = row > 0 && col > 0 && left[row - 1] == to && right[col - 1] == from;
            if swapped {
                best = best.min(before[col - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines: Vec<_> = TABLE.lines().filter(|text| !text.starts_with('#')).collect();
        for text in &lines {
            let (name, cells) = line(text).unwrap_or_else(|| panic!("not read: {text:?}"));
            assert!(cells.iter().any(Option::is_some), "{name} has no number");
            for (arch, cell) in ARCHES.into_iter().zip(cells) {
                assert_eq!(number(arch, name), cell);
            }
        }
        assert_eq!(tables().names.len(), lines.len(), "a name stands twice");
        assert!(lines.is_sorted());
    }

    #[test]
    fn names_and_numbers_are_inverse() {
        for arch in ARCHES {
            let mut last = None;
            for (call, at) in all(arch) {
                assert_eq!(number(arch, call), Some(at));
                assert_eq!(name(arch, at), Some(call));
                assert!(last < Some(at));
                last = Some(at);
            }
        }
    }

    #[test]
    fn known_numbers() {
        assert_eq!(number(Arch::X86_64, "execve"), Some(59));
        assert_eq!(number(Arch::Aarch64, "execve"), Some(221));
        assert_eq!(number(Arch::X86_64, "open"), Some(2));
        assert_eq!(number(Arch::Aarch64, "open"), None);
        assert_eq!(number(Arch::Aarch64, "fchmodat2"), Some(452));
        assert_eq!(name(Arch::X86_64, 57), Some("fork"));
        assert!(known("fork") && !known("frok"));
    }

    /// The second opinion: the C headers of this machine, where it has them.
    #[test]
    fn numbers_are_the_ones_of_the_kernel() {
        let headers = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
        let Ok(text) = std::fs::read_to_string(headers) else {
            eprintln!("skipped: no kernel headers on this machine (Debian: linux-libc-dev)");
            return;
        };
        let mut seen = 0;
        for rest in text.lines().filter_map(|line| line.strip_prefix("#define __NR_")) {
            let (call, digits) = rest.split_once(' ').unwrap();
            assert_eq!(number(Arch::X86_64, call), Some(digits.trim().parse().unwrap()), "{call}");
            seen += 1;
        }
        assert!(seen > 300);
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(nearest("faccesat"), Some("faccessat"));
        assert_eq!(nearest("frok"), Some("fork"));
        assert_eq!(nearest("clonee3"), Some("clone3"));
        assert_eq!(nearest("opneat"), Some("openat"));
        assert_eq!(nearest("quite_another_word"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"x".repeat(100_000)), None);
    }
}
