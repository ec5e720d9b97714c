//! The page's content security policy: our script, our style, and nothing else, from nowhere.

use sha2::{Digest as _, Sha256};

/// `default-src 'none'; script-src 'sha256-…'; …`.
pub(super) fn policy(scripts: &[&str], styles: &[&str]) -> String {
    let hashes = |all: &[&str]| {
        all.iter().map(|text| format!(" 'sha256-{}'", base64(&Sha256::digest(text.as_bytes())))).collect::<String>()
    };
    format!(
        "default-src 'none'; script-src{}; style-src{}; img-src data:; base-uri 'none'; form-action 'none'",
        hashes(scripts),
        hashes(styles)
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let part = |n: usize| three.get(n).copied().map_or(0, u32::from);
        let word = part(0) << 16 | part(1) << 8 | part(2);
        for n in 0..4 {
            let six = (word >> (18 - 6 * n)) & 63;
            let letter = LETTERS.get(six as usize).copied().map_or('=', char::from);
            out.push(if n as usize > three.len() { '=' } else { letter });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn vectors_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
