//! Rich dependencies: `(a or b)`, `(a if b else c)`, `(a >= 1 with a < 2)` (rpm, `docs/manual/boolean_dependencies.md`).

use super::package::{Relation, sense};

/// A dependency with operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rich {
    /// One name.
    One(Relation),
    /// All of them.
    And(Vec<Rich>),
    /// One of them.
    Or(Vec<Rich>),
    /// All of them, met by one package.
    With(Vec<Rich>),
    /// The first, met by a package that does not meet the second.
    Without(Box<Rich>, Box<Rich>),
    /// The first if the second is met, else the third.
    If(Box<Rich>, Box<Rich>, Option<Box<Rich>>),
    /// The first unless the second is met, then the third.
    Unless(Box<Rich>, Box<Rich>, Option<Box<Rich>>),
}

/// A rich dependency that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RichError {
    /// Not of the form.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Parentheses in parentheses, more than anybody writes.
    #[error("it is nested too deeply")]
    Deep,
}

/// Most parentheses in each other.
const DEEPEST: usize = 32;

/// Reads a dependency that begins with a parenthesis.
///
/// # Errors
/// What is not of the form, or nested more than 32 deep.
pub fn rich(text: &str) -> Result<Rich, RichError> {
    let mut rest = text;
    let found = parenthesis(&mut rest, DEEPEST)?;
    match rest.is_empty() {
        true => Ok(found),
        false => Err(RichError::Expected("the end after the last parenthesis")),
    }
}

fn skip(rest: &mut &str) {
    *rest = rest.trim_start_matches([' ', ',', '\t']);
}

fn parenthesis(rest: &mut &str, depth: usize) -> Result<Rich, RichError> {
    let depth = depth.checked_sub(1).ok_or(RichError::Deep)?;
    *rest = rest.strip_prefix('(').ok_or(RichError::Expected("a parenthesis"))?;
    let mut parts = vec![operand(rest, depth)?];
    let mut last = "";
    let mut otherwise = None;
    loop {
        skip(rest);
        if let Some(after) = rest.strip_prefix(')') {
            *rest = after;
            return put(last, parts, otherwise);
        }
        let word = word(rest);
        match (last, word) {
            ("if" | "unless", "else") if otherwise.is_none() => otherwise = Some(Box::new(operand(rest, depth)?)),
            ("", "and" | "or" | "with" | "without" | "if" | "unless") => {
                last = word;
                parts.push(operand(rest, depth)?);
            }
            ("and" | "or" | "with", same) if same == last => parts.push(operand(rest, depth)?),
            _ => return Err(RichError::Expected("the same operator, or the closing parenthesis")),
        }
    }
}

fn put(op: &str, mut parts: Vec<Rich>, otherwise: Option<Box<Rich>>) -> Result<Rich, RichError> {
    match op {
        "and" => return Ok(Rich::And(parts)),
        "or" => return Ok(Rich::Or(parts)),
        "with" => return Ok(Rich::With(parts)),
        _ => {}
    }
    let none = RichError::Expected("two operands");
    let last = parts.pop().ok_or(none)?;
    if op.is_empty() {
        return Ok(last);
    }
    let (first, last) = (Box::new(parts.pop().ok_or(none)?), Box::new(last));
    Ok(match op {
        "without" => Rich::Without(first, last),
        "if" => Rich::If(first, last, otherwise),
        _ => Rich::Unless(first, last, otherwise),
    })
}

fn operand(rest: &mut &str, depth: usize) -> Result<Rich, RichError> {
    skip(rest);
    if rest.starts_with('(') {
        return parenthesis(rest, depth);
    }
    let name = name(rest);
    if name.is_empty() {
        return Err(RichError::Expected("a name"));
    }
    skip(rest);
    let signs = rest.find(|c| !matches!(c, '<' | '>' | '=')).unwrap_or(rest.len());
    let (op, after) = rest.split_at(signs);
    if op.is_empty() {
        return Ok(Rich::One(Relation { name: name.into(), sense: 0, evr: String::new() }));
    }
    *rest = after;
    skip(rest);
    let evr = word(rest);
    if evr.is_empty() {
        return Err(RichError::Expected("a version"));
    }
    let bit = |sign, bit| if op.contains(sign) { bit } else { 0 };
    let sense = bit('<', sense::LESS) | bit('>', sense::GREATER) | bit('=', sense::EQUAL);
    Ok(Rich::One(Relation { name: name.into(), sense, evr: evr.into() }))
}

/// A word that ends before a blank or a parenthesis.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find([' ', ',', '\t', '(', ')']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

/// A name: it can hold parentheses of its own, `libc.so.6(GLIBC_2.4)(64bit)`.
fn name<'a>(rest: &mut &'a str) -> &'a str {
    let mut open = 0_usize;
    let ends = |(_, c): &(usize, char)| match c {
        '(' => {
            open += 1;
            false
        }
        ')' if open == 0 => true,
        ')' => {
            open -= 1;
            false
        }
        ' ' | ',' | '\t' => open == 0,
        _ => false,
    };
    let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
    let (name, after) = rest.split_at(end);
    *rest = after;
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(name: &str) -> Rich {
        Rich::One(Relation { name: name.into(), sense: 0, evr: String::new() })
    }

    #[test]
    fn all_operators_are_read() {
        assert_eq!(rich("(a or b(x)(64bit) or c)").unwrap(), Rich::Or(vec![one("a"), one("b(x)(64bit)"), one("c")]));
        let version =
            Rich::One(Relation { name: "b".into(), sense: sense::GREATER | sense::EQUAL, evr: "1:2-3".into() });
        assert_eq!(
            rich("(a if (b >= 1:2-3) else c)").unwrap(),
            Rich::If(one("a").into(), version.into(), Some(one("c").into()))
        );
        assert_eq!(
            rich("((a and b) without c)").unwrap(),
            Rich::Without(Rich::And(vec![one("a"), one("b")]).into(), one("c").into())
        );
        assert_eq!(rich("(a unless b)").unwrap(), Rich::Unless(one("a").into(), one("b").into(), None));
        assert!(matches!(rich("(a >= 1 with a < 2)").unwrap(), Rich::With(all) if all.len() == 2));
    }

    #[test]
    fn broken_ones_are_refused() {
        for bad in [
            "",
            "a",
            "(",
            "()",
            "(a",
            "(a b)",
            "(a and b or c)",
            "(a if b if c)",
            "(a >= )",
            "(a or b) c",
            "(a else b)",
        ] {
            assert!(rich(bad).is_err(), "{bad}");
        }
        let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(rich(&deep).unwrap_err(), RichError::Deep);
    }
}
