//! `Packages.db`: header, slots of 16 bytes, headers of packages in blocks of 16 bytes.

use super::super::bytes::{le32, put};
use super::super::{ContainerError, Fate, Record};
use super::{MAGIC, adler};

const PAGE: usize = 4096;
const BLOCK: usize = 16;
/// The file's header takes the place of two slots.
const FIRST_SLOT: usize = 2;
const HEAD: usize = 16;
const TAIL: usize = 12;

/// A package's place.
struct Slot {
    number: u32,
    /// Its blocks: head, header, padding, tail.
    start: usize,
    end: usize,
    blob: std::ops::Range<usize>,
}

/// How often the file was changed; `Index.db` has the same number while the two belong together.
pub fn generation(file: &[u8]) -> Option<u32> {
    file.starts_with(MAGIC).then(|| le32(file, 8)).flatten()
}

/// The packages of `Packages.db`, by number.
///
/// # Errors
/// No such file, slots that lead out of it or into each other, a checksum that is wrong.
pub fn packages(file: &[u8]) -> Result<Vec<Record>, ContainerError> {
    let mut all: Vec<Record> = slots(file)?
        .into_iter()
        .map(|slot| Record { number: slot.number, blob: file.get(slot.blob).unwrap_or_default().to_vec() })
        .collect();
    all.sort_by_key(|record| record.number);
    Ok(all)
}

/// Slots in the order of the file.
fn slots(file: &[u8]) -> Result<Vec<Slot>, ContainerError> {
    let bad = |at: usize, what: &str| ContainerError::new(at, what);
    if !file.starts_with(MAGIC) || le32(file, 4) != Some(0) {
        return Err(bad(0, "this is not a Packages.db of version 0"));
    }
    let pages = le32(file, 12).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let table = pages.checked_mul(PAGE).filter(|end| *end > 0).and_then(|end| file.get(..end));
    let table = table.ok_or_else(|| bad(12, "its slots lead out of it"))?;
    let mut all = Vec::new();
    for (n, slot) in table.chunks_exact(BLOCK).enumerate().skip(FIRST_SLOT) {
        let at = n * BLOCK;
        if slot.get(..4) != Some(b"Slot") {
            return Err(bad(at, "a slot is broken"));
        }
        let field = |at| le32(slot, at).unwrap_or_default();
        if field(8) == 0 {
            continue;
        }
        let bytes = |blocks: u32| usize::try_from(blocks).ok().and_then(|n| n.checked_mul(BLOCK));
        let (start, size) = bytes(field(8)).zip(bytes(field(12))).ok_or_else(|| bad(at, "a slot is broken"))?;
        let end = start.checked_add(size).filter(|end| *end <= file.len() && start >= table.len() && field(4) != 0);
        let end = end.ok_or_else(|| bad(at, "a slot leads out of the file"))?;
        all.push(slot_at(file, field(4), start, end).ok_or_else(|| bad(start, "a package's header is damaged"))?);
    }
    let mut order: Vec<(usize, usize)> = all.iter().map(|slot| (slot.start, slot.end)).collect();
    order.sort_unstable();
    if let Some(two) = order.windows(2).find(|two| two[0].1 > two[1].0) {
        return Err(bad(two[1].0, "two packages lie over each other"));
    }
    let mut numbers: Vec<u32> = all.iter().map(|slot| slot.number).collect();
    numbers.sort_unstable();
    if let Some(two) = numbers.windows(2).find(|two| two[0] == two[1]) {
        return Err(bad(0, &format!("the package {} is there twice", two[0])));
    }
    Ok(all)
}

fn slot_at(file: &[u8], number: u32, start: usize, end: usize) -> Option<Slot> {
    let all = file.get(start..end)?;
    let length = usize::try_from(le32(all, 12)?).ok()?;
    let tail = all.len().checked_sub(TAIL)?;
    let fits = HEAD.checked_add(length)?.checked_add(TAIL)?.checked_next_multiple_of(BLOCK)? == all.len();
    let head = all.starts_with(b"BlbS") && le32(all, 4)? == number;
    let sum = le32(all, tail)? == adler(all.get(..tail)?);
    let end_marks = le32(all, tail + 4)? == le32(all, 12)? && all.get(tail + 8..)? == b"BlbE";
    let blob = start + HEAD..start + HEAD + length;
    (fits && head && sum && end_marks).then_some(Slot { number, start, end, blob })
}

/// `Packages.db` with the packages that stay, one after the other; generation and next number are the same.
///
/// # Errors
/// See [`packages`].
pub fn rewrite(file: &[u8], fate: impl Fn(u32) -> Fate) -> Result<Vec<u8>, ContainerError> {
    let mut all = Vec::new();
    for slot in slots(file)? {
        match fate(slot.number) {
            Fate::Drop => {}
            Fate::Keep => all.push((slot.number, file.get(slot.start..slot.end).unwrap_or_default().to_vec())),
            Fate::Replace(blob) => {
                let head = file.get(slot.start..slot.start + 12).unwrap_or_default();
                all.push((slot.number, blocks(head, &blob)?));
            }
        }
    }
    let table = ((all.len() + FIRST_SLOT) * BLOCK).next_multiple_of(PAGE);
    let mut out = vec![0; table];
    for slot in out.chunks_exact_mut(BLOCK) {
        put(slot, 0, b"Slot");
    }
    put(&mut out, 0, file.get(..FIRST_SLOT * BLOCK).unwrap_or_default());
    put(&mut out, 12, &u32::try_from(table / PAGE).unwrap_or_default().to_le_bytes());
    for (n, (number, bytes)) in all.into_iter().enumerate() {
        let place = [number, blocks_of(out.len())?, blocks_of(bytes.len())?].map(u32::to_le_bytes).concat();
        put(&mut out, (FIRST_SLOT + n) * BLOCK + 4, &place);
        out.extend(bytes);
    }
    Ok(out)
}

fn blocks_of(bytes: usize) -> Result<u32, ContainerError> {
    u32::try_from(bytes / BLOCK).map_err(|_| ContainerError::new(bytes, "the database grows too large"))
}

/// A header in its blocks; `head`: magic, number and the generation in which it was put in.
fn blocks(head: &[u8], blob: &[u8]) -> Result<Vec<u8>, ContainerError> {
    let length = u32::try_from(blob.len()).map_err(|_| ContainerError::new(0_u64, "a header is too large"))?;
    let mut out = [head, &length.to_le_bytes(), blob].concat();
    out.resize((out.len() + TAIL).next_multiple_of(BLOCK) - TAIL, 0);
    let sum = adler(&out);
    out.extend(sum.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(b"BlbE");
    Ok(out)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A file of these packages.
    pub fn build(packages: &[(u32, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; PAGE];
        file.chunks_exact_mut(BLOCK).for_each(|slot| slot[..4].copy_from_slice(b"Slot"));
        file[..20].copy_from_slice(&[b'R', b'p', b'm', b'P', 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]);
        file[20..32].fill(0);
        for (n, (number, blob)) in packages.iter().enumerate() {
            let head = [b"BlbS".as_slice(), &number.to_le_bytes(), &[3, 0, 0, 0]].concat();
            let bytes = blocks(&head, blob).unwrap();
            let place = [*number, (file.len() / 16) as u32, (bytes.len() / 16) as u32].map(u32::to_le_bytes).concat();
            // Slots need not be in order.
            let slot = (FIRST_SLOT + 2 * n) * BLOCK + 4;
            file[slot..slot + 12].copy_from_slice(&place);
            file.extend(bytes);
        }
        file
    }

    #[test]
    fn packages_are_read_and_written() {
        let file = build(&[(5, b"five"), (2, b"two and more than sixteen bytes"), (7, b"")]);
        let all = packages(&file).unwrap();
        assert_eq!(all.iter().map(|r| (r.number, r.blob.len())).collect::<Vec<_>>(), [(2, 31), (5, 4), (7, 0)]);
        assert_eq!(generation(&file), Some(7));
        let new = rewrite(&file, |n| match n {
            5 => Fate::Replace(b"FIVE".to_vec()),
            2 => Fate::Drop,
            _ => Fate::Keep,
        });
        let new = new.unwrap();
        let all = packages(&new).unwrap();
        assert_eq!(all, [Record { number: 5, blob: b"FIVE".to_vec() }, Record { number: 7, blob: Vec::new() }]);
        assert_eq!((generation(&new), le32(&new, 16)), (Some(7), Some(9)));
        assert_eq!(rewrite(&new, |_| Fate::Keep).unwrap(), new);
    }

    #[test]
    fn damage_is_found() {
        let file = build(&[(5, b"five")]);
        let with = |at: usize, byte: u8| {
            let mut file = file.clone();
            file[at] = byte;
            packages(&file).unwrap_err().what
        };
        assert_eq!(with(0, b'X'), "this is not a Packages.db of version 0");
        assert_eq!(with(14, 1), "its slots lead out of it");
        assert_eq!(with(33, b'X'), "a slot is broken");
        assert_eq!(with(42, 1), "a slot leads out of the file");
        assert_eq!(with(PAGE + 17, b'X'), "a package's header is damaged");
        assert!(packages(&file[..file.len() - 1]).is_err());
        assert!(packages(b"").is_err());
        let mut twice = build(&[(5, b"five"), (6, b"six")]);
        let place: Vec<u8> = twice[36..48].to_vec();
        twice[68..80].copy_from_slice(&place);
        assert_eq!(packages(&twice).unwrap_err().what, "two packages lie over each other");
    }
}
