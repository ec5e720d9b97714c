//! Symbols of an ELF file with the versions that GNU's linker gives them (gABI; LSB 5, "Symbol Versioning").

use std::collections::BTreeMap;

use super::Error;
use super::image::{Image, section_kind, text};

/// A name for an address, or a wish for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its version; none when the file has no versions or this one is global without one.
    pub version: Option<&'a [u8]>,
    /// Not what a request without a version gets (`name@VERSION`, not `name@@VERSION`).
    pub hidden: bool,
    /// What it names.
    pub kind: Kind,
    /// `STB_LOCAL`
    pub local: bool,
    /// `STB_WEAK`
    pub weak: bool,
    /// Cannot be interposed from outside (`STV_PROTECTED`, or hidden).
    pub bound: bool,
    /// Address; for TLS an offset.
    pub value: u64,
    /// Bytes; often 0 for hand-written code.
    pub size: u64,
    /// False for what another file must define.
    pub defined: bool,
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `STT_NOTYPE`: assembler labels, and wishes.
    Unknown,
    /// `STT_OBJECT`, `STT_COMMON`
    Data,
    /// `STT_FUNC`
    Function,
    /// `STT_GNU_IFUNC`: a function that returns the address.
    Resolver,
    /// `STT_TLS`
    ThreadLocal,
    /// Sections and file names.
    Other,
}

fn kind(info: u8) -> Kind {
    match info & 15 {
        0 => Kind::Unknown,
        1 | 5 => Kind::Data,
        2 => Kind::Function,
        6 => Kind::ThreadLocal,
        10 => Kind::Resolver,
        _ => Kind::Other,
    }
}

fn word(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = at.checked_add(size).and_then(|end| bytes.get(at..end)).unwrap_or_default();
    bytes.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b))
}

fn symbol<'a>(row: &[u8], names: &'a [u8]) -> Symbol<'a> {
    let name = usize::try_from(word(row, 0, 4)).unwrap_or(usize::MAX);
    let info = row.get(4).copied().unwrap_or(0);
    let section = word(row, 6, 2);
    Symbol {
        name: names.get(name..).and_then(text).unwrap_or_default(),
        version: None,
        hidden: false,
        kind: kind(info),
        local: info >> 4 == 0,
        weak: info >> 4 == 2,
        bound: row.get(5).copied().unwrap_or(0) & 3 != 0,
        value: word(row, 8, 8),
        size: word(row, 16, 8),
        defined: section != 0,
    }
}

impl<'a> Image<'a> {
    /// The symbols of the dynamic section, in their order: relocations name them by place.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn symbols(&self) -> Result<Vec<Symbol<'a>>, Error> {
        let Some(start) = self.tag(6) else { return Ok(Vec::new()) };
        let count = self.symbol_count(start);
        let names = self.table(5, 10, "string table")?;
        let bytes = self.from(start).unwrap_or_default();
        let mut all: Vec<Symbol> = bytes.chunks_exact(24).take(count).map(|row| symbol(row, names)).collect();
        if all.len() < count {
            return Err(Error::Outside("symbol table"));
        }
        let versions = self.versions(names);
        if let Some(marks) = self.tag(0x6fff_fff0).and_then(|at| self.from(at)) {
            for (symbol, mark) in all.iter_mut().zip(marks.chunks_exact(2)) {
                let mark = u16::from_le_bytes([mark[0], mark[1]]);
                symbol.hidden = mark & 0x8000 != 0;
                symbol.version = versions.get(&(mark & 0x7fff)).copied();
            }
        }
        Ok(all)
    }

    /// How many there are: the section header says it, or the hash tables do.
    fn symbol_count(&self, start: u64) -> usize {
        if let Some(section) = self.sections.iter().find(|s| s.address == start && s.loaded && s.size > 0) {
            return usize::try_from(section.size / 24).unwrap_or(0);
        }
        if let Some(count) = self.tag(4).and_then(|at| self.number(at.wrapping_add(4), 4)) {
            return usize::try_from(count).unwrap_or(0);
        }
        self.tag(0x6fff_fef5).and_then(|at| self.gnu_hash_count(at)).unwrap_or(0)
    }

    /// The highest place in the chains of `DT_GNU_HASH`, plus one.
    fn gnu_hash_count(&self, at: u64) -> Option<usize> {
        let table = self.from(at)?;
        let (buckets, first, bloom) = (word(table, 0, 4), word(table, 4, 4), word(table, 8, 4));
        let start = usize::try_from(bloom.checked_mul(8)?.checked_add(16)?).ok()?;
        let buckets = usize::try_from(buckets).ok()?.min(table.len() / 4);
        let chains = start.checked_add(buckets * 4)?;
        let heads = table.get(start..chains)?.chunks_exact(4).map(|row| word(row, 0, 4));
        let mut last = heads.max()?.max(first);
        while last >= first {
            let place = usize::try_from((last - first) * 4).ok()?;
            let entry = table.get(chains.checked_add(place)?..)?.get(..4)?;
            last += 1;
            if entry[0] & 1 != 0 {
                break;
            }
        }
        usize::try_from(last).ok()
    }

    /// Version texts by their index: those that are needed and those that are defined.
    fn versions(&self, names: &'a [u8]) -> BTreeMap<u16, &'a [u8]> {
        let mut found = BTreeMap::new();
        let name = |at: u64| usize::try_from(at).ok().and_then(|at| names.get(at..)).and_then(text);
        let index = |number: u64| u16::try_from(number & 0x7fff).unwrap_or(0);
        // Both are lists of lists, linked by distances; no list is longer than the bytes it lies in.
        if let Some(table) = self.tag(0x6fff_fffe).and_then(|at| self.from(at)) {
            let mut at = 0;
            for _ in 0..table.len() / 16 {
                let mut aux = at + word(table, at + 8, 4) as usize;
                for _ in 0..word(table, at + 2, 2) {
                    if let Some(text) = name(word(table, aux + 8, 4)) {
                        found.insert(index(word(table, aux + 6, 2)), text);
                    }
                    aux += word(table, aux + 12, 4) as usize;
                }
                match word(table, at + 12, 4) as usize {
                    0 => break,
                    next => at += next,
                }
            }
        }
        if let Some(table) = self.tag(0x6fff_fffc).and_then(|at| self.from(at)) {
            let mut at = 0;
            for _ in 0..table.len() / 20 {
                let aux = at + word(table, at + 12, 4) as usize;
                // The first one names the file itself (VER_FLG_BASE): no version for a symbol.
                if word(table, at + 2, 2) & 1 == 0
                    && let Some(text) = name(word(table, aux, 4))
                {
                    found.insert(index(word(table, at + 4, 2)), text);
                }
                match word(table, at + 16, 4) as usize {
                    0 => break,
                    next => at += next,
                }
            }
        }
        found
    }

    /// The linker's own symbols (`.symtab`), local ones too; empty in a stripped file.
    pub fn static_symbols(&self) -> Vec<Symbol<'a>> {
        let Some(section) = self.sections.iter().find(|s| s.kind == section_kind::SYMTAB) else { return Vec::new() };
        let names = usize::try_from(section.link).ok().and_then(|link| self.sections.get(link));
        let names = names.map(|s| self.contents(s)).unwrap_or_default();
        self.contents(section).chunks_exact(24).map(|row| symbol(row, names)).collect()
    }
}
