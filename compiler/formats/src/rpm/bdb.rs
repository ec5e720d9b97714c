//! Berkeley DB's hash files, as rpm kept `Packages` until 4.16 (libdb, `src/dbinc/db_page.h`): read only.
//!
//! A page has a header of 26 bytes and then offsets of its items, key and value in turn. Headers are too large for a page:
//! their value is the number of the first of a chain of overflow pages.

use super::{ContainerError, Record};

/// Numbers in the order of the machine that wrote the file.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }
}

const MAGIC: u32 = 0x0006_1561;
const HEADER: usize = 26;
/// Kinds of page: hash (of before and since 4.6), overflow.
const HASH: [u8; 2] = [2, 13];
const OVERFLOW: u8 = 7;
/// Kinds of item: in place, on pages of its own.
const IN_PLACE: u8 = 1;
const OFF_PAGE: u8 = 3;

/// Whether these are the first bytes of such a file.
pub fn is_hash(start: &[u8]) -> bool {
    [true, false].into_iter().any(|big| Order { big }.u32(start, 12) == Some(MAGIC))
}

struct Pages<'a> {
    file: &'a [u8],
    size: usize,
    order: Order,
}

impl<'a> Pages<'a> {
    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(number).ok()?.checked_mul(self.size)?;
        self.file.get(start..start.checked_add(self.size)?)
    }

    fn error(&self, number: u32, what: &str) -> ContainerError {
        ContainerError::new(u64::from(number) * self.size as u64, what)
    }
}

/// The packages of a `Packages` file, by number.
///
/// # Errors
/// Another kind of file, an encrypted one, one that does not hold together.
pub fn packages(file: &[u8]) -> Result<Vec<Record>, ContainerError> {
    let bad = |at: u64, what: &str| ContainerError::new(at, what);
    let big = match (Order { big: true }.u32(file, 12), Order { big: false }.u32(file, 12)) {
        (Some(MAGIC), _) => true,
        (_, Some(MAGIC)) => false,
        _ => return Err(bad(12, "this is not a Berkeley DB hash file")),
    };
    let order = Order { big };
    if file.get(24) != Some(&0) {
        return Err(bad(24, "it is encrypted"));
    }
    let size = order.u32(file, 20).and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    if !size.is_power_of_two() || !(512..=65536).contains(&size) {
        return Err(bad(20, "the size of a page is impossible"));
    }
    let pages = Pages { file, size, order };
    let count = u32::try_from(file.len() / size).unwrap_or(u32::MAX);
    // Each page is in one chain, and each byte in one header.
    let mut left = Left { pages: count, bytes: file.len() };
    let mut all = Vec::new();
    for number in 1..count {
        let Some(page) = pages.page(number) else { break };
        if page.get(25).is_some_and(|kind| HASH.contains(kind)) {
            for (key, value) in items(&pages, number, page)? {
                all.extend(record(&pages, number, key, value, &mut left)?);
            }
        }
    }
    all.sort_by_key(|record| record.number);
    match all.windows(2).find(|two| two[0].number == two[1].number) {
        Some(two) => Err(bad(0, &format!("the package {} is there twice", two[0].number))),
        None => Ok(all),
    }
}

/// What headers may still take.
struct Left {
    pages: u32,
    bytes: usize,
}

/// Key and value.
type Item<'a> = (&'a [u8], &'a [u8]);

/// Keys and values of a page, each as its bytes from the kind on.
fn items<'a>(pages: &Pages<'_>, number: u32, page: &'a [u8]) -> Result<Vec<Item<'a>>, ContainerError> {
    let bad = || pages.error(number, "an item leads out of its page");
    let count = usize::from(pages.order.u16(page, 20).unwrap_or_default());
    let offset = |n: usize| pages.order.u16(page, HEADER + 2 * n).map(usize::from);
    let mut all = Vec::new();
    for n in (0..count / 2 * 2).step_by(2) {
        // An item ends where the one before it begins: they grow from the end of the page.
        let end = if n == 0 { Some(page.len()) } else { offset(n - 1) }.ok_or_else(bad)?;
        let (key, value) = offset(n).zip(offset(n + 1)).ok_or_else(bad)?;
        let key = page.get(key..end).ok_or_else(bad)?;
        let value = page.get(value..offset(n).unwrap_or(0)).ok_or_else(bad)?;
        all.push((key, value));
    }
    Ok(all)
}

fn record(
    pages: &Pages<'_>,
    number: u32,
    key: &[u8],
    value: &[u8],
    left: &mut Left,
) -> Result<Option<Record>, ContainerError> {
    let bad = |what| pages.error(number, what);
    // Package numbers are of the machine's order; 0 is where the next number is kept.
    let package = match (key.first(), key.len()) {
        (Some(&IN_PLACE), 5) => pages.order.u32(key, 1).unwrap_or_default(),
        _ => return Err(bad("a key is not the number of a package")),
    };
    if package == 0 {
        return Ok(None);
    }
    if value.first() == Some(&IN_PLACE) {
        left.bytes = left.bytes.checked_sub(value.len()).ok_or_else(|| bad("headers lie over each other"))?;
        return Ok(Some(Record { number: package, blob: value.get(1..).unwrap_or_default().to_vec() }));
    }
    let (true, Some(mut next), Some(size)) =
        (value.first() == Some(&OFF_PAGE), pages.order.u32(value, 4), pages.order.u32(value, 8))
    else {
        return Err(bad("a package's header is kept in an unknown way"));
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut blob = Vec::new();
    while next != 0 {
        let page = pages.page(next).filter(|page| page.get(25) == Some(&OVERFLOW));
        let page = page.ok_or_else(|| bad("the chain of a header leads to a page that is none"))?;
        left.pages = left.pages.checked_sub(1).ok_or_else(|| bad("a page is in two chains"))?;
        let length = usize::from(pages.order.u16(page, 22).unwrap_or_default());
        blob.extend_from_slice(page.get(HEADER..HEADER + length).ok_or_else(|| bad("a page of a header is broken"))?);
        next = pages.order.u32(page, 16).unwrap_or_default();
    }
    match blob.len() == size {
        true => Ok(Some(Record { number: package, blob })),
        false => Err(bad("a header is cut short")),
    }
}
