//! Text → tokens that cover every byte of it. Linear, without recursion, never fails.
//!
//! The lexer knows a few things that are not KDL (an unquoted path, a `#` comment, a bracket) and keeps each
//! of them in one token, so that a mistake is one thing to the parser and to the reader.

use super::chars::{is_newline, is_space, is_word, newline_length};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    Newline,
    /// `// …`, without its line end.
    LineComment,
    /// `/* … */`, nested.
    BlockComment,
    /// `/-`.
    Slashdash,
    /// `\` that joins the next line to this one.
    Continue,
    /// The line end after a [`Kind::Continue`]: it does not end the node.
    JoinedNewline,
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    Equals,
    Semicolon,
    /// A bare word or a number.
    Word,
    /// `#true`, `#inf` …
    Keyword,
    /// `"…"`.
    Quoted,
    /// `"""…"""`.
    Block,
    /// `#"…"#`.
    Raw,
    /// `#"""…"""#`.
    RawBlock,
    // From here on: not KDL.
    /// `/usr`, `docker.io/library/nginx`, `https://…`.
    Path,
    /// `# to the end of the line`.
    HashComment,
    /// `#` within something else.
    Hash,
    /// `[` or `]`.
    Bracket,
    /// `\` that joins nothing.
    Backslash,
}

/// A piece of text, `start..end` in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The end of the string or comment was not found; it is the last token then.
    pub(super) unclosed: bool,
}

impl Kind {
    /// Whether a node ignores it (comments included; `// …` ends at a line end, which is a token of its own).
    pub(super) fn is_blank(self) -> bool {
        use Kind::*;
        matches!(self, Space | LineComment | BlockComment | Continue | JoinedNewline)
    }

    /// Whether it is a string other than a bare word.
    pub(super) fn is_quoted(self) -> bool {
        matches!(self, Kind::Quoted | Kind::Block | Kind::Raw | Kind::RawBlock)
    }
}

/// Bytes in which the `}` of a pattern without quotes is looked for; a limit keeps the lexer linear.
const LONGEST_BRACES: usize = 128;

/// All tokens of `text`; the last one is unclosed where a string or comment has no end.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lexer = Lexer { text, at: start, tokens: Vec::with_capacity(text.len() / 4), stop: false };
    while !lexer.stop && lexer.at < text.len() {
        lexer.next();
    }
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    stop: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let end = (self.at + length).min(self.text.len());
        self.tokens.push(Token { kind, start: self.at, end, unclosed: false });
        self.at = end;
    }

    /// Pushes the last token: nothing after it can be trusted.
    fn push_unclosed(&mut self, kind: Kind, length: usize) {
        self.push(kind, length);
        if let Some(token) = self.tokens.last_mut() {
            token.unclosed = true;
        }
        self.stop = true;
    }

    fn next(&mut self) {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return };
        match c {
            '{' => self.push(Kind::OpenBrace, 1),
            '}' => self.push(Kind::CloseBrace, 1),
            '(' => self.push(Kind::OpenParen, 1),
            ')' => self.push(Kind::CloseParen, 1),
            '=' => self.push(Kind::Equals, 1),
            ';' => self.push(Kind::Semicolon, 1),
            '[' | ']' => self.push(Kind::Bracket, 1),
            '"' => self.quoted(rest),
            '#' => self.hash(rest),
            '/' => self.slash(rest),
            '\\' => self.backslash(rest),
            _ if is_space(c) => self.push(Kind::Space, run(rest, is_space)),
            _ if is_newline(c) => self.push(Kind::Newline, newline_length(rest)),
            _ => self.word(rest),
        }
    }

    fn slash(&mut self, rest: &str) {
        if rest.starts_with("//") {
            self.push(Kind::LineComment, run(rest, |c| !is_newline(c)));
        } else if rest.starts_with("/-") {
            self.push(Kind::Slashdash, 2);
        } else if rest.starts_with("/*") {
            match comment_length(rest) {
                Some(length) => self.push(Kind::BlockComment, length),
                None => self.push_unclosed(Kind::BlockComment, rest.len()),
            }
        } else {
            self.push(Kind::Path, path_length(rest));
        }
    }

    fn word(&mut self, rest: &str) {
        let length = run(rest, is_word);
        let (word, after) = rest.split_at(length);
        let comment = after.starts_with("//") || after.starts_with("/*");
        let is_path = after.starts_with('/')
            && !after.starts_with("/-")
            // `https://…` is a comment to KDL, and never meant as one.
            && (!comment || (word.ends_with(':') && after.starts_with("//")));
        if is_path {
            self.push(Kind::Path, path_length(rest));
        } else if after.starts_with("/*") && comment_length(after).is_none() {
            // `nginx/**`: a comment without end, so it is a glob. Nothing after it was checked for its end.
            self.push(Kind::Path, path_length(rest));
            self.stop = true;
        } else {
            self.push(Kind::Word, length);
        }
    }

    /// `\`, blanks and comments, a line end: all but the `\` are tokens of their own.
    fn backslash(&mut self, rest: &str) {
        let mut length = 1;
        while let Some(after) = rest.get(length..) {
            let blank = if after.starts_with("/*") { comment_length(after).unwrap_or(0) } else { run(after, is_space) };
            if blank == 0 {
                break;
            }
            length += blank;
        }
        let line = rest.get(length..).unwrap_or("");
        if !(line.is_empty() || line.starts_with("//") || newline_length(line) > 0) {
            return self.push(Kind::Backslash, 1);
        }
        let end = self.at + length;
        self.push(Kind::Continue, 1);
        while self.at < end {
            self.next();
        }
        if line.starts_with("//") {
            self.push(Kind::LineComment, run(line, |c| !is_newline(c)));
        }
        let newline = newline_length(self.rest());
        if newline > 0 {
            self.push(Kind::JoinedNewline, newline);
        }
    }

    fn quoted(&mut self, rest: &str) {
        if rest.starts_with("\"\"\"") {
            match block_length(rest) {
                Some(length) => self.push(Kind::Block, length),
                None => self.push_unclosed(Kind::Block, rest.len()),
            }
            return;
        }
        match quoted_length(rest) {
            Ok(length) => self.push(Kind::Quoted, length),
            Err(length) => self.push_unclosed(Kind::Quoted, length),
        }
    }

    fn hash(&mut self, rest: &str) {
        let hashes = run(rest, |c| c == '#');
        let after = rest.get(hashes..).unwrap_or("");
        if after.starts_with("\"\"\"") {
            match raw_end(after, 3, hashes, false) {
                Ok(length) => self.push(Kind::RawBlock, hashes + length),
                Err(length) => self.push_unclosed(Kind::RawBlock, hashes + length),
            }
        } else if after.starts_with('"') {
            match raw_end(after, 1, hashes, true) {
                Ok(length) => self.push(Kind::Raw, hashes + length),
                Err(length) => self.push_unclosed(Kind::Raw, hashes + length),
            }
        } else {
            let word = run(after, is_word);
            let keyword = after.get(..word).unwrap_or("");
            if hashes == 1 && super::number::is_keyword_like(keyword) {
                self.push(Kind::Keyword, 1 + word);
            } else if self.tokens.last().is_none_or(|t| {
                matches!(t.kind, Kind::OpenBrace | Kind::Semicolon | Kind::Newline) || t.kind.is_blank()
            }) {
                self.push(Kind::HashComment, run(rest, |c| !is_newline(c)));
            } else {
                self.push(Kind::Hash, hashes + word);
            }
        }
    }
}

/// Bytes of the longest beginning of `text` whose characters are all `wanted`.
pub(super) fn run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// Length of the nested comment that `text` begins with.
fn comment_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let (Some(a), Some(b)) = (bytes.get(at), bytes.get(at + 1)) {
        match (a, b) {
            (b'/', b'*') => {
                depth += 1;
                at += 2;
            }
            (b'*', b'/') => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Length of the path, glob or reference that `text` begins with: to the next blank, with braces in pairs.
fn path_length(text: &str) -> usize {
    let mut depth = 0_usize;
    // Where the last `}` of the pattern is, once a `{` asks for it.
    let mut last_close = None;
    let stop = text.char_indices().find(|(at, c)| match c {
        '"' | ';' | '(' | ')' => true,
        '{' => {
            depth += 1;
            *last_close.get_or_insert_with(|| at + close_ahead(text, *at)) <= *at
        }
        '}' => {
            let outside = depth == 0;
            depth = depth.saturating_sub(1);
            outside
        }
        c => is_space(*c) || is_newline(*c),
    });
    let end = stop.map_or(text.len(), |(at, _)| at);
    // A comma after it belongs to the list that somebody thought of.
    text.get(..end).map_or(end, |path| path.trim_end_matches(',').len()).max(1)
}

/// Distance from `at` to the last `}` before the next blank; 0 where there is none near.
fn close_ahead(text: &str, at: usize) -> usize {
    let ahead = text.as_bytes().iter().skip(at).take(LONGEST_BRACES).take_while(|b| !b.is_ascii_whitespace());
    ahead.enumerate().filter(|(_, b)| **b == b'}').last().map_or(0, |(n, _)| n)
}

/// Length of a `"…"` that `text` begins with; `Err` with what belongs to it where its line ends first.
fn quoted_length(text: &str) -> Result<usize, usize> {
    let mut at = 1;
    while let Some(rest) = text.get(at..) {
        at += run(rest, |c| c != '"' && c != '\\' && !is_newline(c));
        let rest = text.get(at..).unwrap_or("");
        if rest.starts_with('"') {
            return Ok(at + 1);
        }
        if !rest.starts_with('\\') {
            break;
        }
        at += escape_length(rest);
    }
    Err(at.min(text.len()))
}

/// Length of the escape that `text` begins with: `\` and a character, or all the blanks and line ends after it.
pub(super) fn escape_length(text: &str) -> usize {
    let after = text.get(1..).unwrap_or("");
    let blank = run(after, |c| is_space(c) || is_newline(c));
    if blank > 0 { 1 + blank } else { 1 + after.chars().next().map_or(0, char::len_utf8) }
}

/// Length of a `"""…"""` that `text` begins with.
fn block_length(text: &str) -> Option<usize> {
    let mut at = 3;
    loop {
        let rest = text.get(at..)?;
        at += rest.find(['"', '\\'])?;
        let rest = text.get(at..)?;
        if rest.starts_with("\"\"\"") {
            return Some(at + 3);
        }
        at += if rest.starts_with('\\') { escape_length(rest) } else { 1 };
    }
}

/// Length of a raw string after its opening hashes: `quotes` quotes, body, as many quotes and `hashes`.
fn raw_end(text: &str, quotes: usize, hashes: usize, one_line: bool) -> Result<usize, usize> {
    let mut at = quotes;
    while let Some(rest) = text.get(at..) {
        at += run(rest, |c| c != '"' && !(one_line && is_newline(c)));
        let rest = text.get(at..).unwrap_or("");
        let found = run(rest, |c| c == '"');
        if found == 0 {
            break;
        }
        // Of more quotes than needed the last ones close.
        let closing = rest.get(found..).map_or(0, |tail| run(tail, |c| c == '#'));
        if found >= quotes && closing >= hashes {
            return Ok(at + found + hashes);
        }
        at += found + closing;
    }
    Err(at.min(text.len()))
}
