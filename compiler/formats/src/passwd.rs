//! Account files: passwd(5), group(5), shadow(5), gshadow(5), subuid(5), subgid(5).
//!
//! Every line keeps its place; an edit takes lines out, replaces or appends them and leaves all
//! else byte for byte. Broken lines are collected, not fatal here: what they mean is for the
//! caller to say.

use crate::line::{Line, Place, lines, shown};
use std::collections::BTreeMap;

/// A user of passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Second field: `x` where the hash is in shadow.
    pub password: Vec<u8>,
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Full name and such.
    pub gecos: Vec<u8>,
    /// Home directory.
    pub home: Vec<u8>,
    /// Login shell; empty means /bin/sh.
    pub shell: Vec<u8>,
}

/// A group of group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Second field.
    pub password: Vec<u8>,
    /// Group id.
    pub gid: u32,
    /// Supplementary members.
    pub members: Vec<String>,
}

/// A line of shadow: only the name and the hash matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// Login name.
    pub name: String,
    /// Second field: the hash, `*` or `!` when locked, empty for no password at all.
    pub hash: Vec<u8>,
}

/// A line of gshadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupShadow {
    /// Name of the group.
    pub name: String,
    /// Second field.
    pub hash: Vec<u8>,
    /// Who may change it.
    pub administrators: Vec<String>,
    /// Members, as in group.
    pub members: Vec<String>,
}

/// A line of subuid or subgid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubIds {
    /// Login name, or a uid in digits.
    pub owner: String,
    /// First id of the range.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// One line of an account file that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// Line number, from 1.
    pub line: usize,
    /// What it says.
    pub value: T,
}

/// An account file as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<T> {
    /// The records in the order of the file; a name may stand twice, the first one is used by
    /// the C library.
    pub entries: Vec<Entry<T>>,
    /// Lines that start with `+` or `-`: NIS.
    pub nis: Vec<usize>,
    /// Lines that are neither record, nor comment, nor NIS, nor blank.
    pub broken: Vec<Error>,
}

/// A line that is not what its file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Error {
    /// Line and bytes in the file.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// The ways in which a line can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Another number of fields.
    #[error("expected {expected} fields separated by \":\", found {found}")]
    Fields {
        /// As the manual page says.
        expected: usize,
        /// As counted.
        found: usize,
    },
    /// The name is empty or not printable text.
    #[error("\"{0}\" is not a name")]
    Name(String),
    /// Not a number below 2³²−1 (the last one means "no id" to the kernel).
    #[error("\"{0}\" is not an id (0 to 4294967294)")]
    Id(String),
    /// A NUL byte or a carriage return.
    #[error("a control character in the line")]
    Control,
}

/// Reads passwd.
pub fn users(bytes: &[u8]) -> File<User> {
    read(bytes, 7, |f| {
        Ok(User {
            name: name(f[0])?,
            password: f[1].into(),
            uid: id(f[2])?,
            gid: id(f[3])?,
            gecos: f[4].into(),
            home: f[5].into(),
            shell: f[6].into(),
        })
    })
}

/// Reads group.
pub fn groups(bytes: &[u8]) -> File<Group> {
    read(bytes, 4, |f| Ok(Group { name: name(f[0])?, password: f[1].into(), gid: id(f[2])?, members: names(f[3])? }))
}

/// Reads shadow.
pub fn shadow(bytes: &[u8]) -> File<Shadow> {
    read(bytes, 9, |f| Ok(Shadow { name: name(f[0])?, hash: f[1].into() }))
}

/// Reads gshadow.
pub fn group_shadow(bytes: &[u8]) -> File<GroupShadow> {
    read(bytes, 4, |f| {
        Ok(GroupShadow { name: name(f[0])?, hash: f[1].into(), administrators: names(f[2])?, members: names(f[3])? })
    })
}

/// Reads subuid or subgid.
pub fn sub_ids(bytes: &[u8]) -> File<SubIds> {
    read(bytes, 3, |f| Ok(SubIds { owner: name(f[0])?, start: id(f[1])?, count: id(f[2])? }))
}

/// The name that a line starts with, for files that are edited without being understood.
pub fn line_name(line: &[u8]) -> &[u8] {
    line.split(|b| *b == b':').next().unwrap_or_default()
}

fn read<T>(bytes: &[u8], fields: usize, record: impl Fn(&[&[u8]]) -> Result<T, Problem>) -> File<T> {
    let mut out = File { entries: Vec::new(), nis: Vec::new(), broken: Vec::new() };
    for line in lines(bytes) {
        match line.text.first() {
            None | Some(b'#') => {}
            Some(b'+' | b'-') => out.nis.push(line.number),
            Some(_) => match one(&line, fields, &record) {
                Ok(value) => out.entries.push(Entry { line: line.number, value }),
                Err(problem) => out.broken.push(Error { place: line.place(), problem }),
            },
        }
    }
    out
}

fn one<T>(line: &Line<'_>, fields: usize, record: &impl Fn(&[&[u8]]) -> Result<T, Problem>) -> Result<T, Problem> {
    if line.text.iter().any(u8::is_ascii_control) {
        return Err(Problem::Control);
    }
    let parts: Vec<&[u8]> = line.text.split(|b| *b == b':').take(fields + 1).collect();
    if parts.len() != fields {
        let found = line.text.iter().filter(|b| **b == b':').count() + 1;
        return Err(Problem::Fields { expected: fields, found });
    }
    record(&parts)
}

fn name(bytes: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(bytes).ok().filter(|t| !t.is_empty() && !t.contains(char::is_whitespace));
    text.map(Into::into).ok_or_else(|| Problem::Name(shown(bytes)))
}

fn names(bytes: &[u8]) -> Result<Vec<String>, Problem> {
    // A comma at the end is common and harmless.
    bytes.split(|b| *b == b',').filter(|n| !n.is_empty()).map(name).collect()
}

fn id(bytes: &[u8]) -> Result<u32, Problem> {
    let digits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(bytes).ok().filter(|_| digits);
    text.and_then(|t| t.parse().ok()).filter(|n| *n != u32::MAX).ok_or_else(|| Problem::Id(shown(bytes)))
}

/// Changes to an account file, applied at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// By line number: None takes the line out, a text stands in its place.
    lines: BTreeMap<usize, Option<Vec<u8>>>,
    append: Vec<Vec<u8>>,
}

impl Edit {
    /// Takes a line out.
    pub fn remove(&mut self, line: usize) {
        self.lines.insert(line, None);
    }

    /// Puts another text in the place of a line; `text` has no newline.
    pub fn replace(&mut self, line: usize, text: impl Into<Vec<u8>>) {
        self.lines.insert(line, Some(text.into()));
    }

    /// Adds a line at the end, before NIS lines (after which the C library reads no more locals
    /// reliably); `text` has no newline.
    pub fn append(&mut self, text: impl Into<Vec<u8>>) {
        self.append.push(text.into());
    }

    /// The file after the changes; lines that are not named stay byte for byte.
    pub fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let nis = lines(bytes).find(|l| matches!(l.text.first(), Some(b'+' | b'-'))).map(|l| l.number);
        for line in lines(bytes) {
            if nis == Some(line.number) {
                self.write_appended(&mut out);
            }
            match self.lines.get(&line.number) {
                None => out.extend_from_slice(&bytes[line.start..line.end]),
                Some(None) => {}
                Some(Some(text)) => {
                    out.extend_from_slice(text);
                    out.push(b'\n');
                }
            }
        }
        if nis.is_none() {
            self.write_appended(&mut out);
        }
        out
    }

    fn write_appended(&self, out: &mut Vec<u8>) {
        if !self.append.is_empty() && out.last().is_some_and(|b| *b != b'\n') {
            out.push(b'\n');
        }
        for text in &self.append {
            out.extend_from_slice(text);
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n# note\n\nnobody:x:65534:65534::/:\n+::::::\n";

    #[test]
    fn records_comments_and_nis_lines() {
        let file = users(PASSWD);
        assert_eq!(file.entries.iter().map(|e| (e.line, e.value.uid)).collect::<Vec<_>>(), [(1, 0), (4, 65534)]);
        assert_eq!((file.nis.as_slice(), file.broken.len()), (&[5][..], 0));
        let group = groups(b"adm:*:4:syslog,root,\n");
        assert_eq!(group.entries[0].value.members, ["syslog", "root"]);
        assert_eq!(shadow(b"root:*:1:0:99999:7:::\n").entries[0].value.hash, b"*");
        assert_eq!(group_shadow(b"adm:!::a,b\n").entries[0].value.members, ["a", "b"]);
        assert_eq!(sub_ids(b"a:100000:65536").entries[0].value.count, 65536);
    }

    #[test]
    fn broken_lines_are_named() {
        for (bad, problem) in [
            ("a:x:0:0::/", Problem::Fields { expected: 7, found: 6 }),
            ("a:x:0:0::/:/bin/sh:x:y", Problem::Fields { expected: 7, found: 9 }),
            (":x:0:0::/:", Problem::Name(String::new())),
            ("a b:x:0:0::/:", Problem::Name("a b".into())),
            ("a:x:4294967296:0::/:", Problem::Id("4294967296".into())),
            ("a:x:4294967295:0::/:", Problem::Id("4294967295".into())),
            ("a:x:-1:0::/:", Problem::Id("-1".into())),
            ("a:x:+1:0::/:", Problem::Id("+1".into())),
            ("a:x::0::/:", Problem::Id(String::new())),
            ("a:x:0:0::/:\r", Problem::Control),
            ("a:x:0:0:\0:/:", Problem::Control),
        ] {
            let file = users(format!("root:x:0:0::/:\n{bad}\n").as_bytes());
            assert_eq!(file.broken.len(), 1, "{bad:?}");
            assert_eq!((file.broken[0].place.line, &file.broken[0].problem), (2, &problem), "{bad:?}");
        }
        assert_eq!(users(b"\xff\xfe:x:0:0::/:\n").broken.len(), 1);
    }

    #[test]
    fn a_huge_group_is_read_in_one_pass() {
        let mut text = b"big:x:1:".to_vec();
        for n in 0..200_000 {
            text.extend_from_slice(format!("u{n},").as_bytes());
        }
        assert_eq!(groups(&text).entries[0].value.members.len(), 200_000);
    }

    #[test]
    fn edits_leave_the_other_lines_alone() {
        let mut edit = Edit::default();
        assert_eq!(edit.apply(PASSWD), PASSWD);
        edit.remove(4);
        edit.replace(1, "root:x:0:0::/:");
        edit.append("web:x:20001:20001::/:/x");
        assert_eq!(edit.apply(PASSWD), b"root:x:0:0::/:\n# note\n\nweb:x:20001:20001::/:/x\n+::::::\n");
        let mut edit = Edit::default();
        edit.append("b");
        assert_eq!(edit.apply(b"a"), b"a\nb\n");
        assert_eq!(edit.apply(b""), b"b\n");
    }

    #[test]
    fn this_machines_accounts_are_read() {
        let Ok(bytes) = std::fs::read("/etc/passwd") else {
            println!("skipped: no /etc/passwd here");
            return;
        };
        let file = users(&bytes);
        assert!(file.broken.is_empty() && file.entries.iter().any(|e| e.value.uid == 0));
        assert!(groups(&std::fs::read("/etc/group").unwrap()).broken.is_empty());
    }
}
