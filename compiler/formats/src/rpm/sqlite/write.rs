//! A new file from tables and indices: dense trees, no free pages, no journal.
//!
//! Levels are built from the leaves up. A table's inner cells hold the last number of each child; an index's hold
//! entries of their own, which stand between those of two children.

use super::super::ContainerError;
use super::super::bytes::put;
use super::read::{Database, Entries, Object, local};
use super::record::{Value, put_varint, record};

/// Writes a database. Equal input gives equal bytes.
///
/// # Errors
/// More pages than the gibibyte at which SQLite keeps a page free.
pub fn write(database: &Database) -> Result<Vec<u8>, ContainerError> {
    let head = database.head.as_slice();
    let size = match super::super::bytes::be16(head, 16) {
        Some(1) => 65536,
        Some(size) => usize::from(size),
        None => 0,
    };
    let reserved = usize::from(head.get(20).copied().unwrap_or_default());
    let usable = size.checked_sub(reserved).filter(|usable| *usable >= 480);
    let usable = usable.ok_or_else(|| ContainerError::new(16_u64, "the size of a page is impossible"))?;
    let mut out = Pages { bytes: vec![0; size], size, usable, full: false };
    let mut schema = Vec::new();
    for object in &database.objects {
        let root = match &object.entries {
            Entries::None => 0,
            Entries::Rows(rows) => out.table(rows, None),
            Entries::Keys(keys) => out.index(keys),
        };
        schema.push((object.rowid, line(object, root)));
    }
    out.table(&schema, Some(1));
    if out.full {
        return Err(ContainerError::new(100_u64, "a line of the schema does not fit on the first page"));
    }
    if out.bytes.len() > 1 << 30 {
        return Err(ContainerError::new(1_u64 << 30, "the database is larger than a gibibyte"));
    }
    let count = u32::try_from(out.bytes.len() / size).unwrap_or(u32::MAX);
    put(&mut out.bytes, 0, head);
    // Versions of reader and writer: 1, no write-ahead log, so that it can be read where nothing can be written.
    put(&mut out.bytes, 18, &[1, 1]);
    put(&mut out.bytes, 28, &count.to_be_bytes());
    // No free pages, no pages that say whose page each is (auto-vacuum).
    put(&mut out.bytes, 32, &[0; 8]);
    put(&mut out.bytes, 52, &[0; 4]);
    put(&mut out.bytes, 64, &[0; 4]);
    // The size in the header counts while these two agree.
    let change: Vec<u8> = head.get(24..28).unwrap_or_default().to_vec();
    put(&mut out.bytes, 92, &change);
    Ok(out.bytes)
}

fn line(object: &Object, root: u32) -> Vec<u8> {
    let sql = object.sql.as_ref().map_or(Value::Null, |sql| Value::Text(sql.as_bytes()));
    record(&[
        Value::Text(object.kind.as_bytes()),
        Value::Text(object.name.as_bytes()),
        Value::Text(object.table.as_bytes()),
        Value::Integer(i64::from(root)),
        sql,
    ])
}

struct Pages {
    bytes: Vec<u8>,
    size: usize,
    usable: usize,
    /// A cell was too large for an empty page: only on the first, which is shorter.
    full: bool,
}

/// A page that is being filled.
struct Filling {
    kind: u8,
    cells: Vec<Vec<u8>>,
    used: usize,
    room: usize,
}

impl Filling {
    fn new(kind: u8, usable: usize) -> Self {
        let header = if kind < 8 { 12 } else { 8 };
        Self { kind, cells: Vec::new(), used: 0, room: usable - header }
    }

    fn fits(&self, cell: &[u8]) -> bool {
        self.used + cell.len().max(4) + 2 <= self.room
    }

    fn push(&mut self, cell: Vec<u8>) {
        self.used += cell.len().max(4) + 2;
        self.cells.push(cell);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let cell = self.cells.pop()?;
        self.used -= cell.len().max(4) + 2;
        Some(cell)
    }
}

impl Pages {
    fn allocate(&mut self) -> u32 {
        let number = self.bytes.len() / self.size + 1;
        self.bytes.resize(self.bytes.len() + self.size, 0);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Writes a page; `right` is the last child of an inner one.
    fn put(&mut self, number: u32, page: &Filling, right: Option<u32>) {
        let base = usize::try_from(number).unwrap_or(1).saturating_sub(1) * self.size;
        let start = if number == 1 { base + 100 } else { base };
        let mut end = self.usable;
        let mut pointer = start + if page.kind < 8 { 12 } else { 8 };
        for cell in &page.cells {
            end -= cell.len().max(4);
            put(&mut self.bytes, base + end, cell);
            put(&mut self.bytes, pointer, &(end as u16).to_be_bytes());
            pointer += 2;
        }
        put(&mut self.bytes, start, &[page.kind]);
        put(&mut self.bytes, start + 3, &(page.cells.len() as u16).to_be_bytes());
        // 65536 is written as 0.
        put(&mut self.bytes, start + 5, &(end as u16).to_be_bytes());
        if let Some(right) = right {
            put(&mut self.bytes, start + 8, &right.to_be_bytes());
        }
    }

    /// The part of a record that lies in its cell, and the pages that hold the rest.
    fn payload(&mut self, out: &mut Vec<u8>, payload: &[u8], table: bool) {
        let local = local(self.usable, payload.len(), table);
        let (here, mut rest) = payload.split_at(local.min(payload.len()));
        out.extend_from_slice(here);
        if rest.is_empty() {
            return;
        }
        let mut number = self.allocate();
        out.extend(number.to_be_bytes());
        while !rest.is_empty() {
            let (part, after) = rest.split_at((self.usable - 4).min(rest.len()));
            let next = if after.is_empty() { 0 } else { self.allocate() };
            let base = (usize::try_from(number).unwrap_or(1) - 1) * self.size;
            put(&mut self.bytes, base, &next.to_be_bytes());
            put(&mut self.bytes, base + 4, part);
            (number, rest) = (next, after);
        }
    }

    /// A table; its root is a new page, or `root`.
    fn table(&mut self, rows: &[(i64, Vec<u8>)], root: Option<u32>) -> u32 {
        let (mut level, mut last) = (Vec::new(), 0);
        // The schema's root has the file's header on its page: its leaves are a hundred bytes shorter.
        let less = if root == Some(1) { 100 } else { 0 };
        let mut page = Filling::new(13, self.usable - less);
        for (rowid, payload) in rows {
            let mut cell = Vec::new();
            put_varint(&mut cell, payload.len() as u64);
            put_varint(&mut cell, *rowid as u64);
            self.payload(&mut cell, payload, true);
            if !page.fits(&cell) {
                let full = std::mem::replace(&mut page, Filling::new(13, self.usable - less));
                if !full.cells.is_empty() {
                    level.push((full, None, last));
                }
            }
            self.full |= !page.fits(&cell);
            page.push(cell);
            last = *rowid;
        }
        level.push((page, None, last));
        loop {
            if level.len() == 1 {
                let number = root.unwrap_or_else(|| self.allocate());
                if let Some((page, right, _)) = level.pop() {
                    self.put(number, &page, right);
                }
                return number;
            }
            let children: Vec<(u32, i64)> = level
                .drain(..)
                .map(|(page, right, last)| {
                    let number = self.allocate();
                    self.put(number, &page, right);
                    (number, last)
                })
                .collect();
            level = self.table_level(&children, less);
        }
    }

    /// Inner pages of a table over these children: each page at least two.
    fn table_level(&self, children: &[(u32, i64)], less: usize) -> Vec<(Filling, Option<u32>, i64)> {
        let mut level = Vec::new();
        let mut group: Vec<(u32, i64)> = Vec::new();
        // A cell has at most 4 + 9 bytes; a fixed number a page keeps it simple.
        let most = ((self.usable - less - 12) / 15).max(2) + 1;
        let mut rest = children;
        while !rest.is_empty() {
            let take = match rest.len() {
                n if n <= most => n,
                // One child alone is no page.
                n if n == most + 1 => most - 1,
                _ => most,
            };
            group.clear();
            group.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            let mut page = Filling::new(5, self.usable - less);
            let Some((right, last)) = group.pop() else { continue };
            for (child, key) in &group {
                let mut cell = child.to_be_bytes().to_vec();
                put_varint(&mut cell, *key as u64);
                page.push(cell);
            }
            level.push((page, Some(right), last));
        }
        level
    }

    fn index(&mut self, keys: &[Vec<u8>]) -> u32 {
        let mut cells = Vec::new();
        for payload in keys {
            let mut cell = Vec::new();
            put_varint(&mut cell, payload.len() as u64);
            self.payload(&mut cell, payload, false);
            cells.push(cell);
        }
        // Leaves, and the entries between them.
        let mut level: Vec<(Filling, Option<u32>)> = Vec::new();
        let mut between: Vec<Vec<u8>> = Vec::new();
        let mut page = Filling::new(10, self.usable);
        for cell in cells {
            if page.fits(&cell) {
                page.push(cell);
            } else {
                level.push((std::mem::replace(&mut page, Filling::new(10, self.usable)), None));
                between.push(cell);
            }
        }
        // No leaf without an entry: the last one gets that before it, and the one before gives its last.
        if page.cells.is_empty()
            && let Some(cell) = between.pop()
        {
            page.push(cell);
            between.extend(level.last_mut().and_then(|(before, _)| before.pop()));
        }
        level.push((page, None));
        loop {
            let children: Vec<u32> = level
                .drain(..)
                .map(|(page, right)| {
                    let number = self.allocate();
                    self.put(number, &page, right);
                    number
                })
                .collect();
            let (Some((first, rest)), false) = (children.split_first(), between.is_empty()) else {
                return children.first().copied().unwrap_or(0);
            };
            let mut left = *first;
            let mut above = Vec::new();
            let mut page = Filling::new(2, self.usable);
            for (entry, child) in between.drain(..).zip(rest) {
                let cell = [left.to_be_bytes().to_vec(), entry].concat();
                if page.fits(&cell) {
                    page.push(cell);
                } else {
                    let full = std::mem::replace(&mut page, Filling::new(2, self.usable));
                    level.push((full, Some(left)));
                    above.push(cell[4..].to_vec());
                }
                left = *child;
            }
            // As for the leaves: the last page gets the entry before it and a child from its neighbour.
            if page.cells.is_empty()
                && let (Some(entry), Some((before, right))) = (above.pop(), level.last_mut())
                && let Some(cell) = before.pop()
            {
                let child = cell.get(..4).and_then(|raw| raw.try_into().ok()).map(u32::from_be_bytes);
                let moved = std::mem::replace(right, child);
                page.push([moved.unwrap_or_default().to_be_bytes().to_vec(), entry].concat());
                above.push(cell[4..].to_vec());
            }
            level.push((page, Some(left)));
            between = above;
        }
    }
}
