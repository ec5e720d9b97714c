//! Relations between packages: `a (>= 1) | b:any [amd64] <!nocheck>, c` (deb-control(5)).

use super::version::{Version, VersionError};
use crate::line::shown;
use std::cmp::Ordering;

/// Groups that must all hold; in a group one alternative is enough.
pub type Relations = Vec<Vec<Relation>>;

/// One package that is asked for, or provided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Name of the package.
    pub name: String,
    /// What stands after `name:`, for instance `any`.
    pub qualifier: Option<String>,
    /// The versions that do.
    pub version: Option<(Op, Version)>,
    /// `[amd64 !i386]`: architecture, and true where it is negated.
    pub architectures: Vec<(bool, String)>,
    /// `<a !b> <c>`: each restriction list, with true where a profile is negated.
    pub profiles: Vec<Vec<(bool, String)>>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<<`
    Earlier,
    /// `<=`, and the obsolete `<`
    EarlierOrEqual,
    /// `=`
    Exactly,
    /// `>=`, and the obsolete `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Op {
    /// As it is written in a control file.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Earlier => "<<",
            Op::EarlierOrEqual => "<=",
            Op::Exactly => "=",
            Op::LaterOrEqual => ">=",
            Op::Later => ">>",
        }
    }

    /// True when `have OP want` holds.
    pub fn holds(self, have: &Version, want: &Version) -> bool {
        let order = have.cmp(want);
        match self {
            Op::Earlier => order == Ordering::Less,
            Op::EarlierOrEqual => order != Ordering::Greater,
            Op::Exactly => order == Ordering::Equal,
            Op::LaterOrEqual => order != Ordering::Less,
            Op::Later => order == Ordering::Greater,
        }
    }
}

/// What is wrong with a relation field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// The value is not UTF-8.
    #[error("the relations are not text")]
    NotText,
    /// A package name that is none.
    #[error("\"{0}\" is not the name of a package")]
    Name(String),
    /// A bracket that is not closed, or text after one.
    #[error("cannot read the relation \"{0}\"")]
    Syntax(String),
    /// An unknown comparison.
    #[error("\"{0}\" is not a comparison of versions")]
    Operator(String),
    /// A bad version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((op, version)) = &self.version {
            write!(f, " ({} {version})", op.as_str())?;
        }
        Ok(())
    }
}

/// Reads the value of a relation field. Empty groups (a comma at the end) are passed over.
///
/// # Errors
/// See [`RelationError`].
pub fn relations(value: &[u8]) -> Result<Relations, RelationError> {
    let text = std::str::from_utf8(value).map_err(|_| RelationError::NotText)?;
    let mut all = Vec::new();
    for group in text.split(',').filter(|g| !g.trim().is_empty()) {
        all.push(group.split('|').map(relation).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(all)
}

/// True for a name that dpkg accepts.
pub fn is_package_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-+._".contains(&b);
    name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && name.bytes().all(good)
}

fn relation(text: &str) -> Result<Relation, RelationError> {
    let text = text.trim();
    let syntax = || RelationError::Syntax(shown(text.as_bytes()));
    let end = text.find(|c: char| c.is_ascii_whitespace() || "([<".contains(c)).unwrap_or(text.len());
    let (full_name, mut rest) = text.split_at(end);
    let (name, qualifier) = match full_name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (full_name, None),
    };
    for part in std::iter::once(name).chain(qualifier) {
        if !is_package_name(part) {
            return Err(RelationError::Name(shown(full_name.as_bytes())));
        }
    }
    let mut out = Relation {
        name: name.into(),
        qualifier: qualifier.map(Into::into),
        version: None,
        architectures: Vec::new(),
        profiles: Vec::new(),
    };
    loop {
        rest = rest.trim_start();
        let Some(open) = rest.chars().next() else {
            return Ok(out);
        };
        let close = match open {
            '(' if out.version.is_none() => ')',
            '[' => ']',
            '<' => '>',
            _ => return Err(syntax()),
        };
        let (inside, after) = rest.get(1..).and_then(|r| r.split_once(close)).ok_or_else(syntax)?;
        rest = after;
        match open {
            '(' => out.version = Some(restriction(inside)?),
            '[' => out.architectures.extend(words(inside)),
            _ => out.profiles.push(words(inside)),
        }
    }
}

fn restriction(text: &str) -> Result<(Op, Version), RelationError> {
    let text = text.trim();
    let end = text.find(|c: char| !"<>=".contains(c)).unwrap_or(text.len());
    let (op, version) = text.split_at(end);
    let op = match op {
        "<<" => Op::Earlier,
        "<=" | "<" => Op::EarlierOrEqual,
        // dpkg reads a lone version as "exactly".
        "=" | "" => Op::Exactly,
        ">=" | ">" => Op::LaterOrEqual,
        ">>" => Op::Later,
        _ => return Err(RelationError::Operator(shown(op.as_bytes()))),
    };
    Ok((op, Version::parse(version)?))
}

fn words(text: &str) -> Vec<(bool, String)> {
    text.split_ascii_whitespace()
        .map(|word| match word.strip_prefix('!') {
            Some(word) => (true, word.to_string()),
            None => (false, word.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn everything_that_a_relation_can_have() {
        let all = relations(b"a (>= 1:2-3) | b:any [amd64 !i386] <!nocheck> <x y>,\n c(<<2),").unwrap();
        assert_eq!(all.len(), 2);
        let (a, b, c) = (&all[0][0], &all[0][1], &all[1][0]);
        assert_eq!(a.version.as_ref().unwrap().0, Op::LaterOrEqual);
        assert_eq!(a.to_string(), "a (>= 1:2-3)");
        assert_eq!(b.qualifier.as_deref(), Some("any"));
        assert_eq!(b.architectures, [(false, "amd64".into()), (true, "i386".into())]);
        assert_eq!(b.profiles, [vec![(true, "nocheck".into())], vec![(false, "x".into()), (false, "y".into())]]);
        assert_eq!(c.to_string(), "c (<< 2)");
    }

    #[test]
    fn operators_hold_as_they_say() {
        let v = |s| Version::parse(s).unwrap();
        for (op, expected) in [
            (Op::Earlier, [true, false, false]),
            (Op::EarlierOrEqual, [true, true, false]),
            (Op::Exactly, [false, true, false]),
            (Op::LaterOrEqual, [false, true, true]),
            (Op::Later, [false, false, true]),
        ] {
            assert_eq!(["1", "2", "3"].map(|have| op.holds(&v(have), &v("2"))), expected, "{op:?}");
        }
    }

    #[test]
    fn broken_relations_are_errors() {
        for bad in [
            "a (>= 1",
            "a )",
            "a b",
            "(>= 1)",
            "a || b",
            "a (~ 1)",
            "a (>= )",
            "a (>= 1) (<< 2)",
            "a:",
            "ä",
            "a (=> 1)",
            "a <x",
        ] {
            assert!(relations(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(relations(b"\xff").unwrap_err(), RelationError::NotText);
        assert!(relations(b"").unwrap().is_empty());
    }
}
