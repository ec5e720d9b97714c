//! The fixed fields of a header block: numbers, strings, the checksum.

use super::BLOCK;
use super::error::TarErrorKind;

/// A header block with named access to its fields.
pub(super) struct Header<'a>(pub &'a [u8; BLOCK]);

/// Which dialect the magic field announces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Magic {
    /// POSIX: the prefix field is part of the name.
    Ustar,
    /// GNU: times and the old sparse map where ustar has its prefix.
    Gnu,
    /// v7: neither.
    None,
}

impl<'a> Header<'a> {
    fn bytes(&self, start: usize, len: usize) -> &'a [u8] {
        // Every caller passes constants that lie inside the block.
        self.0.get(start..start + len).unwrap_or_default()
    }

    pub fn name(&self) -> &'a [u8] {
        until_nul(self.bytes(0, 100))
    }

    pub fn typeflag(&self) -> u8 {
        self.0[156]
    }

    pub fn link(&self) -> &'a [u8] {
        until_nul(self.bytes(157, 100))
    }

    pub fn magic(&self) -> Magic {
        match self.bytes(257, 8) {
            m if m.starts_with(b"ustar\0") => Magic::Ustar,
            b"ustar  \0" => Magic::Gnu,
            _ => Magic::None,
        }
    }

    /// The name prefix of ustar: 155 bytes, or 131 in star's variant, which keeps times
    /// behind it ("tar\0" in the last four bytes).
    pub fn prefix(&self) -> &'a [u8] {
        let len = if self.bytes(508, 4) == b"tar\0" { 131 } else { 155 };
        until_nul(self.bytes(345, len))
    }

    /// Whether a GNU header's atime and ctime are numbers or empty, as GNU tar writes them.
    /// Old Go programs wrote a name prefix there (golang issue 12594).
    pub fn gnu_times_are_times(&self) -> bool {
        signed(self.bytes(345, 12), "atime").is_ok() && signed(self.bytes(357, 12), "ctime").is_ok()
    }

    pub fn mode(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(100, 8), "mode")
    }

    pub fn uid(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(108, 8), "uid")
    }

    pub fn gid(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(116, 8), "gid")
    }

    pub fn size(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(124, 12), "size")
    }

    pub fn mtime(&self) -> Result<i64, TarErrorKind> {
        signed(self.bytes(136, 12), "mtime")
    }

    pub fn major(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(329, 8), "devmajor")
    }

    pub fn minor(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(337, 8), "devminor")
    }

    /// The four inline (offset, length) fields of GNU's old sparse header.
    pub fn sparse_fields(&self) -> &'a [u8] {
        self.bytes(386, 96)
    }

    /// Whether blocks of further sparse fields follow.
    pub fn sparse_extended(&self) -> bool {
        self.0[482] != 0
    }

    /// The size of an old GNU sparse file with its holes.
    pub fn sparse_real_size(&self) -> Result<u64, TarErrorKind> {
        unsigned(self.bytes(483, 12), "realsize")
    }

    /// Compares the checksum field with the block: the sum of its bytes, the field itself
    /// counted as spaces. Some old programs summed signed bytes; every reader accepts both.
    pub fn check(&self) -> Result<(), TarErrorKind> {
        let said = signed(self.bytes(148, 8), "chksum").map_err(|_| TarErrorKind::Checksum)?;
        let (mut plain, mut signed_sum) = (0i64, 0i64);
        for (at, &byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { byte };
            plain += i64::from(byte);
            signed_sum += i64::from(byte.cast_signed());
        }
        if said == plain || said == signed_sum { Ok(()) } else { Err(TarErrorKind::Checksum) }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// A number field that must not be negative.
pub(super) fn unsigned(field: &[u8], name: &'static str) -> Result<u64, TarErrorKind> {
    u64::try_from(signed(field, name)?).map_err(|_| TarErrorKind::OutOfRange(name))
}

/// A number field: octal digits between spaces or NULs, nothing (0), or GNU's base-256
/// (first bit set: a two's complement number of the rest). Limited to an i64.
pub(super) fn signed(field: &[u8], name: &'static str) -> Result<i64, TarErrorKind> {
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        return base256(field).ok_or(TarErrorKind::OutOfRange(name));
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = field.get(start..).unwrap_or_default();
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).unwrap_or_default();
    // After the terminator nothing counts for GNU tar; Go insists on blanks: so do we.
    if !rest.iter().all(blank) {
        return Err(TarErrorKind::NotANumber(name));
    }
    digits.iter().try_fold(0i64, |sum, &digit| match digit {
        b'0'..=b'7' => sum
            .checked_mul(8)
            .and_then(|sum| sum.checked_add(i64::from(digit - b'0')))
            .ok_or(TarErrorKind::OutOfRange(name)),
        _ => Err(TarErrorKind::NotANumber(name)),
    })
}

fn base256(field: &[u8]) -> Option<i64> {
    // 12 bytes are 96 bits: an i128 holds every field exactly.
    let (first, rest) = field.split_first()?;
    // The marker bit is not part of the number: the sign stands in the bit below it.
    let first = i128::from((first << 1).cast_signed() >> 1);
    let number = rest.iter().fold(first, |sum, &b| (sum << 8) | i128::from(b));
    i64::try_from(number).ok()
}
