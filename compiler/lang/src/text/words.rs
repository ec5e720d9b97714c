//! Bare words that KDL takes as they are, and that nobody means so; and words of other languages.

use diag::{Diagnostic, codes};

use super::grammar::Parser;
use super::lex::{Kind, Token, run};
use super::mistakes::shown;
use super::{chars, number};

type Make = fn(&Parser<'_>, Token) -> Diagnostic;

/// What is wrong with a bare word, as the function that says it.
pub(super) fn fault(p: &Parser<'_>, token: Token) -> Option<Make> {
    let word = p.text_of(token);
    let next = p.tokens.get(p.at + 1).filter(|next| next.start == token.end);
    if number::is_reserved(word) {
        return Some(|p, token| super::mistakes::keyword(p.text_of(token), p.span(token.start, token.end)));
    }
    if word == "r" && next.is_some_and(|next| next.kind.is_quoted()) {
        return Some(old_raw);
    }
    if word.starts_with(is_foreign_quote) {
        return Some(foreign_quotes);
    }
    if word.starts_with("<<") {
        return Some(heredoc);
    }
    if word.contains(',') {
        return Some(comma);
    }
    // `C:\…` is another mistake, found at the backslash.
    if word.ends_with(':') && next.is_none_or(|next| next.kind != Kind::Backslash) {
        return Some(colon);
    }
    None
}

fn is_foreign_quote(c: char) -> bool {
    matches!(c, '\'' | '`' | '“' | '”' | '„' | '‟' | '‘' | '’' | '‚' | '«' | '»')
}

/// `root,`; `"a", "b"`; `rw,nosuid`.
pub(super) fn comma(p: &Parser<'_>, token: Token) -> Diagnostic {
    let word = p.text_of(token);
    let at = token.start + word.find(',').unwrap_or(0);
    let diagnostic = Diagnostic::new(codes::E0011, "values are separated by spaces, not by commas")
        .at(p.span(at, at + 1), "this would be part of the value");
    let inside = word.trim_matches(',');
    if inside.contains(',') {
        let parts: Vec<&str> = inside.split(',').filter(|part| !part.is_empty()).collect();
        return diagnostic
            .help(format!("for several values write `{}`", shown(&parts.join(" "))))
            .help(format!("for one value with commas write `\"{}\"`", shown(inside)));
    }
    diagnostic.help("put a space in its place")
}

/// `env: "x"`; `name:"x"`.
fn colon(p: &Parser<'_>, token: Token) -> Diagnostic {
    let name = p.text_of(token).trim_end_matches(':');
    let is_node = p.node.is_none();
    let diagnostic = Diagnostic::new(codes::E0012, "a name has no colon after it")
        .at(p.span(token.end - 1, token.end), "this would be part of the name");
    let name = shown(name);
    match value_after(p) {
        Some(value) if is_node => diagnostic.help(format!("write `{name} {value}`")),
        Some(value) => diagnostic.help(format!("write `{name}={value}`")),
        None if is_node => diagnostic.help(format!("write `{name}`")),
        None => diagnostic.help(format!("write `{name}`, or `\"{name}:\"` where the colon is meant")),
    }
}

/// The string or word after the token here, when it stands on the same line and is short.
pub(super) fn value_after(p: &Parser<'_>) -> Option<String> {
    let next = p.tokens.iter().skip(p.at + 1).find(|token| token.kind != Kind::Space)?;
    let text = p.text_of(*next);
    let fits = !next.unclosed && text.len() <= 60 && !text.contains(chars::is_newline);
    match next.kind {
        Kind::Word if number::begins_like_number(text) && number::number(text).is_err() => {
            fits.then(|| format!("\"{}\"", shown(text)))
        }
        Kind::Word if number::is_reserved(text) => number::right_spelling(text).map(str::to_owned),
        Kind::Word | Kind::Quoted | Kind::Raw | Kind::Keyword => fits.then(|| shown(text)),
        Kind::Path => fits.then(|| format!("\"{}\"", shown(text))),
        _ => None,
    }
}

/// `'root'`, `“root”`, `` `root` ``.
fn foreign_quotes(p: &Parser<'_>, token: Token) -> Diagnostic {
    let rest = p.text.get(token.start..).unwrap_or("");
    let line = rest.get(..run(rest, |c| !chars::is_newline(c))).unwrap_or("");
    let open = line.chars().next().unwrap_or('\'');
    let body = line.get(open.len_utf8()..).unwrap_or("");
    let closes = |c: char| match open {
        '\'' | '`' => c == open,
        _ => is_foreign_quote(c) && c != '\'' && c != '`',
    };
    let close = body.char_indices().find(|(_, c)| closes(*c));
    let (inside, end) = match close {
        Some((at, c)) => (body.get(..at).unwrap_or(""), token.start + open.len_utf8() + at + c.len_utf8()),
        None => (p.text_of(token).get(open.len_utf8()..).unwrap_or(""), token.end),
    };
    Diagnostic::new(codes::E0014, format!("strings stand between double quotes, not {open}"))
        .at(p.span(token.start, end), "these quotes would be part of the value")
        .help(format!("write `{}`", in_quotes(inside)))
}

/// `inside` as a string that can be typed.
pub(super) fn in_quotes(inside: &str) -> String {
    let text = shown(inside);
    if inside.contains(['"', '\\']) { format!("#\"{text}\"#") } else { format!("\"{text}\"") }
}

/// `<<EOF`.
fn heredoc(p: &Parser<'_>, token: Token) -> Diagnostic {
    Diagnostic::new(codes::E0021, "text of several lines stands between `\"\"\"` and `\"\"\"`")
        .at(p.span(token.start, token.end), "KDL has no here-documents")
        .help("put `\"\"\"` here, the text on lines of its own, and `\"\"\"` on the line after it")
}

/// `r"…"` of KDL 1.
fn old_raw(p: &Parser<'_>, token: Token) -> Diagnostic {
    let string = p.tokens.get(p.at + 1).copied().unwrap_or(token);
    let text = p.text_of(string);
    let hashes = run(text, |c| c == '#').max(1);
    let inside = text.trim_matches('#');
    let marks = "#".repeat(hashes.min(8));
    Diagnostic::new(codes::E0005, "raw strings of KDL 2 begin with `#`, not with `r`")
        .at(p.span(token.start, token.end), "this is KDL 1")
        .help(format!("write `{marks}{}{marks}`", shown(inside)))
}
