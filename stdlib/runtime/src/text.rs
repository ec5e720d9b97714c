//! Bytes that become text: for a terminal, and to and from the percent form of `sealed.conf`.

use alloc::string::String;
use alloc::vec::Vec;

/// A path or argument as text that cannot steer a terminal: control characters, backslashes and
/// bytes that are no UTF-8 as `\xHH`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' || is_directional(character) {
                let mut buffer = [0; 4];
                character.encode_utf8(&mut buffer).bytes().for_each(|byte| escape(&mut text, byte));
            } else {
                text.push(character);
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut text, *byte));
    }
    text
}

/// Marks that reorder what a reader sees (Unicode Bidi controls).
fn is_directional(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &mut String, byte: u8) {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value & 15)]);
    text.extend(['\\', 'x', digit(byte >> 4), digit(byte)]);
}

/// Undoes the percent form: `%HH` is a byte. A `%` without two digits, and a NUL, are `None`.
pub fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let value = match byte {
            b'%' => (digit(rest.next())? * 16 + digit(rest.next())?) as u8,
            plain => *plain,
        };
        if value == 0 {
            return None;
        }
        bytes.push(value);
    }
    Some(bytes)
}

/// A decimal number without sign or leading zeros.
pub fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    text.iter().try_fold(0u32, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u32::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(shown(b"/a b\x1b[31m\xff\\"), "/a b\\x1b[31m\\xff\\x5c");
        assert_eq!(shown("/ä\u{202e}".as_bytes()), "/ä\\xe2\\x80\\xae");
    }

    #[test]
    fn percent_form_is_undone_and_a_broken_one_refused() {
        assert_eq!(percent_decoded(b"a%20%25b").as_deref(), Some(&b"a %b"[..]));
        assert_eq!(percent_decoded(b"a%2"), None);
        assert_eq!(percent_decoded(b"a%zz"), None);
        assert_eq!(percent_decoded(b"a%00"), None);
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        for wrong in ["", "00", "-1", "+1", "1x", "4294967296"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
