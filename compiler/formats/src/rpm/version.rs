//! Versions: `[epoch:]version[-release]` (rpm, `rpmio/rpmvercmp.cc`, `lib/rpmver.cc`).

use std::cmp::Ordering;

use super::package::sense;

/// How `a` stands to `b`; what is neither letter, digit, `~` nor `^` only separates.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        a = trim(a);
        b = trim(b);
        match (a.first(), b.first()) {
            // `~` comes before everything, the end too.
            (Some(b'~'), Some(b'~')) => (a, b) = (&a[1..], &b[1..]),
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            // `^` comes after the end and before everything else.
            (Some(b'^'), Some(b'^')) => (a, b) = (&a[1..], &b[1..]),
            (Some(b'^'), None) | (Some(_), None) => return Ordering::Greater,
            (None, Some(_)) | (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (Some(first), Some(_)) => {
                let digits = first.is_ascii_digit();
                let (one, two) = (run(a, digits), run(b, digits));
                // A number is newer than a word.
                if two == 0 {
                    return if digits { Ordering::Greater } else { Ordering::Less };
                }
                let order = match digits {
                    true => number(&a[..one], &b[..two]),
                    false => a[..one].cmp(&b[..two]),
                };
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (&a[one..], &b[two..]);
            }
        }
    }
}

fn trim(text: &[u8]) -> &[u8] {
    let counts = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'~' | b'^');
    &text[text.iter().position(counts).unwrap_or(text.len())..]
}

fn run(text: &[u8], digits: bool) -> usize {
    let fits = |b: &u8| if digits { b.is_ascii_digit() } else { b.is_ascii_alphabetic() };
    text.iter().position(|b| !fits(b)).unwrap_or(text.len())
}

fn number(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |text: &[u8]| text.iter().position(|b| *b != b'0').unwrap_or(text.len());
    let (a, b) = (&a[strip(a)..], &b[strip(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Epoch, version and release as they stand in a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evr<'a> {
    /// 0 where it is not said.
    pub epoch: u64,
    /// Version.
    pub version: &'a str,
    /// Release, where it is said.
    pub release: Option<&'a str>,
}

impl<'a> Evr<'a> {
    /// Cuts `[epoch:]version[-release]`.
    pub fn parse(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch.parse().unwrap_or(0), rest),
            _ => (0, text),
        };
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release).filter(|r| !r.is_empty())),
            None => (rest, None),
        };
        Self { epoch, version, release }
    }
}

/// Whether two ranges of versions, each with its `sense` flags, have one in common.
pub fn overlap(a: &str, a_sense: u64, b: &str, b_sense: u64) -> bool {
    let says = |flags: u64, text: &str| flags & sense::COMPARE != 0 && !text.is_empty();
    if !says(a_sense, a) || !says(b_sense, b) {
        return true;
    }
    let both = |bit| a_sense & bit != 0 && b_sense & bit != 0;
    let (one, two) = (Evr::parse(a), Evr::parse(b));
    let mut order = one.epoch.cmp(&two.epoch).then_with(|| compare(one.version, two.version));
    if order == Ordering::Equal {
        match (one.release, two.release) {
            (Some(one), Some(two)) => order = compare(one, two),
            // `= 1.2` without a release means each of its releases.
            (Some(_), None) if b_sense & sense::EQUAL != 0 => return true,
            (None, Some(_)) if a_sense & sense::EQUAL != 0 => return true,
            _ => {}
        }
    }
    match order {
        Ordering::Less => a_sense & sense::GREATER != 0 || b_sense & sense::LESS != 0,
        Ordering::Greater => a_sense & sense::LESS != 0 || b_sense & sense::GREATER != 0,
        Ordering::Equal => both(sense::EQUAL) || both(sense::LESS) || both(sense::GREATER),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Each line rises; `peers` puts the same pairs to a real rpm.
    pub const RISING: [&str; 6] = [
        "1.0~rc1 1.0~rc2 1.0 1.0^git1 1.0^git2 1.0.1",
        "a b 1 1a 1.1 1.02 1.10 2",
        "5.5p1 5.5p2 5.5p10 5.6",
        "0 00.1 0.2",
        "xyz.4 xyz10 xyz10.1 8",
        "20101121 20101122",
    ];

    #[test]
    fn orders_as_rpm_does() {
        for rising in RISING {
            let all: Vec<&str> = rising.split(' ').collect();
            for (n, a) in all.iter().enumerate() {
                for (m, b) in all.iter().enumerate() {
                    assert_eq!(compare(a, b), n.cmp(&m), "{a} {b}");
                }
            }
        }
        assert_eq!(compare("1.0.", "1.0"), Ordering::Equal);
        assert_eq!(compare("1_0", "1.00"), Ordering::Equal);
    }

    #[test]
    fn ranges_overlap() {
        let (less, greater, equal) = (sense::LESS, sense::GREATER, sense::EQUAL);
        assert!(overlap("1:1.2-3", equal, "1.1", greater));
        assert!(!overlap("1.2-3", equal, "1:1.1", greater | equal));
        assert!(overlap("1.2-3", equal, "1.2", equal));
        assert!(!overlap("1.2-3", equal, "1.2-4", greater | equal));
        assert!(overlap("1.2", equal, "1.2-4", greater | equal));
        assert!(overlap("", 0, "7", less));
        assert!(!overlap("2", less, "3", greater));
        assert!(overlap("2", greater, "3", less));
    }
}
