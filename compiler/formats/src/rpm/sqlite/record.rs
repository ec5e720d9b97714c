//! Variable-length integers and records.

/// Reads an integer of one to nine bytes; gives it and its length.
pub(super) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for n in 0..9 {
        let byte = *bytes.get(at.checked_add(n)?)?;
        if n == 8 {
            return Some(((value << 8) | u64::from(byte), 9));
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, n + 1));
        }
    }
    None
}

/// Writes an integer.
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value >> 56 != 0 {
        for n in (0..8).rev() {
            out.push(((value >> (8 + 7 * n)) as u8 & 0x7f) | 0x80);
        }
        out.push(value as u8);
        return;
    }
    let length = (1..8).find(|n| value >> (7 * n) == 0).unwrap_or(8);
    for n in (0..length).rev() {
        out.push((value >> (7 * n)) as u8 & 0x7f | if n > 0 { 0x80 } else { 0 });
    }
}

/// A value of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Real,
    Blob(&'a [u8]),
    Text(&'a [u8]),
}

/// The values of a record; `None` when it does not hold together.
pub(super) fn values(record: &[u8]) -> Option<Vec<Value<'_>>> {
    let (header, mut at) = varint(record, 0)?;
    let header = usize::try_from(header).ok().filter(|header| *header <= record.len())?;
    let mut body = header;
    let mut all = Vec::new();
    while at < header {
        let (kind, length) = varint(record, at)?;
        at += length;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = record.get(body..body.checked_add(size)?)?;
        body += size;
        all.push(match kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            7 => Value::Real,
            1..=6 => Value::Integer(integer(bytes)),
            _ if kind % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes),
        });
    }
    (at == header && body == record.len()).then_some(all)
}

/// Big-endian, with a sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |n, b| n << 8 | i64::from(*b))
}

/// Makes a record; only of values that have bytes here.
pub(super) fn record(values: &[Value<'_>]) -> Vec<u8> {
    let (mut kinds, mut body) = (Vec::new(), Vec::new());
    for value in values {
        match value {
            Value::Null | Value::Real => put_varint(&mut kinds, 0),
            Value::Integer(0) => put_varint(&mut kinds, 8),
            Value::Integer(1) => put_varint(&mut kinds, 9),
            Value::Integer(n) => {
                let widths = [(1_u64, 1_usize), (2, 2), (3, 3), (4, 4), (5, 6)];
                let fits = |width: &usize| *n >= -(1 << (8 * width - 1)) && *n < 1 << (8 * width - 1);
                let (kind, width) = widths.into_iter().find(|(_, width)| fits(width)).unwrap_or((6, 8));
                put_varint(&mut kinds, kind);
                body.extend(n.to_be_bytes().iter().skip(8 - width));
            }
            Value::Blob(bytes) => {
                put_varint(&mut kinds, bytes.len() as u64 * 2 + 12);
                body.extend(*bytes);
            }
            Value::Text(bytes) => {
                put_varint(&mut kinds, bytes.len() as u64 * 2 + 13);
                body.extend(*bytes);
            }
        }
    }
    // The header's length counts itself.
    let mut length = Vec::new();
    let mut size = kinds.len() + 1;
    loop {
        length.clear();
        put_varint(&mut length, size as u64);
        if length.len() + kinds.len() == size {
            return [length, kinds, body].concat();
        }
        size = length.len() + kinds.len();
    }
}
