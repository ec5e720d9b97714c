//! `Index.db`: pages of slots, each leading to a hash table of one tag (`rpmxdb.c`, `rpmidx.c`).
//!
//! A hash table has a header of 64 bytes, then slots of eight bytes (place of the key with bits of its hash, package and
//! index), then four bytes a slot for what does not fit, then the keys, each after its length.

use std::collections::BTreeMap;

use super::super::ContainerError;
use super::super::bytes::{le32, put};

const PAGE: usize = 4096;
const SLOT: usize = 16;
const FIRST_SLOT: usize = 2;
const HEADER: usize = 64;
/// Room that is left behind the keys, bytes.
const CHUNK: usize = 4096;
/// A slot whose entry was deleted.
const DUMMY: u32 = u32::MAX;

/// A package's number, and the index in its tag.
type Place = (u32, u32);

/// One tag's hash table.
struct Table {
    tag: u32,
    generation: u32,
    /// Keys in the order of the file, each with packages and indices in the order in which they are found.
    keys: Vec<(Vec<u8>, Vec<Place>)>,
}

/// `Index.db` without what leads to packages that `keep` refuses; nothing where it does not belong to a `Packages.db` of
/// this generation, so that rpm would make it anew.
///
/// # Errors
/// A file that does not hold together.
pub fn rewrite(file: &[u8], generation: u32, keep: impl Fn(u32) -> bool) -> Result<Option<Vec<u8>>, ContainerError> {
    if !file.starts_with(b"RpmX") || le32(file, 4) != Some(0) {
        return Err(ContainerError::new(0_u64, "this is not an Index.db of version 0"));
    }
    if le32(file, 20) != Some(generation) {
        return Ok(None);
    }
    let mut tables = tables(file)?;
    for table in &mut tables {
        for (_, found) in &mut table.keys {
            found.retain(|(package, _)| keep(*package));
        }
        table.keys.retain(|(_, found)| !found.is_empty());
    }
    Ok(Some(write(file, &tables)))
}

fn tables(file: &[u8]) -> Result<Vec<Table>, ContainerError> {
    let bad = |at: usize, what: &str| ContainerError::new(at, what);
    let number = |at| le32(file, at).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let page = number(16);
    if !page.is_power_of_two() || !(256..=65536).contains(&page) {
        return Err(bad(16, "the size of a page is impossible"));
    }
    let end = number(12).checked_mul(page).filter(|end| *end <= file.len());
    let slots = end.and_then(|end| file.get(..end)).ok_or_else(|| bad(12, "its slots lead out of it"))?;
    let mut all = Vec::new();
    // Tables do not lie over each other.
    let mut room = file.len();
    for (n, slot) in slots.chunks_exact(SLOT).enumerate().skip(FIRST_SLOT) {
        let at = n * SLOT;
        if slot.get(..3) != Some(b"Slo") {
            return Err(bad(at, "a slot is broken"));
        }
        let field = |at| le32(slot, at).unwrap_or_default();
        let place = |at| usize::try_from(field(at)).ok().and_then(|n| n.checked_mul(page));
        // Free, or a table that was being made when rpm stopped.
        if field(8) == 0 || field(12) == 0 || slot.get(3) != Some(&0) {
            continue;
        }
        let (start, size) = place(8).zip(place(12)).ok_or_else(|| bad(at, "a slot is broken"))?;
        let bytes = start.checked_add(size).and_then(|end| file.get(start..end));
        let bytes = bytes.filter(|bytes| start >= slots.len() && room >= bytes.len());
        let bytes = bytes.ok_or_else(|| bad(at, "a slot leads out of the file"))?;
        room -= bytes.len();
        all.push(table(field(4), bytes).ok_or_else(|| bad(start, "an index is damaged"))?);
    }
    Ok(all)
}

fn table(tag: u32, bytes: &[u8]) -> Option<Table> {
    let slots = usize::try_from(le32(bytes, 12)?).ok()?;
    let (mask, key_end) = (le32(bytes, 24)?, usize::try_from(le32(bytes, 28)?).ok()?);
    let keys_at = slots.checked_mul(12)?.checked_add(HEADER)?;
    let keys = bytes.get(keys_at..)?.get(..key_end)?;
    if !bytes.starts_with(b"RpmI") || le32(bytes, 4)? != 0 || slots < 256 || !slots.is_power_of_two() {
        return None;
    }
    // By the place of the key; places in a chain are looked at in the order in which a search meets them.
    let mut found: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for slot in 0..slots {
        let (key, data) = (le32(bytes, HEADER + 8 * slot)?, le32(bytes, HEADER + 8 * slot + 4)?);
        if key != 0 && key != DUMMY {
            let more = le32(bytes, HEADER + 8 * slots + 4 * slot)?;
            found.entry(key & !mask).or_default().push(decode(data, more));
        }
    }
    let mut all = Vec::new();
    let mut room = keys.len();
    for (place, mut entries) in found {
        let key = key_at(keys, usize::try_from(place).ok()?)?;
        room = room.checked_sub(key.len())?;
        entries.sort_unstable();
        all.push((key.to_vec(), entries));
    }
    Some(Table { tag, generation: le32(bytes, 8)?, keys: all })
}

/// A key with its length before it: one byte, or 255 and two, or 255 thrice and four.
fn key_at(keys: &[u8], at: usize) -> Option<&[u8]> {
    let rest = keys.get(at..)?;
    let byte = |n: usize| rest.get(n).copied().map(usize::from);
    let (skip, length): (usize, usize) = match (byte(0)?, byte(1), byte(2)) {
        (255, Some(255), Some(255)) => (7, usize::try_from(le32(rest, 3)?).ok()?),
        (255, Some(low), Some(high)) => (3, high << 8 | low),
        (length, ..) => (1, length),
    };
    rest.get(skip..skip.checked_add(length)?)
}

fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    let length = key.len().to_le_bytes();
    match key.len() {
        1..255 => out.push(length[0]),
        0..65535 => out.extend([255, length[0], length[1]]),
        _ => out.extend([255, 255, 255, length[0], length[1], length[2], length[3]]),
    }
    out.extend_from_slice(key);
}

/// Package and index as they are packed, so that the overflow is mostly 0.
fn encode(package: u32, index: u32) -> (u32, u32) {
    if package < 0x10_0000 && index < 0x400 {
        (package | index << 20, 0)
    } else if package < 0x100_0000 && index < 0x40 {
        (package | index << 24 | 0x4000_0000, 0)
    } else {
        (index | 0x8000_0000, package)
    }
}

fn decode(data: u32, more: u32) -> (u32, u32) {
    if data & 0x8000_0000 != 0 {
        (more, data ^ 0x8000_0000)
    } else if data & 0x4000_0000 != 0 {
        (data & 0xff_ffff, (data ^ 0x4000_0000) >> 24)
    } else {
        (data & 0xf_ffff, data >> 20)
    }
}

/// Murmur, as `rpmidx.c` has it.
fn hash(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = u32::try_from(key.len()).unwrap_or_default().wrapping_mul(M);
    let mut mix = |piece: u32| {
        h = h.wrapping_add(piece).wrapping_mul(M);
        h ^= h >> 16;
    };
    let pieces = key.chunks_exact(4);
    let rest = pieces.remainder();
    for piece in pieces {
        mix(le32(piece, 0).unwrap_or_default());
    }
    if !rest.is_empty() {
        mix(rest.iter().enumerate().fold(0, |sum, (n, b)| sum + (u32::from(*b) << (8 * n))));
    }
    h = h.wrapping_mul(M);
    h ^= h >> 10;
    h = h.wrapping_mul(M);
    h ^ h >> 17
}

fn write(file: &[u8], tables: &[Table]) -> Vec<u8> {
    let slots = ((tables.len() + FIRST_SLOT) * SLOT).next_multiple_of(PAGE);
    let mut out = vec![0; slots];
    for slot in out.chunks_exact_mut(SLOT) {
        put(slot, 0, b"Slo");
    }
    put(&mut out, 0, file.get(..FIRST_SLOT * SLOT).unwrap_or_default());
    let number = |n: usize| u32::try_from(n).unwrap_or_default().to_le_bytes();
    put(&mut out, 12, &number(slots / PAGE));
    put(&mut out, 16, &number(PAGE));
    for (n, table) in tables.iter().enumerate() {
        let bytes = write_table(table);
        let place = [table.tag.to_le_bytes(), number(out.len() / PAGE), number(bytes.len() / PAGE)].concat();
        put(&mut out, (FIRST_SLOT + n) * SLOT + 4, &place);
        out.extend(bytes);
    }
    out
}

fn write_table(table: &Table) -> Vec<u8> {
    let entries: usize = table.keys.iter().map(|(_, found)| found.len()).sum();
    // The largest power of two that is no more, four times: as rpm does.
    let slots = (1 << entries.max(256).ilog2()) * 4_usize;
    // The first byte is no key's place: 0 means a free slot.
    let mut keys = vec![0];
    let mut places = Vec::new();
    for (key, _) in &table.keys {
        places.push(u32::try_from(keys.len()).unwrap_or_default());
        put_key(&mut keys, key);
    }
    // Bits of a key's place that are free for bits of its hash; eight KiB of headroom.
    let mut mask = 0x1_0000_u32;
    while mask != 0 && usize::try_from(mask).is_ok_and(|mask| mask < keys.len().max(CHUNK) + 2 * CHUNK) {
        mask <<= 1;
    }
    let mask = if mask == 0 { 0 } else { !(mask - 1) };
    let keys_at = HEADER + 12 * slots;
    let mut out = vec![0; keys_at];
    let mut used = 0_u32;
    for ((key, found), place) in table.keys.iter().zip(places) {
        let hash = hash(key);
        for (package, index) in found {
            let mut at = usize::try_from(hash).unwrap_or_default() & (slots - 1);
            let mut step = 7;
            while le32(&out, HEADER + 8 * at).is_some_and(|taken| taken != 0) {
                at = (at + step) & (slots - 1);
                step += 1;
            }
            let (data, more) = encode(*package, *index);
            put(&mut out, HEADER + 8 * at, &(place | hash & mask).to_le_bytes());
            put(&mut out, HEADER + 8 * at + 4, &data.to_le_bytes());
            put(&mut out, HEADER + 8 * slots + 4 * at, &more.to_le_bytes());
            used += 1;
        }
    }
    put(&mut out, 0, b"RpmI");
    put(&mut out, 8, &table.generation.to_le_bytes());
    for (at, value) in [(12, slots), (28, keys.len())] {
        put(&mut out, at, &u32::try_from(value).unwrap_or_default().to_le_bytes());
    }
    put(&mut out, 16, &used.to_le_bytes());
    put(&mut out, 24, &mask.to_le_bytes());
    out.extend(keys);
    out.resize((out.len() + CHUNK).next_multiple_of(PAGE), 0);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Vec<u8> {
        let long = vec![b'k'; 70_000];
        let keys = vec![
            (b"bash".to_vec(), vec![(1, 0), (2, 5), (0x20_0000, 3), (0x200_0000, 0x500)]),
            (vec![b'x'; 300], vec![(2, 0)]),
            (long, vec![(1, 1)]),
            (b"".to_vec(), vec![(1, 2)]),
        ];
        let mut many: Vec<_> = (0..1000_u32).map(|n| (format!("key{n}").into_bytes(), vec![(n % 3, n)])).collect();
        many.sort();
        let tables = [Table { tag: 1000, generation: 4, keys }, Table { tag: 1117, generation: 1, keys: many }];
        let mut head = vec![0; 32];
        put(&mut head, 0, b"RpmX");
        put(&mut head, 20, &9_u32.to_le_bytes());
        write(&head, &tables)
    }

    #[test]
    fn indices_are_filtered() {
        let file = sample();
        assert_eq!(rewrite(&file, 9, |_| true).unwrap().unwrap(), file);
        assert_eq!(rewrite(&file, 8, |_| true).unwrap(), None);
        let less = tables(&rewrite(&file, 9, |n| n == 2).unwrap().unwrap()).unwrap();
        assert_eq!((less[0].tag, less[0].keys.len(), less[1].keys.len()), (1000, 2, 333));
        assert_eq!(less[0].keys[0], (b"bash".to_vec(), vec![(2, 5)]));
    }

    #[test]
    fn damage_is_found() {
        let file = sample();
        assert!(rewrite(b"", 9, |_| true).is_err());
        for (at, byte) in [(0, 0), (14, 9), (16, 3), (32, 0), (40, 0xff), (4096, 0), (4096 + 13, 0), (4096 + 30, 0xff)]
        {
            let mut file = file.clone();
            file[at] = byte;
            assert!(rewrite(&file, 9, |_| true).is_err(), "{at}");
        }
    }
}
