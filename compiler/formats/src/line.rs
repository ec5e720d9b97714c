//! Lines of a text file, each with its number and its bytes, so that an error can say where.

use std::ops::Range;

/// A place in a text file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line number, from 1.
    pub line: usize,
    /// Bytes of the file, from 0.
    pub bytes: Range<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)
    }
}

/// One line, without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Line number, from 1.
    pub number: usize,
    /// Offset of the first byte in the file.
    pub start: usize,
    /// The bytes without `\n`; a `\r` before it is still there.
    pub text: &'a [u8],
    /// Offset just past the newline, or the end of the file.
    pub end: usize,
}

impl Line<'_> {
    /// Where the line is, its newline left out.
    pub fn place(&self) -> Place {
        Place { line: self.number, bytes: self.start..self.start + self.text.len() }
    }
}

/// The lines of `bytes`; a last line without a newline counts, an empty rest does not.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut number = 0;
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|b| *b == b'\n');
        let text = &rest[..length.unwrap_or(rest.len())];
        let end = start + length.map_or(rest.len(), |n| n + 1);
        number += 1;
        let line = Line { number, start, text, end };
        start = end;
        Some(line)
    })
}

/// `bytes` without the lines that `keep` refuses; the others byte for byte.
pub fn filter_lines(bytes: &[u8], mut keep: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in lines(bytes) {
        if keep(line.text) {
            out.extend_from_slice(&bytes[line.start..line.end]);
        }
    }
    out
}

/// Bytes of a file as text for a message: unprintable ones as escapes, long ones cut.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(200)];
    let mut text = String::new();
    for chunk in cut.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for b in chunk.invalid() {
            text.push_str(&format!("\\x{b:02x}"));
        }
    }
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_line_without_newline_counts() {
        let all: Vec<_> = lines(b"a\n\nbc").map(|l| (l.number, l.start, l.text, l.end)).collect();
        assert_eq!(all, [(1, 0, &b"a"[..], 2), (2, 2, b"", 3), (3, 3, b"bc", 5)]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(lines(b"\n").count(), 1);
    }

    #[test]
    fn filtering_keeps_the_other_lines_byte_for_byte() {
        assert_eq!(filter_lines(b"a\r\nb\nc", |l| l != b"b"), b"a\r\nc");
    }

    #[test]
    fn shown_escapes_what_a_terminal_would_obey() {
        assert_eq!(shown(b"a\x1b[2J\xff\n"), "a\\u{1b}[2J\\xff\\n");
        assert_eq!(shown(&[b'x'; 300]).chars().count(), 201);
    }
}
