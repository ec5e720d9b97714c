//! What people type instead of KDL, each in the words of the language and with what to type.
//!
//! A function here makes one diagnostic; which one applies is decided where the grammar stumbles.

use diag::{Diagnostic, FileId, Span, codes};

use super::chars::is_newline;
use super::grammar::{MAX_DEPTH, MAX_THINGS, Parser};
use super::lex::{Kind, Token, run};
use super::number::{self, NotNumber};
use super::words::{self, in_quotes, value_after};

/// A user's text for a message: printable, and not long.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    diag::text::printable(&short)
}

/// Where nothing more special is known.
pub(super) fn unexpected(span: Span, wanted: &str) -> Diagnostic {
    Diagnostic::new(codes::E0001, format!("expected {wanted}")).at(span, "this is something else")
}

pub(super) fn too_many(span: Span) -> Diagnostic {
    Diagnostic::new(codes::E0002, format!("more than {MAX_THINGS} nodes and values in one file"))
        .at(span, "the first that is too many")
        .help("split the file into modules")
}

pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(codes::E0003, format!("blocks are nested more than {MAX_DEPTH} deep"))
        .at(span, "this block is too deep")
        .help("no part of the language is nested more than six deep: look for a `}` that is missing")
}

pub(super) fn version(span: Span, version: &str) -> Diagnostic {
    Diagnostic::new(codes::E0005, format!("this file says that it is KDL {}", shown(version)))
        .at(span, "specs are KDL 2")
        .help(
            "write `/- kdl-version 2`, or nothing, and quote and mark values as KDL 2 wants it (`#true`, `#\"raw\"#`)",
        )
}

pub(super) fn hides_nothing(span: Span) -> Diagnostic {
    Diagnostic::new(codes::E0001, "`/-` hides what follows it, and nothing does").at(span, "").help("take it away")
}

/// `true`, `#True`.
pub(super) fn keyword(word: &str, span: Span) -> Diagnostic {
    let bare = word.trim_start_matches('#');
    let right = number::right_spelling(bare).unwrap_or("#true");
    Diagnostic::new(codes::E0006, format!("`{}` is written `{right}`", shown(word)))
        .at(span, "")
        .help(format!("write `{right}`, or `\"{}\"` where the word itself is meant", shown(bare)))
}

/// `4Gi`, `60s`, `.5`.
pub(super) fn not_number(p: &Parser<'_>, token: Token, why: NotNumber) -> Diagnostic {
    let word = p.text_of(token);
    let span = p.span(token.start, token.end);
    if word.contains(',') {
        return words::comma(p, token);
    }
    match why {
        NotNumber::Text => Diagnostic::new(codes::E0007, format!("`{}` begins like a number and is none", shown(word)))
            .at(span, "text that begins with a digit needs quotes")
            .help(format!("write `{}`", in_quotes(word))),
        NotNumber::Point => {
            Diagnostic::new(codes::E0007, format!("`{}` has no digit on one side of its point", shown(word)))
                .at(span, "")
                .help(format!("write a digit on both sides, as in `0.5`, or `{}` for text", in_quotes(word)))
        }
        NotNumber::TooLarge => Diagnostic::new(codes::E0007, format!("the number `{}` is too large", shown(word)))
            .at(span, "")
            .help(format!("write a smaller one, or `{}` for text", in_quotes(word))),
    }
}

pub(super) fn number_as_name(word: &str, span: Span) -> Diagnostic {
    Diagnostic::new(codes::E0007, format!("`{}` begins like a number, and a name does not", shown(word)))
        .at(span, "a node's name is expected here")
        .help("values stand on the line of their node, after its name")
}

/// A token that begins neither name nor value.
pub(super) fn strange(p: &Parser<'_>, token: Token) -> Diagnostic {
    let span = p.span(token.start, token.end);
    match token.kind {
        Kind::Path => needs_quotes(p, token.start, token.end),
        Kind::HashComment => Diagnostic::new(codes::E0009, "comments begin with `//`, not with `#`")
            .at(span, "")
            .help("write `//` in place of `#`"),
        Kind::Bracket => list(p, token),
        Kind::Backslash => backslash(p, token),
        Kind::Hash => needs_quotes(p, token.start, chunk(p, token).1),
        Kind::CloseParen => Diagnostic::new(codes::E0025, "this `)` closes nothing").at(span, ""),
        Kind::Semicolon => Diagnostic::new(codes::E0001, "this `;` ends nothing").at(span, "").help("take it away"),
        Kind::Equals => equals(p, token, false),
        Kind::Slashdash => hides_nothing(span),
        _ => unexpected(span, "a value"),
    }
}

/// From the token back and forth to the next blank.
fn chunk(p: &Parser<'_>, token: Token) -> (usize, usize) {
    let mut start = token.start;
    for before in p.tokens.get(..p.at).unwrap_or(&[]).iter().rev().take(16) {
        if before.end != start || !matches!(before.kind, Kind::Word | Kind::Path | Kind::Hash | Kind::Backslash) {
            break;
        }
        start = before.start;
    }
    let rest = p.text.get(token.end..).unwrap_or("");
    (start, token.end + run(rest, |c| !c.is_whitespace() && !is_newline(c) && !matches!(c, ';' | '"' | '{' | '}')))
}

fn needs_quotes(p: &Parser<'_>, start: usize, end: usize) -> Diagnostic {
    let text = p.text.get(start..end).unwrap_or("");
    let what = if text.contains("://") {
        "an address"
    } else if text.contains('*') {
        "a pattern"
    } else if text.starts_with(['/', '.', '~']) {
        "a path"
    } else if text.contains('/') {
        "a reference"
    } else {
        "this value"
    };
    Diagnostic::new(codes::E0008, format!("{what} needs quotes"))
        .at(p.span(start, end), "")
        .help(format!("write `{}`", in_quotes(text)))
}

/// `["a", "b"]`.
fn list(p: &Parser<'_>, open: Token) -> Diagnostic {
    let mut items = Vec::new();
    let mut end = open.end;
    if p.text_of(open) == "[" {
        for token in p.tokens.iter().skip(p.at + 1).take(64) {
            match token.kind {
                Kind::Bracket => {
                    end = token.end;
                    break;
                }
                Kind::Newline | Kind::OpenBrace | Kind::CloseBrace => break,
                Kind::Word | Kind::Quoted | Kind::Path => {
                    end = token.end;
                    let item = p.text_of(*token).trim_matches([',', '\'']);
                    if !item.is_empty() {
                        items.push(if token.kind == Kind::Quoted { shown(item) } else { in_quotes(item) });
                    }
                }
                _ => {}
            }
        }
    }
    let diagnostic = Diagnostic::new(codes::E0010, "a list has no brackets: its values are separated by spaces")
        .at(p.span(open.start, end), "");
    if items.is_empty() || items.len() > 6 {
        return diagnostic.help("take the brackets and commas away");
    }
    diagnostic.help(format!("write `{}`", items.join(" ")))
}

/// `- "a"` on a line of its own.
pub(super) fn dash_item(p: &Parser<'_>, token: Token) -> Diagnostic {
    let value = value_after(p).unwrap_or_else(|| "\"a\"".to_owned());
    Diagnostic::new(codes::E0010, "a list has no dashes: its values stand on the line of their node")
        .at(p.span(token.start, token.end), "")
        .help(format!("write `keep {value} …` with the name of the node, or one such line for each value"))
}

/// A `=` where none belongs.
pub(super) fn equals(p: &Parser<'_>, token: Token, after_name: bool) -> Diagnostic {
    let span = p.span(token.start, token.end);
    let before = p.tokens.get(..p.at).unwrap_or(&[]).iter().rev().find(|t| !t.kind.is_blank());
    let name = before.map_or(String::new(), |before| shown(p.text_of(*before)));
    let value = value_after(p).unwrap_or_else(|| "…".to_owned());
    if after_name {
        return Diagnostic::new(
            codes::E0013,
            format!("`{name}` is the name of a node here, and its values need no `=`"),
        )
        .at(span, "")
        .help(format!("write `{name} {value}`"))
        .help(format!("or, for a property, put `{name}={value}` on the line of its node, after the node's name"));
    }
    Diagnostic::new(codes::E0013, "this `=` has no name before it")
        .at(span, "a property is `name=value`")
        .help("a `=` that belongs to a value stands in its quotes: `\"a=b\"`")
}

pub(super) fn no_property_value(p: &Parser<'_>, name: Token, equals: Token) -> Diagnostic {
    let text = shown(p.text_of(name));
    Diagnostic::new(codes::E0013, format!("the property `{text}` has no value"))
        .at(p.span(name.start, equals.end), "")
        .help(format!("write a value right after the `=`: `{text}=\"…\"`"))
}

pub(super) fn no_property_name(p: &Parser<'_>, token: Token) -> Diagnostic {
    let text = shown(p.text_of(token));
    Diagnostic::new(codes::E0013, format!("`{text}` is no name for a property"))
        .at(p.span(token.start, token.end), "")
        .help(format!("write `\"{text}\"=…`"))
}

pub(super) fn duplicate(p: &Parser<'_>, token: Token, first: (usize, usize)) -> Diagnostic {
    Diagnostic::new(codes::E0023, format!("the property `{}` is given twice", shown(p.text_of(token))))
        .at(p.span(token.start, token.end), "again")
        .label(p.span(first.0, first.1), "first given here")
        .help("keep one of the two")
}

pub(super) fn lonely_block(span: Span, name: Option<(Span, &str)>) -> Diagnostic {
    let diagnostic = Diagnostic::new(codes::E0015, "a `{` stands on the line of its node").at(span, "");
    match name {
        Some((place, name)) => {
            diagnostic.label(place, "perhaps of this one").help(format!("write `{} … {{` on one line", shown(name)))
        }
        None => diagnostic.help("write the name of a node before it"),
    }
}

pub(super) fn after_block(span: Span) -> Diagnostic {
    Diagnostic::new(codes::E0024, "after the `}` of a node comes a new line or `;`")
        .at(span, "this does not belong to the node before it")
        .help("values stand before the `{`; another node begins on a new line")
}

/// Two things without a space between them.
pub(super) fn glued(p: &Parser<'_>, token: Token) -> Diagnostic {
    let Some(before) = p.at.checked_sub(1).and_then(|n| p.tokens.get(n)).copied() else {
        return unexpected(p.span(token.start, token.end), "a space");
    };
    let text = p.text_of(token);
    if token.kind == Kind::Word && text.starts_with(',') {
        return words::comma(p, token);
    }
    if before.kind == Kind::Quoted
        && let Some(end) = end_of_outer_quotes(p, before, token)
    {
        return inner_quotes(p, before.start, end);
    }
    let (start, end) = chunk(p, token);
    match token.kind {
        Kind::OpenParen => annotation(p, token),
        Kind::Backslash => backslash(p, token),
        Kind::Path | Kind::Hash | Kind::Bracket | Kind::Slashdash if before.kind == Kind::Word => {
            needs_quotes(p, start, end)
        }
        Kind::CloseParen | Kind::Bracket => strange(p, token),
        _ => Diagnostic::new(codes::E0019, "a space is missing between two values")
            .at(p.span(token.start, token.end), "another value begins here")
            .help("put a space before it"),
    }
}

/// Where a string ends in the eyes of who wrote quotes into it: `"a "b" c"`.
fn end_of_outer_quotes(p: &Parser<'_>, first: Token, next: Token) -> Option<usize> {
    let text = p.text_of(first);
    let template = text.rfind("{{").is_some_and(|at| !text.get(at..).unwrap_or("").contains("}}"));
    if next.kind == Kind::Quoted && !template {
        return None;
    }
    let mut before = first;
    let mut found = None;
    for token in p.tokens.iter().skip(p.at).take(64) {
        if token.kind == Kind::Newline {
            break;
        }
        if token.kind == Kind::Quoted && (token.start == before.end && !before.kind.is_blank() || template) {
            let end = token.start + p.text_of(*token).trim_end().len();
            if !template || p.text_of(*token).contains("}}") {
                return Some(end);
            }
            found = Some(end);
        }
        before = *token;
    }
    found
}

fn inner_quotes(p: &Parser<'_>, start: usize, end: usize) -> Diagnostic {
    let text = p.text.get(start..end).unwrap_or("");
    let inside = text.strip_prefix('"').unwrap_or(text);
    let inside = inside.strip_suffix('"').unwrap_or(inside);
    let diagnostic = Diagnostic::new(codes::E0018, "a quote within a string ends it")
        .at(p.span(start, end), "these are several strings");
    if inside.len() > 60 {
        return diagnostic.help("put `#` before the first and after the last quote: `#\"…\"#`");
    }
    diagnostic.help(format!("write `#\"{}\"#`", shown(inside)))
}

fn backslash(p: &Parser<'_>, token: Token) -> Diagnostic {
    let (start, end) = chunk(p, token);
    Diagnostic::new(codes::E0020, "a `\\` outside of a string joins two lines, and nothing else")
        .at(p.span(start, end), "")
        .help(format!("write `{}` for text", in_quotes(p.text.get(start..end).unwrap_or(""))))
}

/// Something is wrong within a string.
pub(super) fn string(p: &Parser<'_>, token: Token, fault: &super::quotes::StringFault) -> Diagnostic {
    use super::quotes::StringFault::{Closing, Escape, Indent, Opening};
    let text = p.text_of(token);
    let place = |at: &std::ops::Range<usize>| p.span(token.start + at.start, token.start + at.end);
    match fault {
        Escape(at) => {
            let escape = shown(text.get(at.clone()).unwrap_or("\\"));
            let inside = text.trim_matches('"');
            let diagnostic =
                Diagnostic::new(codes::E0020, format!("`{escape}` means nothing in a string")).at(place(at), "");
            if token.kind == Kind::Quoted && inside.chars().count() <= 60 && !inside.contains("\\\"") {
                return diagnostic.help(format!("write `#\"{}\"#`, where `\\` is a plain character", shown(inside)));
            }
            diagnostic.help("write `\\\\` for a backslash")
        }
        Opening(at) => Diagnostic::new(codes::E0021, "text begins on the line after the opening `\"\"\"`")
            .at(place(at), "not on the same line")
            .help("start a new line after `\"\"\"`, or use `\"` for a string of one line"),
        Closing(at) => Diagnostic::new(codes::E0021, "the closing `\"\"\"` stands on a line of its own")
            .at(place(at), "only blanks may stand before it")
            .help("start a new line before it"),
        Indent(at) => Diagnostic::new(codes::E0021, "a line of the text is indented less than the closing `\"\"\"`")
            .at(place(at), "this line")
            .help("indent it like the closing `\"\"\"` (the same blanks), which are taken off every line"),
    }
}

/// `"abc` to the end of the line, `"""` or `#"` to the end of the file.
pub(super) fn unclosed_string(text: &str, file: FileId, token: Token) -> Diagnostic {
    let whole = text.get(token.start..token.end).unwrap_or("");
    let hashes = run(whole, |c| c == '#');
    let one_line = matches!(token.kind, Kind::Quoted | Kind::Raw);
    let end = if one_line { token.start + whole.trim_end().len() } else { token.start + hashes + 3 };
    let close = if one_line { "\"" } else { "\"\"\"" };
    let close = format!("{close}{}", "#".repeat(hashes.min(8)));
    let diagnostic = Diagnostic::new(codes::E0017, "this string has no end")
        .at(Span::new(file, token.start, end), format!("`{close}` is missing"));
    if one_line {
        diagnostic
            .help(format!("put `{close}` at its end, on the same line"))
            .help("text of several lines stands between `\"\"\"` and `\"\"\"`")
    } else {
        diagnostic.help(format!("put `{close}` on a line of its own, after the text"))
    }
}

pub(super) fn unclosed_comment(text: &str, file: FileId, token: Token) -> Diagnostic {
    let whole = text.get(token.start..token.end).unwrap_or("");
    let word = whole.get(..run(whole, |c| !c.is_whitespace())).unwrap_or("");
    let diagnostic = Diagnostic::new(codes::E0022, "this comment has no end")
        .at(Span::new(file, token.start, token.start + 2), "`*/` is missing; comments within it need their own");
    if word.len() > 2 && word.len() <= 60 {
        return diagnostic.help(format!("if a pattern is meant, write `{}`", in_quotes(word)));
    }
    diagnostic.help("put `*/` at its end")
}

/// A `(` that begins no annotation.
pub(super) fn annotation(p: &Parser<'_>, open: Token) -> Diagnostic {
    Diagnostic::new(codes::E0025, "a `(` begins an annotation like `(t)`, right before a value")
        .at(p.span(open.start, open.end), "")
        .help("quote text that holds parentheses: `\"f(x)\"`; put a space before an annotation: `(t)\"…\"`")
}

/// `(t)name="x"`.
pub(super) fn annotated_name(p: &Parser<'_>, first: Token, name: Token) -> Diagnostic {
    let ty = p.text.get(first.start..name.start).unwrap_or("(t)").trim_end();
    Diagnostic::new(codes::E0025, "an annotation stands before a property's value, not before its name")
        .at(p.span(first.start, first.start + ty.len()), "")
        .help(format!("write `{}={}…`", shown(p.text_of(name)), shown(ty)))
}
