//! Debian versions and their order (deb-version(7)): epoch, upstream, revision, with `~` before
//! everything and digits compared as numbers.

use std::cmp::Ordering;

/// A version, checked as dpkg checks it.
#[derive(Debug, Clone)]
pub struct Version {
    epoch: u32,
    upstream: String,
    revision: String,
    text: String,
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing there.
    #[error("the version is empty")]
    Empty,
    /// The part before the colon is not a number below 2³¹.
    #[error("the epoch \"{0}\" is not a number that dpkg accepts")]
    Epoch(String),
    /// Nothing after the colon, or nothing after the hyphen.
    #[error("the version \"{0}\" has an empty part")]
    EmptyPart(String),
    /// A character that no version has.
    #[error("the version \"{0}\" holds a character that no version has")]
    Character(String),
}

impl Version {
    /// Reads a version.
    ///
    /// # Errors
    /// See [`VersionError`]. An upstream part that does not start with a digit is accepted, as
    /// dpkg only warns of it.
    pub fn parse(text: &str) -> Result<Version, VersionError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let shown = || crate::line::shown(text.as_bytes());
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        let (epoch, rest) = match text.split_once(':') {
            None => (0, text),
            Some((epoch, rest)) => {
                let number = epoch.bytes().all(|b| b.is_ascii_digit()).then(|| epoch.parse::<u32>().ok());
                match number.flatten().filter(|n| *n <= i32::MAX as u32) {
                    Some(n) => (n, rest),
                    None => return Err(VersionError::Epoch(crate::line::shown(epoch.as_bytes()))),
                }
            }
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            None => (rest, ""),
            Some((_, "")) => return Err(VersionError::EmptyPart(shown())),
            Some(parts) => parts,
        };
        if upstream.is_empty() {
            return Err(VersionError::EmptyPart(shown()));
        }
        let good = |extra: &'static [u8]| move |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
        if !upstream.bytes().all(good(b"-+.~:")) || !revision.bytes().all(good(b"+.~")) {
            return Err(VersionError::Character(shown()));
        }
        Ok(Version { epoch, upstream: upstream.into(), revision: revision.into(), text: text.into() })
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// `0:1.0` equals `1.0` and `1.00`: equality follows the order, not the spelling.
impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| part(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| part(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

/// Compares one part: runs of non-digits by `weight`, runs of digits as numbers, in turn.
fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (x, y) = (a.first().copied(), b.first().copied());
            if [x, y].iter().all(|c| c.is_none_or(|c| c.is_ascii_digit())) {
                break;
            }
            match weight(x).cmp(&weight(y)) {
                // Weights are equal only for the same non-digit, so both sides can step.
                Ordering::Equal => (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default()),
                unequal => return unequal,
            }
        }
        let (x, y) = (digits(&mut a), digits(&mut b));
        match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// The order of one character of a non-digit run: `~`, then the end (or a digit), letters, others.
fn weight(c: Option<u8>) -> i32 {
    match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    }
}

/// Takes the digits at the front; leading zeros are left out, so that longer is larger.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let count = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (run, rest) = text.split_at(count);
    *text = rest;
    let zeros = run.iter().take_while(|c| **c == b'0').count();
    &run[zeros..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// xorshift: the same versions in every run.
    struct Dice(u64);
    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % below as u64) as usize
        }
        fn version(&mut self) -> String {
            let mut text = String::new();
            if self.roll(4) == 0 {
                text.push_str(&format!("{}:", self.roll(3)));
            }
            text.push_str(&self.roll(12).to_string());
            for _ in 0..self.roll(5) {
                text.push_str(["~", "+", ".", "0", "9", "00", "10", "a", "Z", "rc", "-"][self.roll(11)]);
            }
            if self.roll(2) == 0 {
                text.push_str(&format!("-{}", self.roll(11)));
            } else if text.ends_with('-') {
                text.push('1');
            }
            text
        }
    }

    #[test]
    fn the_order_of_the_manual_page() {
        let rising = ["~~", "~~a", "~", "", "a"].map(|s| format!("1{s}"));
        for pair in rising.windows(2) {
            assert!(Version::parse(&pair[0]).unwrap() < Version::parse(&pair[1]).unwrap(), "{pair:?}");
        }
        assert_eq!(Version::parse("0:1.00-0").unwrap(), Version::parse("1.0").unwrap());
        assert!(Version::parse("1:0.1").unwrap() > Version::parse("99.9").unwrap());
        assert!(Version::parse("1.10").unwrap() > Version::parse("1.9").unwrap());
    }

    #[test]
    fn what_dpkg_refuses_is_refused() {
        for bad in [
            "",
            " ",
            ":1",
            "x:1",
            "-1:1",
            "1:",
            "1-",
            "-1",
            "1_2",
            "1 2",
            "99999999999:1",
            "2147483648:1",
            "1-a_b",
            "ü1",
        ] {
            assert!(Version::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_order_is_total() {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for _ in 0..20_000 {
            let [a, b, c] = [(); 3].map(|()| Version::parse(&dice.version()).unwrap());
            assert_eq!(a.cmp(&b), b.cmp(&a).reverse(), "{a} {b}");
            if a <= b && b <= c {
                assert!(a <= c, "{a} {b} {c}");
            }
        }
    }

    #[test]
    fn dpkg_agrees() {
        let mut dice = Dice(42);
        for round in 0..250 {
            let (a, b) = (dice.version(), dice.version());
            let op = match Version::parse(&a).unwrap().cmp(&Version::parse(&b).unwrap()) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            let run = std::process::Command::new("dpkg").args(["--compare-versions", &a, op, &b]).status();
            match run {
                Ok(status) => assert!(status.success(), "dpkg does not say {a} {op} {b}"),
                Err(e) => {
                    assert_eq!(round, 0);
                    println!("skipped: dpkg cannot be run here ({e})");
                    return;
                }
            }
        }
    }
}
