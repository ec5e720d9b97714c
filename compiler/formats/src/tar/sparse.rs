//! Sparse maps: where the data of a file with holes lies (GNU tar manual, "Storing Sparse
//! Files": old GNU, PAX 0.0, 0.1 and 1.0).

use super::error::TarErrorKind;
use super::field::unsigned;
use super::pax::{Pax, decimal};

/// A run of data within a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First byte, counted in the file with its holes.
    pub offset: u64,
    /// Bytes of data.
    pub len: u64,
}

/// What PAX records say about sparseness.
pub(super) enum PaxSparse {
    /// Nothing.
    No,
    /// Versions 0.0 and 0.1: the map is in the header.
    InHeader { name: Option<Vec<u8>>, size: u64, map: Vec<Segment> },
    /// Version 1.0: the map stands before the data.
    BeforeData { name: Option<Vec<u8>>, size: u64 },
}

/// Interprets the `GNU.sparse.*` records.
pub(super) fn from_pax(pax: &Pax, max_segments: usize) -> Result<PaxSparse, TarErrorKind> {
    if pax.sparse.is_empty() && pax.pairs.is_empty() {
        return Ok(PaxSparse::No);
    }
    let get = |key: &[u8]| pax.sparse.get(key).map(Vec::as_slice);
    let number = |key: &'static [u8]| match get(key) {
        Some(value) => decimal(value).map(Some).ok_or(TarErrorKind::PaxValue("GNU.sparse")),
        None => Ok(None),
    };
    let name = get(b"name").map(<[u8]>::to_vec);
    if name.as_ref().is_some_and(|name| name.is_empty() || name.contains(&0)) {
        return Err(TarErrorKind::PaxValue("GNU.sparse.name"));
    }
    // 1.0 and 0.1 call it realsize and size; both at once must agree.
    let size = match (number(b"realsize")?, number(b"size")?) {
        (Some(a), Some(b)) if a != b => return Err(TarErrorKind::Sparse("it has two sizes")),
        (Some(size), _) | (None, Some(size)) => size,
        (None, None) => return Err(TarErrorKind::Sparse("its full size is missing")),
    };
    match (get(b"major"), get(b"minor")) {
        (Some(b"1"), Some(b"0")) => Ok(PaxSparse::BeforeData { name, size }),
        (None, None) | (Some(b"0"), Some(b"0" | b"1")) => {
            let map = match get(b"map") {
                Some(_) if !pax.pairs.is_empty() => {
                    return Err(TarErrorKind::Sparse("there are two maps"));
                }
                Some(map) => from_list(map, max_segments)?,
                None => from_pairs(&pax.pairs)?,
            };
            if number(b"numblocks")?.is_some_and(|n| usize::try_from(n) != Ok(map.len())) {
                return Err(TarErrorKind::Sparse("the number of segments is another"));
            }
            Ok(PaxSparse::InHeader { name, size, map })
        }
        _ => Err(TarErrorKind::SparseVersion),
    }
}

/// 0.1: `offset,len,offset,len…`
fn from_list(list: &[u8], max_segments: usize) -> Result<Vec<Segment>, TarErrorKind> {
    let mut map = Vec::new();
    if list.is_empty() {
        return Ok(map);
    }
    let mut numbers = list.split(|&b| b == b',').map(decimal);
    while let Some(offset) = numbers.next() {
        let (Some(offset), Some(Some(len))) = (offset, numbers.next()) else {
            return Err(TarErrorKind::Sparse("it is not a list of pairs of numbers"));
        };
        push(&mut map, Segment { offset, len }, max_segments)?;
    }
    Ok(map)
}

/// 0.0: offset, numbytes, offset, numbytes … each a record of its own.
fn from_pairs(pairs: &[(bool, u64)]) -> Result<Vec<Segment>, TarErrorKind> {
    pairs
        .chunks(2)
        .map(|pair| match pair {
            &[(true, offset), (false, len)] => Ok(Segment { offset, len }),
            _ => Err(TarErrorKind::Sparse("offsets and lengths do not alternate")),
        })
        .collect()
}

/// Old GNU: 24-byte pairs of number fields; an empty pair ends the map.
pub(super) fn from_fields(fields: &[u8], map: &mut Vec<Segment>, max_segments: usize) -> Result<(), TarErrorKind> {
    for pair in fields.chunks_exact(24) {
        let (offset, len) = pair.split_at_checked(12).unwrap_or_default();
        // GNU tar ends at the first pair whose length field is empty.
        if len.first() == Some(&0) {
            break;
        }
        let (offset, len) = (unsigned(offset, "sparse offset")?, unsigned(len, "sparse length")?);
        push(map, Segment { offset, len }, max_segments)?;
    }
    Ok(())
}

/// Adds a segment, within the limit.
pub(super) fn push(map: &mut Vec<Segment>, segment: Segment, max_segments: usize) -> Result<(), TarErrorKind> {
    if map.len() >= max_segments {
        return Err(TarErrorKind::Sparse("too many segments"));
    }
    map.push(segment);
    Ok(())
}

/// Checks that a map is in order, lies within `size` and holds exactly `stored` bytes.
pub(super) fn check(map: &[Segment], size: u64, stored: u64) -> Result<(), TarErrorKind> {
    let (mut end, mut sum) = (0u64, 0u64);
    for segment in map {
        if segment.offset < end {
            return Err(TarErrorKind::Sparse("segments overlap or are out of order"));
        }
        end = segment
            .offset
            .checked_add(segment.len)
            .filter(|end| *end <= size)
            .ok_or(TarErrorKind::Sparse("a segment reaches past the end of the file"))?;
        // Cannot overflow: the segments do not overlap and lie within `size`.
        sum = sum.saturating_add(segment.len);
    }
    if sum == stored { Ok(()) } else { Err(TarErrorKind::Sparse("it does not fit the stored size")) }
}
