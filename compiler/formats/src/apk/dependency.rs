//! What packages need and provide: `musl>=1.2`, `so:libz.so.1`, `!broken`, `cmd:sh=1.36.1-r29`.

use std::cmp::Ordering;

use super::version::{is_version, order, same_prefix};
use crate::line::shown;

/// How a version must stand to another; several at once (`>=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Op {
    /// `<`
    pub less: bool,
    /// `=`
    pub equal: bool,
    /// `>`
    pub greater: bool,
    /// `~`: equal in the pieces that are said.
    pub fuzzy: bool,
}

impl Op {
    /// Whether `have` meets this with `want`.
    pub fn holds(self, have: &str, want: &str) -> bool {
        if self.fuzzy && same_prefix(have.as_bytes(), want.as_bytes()) {
            return true;
        }
        match order(have.as_bytes(), want.as_bytes()) {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal || self.fuzzy,
            Ordering::Greater => self.greater,
        }
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signs = [(self.greater, ">"), (self.less, "<"), (self.fuzzy, "~"), (self.equal, "=")];
        signs.iter().filter(|(there, _)| *there).try_for_each(|(_, sign)| f.write_str(sign))
    }
}

/// One dependency, or a line of `world`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// `!`: must not be there.
    pub conflict: bool,
    /// Package, or a name that packages provide.
    pub name: String,
    /// Which versions; `><` with a checksum instead of a version binds to one build.
    pub version: Option<(Op, String)>,
    /// `@edge`: from which repository.
    pub tag: Option<String>,
}

impl Atom {
    /// Whether this is a package or provided name of this version; `None`: a name provided without version, which
    /// meets only what asks for none.
    pub fn met_by(&self, version: Option<&str>) -> bool {
        match (&self.version, version) {
            (None, _) => true,
            // Bound to one build: that it is installed under this name has to be enough.
            (Some((op, _)), Some(_)) if op.less && op.greater => true,
            (Some((op, want)), Some(have)) => op.holds(have, want),
            (Some(_), None) => false,
        }
    }
}

/// A name that a package provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provide {
    /// `so:libz.so.1`, `cmd:sh`, `/bin/sh`, `pc:zlib`.
    pub name: String,
    /// With a version it is as good as the package; without, it only meets what asks for no version.
    pub version: Option<String>,
}

/// Reads one dependency.
///
/// # Errors
/// The text, safe to print, when it is none.
pub fn atom(text: &[u8]) -> Result<Atom, String> {
    let bad = || shown(text);
    let (conflict, rest) = match text.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = std::str::from_utf8(rest).map_err(|_| bad())?;
    let end = rest.find(['<', '>', '=', '~', '@']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let (tag, rest) = match rest.strip_prefix('@') {
        Some(rest) => {
            let end = rest.find(['<', '>', '=', '~']).unwrap_or(rest.len());
            let (tag, rest) = rest.split_at(end);
            (Some(tag.to_string()).filter(|tag| !tag.is_empty()), rest)
        }
        None => (None, rest),
    };
    let end = rest.find(|c| !matches!(c, '<' | '>' | '=' | '~')).unwrap_or(rest.len());
    let (signs, version) = rest.split_at(end);
    let control = |text: &str| text.chars().any(char::is_control);
    if name.is_empty() || control(name) || control(version) {
        return Err(bad());
    }
    let version = match (signs, version) {
        ("", "") => None,
        (_, "") => return Err(bad()),
        (signs, version) => {
            let has = |sign| signs.contains(sign);
            let op = Op { less: has('<'), equal: has('='), greater: has('>'), fuzzy: has('~') };
            if !(op.less && op.greater || is_version(version.as_bytes())) {
                return Err(bad());
            }
            Some((op, version.to_string()))
        }
    };
    Ok(Atom { conflict, name: name.to_string(), version, tag })
}

/// Reads dependencies with blanks between them.
///
/// # Errors
/// The first that is none.
pub fn atoms(text: &[u8]) -> Result<Vec<Atom>, String> {
    words(text).map(atom).collect()
}

/// Reads provided names with blanks between them.
///
/// # Errors
/// The first that is none.
pub fn provides(text: &[u8]) -> Result<Vec<Provide>, String> {
    let one = |word| {
        let Atom { name, version, .. } = atom(word)?;
        Ok(Provide { name, version: version.map(|(_, version)| version) })
    };
    words(text).map(one).collect()
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dependencies_are_read() {
        let all =
            atoms(b"musl>=1.2.3_git20230424 so:libc.musl-x86_64.so.1  !uclibc a@edge=1.0-r0 b~1.2 c><Q1abc=").unwrap();
        assert_eq!(all[0].version.as_ref().unwrap().0.to_string(), ">=");
        assert!(all[0].met_by(Some("1.2.5-r0")) && !all[0].met_by(Some("1.1")) && !all[0].met_by(None));
        assert_eq!((all[1].name.as_str(), &all[1].version), ("so:libc.musl-x86_64.so.1", &None));
        assert!(all[2].conflict && all[1].met_by(None));
        assert_eq!((all[3].tag.as_deref(), all[3].met_by(Some("1.0-r0"))), (Some("edge"), true));
        assert!(all[4].met_by(Some("1.2.9-r1")) && !all[4].met_by(Some("1.3")));
        assert!(all[5].met_by(Some("7")));
    }

    #[test]
    fn broken_ones_are_named() {
        for bad in [&b"="[..], b"!", b"a>=", b"a=x", b"\xff", b"a\x1b"] {
            assert!(atom(bad).is_err(), "{bad:?}");
        }
        assert_eq!(atom(b"a=\x1b[2J").unwrap_err(), "a=\\u{1b}[2J");
        let all = provides(b"/bin/sh cmd:sh=1.36.1-r29").unwrap();
        assert_eq!(
            (all[0].name.as_str(), all[0].version.is_none(), all[1].version.as_deref()),
            ("/bin/sh", true, Some("1.36.1-r29"))
        );
    }
}
