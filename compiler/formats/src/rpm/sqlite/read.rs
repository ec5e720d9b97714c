//! Tables and indices as their entries.

use super::super::ContainerError;
use super::super::bytes::{be16, be32};
use super::pages::Pages;
use super::record::{Value, values, varint};

/// A whole database.
#[derive(Debug, Clone)]
pub struct Database {
    /// The first hundred bytes: sizes, versions, application id.
    pub head: Vec<u8>,
    /// Tables, indices and the like, in the order of the schema.
    pub objects: Vec<Object>,
}

/// One line of the schema and what belongs to it.
#[derive(Debug, Clone)]
pub struct Object {
    /// `table`, `index`, `view`, `trigger`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// The table that it is or belongs to.
    pub table: String,
    /// The statement that made it; indices that SQLite made have none.
    pub sql: Option<String>,
    /// Number in the schema.
    pub rowid: i64,
    /// Its content.
    pub entries: Entries,
}

/// Content of a table or index.
#[derive(Debug, Clone)]
pub enum Entries {
    /// It has none of its own: a view, a trigger.
    None,
    /// Rows of a table by their number, rising, as records.
    Rows(Vec<(i64, Vec<u8>)>),
    /// Records of an index, in its order; the last value of each is the row's number.
    Keys(Vec<Vec<u8>>),
}

struct Walk<'a> {
    pages: &'a Pages<'a>,
    /// Pages that may still be visited: a file in order has each in one place.
    left: u32,
    /// Bytes that records may still have: in a file in order each byte belongs to one.
    bytes: usize,
}

/// Reads a database with its write-ahead log (empty where there is none).
///
/// # Errors
/// A file that does not hold together, pages that are in two places.
pub fn read(file: &[u8], log: &[u8]) -> Result<Database, ContainerError> {
    let pages = Pages::new(file, log)?;
    let head = pages.page(1)?.get(..100).unwrap_or_default().to_vec();
    let mut walk = Walk { pages: &pages, left: pages.count, bytes: file.len().saturating_add(log.len()) };
    let Entries::Rows(schema) = walk.tree(1)? else { return Err(pages.error(1, "the schema is not a table")) };
    let mut objects = Vec::new();
    for (rowid, record) in schema {
        let text = |value: &Value<'_>| match value {
            Value::Text(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
            _ => None,
        };
        let all = values(&record).unwrap_or_default();
        let [kind, name, table, root, sql] = all.as_slice() else {
            return Err(pages.error(1, "a line of the schema is broken"));
        };
        let (Some(kind), Some(name), Some(table)) = (text(kind), text(name), text(table)) else {
            return Err(pages.error(1, "a line of the schema is broken"));
        };
        let root = match root {
            Value::Integer(root) => u32::try_from(*root).map_err(|_| pages.error(1, "a root page is impossible"))?,
            _ => 0,
        };
        let entries = if root == 0 { Entries::None } else { walk.tree(root)? };
        objects.push(Object { kind, name, table, sql: text(sql), rowid, entries });
    }
    Ok(Database { head, objects })
}

/// A step of the walk: pages and the entries between them, in order.
enum Step {
    Page(u32),
    Key(Vec<u8>),
}

impl Walk<'_> {
    fn visit(&mut self, number: u32) -> Result<(), ContainerError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| self.pages.error(number, "a page is in two places"))?;
        Ok(())
    }

    /// All entries of a tree; the kind of its first page says whether it is a table.
    fn tree(&mut self, root: u32) -> Result<Entries, ContainerError> {
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        let kind = self.page_kind(root)?;
        let mut todo = vec![Step::Page(root)];
        while let Some(step) = todo.pop() {
            let number = match step {
                Step::Key(key) => {
                    keys.push(key);
                    continue;
                }
                Step::Page(number) => number,
            };
            self.visit(number)?;
            let found = self.page_kind(number)?;
            // 2 and 10 are of an index, 5 and 13 of a table.
            if found & 7 != kind & 7 {
                return Err(self.pages.error(number, "a tree has pages of two kinds"));
            }
            let page = self.pages.page(number)?;
            match found {
                13 => self.table_leaf(number, page, &mut rows)?,
                10 => {
                    for at in cells(self.pages, number, page)? {
                        keys.push(self.payload(number, page, at, false)?.1);
                    }
                }
                _ => {
                    let mut steps = Vec::new();
                    for at in cells(self.pages, number, page)? {
                        let child =
                            be32(page, at).ok_or_else(|| self.pages.error(number, "a cell leads out of its page"))?;
                        steps.push(Step::Page(child));
                        if found == 2 {
                            steps.push(Step::Key(self.payload(number, page, at + 4, false)?.1));
                        }
                    }
                    let last = be32(page, start(number) + 8).unwrap_or_default();
                    steps.push(Step::Page(last));
                    todo.extend(steps.into_iter().rev());
                }
            }
        }
        match kind {
            5 | 13 => match rows.windows(2).all(|two| matches!(two, [a, b] if a.0 < b.0)) {
                true => Ok(Entries::Rows(rows)),
                false => Err(self.pages.error(root, "the rows of a table are not in order")),
            },
            _ => Ok(Entries::Keys(keys)),
        }
    }

    fn table_leaf(&mut self, number: u32, page: &[u8], rows: &mut Vec<(i64, Vec<u8>)>) -> Result<(), ContainerError> {
        for at in cells(self.pages, number, page)? {
            let (rowid, payload) = self.payload(number, page, at, true)?;
            rows.push((rowid, payload));
        }
        Ok(())
    }

    fn page_kind(&self, number: u32) -> Result<u8, ContainerError> {
        let kind = self.pages.page(number)?.get(start(number)).copied().unwrap_or_default();
        match kind {
            2 | 5 | 10 | 13 => Ok(kind),
            _ => Err(self.pages.error(number, "a page of a tree is of no known kind")),
        }
    }

    /// The record of a cell, put together from its overflow pages, and the row's number of a table's cell.
    fn payload(&mut self, number: u32, page: &[u8], at: usize, table: bool) -> Result<(i64, Vec<u8>), ContainerError> {
        let bad = || self.pages.error(number, "a cell leads out of its page");
        let (size, mut used) = varint(page, at).ok_or_else(bad)?;
        let size = usize::try_from(size).map_err(|_| bad())?;
        let mut rowid = 0;
        if table {
            let (found, length) = varint(page, at + used).ok_or_else(bad)?;
            (rowid, used) = (found as i64, used + length);
        }
        self.bytes = self.bytes.checked_sub(size).ok_or_else(|| self.pages.error(number, "records overlap"))?;
        let local = local(self.pages.usable, size, table);
        let from = at + used;
        let mut out = page.get(from..from + local).ok_or_else(bad)?.to_vec();
        if local == size {
            return Ok((rowid, out));
        }
        let mut next = be32(page, from + local).ok_or_else(bad)?;
        while out.len() < size {
            if next == 0 {
                return Err(self.pages.error(number, "a record is cut short"));
            }
            self.visit(next)?;
            let more = self.pages.page(next)?;
            let length = (size - out.len()).min(self.pages.usable - 4);
            out.extend_from_slice(more.get(4..4 + length).unwrap_or_default());
            next = be32(more, 0).unwrap_or_default();
        }
        Ok((rowid, out))
    }
}

/// How much of a record lies in its cell.
pub(super) fn local(usable: usize, size: usize, table: bool) -> usize {
    let most = if table { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
    if size <= most {
        return size;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let fitting = least + (size - least) % (usable - 4);
    if fitting <= most { fitting } else { least }
}

/// Where the header of a page begins: the first page has that of the file before it.
fn start(number: u32) -> usize {
    if number == 1 { 100 } else { 0 }
}

/// Offsets of the cells of a page.
fn cells(pages: &Pages<'_>, number: u32, page: &[u8]) -> Result<Vec<usize>, ContainerError> {
    let start = start(number);
    let interior = page.get(start).is_some_and(|kind| *kind < 8);
    let first = start + if interior { 12 } else { 8 };
    let count = usize::from(be16(page, start + 3).unwrap_or_default());
    let offset = |n| be16(page, first + 2 * n).map(usize::from).filter(|at| *at >= first && *at < page.len());
    let all: Option<Vec<usize>> = (0..count).map(offset).collect();
    all.ok_or_else(|| pages.error(number, "a cell leads out of its page"))
}
