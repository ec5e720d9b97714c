//! PAX extension headers: length-prefixed records (POSIX.1-2017, pax, "pax Header Block").

use std::collections::BTreeMap;

use super::Xattrs;
use super::error::TarErrorKind;

/// Everything that PAX headers say about one entry. `None`: the record was absent or its
/// value empty, which POSIX defines as "use the header's own field".
#[derive(Default)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub mtime: Option<i64>,
    pub xattrs: Xattrs,
    /// `GNU.sparse.*` records without the prefix; offset and numbytes are in `pairs`.
    pub sparse: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Sparse 0.0 writes offset and numbytes as alternating records of one name.
    pub pairs: Vec<(bool, u64)>,
}

/// Key and value of a record.
type Record<'a> = (&'a [u8], &'a [u8]);

/// Splits a PAX header's content into records. A value may hold anything, newlines and NULs
/// included (security.capability does); only the length says where it ends.
pub(super) fn records(mut bytes: &[u8]) -> Result<Vec<Record<'_>>, TarErrorKind> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|&b| b == b' ').ok_or(TarErrorKind::PaxRecord("no length"))?;
        let (digits, _) = bytes.split_at_checked(space).unwrap_or_default();
        let length = decimal(digits)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or(TarErrorKind::PaxRecord("the length is not a number"))?;
        let (record, rest) =
            bytes.split_at_checked(length).ok_or(TarErrorKind::PaxRecord("the length reaches past the header"))?;
        let body = record
            .get(space + 1..)
            .and_then(|body| body.strip_suffix(b"\n"))
            .ok_or(TarErrorKind::PaxRecord("it does not end in a newline"))?;
        let equals = body.iter().position(|&b| b == b'=').ok_or(TarErrorKind::PaxRecord("no equals sign"))?;
        let (key, value) = body.split_at_checked(equals).unwrap_or_default();
        if key.is_empty() || key.contains(&0) {
            return Err(TarErrorKind::PaxRecord("the key is empty or holds a NUL"));
        }
        found.push((key, value.get(1..).unwrap_or_default()));
        bytes = rest;
    }
    Ok(found)
}

/// Reads the records of a header that belongs to one entry. Of a key that comes twice the
/// last counts, for every reader. Keys that say nothing about a tree are passed over.
pub(super) fn parse(bytes: &[u8], max_segments: usize) -> Result<Pax, TarErrorKind> {
    let mut pax = Pax::default();
    for (key, value) in records(bytes)? {
        match key {
            b"path" => pax.path = name(value, "path")?,
            b"linkpath" => pax.link = name(value, "linkpath")?,
            b"size" => pax.size = number(value, "size")?,
            b"uid" => pax.uid = number(value, "uid")?,
            b"gid" => pax.gid = number(value, "gid")?,
            b"mtime" => pax.mtime = time(value)?,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let number = number(value, "GNU.sparse")?;
                let number = number.ok_or(TarErrorKind::PaxValue("GNU.sparse"))?;
                if pax.pairs.len() >= max_segments.saturating_mul(2) {
                    return Err(TarErrorKind::Sparse("too many segments"));
                }
                pax.pairs.push((key.ends_with(b"offset"), number));
            }
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    pax.sparse.insert(key.to_vec(), value.to_vec());
                } else if let Some(attribute) = key.strip_prefix(b"SCHILY.xattr.") {
                    if attribute.is_empty() {
                        return Err(TarErrorKind::PaxValue("SCHILY.xattr."));
                    }
                    // An empty value takes the record back (POSIX); Go drops it likewise.
                    if value.is_empty() {
                        pax.xattrs.remove(attribute);
                    } else {
                        pax.xattrs.insert(attribute.to_vec(), value.to_vec());
                    }
                } else if key.starts_with(b"GNU.volume.") || key.starts_with(b"GNU.dumpdir") {
                    return Err(TarErrorKind::PaxValue("GNU.volume or GNU.dumpdir"));
                }
            }
        }
    }
    Ok(pax)
}

/// Checks a global header. GNU tar and Python apply it to all later entries, Go (umoci,
/// skopeo, containerd) to none: only what cannot change a tree, as git's `comment`, passes.
pub(super) fn check_global(bytes: &[u8]) -> Result<(), TarErrorKind> {
    const CHANGES: [&[u8]; 6] = [b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"];
    for (key, _) in records(bytes)? {
        if CHANGES.contains(&key)
            || key.starts_with(b"GNU.")
            || key.starts_with(b"SCHILY.")
            || key.starts_with(b"LIBARCHIVE.")
            || key.starts_with(b"RHT.")
        {
            return Err(TarErrorKind::GlobalKey(key.to_vec()));
        }
    }
    Ok(())
}

fn name(value: &[u8], key: &'static str) -> Result<Option<Vec<u8>>, TarErrorKind> {
    if value.contains(&0) {
        return Err(TarErrorKind::PaxValue(key));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn number(value: &[u8], key: &'static str) -> Result<Option<u64>, TarErrorKind> {
    if value.is_empty() {
        return Ok(None);
    }
    decimal(value).map(Some).ok_or(TarErrorKind::PaxValue(key))
}

/// Seconds with an optional sign and fraction; the fraction is cut toward the past.
fn time(value: &[u8]) -> Result<Option<i64>, TarErrorKind> {
    if value.is_empty() {
        return Ok(None);
    }
    let bad = || TarErrorKind::PaxValue("mtime");
    let (negative, rest) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = rest.splitn(2, |&b| b == b'.');
    let whole = decimal(parts.next().unwrap_or_default()).ok_or_else(bad)?;
    let whole = i64::try_from(whole).map_err(|_| TarErrorKind::OutOfRange("mtime"))?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let below = negative && fraction.iter().any(|&b| b != b'0');
    let seconds = if negative { -whole } else { whole };
    Ok(Some(seconds.saturating_sub(i64::from(below))))
}

/// Decimal digits and nothing else, at most i64::MAX (what every reader can hold).
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |sum, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    i64::try_from(number).ok().map(|_| number)
}
