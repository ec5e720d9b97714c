//! Debian control data (deb822): stanzas of fields, as `dpkg` writes them into `status`.
//!
//! A stanza keeps its raw bytes, so that what is not touched is written back byte for byte. The
//! reader is as strict as dpkg's own (`lib/dpkg/parse.c`): no comments, no blank-looking lines
//! inside a value, no field twice.

use crate::line::{Place, lines, shown};
use std::ops::Range;

/// What is wrong with control data, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Error {
    /// Line and bytes in the file.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// The ways in which control data can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A line that is neither `Name: value` nor a continuation.
    #[error("expected \"Name: value\", found \"{0}\"")]
    NotAField(String),
    /// A continuation line with no field above it.
    #[error("a continuation line stands before the first field")]
    NoFieldToContinue,
    /// Spaces only: dpkg refuses it, other readers end the stanza there.
    #[error("a line of spaces only; readers disagree on what it means")]
    BlankLooking,
    /// The field stands twice in one stanza.
    #[error("field \"{0}\" stands twice in one stanza")]
    Duplicate(String),
    /// A NUL byte.
    #[error("a NUL byte")]
    Nul,
}

/// One field of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written.
    pub name: &'a str,
    /// The value from after the colon to the end of its last line, outer white space cut; the
    /// newlines and leading spaces of continuation lines are still in it.
    pub value: &'a [u8],
    /// Where the value is.
    pub place: Place,
    /// True when nothing stands on the line of the name (`Conffiles:`).
    pub starts_below: bool,
}

impl<'a> Field<'a> {
    /// The lines after the first, each without its leading white space. A lone `.` stands for an
    /// empty line and is given as it is.
    pub fn continuation(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let skip = usize::from(!self.starts_below);
        self.value.split(|b| *b == b'\n').skip(skip).map(|l| l.trim_ascii()).filter(|l| !l.is_empty())
    }
}

/// One stanza: its fields and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// Line of its first field.
    pub line: usize,
    /// Bytes of the stanza with the newline of its last field, without the blank lines after it.
    pub bytes: Range<usize>,
    /// The same and the blank lines that follow: what goes when the stanza goes.
    pub whole: Range<usize>,
    /// Its fields in the order of the file.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Stanza<'a> {
    /// The field of this name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name))
    }

    /// The value of the field of this name, whatever its case.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.field(name).map(|f| f.value)
    }
}

/// Reads all stanzas of `bytes`. The first mistake ends the reading: a database that is broken
/// in one place cannot be trusted in the others.
///
/// # Errors
/// See [`Problem`].
pub fn stanzas(bytes: &[u8]) -> Result<Vec<Stanza<'_>>, Error> {
    let mut out: Vec<Stanza<'_>> = Vec::new();
    let mut open: Option<Open<'_>> = None;
    for line in lines(bytes) {
        let fail = |problem| Err(Error { place: line.place(), problem });
        if line.text.contains(&0) {
            return fail(Problem::Nul);
        }
        match line.text.first() {
            None => {
                if let Some(stanza) = open.take() {
                    out.push(stanza.close(bytes)?);
                }
                // Blank lines belong to the stanza before them.
                if let Some(last) = out.last_mut() {
                    last.whole.end = line.end;
                }
            }
            Some(_) if line.text.trim_ascii().is_empty() => return fail(Problem::BlankLooking),
            Some(b' ' | b'\t') => match open.as_mut().and_then(|o| o.fields.last_mut()) {
                Some(field) => field.end(line.start + line.text.len(), line.end),
                None => return fail(Problem::NoFieldToContinue),
            },
            Some(_) => {
                let Some(field) = RawField::read(bytes, &line) else {
                    return fail(Problem::NotAField(shown(line.text)));
                };
                open.get_or_insert_with(|| Open { line: line.number, start: line.start, fields: Vec::new() })
                    .fields
                    .push(field);
            }
        }
    }
    if let Some(stanza) = open {
        out.push(stanza.close(bytes)?);
    }
    Ok(out)
}

/// `bytes` without the stanzas that `keep` refuses; everything else byte for byte.
pub fn without(bytes: &[u8], all: &[Stanza<'_>], mut keep: impl FnMut(usize) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for (index, stanza) in all.iter().enumerate() {
        if !keep(index) {
            out.extend_from_slice(bytes.get(from..stanza.whole.start).unwrap_or_default());
            from = stanza.whole.end;
        }
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out
}

/// A stanza that is still being read.
struct Open<'a> {
    line: usize,
    start: usize,
    fields: Vec<RawField<'a>>,
}

/// A field whose last line is not known yet.
struct RawField<'a> {
    name: &'a str,
    line: usize,
    value: Range<usize>,
    end: usize,
    starts_below: bool,
}

impl<'a> RawField<'a> {
    fn read(bytes: &'a [u8], line: &crate::line::Line<'a>) -> Option<RawField<'a>> {
        let colon = line.text.iter().position(|b| *b == b':')?;
        let name = std::str::from_utf8(line.text.get(..colon)?).ok()?.trim_end_matches([' ', '\t']);
        let good = |b: u8| b.is_ascii_graphic();
        if name.is_empty() || !name.bytes().all(good) || name.starts_with(['#', '-']) {
            return None;
        }
        let value = line.start + colon + 1..line.start + line.text.len();
        let starts_below = bytes.get(value.clone())?.trim_ascii().is_empty();
        Some(RawField { name, line: line.number, value, end: line.end, starts_below })
    }

    fn end(&mut self, value: usize, end: usize) {
        self.value.end = value;
        self.end = end;
    }

    fn close(self, bytes: &'a [u8]) -> Field<'a> {
        let value = bytes.get(self.value.clone()).unwrap_or_default();
        let place = Place { line: self.line, bytes: self.value };
        Field { name: self.name, value: value.trim_ascii(), place, starts_below: self.starts_below }
    }
}

impl<'a> Open<'a> {
    fn close(self, bytes: &'a [u8]) -> Result<Stanza<'a>, Error> {
        let end = self.fields.last().map_or(self.start, |f| f.end);
        let range = self.start..end;
        let fields: Vec<Field<'a>> = self.fields.into_iter().map(|f| f.close(bytes)).collect();
        let mut names: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
        for field in &fields {
            if !names.insert(field.name.to_ascii_lowercase()) {
                let problem = Problem::Duplicate(shown(field.name.as_bytes()));
                return Err(Error { place: field.place.clone(), problem });
            }
        }
        Ok(Stanza { line: self.line, bytes: range.clone(), whole: range, fields })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const TWO: &[u8] = b"\n\nPackage: a\nConffiles:\n /etc/a 00\n /etc/b 11\nDescription: first\n second\n .\n\n\nPackage: b\nMulti : x\n";

    #[test]
    fn fields_are_found_whatever_their_case() {
        let all = stanzas(TWO).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].value("PACKAGE"), Some(&b"a"[..]));
        assert_eq!(all[0].line, 3);
        let conffiles: Vec<_> = all[0].field("conffiles").unwrap().continuation().collect();
        assert_eq!(conffiles, [&b"/etc/a 00"[..], b"/etc/b 11"]);
        let description: Vec<_> = all[0].field("Description").unwrap().continuation().collect();
        assert_eq!(description, [&b"second"[..], b"."]);
        assert_eq!(all[1].value("multi"), Some(&b"x"[..]));
    }

    #[test]
    fn what_is_not_removed_stays_byte_for_byte() {
        let all = stanzas(TWO).unwrap();
        assert_eq!(without(TWO, &all, |_| true), TWO);
        assert_eq!(without(TWO, &all, |i| i != 0), b"\n\nPackage: b\nMulti : x\n");
        assert_eq!(without(TWO, &all, |_| false), b"\n\n");
    }

    #[test]
    fn mistakes_have_a_line() {
        let problem = |text: &[u8]| stanzas(text).unwrap_err();
        let twice = problem(b"A: 1\nb: 2\nB: 3\n");
        assert_eq!((twice.place.line, twice.problem), (3, Problem::Duplicate("B".into())));
        assert_eq!(problem(b" x\n").problem, Problem::NoFieldToContinue);
        assert_eq!(problem(b"A: 1\n\n x\n").place.line, 3);
        assert_eq!(problem(b"A: 1\n \nB: 2\n").problem, Problem::BlankLooking);
        assert_eq!(problem(b"A: 1\r\n\r\nB: 2\n").problem, Problem::BlankLooking);
        assert_eq!(problem(b"A: \0\n").problem, Problem::Nul);
        assert!(matches!(problem(b"junk\x1b[m\n").problem, Problem::NotAField(s) if !s.contains('\x1b')));
        assert!(matches!(problem(b"\xff\xfe: 1\n").problem, Problem::NotAField(_)));
        assert!(matches!(problem(b"# comment: 1\n").problem, Problem::NotAField(_)));
    }

    #[test]
    fn values_need_not_be_text() {
        let all = stanzas(b"A: \xff\xfe\r\nB: 2").unwrap();
        assert_eq!(all[0].value("a"), Some(&b"\xff\xfe"[..]));
        assert_eq!(all[0].value("b"), Some(&b"2"[..]));
    }

    #[test]
    fn many_fields_are_not_quadratic() {
        let mut text = Vec::new();
        for n in 0..200_000 {
            text.extend_from_slice(format!("F{n}: x\n").as_bytes());
        }
        assert_eq!(stanzas(&text).unwrap()[0].fields.len(), 200_000);
    }

    #[test]
    fn this_machines_status_goes_through_unchanged() {
        let Ok(status) = std::fs::read("/var/lib/dpkg/status") else {
            println!("skipped: no /var/lib/dpkg/status here");
            return;
        };
        let all = stanzas(&status).unwrap();
        assert!(all.iter().all(|s| s.field("Package").is_some()));
        assert_eq!(without(&status, &all, |_| true), status);
        let rest = without(&status, &all, |i| i % 2 == 0);
        assert_eq!(stanzas(&rest).unwrap().len(), all.len().div_ceil(2));
    }
}
