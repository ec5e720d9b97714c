//! Quantities, durations, modes, ids and plain text.

use diag::codes::{E0109, E0110, E0114, E0119};

use super::{Check, Fault};
use crate::spec::Quantity;

pub(super) fn reason(text: &str) -> Check {
    if text.trim().is_empty() {
        return Err(Fault::new(E0119, "a reason is empty", "say why, for who reads the report"));
    }
    Ok(())
}

pub(super) fn gecos(text: &str) -> Check {
    // passwd(5): `:` and line breaks would end the field.
    match text.char_indices().find(|(_, c)| *c == ':' || c.is_control()) {
        Some((at, c)) => {
            Err(Fault::new(E0119, "a comment of an account cannot hold this character", "not in /etc/passwd")
                .at(at, at + c.len_utf8()))
        }
        None => Ok(()),
    }
}

pub(super) fn id(text: &str) -> Check {
    if text == "auto" {
        return Ok(());
    }
    let fault = Fault::new(E0109, format!("`{text}` is not an id"), "a number, or `auto`");
    Err(match text.parse::<u32>() {
        Ok(number) => fault.help(format!("without quotes: {number}")),
        Err(_) => fault,
    })
}

/// Permission bits of three or four octal digits.
pub fn mode(text: &str) -> Result<u32, Fault> {
    let sound = (3..=4).contains(&text.len()) && text.chars().all(|c| ('0'..='7').contains(&c));
    let bits = if sound { u32::from_str_radix(text, 8).ok() } else { None };
    bits.ok_or_else(|| {
        let fault = Fault::new(E0110, format!("`{text}` is not a mode"), "three or four octal digits");
        let digits = text.trim_start_matches("0o");
        if digits != text && mode(digits).is_ok() {
            fault.help(format!("\"0{}\"", digits.trim_start_matches('0')))
        } else {
            fault.help("for example \"0640\"")
        }
    })
}

/// Binary and decimal suffixes of a Kubernetes quantity with their factor, in thousandths.
const SUFFIXES: &[(&str, u128)] = &[
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
    ("Pi", 1000 << 50),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("", 1000),
];

/// A Kubernetes quantity: digits, perhaps a fraction, a suffix.
pub fn quantity(text: &str) -> Result<Quantity, Fault> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = SUFFIXES.iter().find(|(name, _)| *name == suffix).map(|(_, factor)| *factor);
    let milli = factor.and_then(|factor| scaled(number, factor));
    if let Some(milli) = milli.filter(|_| text.len() <= 32) {
        return Ok(Quantity { text: text.to_owned(), milli });
    }
    let fault = Fault::new(E0114, format!("`{text}` is not a quantity"), "digits and one of `m k M G T Ki Mi Gi Ti`");
    Err(match suffix.to_ascii_uppercase().as_str() {
        "GB" | "GIB" => fault.help(format!("\"{number}Gi\" (2^30 bytes) or \"{number}G\" (10^9 bytes)")),
        "MB" | "MIB" => fault.help(format!("\"{number}Mi\" (2^20 bytes) or \"{number}M\" (10^6 bytes)")),
        "KB" | "KIB" | "K" => fault.help(format!("\"{number}Ki\" (1024 bytes) or \"{number}k\" (1000 bytes)")),
        "%" => fault.help("a share of a core is written in thousandths: \"500m\" is half a core"),
        _ => fault.help("for example \"10Gi\", \"50m\", \"1\""),
    })
}

/// `number` times `factor`, rounded up; `None` for what is no number or too great.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 18 || fraction.len() > 9 || fraction.contains('.') || number.ends_with('.') {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(factor)?.checked_add(parts.checked_mul(factor)?.div_ceil(scale))
}

/// Seconds of `30s`, `5m`, `1h` or `1m30s`.
pub fn duration(text: &str) -> Result<u32, Fault> {
    seconds(text).ok_or_else(|| {
        let fault = Fault::new(E0114, format!("`{text}` is not a duration"), "whole seconds, minutes or hours");
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
            fault.help(format!("with its unit: \"{text}s\""))
        } else if text.ends_with("ms") {
            fault.help("Kubernetes counts whole seconds: \"1s\"")
        } else {
            fault.help("for example \"30s\", \"5m\", \"1m30s\"")
        }
    })
}

fn seconds(text: &str) -> Option<u32> {
    let (mut total, mut digits, mut last) = (0_u32, String::new(), u32::MAX);
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        // Units fall from left to right and stand once.
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(digits.parse::<u32>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && last != u32::MAX).then_some(total)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quantities_are_what_kubernetes_makes_of_them() {
        let milli = |text: &str| quantity(text).unwrap().milli;
        assert_eq!(milli("1"), 1000);
        assert_eq!(milli("50m"), 50);
        assert_eq!(milli("0.1"), 100);
        assert_eq!(milli("1.5Gi"), 1_610_612_736_000);
        assert_eq!(milli("0.0001"), 1, "rounded up");
        assert_eq!(milli("2k"), 2_000_000);
        for bad in ["", "Gi", "4GB", "-1", "1.", ".5", "1e3", "1 Gi", "99999999999999999999", "1.2.3", "+1"] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90s").unwrap(), 90);
        assert_eq!(duration("1m30s").unwrap(), 90);
        assert_eq!(duration("1h").unwrap(), 3600);
        for bad in ["", "5", "s", "500ms", "1s1m", "1s1s", "-1s", "99999999999s", "2000000h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes() {
        assert_eq!(mode("0640").unwrap(), 0o640);
        assert_eq!(mode("4755").unwrap(), 0o4755);
        for bad in ["", "64", "0o640", "0689", "00640", "rw-"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
