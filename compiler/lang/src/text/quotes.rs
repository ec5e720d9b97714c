//! The values of strings: escapes, texts of several lines, raw strings.

use std::ops::Range;

use super::chars::{is_newline, is_space, newline_length};
use super::lex::{Kind, escape_length, run};

/// What is wrong within a string; ranges are bytes from its first quote or hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StringFault {
    /// `\U`, `\u{110000}`.
    Escape(Range<usize>),
    /// Text on the line of the opening `"""`.
    Opening(Range<usize>),
    /// Text before the closing `"""`.
    Closing(Range<usize>),
    /// A line that does not begin with the blanks of the last line.
    Indent(Range<usize>),
}

/// The value of a closed string token.
pub(super) fn decode(kind: Kind, token: &str) -> Result<String, StringFault> {
    match kind {
        Kind::Quoted => unescape(inner(token, 1, 1), 1),
        Kind::Block => {
            let body = inner(token, 3, 3);
            let (joined, exact) = join_escaped_lines(body);
            // Where lines were joined, offsets no longer fit: the whole string is marked then.
            let place = |at: Range<usize>| if exact { at.start + 3..at.end + 3 } else { 0..token.len() };
            let lines = dedent(&joined, &place)?;
            unescape(&lines, 0).map_err(|_| first_bad_escape(body, 3, token.len()))
        }
        Kind::Raw => {
            let hashes = run(token, |c| c == '#');
            Ok(inner(token, hashes + 1, hashes + 1).to_owned())
        }
        Kind::RawBlock => {
            let side = run(token, |c| c == '#') + 3;
            dedent(inner(token, side, side), &|at: Range<usize>| at.start + side..at.end + side)
        }
        _ => Ok(token.to_owned()),
    }
}

fn inner(token: &str, before: usize, after: usize) -> &str {
    token.len().checked_sub(after).and_then(|end| token.get(before..end)).unwrap_or("")
}

fn first_bad_escape(body: &str, offset: usize, length: usize) -> StringFault {
    match unescape(body, offset) {
        Err(fault) => fault,
        Ok(_) => StringFault::Escape(0..length),
    }
}

/// Resolves escapes; `offset` is where `body` begins in its token.
fn unescape(body: &str, offset: usize) -> Result<String, StringFault> {
    let mut out = String::with_capacity(body.len());
    let mut at = 0;
    while let Some(rest) = body.get(at..) {
        let plain = rest.find('\\').unwrap_or(rest.len());
        out.push_str(rest.get(..plain).unwrap_or(""));
        at += plain;
        let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let mut length = escape_length(rest);
        let after = rest.get(1..length).unwrap_or("");
        match after {
            "n" => out.push('\n'),
            "t" => out.push('\t'),
            "r" => out.push('\r'),
            "b" => out.push('\u{8}'),
            "f" => out.push('\u{c}'),
            "s" => out.push(' '),
            "\"" => out.push('"'),
            "\\" => out.push('\\'),
            "u" => {
                let (c, used) = unicode(rest);
                length = used;
                match c {
                    Some(c) => out.push(c),
                    None => return Err(StringFault::Escape(offset + at..offset + at + used)),
                }
            }
            _ if after.starts_with(|c| is_space(c) || is_newline(c)) => {}
            _ => return Err(StringFault::Escape(offset + at..offset + at + length)),
        }
        at += length;
    }
    Ok(out)
}

/// The character of a `\u{…}` that `text` begins with, and the bytes that belong to it.
fn unicode(text: &str) -> (Option<char>, usize) {
    let Some(digits) = text.strip_prefix("\\u{") else { return (None, 2) };
    let count = run(digits, |c| c.is_ascii_hexdigit());
    if !digits.get(count..).is_some_and(|rest| rest.starts_with('}')) {
        return (None, 3 + count);
    }
    let c = digits.get(..count).filter(|d| (1..=6).contains(&d.len()));
    (c.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32), 4 + count)
}

/// Takes out each `\` before a line end, with the blanks after it; says whether there was none.
fn join_escaped_lines(body: &str) -> (String, bool) {
    let mut out = String::with_capacity(body.len());
    let (mut at, mut exact) = (0, true);
    while let Some(rest) = body.get(at..) {
        let plain = rest.find('\\').unwrap_or(rest.len());
        out.push_str(rest.get(..plain).unwrap_or(""));
        at += plain;
        let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let length = escape_length(rest);
        let escape = rest.get(..length).unwrap_or(rest);
        if escape.get(1..).is_some_and(|after| after.starts_with(|c| is_space(c) || is_newline(c))) {
            exact = false;
        } else {
            out.push_str(escape);
        }
        at += length;
    }
    (out, exact)
}

/// Takes the last line's blanks off every line; the first line end and the last one are not of the value.
fn dedent(body: &str, place: &dyn Fn(Range<usize>) -> Range<usize>) -> Result<String, StringFault> {
    let first = newline_length(body);
    if first == 0 {
        return Err(StringFault::Opening(place(0..run(body, |c| !is_newline(c)))));
    }
    let mut lines: Vec<(usize, &str)> = Vec::new();
    let mut at = first;
    loop {
        let rest = body.get(at..).unwrap_or("");
        let length = run(rest, |c| !is_newline(c));
        lines.push((at, rest.get(..length).unwrap_or("")));
        let newline = newline_length(rest.get(length..).unwrap_or(""));
        if newline == 0 {
            break;
        }
        at += length + newline;
    }
    let (last_at, prefix) = lines.pop().unwrap_or((0, ""));
    if !prefix.chars().all(is_space) {
        return Err(StringFault::Closing(place(last_at..last_at + prefix.len())));
    }
    let mut out = String::with_capacity(body.len());
    for (n, (at, line)) in lines.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        if line.chars().all(is_space) {
            continue;
        }
        match line.strip_prefix(prefix) {
            Some(rest) => out.push_str(rest),
            None => return Err(StringFault::Indent(place(*at..at + line.len()))),
        }
    }
    Ok(out)
}
