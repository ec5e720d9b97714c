//! Numbers and keywords of KDL 2, and how a number was spelled.

use kdl::{KdlEntry, KdlValue};

/// How a number was spelled (`0640`, `1.30`, `0o755`); `None` for every other value.
///
/// KDL reads `mode=0640` as 640 and `1.30` as 1.3: who refuses a number where text is wanted quotes this.
pub fn number_repr(entry: &KdlEntry) -> Option<&str> {
    let value = entry.value();
    (value.is_integer() || value.is_float()).then(|| entry.format().map(|f| f.value_repr.as_str())).flatten()
}

/// Words that KDL 2 reserves: bare, they are neither names nor values.
pub(super) fn is_reserved(word: &str) -> bool {
    matches!(word, "true" | "false" | "null" | "inf" | "-inf" | "nan")
}

/// The word after a `#` that is a keyword, or that somebody took for one (`#True`, `#yes`).
pub(super) fn is_keyword_like(word: &str) -> bool {
    is_reserved(word) || right_spelling(word).is_some()
}

/// What is meant by a word of another language.
pub(super) fn right_spelling(word: &str) -> Option<&'static str> {
    let known: &[(&str, &str)] = &[
        ("true", "#true"),
        ("yes", "#true"),
        ("on", "#true"),
        ("false", "#false"),
        ("no", "#false"),
        ("off", "#false"),
        ("null", "#null"),
        ("nil", "#null"),
        ("none", "#null"),
        ("inf", "#inf"),
        ("-inf", "#-inf"),
        ("nan", "#nan"),
    ];
    known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, right)| *right)
}

/// The value of `#true` and its like.
pub(super) fn keyword(text: &str) -> Option<KdlValue> {
    Some(match text {
        "#true" => KdlValue::Bool(true),
        "#false" => KdlValue::Bool(false),
        "#null" => KdlValue::Null,
        "#inf" => KdlValue::Float(f64::INFINITY),
        "#-inf" => KdlValue::Float(f64::NEG_INFINITY),
        "#nan" => KdlValue::Float(f64::NAN),
        _ => return None,
    })
}

/// Why a word that begins like a number is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotNumber {
    /// `4Gi`, `1.2.3`: text.
    Text,
    /// `.5`: a digit is missing before the point; `5.`: one after it.
    Point,
    /// More than 127 bits, or more than a double holds.
    TooLarge,
}

/// Whether KDL takes a bare word for a number because of how it begins.
pub(super) fn begins_like_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let unsigned = unsigned.strip_prefix('.').unwrap_or(unsigned);
    unsigned.starts_with(|c: char| c.is_ascii_digit())
}

/// The value of a word that begins like a number.
pub(super) fn number(word: &str) -> Result<KdlValue, NotNumber> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return integer(digits, radix, negative);
        }
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (digits.get(..at).unwrap_or(""), digits.get(at + 1..)),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if fraction.is_none() && exponent.is_none() {
        return integer(whole, 10, negative);
    }
    let power = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    if power.is_some_and(|power| !is_digits(power, 10)) {
        return Err(NotNumber::Text);
    }
    let point = |part: &str| part.is_empty() || is_digits(part, 10);
    if !is_digits(whole, 10) || fraction.is_some_and(|f| !is_digits(f, 10)) {
        return Err(if point(whole) && fraction.is_none_or(point) { NotNumber::Point } else { NotNumber::Text });
    }
    match word.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(KdlValue::Float(value)),
        _ => Err(NotNumber::TooLarge),
    }
}

fn is_digits(text: &str, radix: u32) -> bool {
    text.starts_with(|c: char| c.is_digit(radix)) && text.chars().all(|c| c.is_digit(radix) || c == '_')
}

fn integer(digits: &str, radix: u32, negative: bool) -> Result<KdlValue, NotNumber> {
    if !is_digits(digits, radix) {
        return Err(NotNumber::Text);
    }
    let mut value: i128 = 0;
    for digit in digits.chars().filter_map(|c| c.to_digit(radix)) {
        let signed = if negative { -i128::from(digit) } else { i128::from(digit) };
        value = value
            .checked_mul(i128::from(radix))
            .and_then(|value| value.checked_add(signed))
            .ok_or(NotNumber::TooLarge)?;
    }
    Ok(KdlValue::Integer(value))
}
