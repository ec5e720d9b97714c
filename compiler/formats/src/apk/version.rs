//! Versions: `digits{.digits}[letter]{_suffix[digits]}[~hash][-rN]` (apk-package(5)).

use std::cmp::Ordering;

/// What a piece of a version is; the order is that in which pieces may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    First,
    Number,
    Letter,
    Suffix,
    SuffixNumber,
    Hash,
    Revision,
    End,
    Broken,
}

/// One piece.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    kind: Kind,
    text: &'a [u8],
    /// Of a suffix: its rank, below [`NEUTRAL`] for what comes before the release.
    rank: usize,
}

/// Suffixes in their order; those before the empty one are of pre-releases.
const SUFFIXES: [&[u8]; 10] = [b"alpha", b"beta", b"pre", b"rc", b"", b"cvs", b"svn", b"git", b"hg", b"p"];
const NEUTRAL: usize = 4;

/// Cuts a version into its pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    last: Kind,
}

impl<'a> Pieces<'a> {
    /// The first piece, and what gives the others.
    fn new(version: &'a [u8]) -> (Self, Piece<'a>) {
        let mut all = Self { rest: version, last: Kind::First };
        let first = all.digits(Kind::First);
        all.last = first.kind;
        (all, first)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (text, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        text
    }

    fn run(&mut self, fits: impl Fn(&u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|b| !fits(b)).unwrap_or(self.rest.len());
        self.take(length)
    }

    fn digits(&mut self, kind: Kind) -> Piece<'a> {
        let text = self.run(u8::is_ascii_digit);
        Piece { kind: if text.is_empty() { Kind::Broken } else { kind }, text, rank: 0 }
    }

    fn next(&mut self) -> Piece<'a> {
        let piece = self.piece();
        self.last = piece.kind;
        piece
    }

    fn piece(&mut self) -> Piece<'a> {
        let broken = Piece { kind: Kind::Broken, text: b"", rank: 0 };
        let Some(first) = self.rest.first().copied() else { return Piece { kind: Kind::End, ..broken } };
        match first {
            b'a'..=b'z' if self.last <= Kind::Number => Piece { kind: Kind::Letter, text: self.take(1), rank: 0 },
            b'.' if self.last <= Kind::Number => {
                self.take(1);
                self.digits(Kind::Number)
            }
            b'0'..=b'9' if self.last <= Kind::Number => self.digits(Kind::Number),
            b'0'..=b'9' if self.last == Kind::Suffix => self.digits(Kind::SuffixNumber),
            b'_' if self.last <= Kind::SuffixNumber => {
                self.take(1);
                let text = self.run(u8::is_ascii_lowercase);
                let rank = SUFFIXES.iter().position(|known| *known == text && !text.is_empty());
                rank.map_or(broken, |rank| Piece { kind: Kind::Suffix, text, rank })
            }
            b'~' if self.last < Kind::Hash => {
                self.take(1);
                let text = self.run(u8::is_ascii_hexdigit);
                if text.is_empty() { broken } else { Piece { kind: Kind::Hash, text, rank: 0 } }
            }
            b'-' if self.last < Kind::Revision && self.rest.starts_with(b"-r") => {
                self.take(2);
                self.digits(Kind::Revision)
            }
            _ => broken,
        }
    }
}

/// Whether it is a version at all.
pub fn is_version(version: &[u8]) -> bool {
    let (mut all, mut piece) = Pieces::new(version);
    while piece.kind < Kind::End {
        piece = all.next();
    }
    piece.kind == Kind::End
}

/// How `a` stands to `b`. Broken versions compare by the pieces before the broken one.
pub fn order(a: &[u8], b: &[u8]) -> Ordering {
    compare(a, b, false)
}

/// Whether `a` begins with the pieces of `b`: `1.2.3-r4` with `1.2` (the operator `~`).
pub fn same_prefix(a: &[u8], b: &[u8]) -> bool {
    compare(a, b, true) == Ordering::Equal
}

fn compare(a: &[u8], b: &[u8], prefix: bool) -> Ordering {
    let ((mut all_a, mut a), (mut all_b, mut b)) = (Pieces::new(a), Pieces::new(b));
    while a.kind == b.kind && a.kind < Kind::End {
        let order = pieces(&a, &b);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (all_a.next(), all_b.next());
    }
    if a.kind == b.kind || prefix && b.kind == Kind::End {
        return Ordering::Equal;
    }
    // What goes on is newer, unless it goes on with the suffix of a pre-release.
    let early = |piece: &Piece<'_>| piece.kind == Kind::Suffix && piece.rank < NEUTRAL;
    match (early(&a), early(&b)) {
        (true, _) => Ordering::Less,
        (_, true) => Ordering::Greater,
        _ => b.kind.cmp(&a.kind),
    }
}

fn pieces(a: &Piece<'_>, b: &Piece<'_>) -> Ordering {
    let zero = |piece: &Piece<'_>| piece.text.first() == Some(&b'0');
    match a.kind {
        Kind::Suffix => a.rank.cmp(&b.rank),
        // A leading zero makes them fractions, as in Gentoo's rules. apk 3; for apk 2 `010` came after `02`.
        Kind::Number if zero(a) || zero(b) => a.text.cmp(b.text),
        Kind::First | Kind::Number | Kind::SuffixNumber | Kind::Revision => number(a.text, b.text),
        _ => a.text.cmp(b.text),
    }
}

/// Numbers of any length.
fn number(a: &[u8], b: &[u8]) -> Ordering {
    let trim = |digits: &[u8]| digits.iter().position(|b| *b != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[trim(a)..], &b[trim(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_as_apk_does() {
        // Each line rises; `peers` puts the same pairs to a real apk.
        for rising in RISING {
            let all: Vec<&str> = rising.split(' ').collect();
            for (n, a) in all.iter().enumerate() {
                assert!(is_version(a.as_bytes()), "{a}");
                for (m, b) in all.iter().enumerate() {
                    assert_eq!(order(a.as_bytes(), b.as_bytes()), n.cmp(&m), "{a} {b}");
                }
            }
        }
    }

    pub(super) const RISING: [&str; 6] = [
        "0.1_alpha 0.1_alpha1 0.1_beta 0.1_pre2 0.1_rc1 0.1 0.1-r0 0.1-r1 0.1_git20230424 0.1_p1 0.1a 0.1.1",
        "1.2.3 1.2.4 1.2.10 1.3 2 10 100000000000000000000000",
        "1.01 1.010 1.02 1.1 1.10",
        "1.2.5-r0 1.2.5-r1 1.2.5-r10",
        "3.20.3 3.20.3_hg1",
        "1.36.1-r29 1.36.1_p1-r0",
    ];

    #[test]
    fn prefixes_and_broken_versions() {
        assert!(same_prefix(b"1.2.3-r4", b"1.2"));
        assert!(!same_prefix(b"1.2.3-r4", b"1.20"));
        assert!(!same_prefix(b"1.2", b"1.2.3"));
        for broken in ["", "a", "1.", "1_", "1_foo", "1-1", "1-r", "1~", "1-r1-r2", "1a.2", "1_p1a"] {
            assert!(!is_version(broken.as_bytes()), "{broken}");
            order(broken.as_bytes(), b"1");
        }
    }
}
