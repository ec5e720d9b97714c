//! Classes of characters of KDL 2 (specification, "Full Grammar").

/// Blanks that separate tokens without ending a node: tab and the Unicode category Zs.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Characters that end a line; CR LF counts as one.
pub(super) fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters of a bare word: all that have no meaning of their own.
pub(super) fn is_word(c: char) -> bool {
    !matches!(c, '\\' | '/' | '(' | ')' | '{' | '}' | ';' | '[' | ']' | '"' | '#' | '=')
        && !is_space(c)
        && !is_newline(c)
}

/// Length in bytes of the line end that `text` begins with; 0 where it begins with something else.
pub(super) fn newline_length(text: &str) -> usize {
    if text.starts_with("\r\n") {
        return 2;
    }
    text.chars().next().filter(|c| is_newline(*c)).map_or(0, char::len_utf8)
}

/// The first character that may not stand in a spec: its offset, itself, and how many there are.
///
/// KDL forbids control characters, directional marks and a byte-order mark after the start. We add the
/// invisible ones (soft hyphen, zero width, word joiner): two words that look alike must be alike.
pub(super) fn forbidden(text: &str) -> Option<(usize, char, usize)> {
    // Nearly every text is plain ASCII: one pass over bytes decides that.
    if text.bytes().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e)) {
        return None;
    }
    let mut all = text.char_indices().filter(|(at, c)| is_forbidden(*c) && !(*at == 0 && *c == '\u{feff}'));
    let (at, c) = all.next()?;
    Some((at, c, all.count() + 1))
}

fn is_forbidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}'
        | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What people call a forbidden character.
pub(super) fn name_of(c: char) -> &'static str {
    match c {
        '\0' => "a NUL byte",
        '\u{feff}' => "a byte-order mark in the middle of the text",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark that changes the direction of writing"
        }
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' => "an invisible character",
        _ => "a control character",
    }
}
