//! The pages of a database, with those of a write-ahead log over them.

use std::collections::BTreeMap;

use super::super::ContainerError;
use super::super::bytes::{be16, be32};
use super::MAGIC;

/// The file, page by page.
pub(super) struct Pages<'a> {
    file: &'a [u8],
    /// Page → its newest content in the log.
    logged: BTreeMap<u32, &'a [u8]>,
    /// Bytes of a page.
    pub size: usize,
    /// Bytes of a page that hold something.
    pub usable: usize,
    /// How many.
    pub count: u32,
}

impl<'a> Pages<'a> {
    /// Reads the header, and a log that belongs to it.
    ///
    /// # Errors
    /// No SQLite file, sizes that cannot be, text that is not UTF-8.
    pub fn new(file: &'a [u8], log: &'a [u8]) -> Result<Self, ContainerError> {
        let bad = |at: usize, what: &str| ContainerError::new(at, what);
        if !file.starts_with(MAGIC) {
            return Err(bad(0, "this is not a SQLite database"));
        }
        let size = match be16(file, 16) {
            Some(1) => 65536,
            Some(size) => usize::from(size),
            None => 0,
        };
        if !size.is_power_of_two() || size < 512 || file.len() < size {
            return Err(bad(16, "the size of a page is impossible"));
        }
        let logged = log_pages(log, size)?;
        let mut pages = Self { file, logged: logged.0, size, usable: 0, count: 0 };
        let head = pages.page(1)?;
        let reserved = usize::from(head.get(20).copied().unwrap_or_default());
        pages.usable = size.checked_sub(reserved).filter(|u| *u >= 480).ok_or_else(|| bad(20, "no room on a page"))?;
        if be32(head, 56).is_some_and(|encoding| encoding > 1) {
            return Err(bad(56, "its text is UTF-16, which rpm does not write"));
        }
        let whole = u32::try_from(file.len() / size + pages.logged.len()).unwrap_or(u32::MAX);
        pages.count = logged.1.unwrap_or(whole).min(whole);
        Ok(pages)
    }

    /// A page, from 1.
    pub fn page(&self, number: u32) -> Result<&'a [u8], ContainerError> {
        if let Some(page) = self.logged.get(&number) {
            return Ok(page);
        }
        let at = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|n| n.checked_mul(self.size));
        let page = at.and_then(|at| self.file.get(at..at.checked_add(self.size)?));
        page.ok_or_else(|| self.error(number, "there is no such page"))
    }

    /// An error on a page.
    pub fn error(&self, number: u32, what: impl Into<String>) -> ContainerError {
        ContainerError::new(u64::from(number.saturating_sub(1)) * self.size as u64, what)
    }
}

type Logged<'a> = (BTreeMap<u32, &'a [u8]>, Option<u32>);

/// Frames of a write-ahead log up to the last that ends a transaction; what comes after counts as not written.
fn log_pages(log: &[u8], size: usize) -> Result<Logged<'_>, ContainerError> {
    let (mut done, mut open) = (BTreeMap::new(), BTreeMap::new());
    let mut pages = None;
    let Some(magic) = be32(log, 0) else { return Ok((done, None)) };
    if magic & !1 != 0x377f_0682 {
        return Err(ContainerError::new(0, "the write-ahead log is none"));
    }
    if be32(log, 8).and_then(|n| usize::try_from(n).ok()) != Some(size) {
        return Err(ContainerError::new(8, "the write-ahead log has pages of another size"));
    }
    let big = magic & 1 == 1;
    let salt = log.get(16..24).unwrap_or_default();
    let mut sum = checksum(big, (0, 0), log.get(..24).unwrap_or_default());
    let matches = |sum: (u32, u32), at: usize| (be32(log, at), be32(log, at + 4)) == (Some(sum.0), Some(sum.1));
    if !matches(sum, 24) {
        return Ok((done, None));
    }
    for at in (32..log.len()).step_by(24 + size) {
        let Some(page) = log.get(at + 24..at + 24 + size) else { break };
        sum = checksum(big, sum, log.get(at..at + 8).unwrap_or_default());
        sum = checksum(big, sum, page);
        if log.get(at + 8..at + 16) != Some(salt) || !matches(sum, at + 16) {
            break;
        }
        open.insert(be32(log, at).unwrap_or_default(), page);
        if let Some(count) = be32(log, at + 4).filter(|count| *count > 0) {
            done.append(&mut open);
            pages = Some(count);
        }
    }
    Ok((done, pages))
}

fn checksum(big: bool, mut sum: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let word = |raw: &[u8]| {
        let raw: [u8; 4] = raw.try_into().unwrap_or_default();
        if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) }
    };
    for pair in bytes.chunks_exact(8) {
        sum.0 = sum.0.wrapping_add(word(&pair[..4])).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(&pair[4..])).wrapping_add(sum.0);
    }
    sum
}
