//! A 64-bit little-endian ELF file as its loader sees it: segments, sections, the dynamic section, bytes by address.
//!
//! Everything borrows from the file. A table that lies outside of it is an error, a count is never trusted
//! for an allocation, and the section headers, which the loader does not need, may be missing.

use super::Error;

const MOST_HEADERS: usize = 8192;

/// Loaded part of the file (`PT_LOAD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub address: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// Place in the file.
    pub offset: u64,
    /// Bytes in the file, at most those in memory; the rest is zero.
    pub file: u64,
    /// `PF_X`
    pub executable: bool,
    /// `PF_W`
    pub writable: bool,
}

/// Part of the file with a purpose (section header).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name; may be no UTF-8.
    pub name: &'a [u8],
    /// `sh_type`
    pub kind: u32,
    /// First address; 0 when it is not loaded.
    pub address: u64,
    /// Place in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// `SHF_ALLOC`
    pub loaded: bool,
    /// `SHF_EXECINSTR`
    pub executable: bool,
    /// `SHF_WRITE`
    pub writable: bool,
    /// `SHF_TLS`
    pub thread_local: bool,
    /// `sh_link`: for symbols the section of their names.
    pub link: u32,
}

/// Section kinds of the gABI that readers here look for.
pub mod section_kind {
    /// Symbols of the linker.
    pub const SYMTAB: u32 = 2;
    /// Relocations with addends.
    pub const RELA: u32 = 4;
    /// No bytes in the file.
    pub const NOBITS: u32 = 8;
    /// Functions run at the start.
    pub const INIT_ARRAY: u32 = 14;
    /// Functions run at the end.
    pub const FINI_ARRAY: u32 = 15;
    /// Functions run before all others.
    pub const PREINIT_ARRAY: u32 = 16;
}

/// A file, opened.
#[derive(Debug, Clone)]
pub struct Image<'a> {
    bytes: &'a [u8],
    /// `e_machine`
    pub machine: u16,
    /// `e_type`: 2 executable, 3 shared object or PIE.
    pub kind: u16,
    /// First instruction; 0 in most libraries.
    pub entry: u64,
    /// `PT_LOAD`, in the file's order.
    pub segments: Vec<Segment>,
    /// Section headers; empty when the file has none.
    pub sections: Vec<Section<'a>>,
    /// Tag and value, up to `DT_NULL`.
    pub dynamic: Vec<(u64, u64)>,
    /// Address and size of `PT_GNU_EH_FRAME`.
    pub eh_frame_hdr: Option<(u64, u64)>,
    /// Address and size in memory of `PT_TLS`.
    pub thread_local: Option<(u64, u64)>,
    /// Whether there is a `PT_INTERP`.
    pub interpreted: bool,
}

/// The little-endian number of `N` bytes at `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b)))
}

/// Rows of `size` bytes at `offset`, as many as lie within the file.
fn rows(bytes: &[u8], offset: u64, size: usize, count: usize) -> impl Iterator<Item = &[u8]> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(start..).unwrap_or_default().chunks_exact(size).take(count)
}

impl<'a> Image<'a> {
    /// Opens a file; `Ok(None)` when it is none of 64 bits, little-endian.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Error> {
        if !super::is_elf(bytes) || bytes.get(4) != Some(&2) || bytes.get(5) != Some(&1) {
            return Ok(None);
        }
        let head = |at, size| number(bytes, at, size).ok_or(Error::Outside("header"));
        let mut image = Image {
            bytes,
            machine: u16::try_from(head(18, 2)?).unwrap_or(0),
            kind: u16::try_from(head(16, 2)?).unwrap_or(0),
            entry: head(24, 8)?,
            segments: Vec::new(),
            sections: Vec::new(),
            dynamic: Vec::new(),
            eh_frame_hdr: None,
            thread_local: None,
            interpreted: false,
        };
        let (size, count) = (head(54, 2)?, usize::try_from(head(56, 2)?).unwrap_or(0));
        if count > 0 && size != 56 {
            return Err(Error::Unknown("program header size", size));
        }
        let mut seen = 0;
        let mut dynamic = None;
        for row in rows(bytes, head(32, 8)?, 56, count) {
            seen += 1;
            let field = |at, size| number(row, at, size).unwrap_or(0);
            let (offset, address, file, memory) = (field(8, 8), field(16, 8), field(32, 8), field(40, 8));
            match field(0, 4) {
                1 => image.segments.push(Segment {
                    address,
                    memory,
                    offset,
                    file: file.min(memory),
                    executable: field(4, 4) & 1 != 0,
                    writable: field(4, 4) & 2 != 0,
                }),
                2 => dynamic = Some((offset, file)),
                3 => image.interpreted = true,
                7 => image.thread_local = Some((address, memory)),
                0x6474_e550 => image.eh_frame_hdr = Some((address, memory)),
                _ => {}
            }
        }
        if seen != count {
            return Err(Error::Outside("program headers"));
        }
        if let Some((offset, size)) = dynamic {
            let count = usize::try_from(size / 16).unwrap_or(usize::MAX).min(MOST_HEADERS);
            let pairs = rows(bytes, offset, 16, count)
                .map(|row| (number(row, 0, 8).unwrap_or(0), number(row, 8, 8).unwrap_or(0)));
            image.dynamic = pairs.take_while(|(tag, _)| *tag != 0).collect();
        }
        image.sections = sections(bytes)?;
        Ok(Some(image))
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value of a dynamic tag, its first.
    pub fn tag(&self, tag: u64) -> Option<u64> {
        self.dynamic.iter().find(|(t, _)| *t == tag).map(|(_, value)| *value)
    }

    /// The bytes in the file from an address to the end of its segment.
    pub fn from(&self, address: u64) -> Option<&'a [u8]> {
        let home = self.segments.iter().find(|s| address.checked_sub(s.address).is_some_and(|d| d < s.file))?;
        let skip = address - home.address;
        let start = usize::try_from(home.offset.checked_add(skip)?).ok()?;
        let size = usize::try_from(home.file - skip).ok()?;
        let rest = self.bytes.get(start..)?;
        rest.get(..size.min(rest.len()))
    }

    /// `size` bytes of the file at an address.
    pub fn at(&self, address: u64, size: usize) -> Option<&'a [u8]> {
        self.from(address)?.get(..size)
    }

    /// The little-endian number of `size` bytes at an address.
    pub fn number(&self, address: u64, size: usize) -> Option<u64> {
        number(self.from(address)?, 0, size)
    }

    /// The text at an address, without its NUL; at most 4096 bytes.
    pub fn text(&self, address: u64) -> Option<&'a [u8]> {
        text(self.from(address)?)
    }

    /// The bytes of a section.
    pub fn contents(&self, section: &Section<'a>) -> &'a [u8] {
        if section.kind == section_kind::NOBITS {
            return &[];
        }
        let start = usize::try_from(section.offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = self.bytes.get(start..).unwrap_or_default();
        let size = usize::try_from(section.size).unwrap_or(usize::MAX).min(rest.len());
        rest.get(..size).unwrap_or_default()
    }

    /// A section by its name.
    pub fn section(&self, name: &[u8]) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// A table of the dynamic section: its bytes, as many as its size tag says.
    ///
    /// # Errors
    /// [`Error::Outside`] when it does not lie in the file.
    pub(super) fn table(&self, start: u64, size: u64, what: &'static str) -> Result<&'a [u8], Error> {
        let (Some(start), Some(size)) = (self.tag(start), self.tag(size)) else { return Ok(&[]) };
        if size == 0 {
            return Ok(&[]);
        }
        let size = usize::try_from(size).map_err(|_| Error::Outside(what))?;
        self.at(start, size).ok_or(Error::Outside(what))
    }
}

/// Text up to its NUL, at most 4096 bytes.
pub(super) fn text(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(4096).position(|b| *b == 0)?;
    bytes.get(..end)
}

fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, Error> {
    let head = |at, size| number(bytes, at, size).unwrap_or(0);
    let (offset, size, mut count, mut names) = (head(40, 8), head(58, 2), head(60, 2), head(62, 2));
    if offset == 0 || offset >= bytes.len() as u64 {
        return Ok(Vec::new());
    }
    if size != 64 {
        return Err(Error::Unknown("section header size", size));
    }
    // More than 65,279 sections: the numbers stand in the first header.
    if let (0, Some(first)) = (count, rows(bytes, offset, 64, 1).next()) {
        count = number(first, 32, 8).unwrap_or(0);
        if names == 0xffff {
            names = number(first, 40, 4).unwrap_or(0);
        }
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > MOST_HEADERS {
        return Err(Error::TooMany("sections"));
    }
    let rows: Vec<&[u8]> = rows(bytes, offset, 64, count).collect();
    let field = |row: &[u8], at, size| number(row, at, size).unwrap_or(0);
    let slice = |offset: u64, size: u64| {
        let start = usize::try_from(offset).ok()?;
        bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    };
    let names = usize::try_from(names).ok().and_then(|n| rows.get(n));
    let names = names.and_then(|row| slice(field(row, 24, 8), field(row, 32, 8))).unwrap_or_default();
    let section = |row: &&[u8]| {
        let flags = field(row, 8, 8);
        let name = usize::try_from(field(row, 0, 4)).unwrap_or(usize::MAX);
        Section {
            name: names.get(name..).and_then(text).unwrap_or_default(),
            kind: u32::try_from(field(row, 4, 4)).unwrap_or(0),
            address: field(row, 16, 8),
            offset: field(row, 24, 8),
            size: field(row, 32, 8),
            loaded: flags & 2 != 0,
            executable: flags & 4 != 0,
            writable: flags & 1 != 0,
            thread_local: flags & 0x400 != 0,
            link: u32::try_from(field(row, 40, 4)).unwrap_or(0),
        }
    };
    Ok(rows.iter().map(section).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::elf::relocations::Target;
    use crate::elf::symbols::Kind;

    #[test]
    fn this_machines_programs_are_read_whole() {
        let Ok(bytes) = std::fs::read("/bin/ls") else {
            println!("skipped: no /bin/ls here");
            return;
        };
        let Some(image) = Image::parse(&bytes).unwrap() else { return };
        assert!(image.segments.iter().any(|s| s.executable) && image.entry != 0);
        let symbols = image.symbols().unwrap();
        let wanted = symbols.iter().find(|s| s.name == b"__libc_start_main").unwrap();
        assert!(!wanted.defined && wanted.version.is_some_and(|v| v.starts_with(b"GLIBC_")));
        assert!(symbols.iter().any(|s| s.kind == Kind::Function));
        let relocations = image.relocations().unwrap();
        assert!(relocations.iter().any(|r| matches!(r.target, Target::Local(_))));
        assert!(relocations.iter().any(|r| matches!(r.target, Target::Symbol(..))));
        let frames = image.frames();
        assert!(frames.len() > 50, "{} frames", frames.len());
        assert!(frames.iter().all(|frame| frame.start < frame.end && image.from(frame.start).is_some()));
    }

    #[test]
    fn what_lies_outside_is_an_error_or_nothing() {
        let mut file = vec![0_u8; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        assert_eq!(Image::parse(&file).err(), Some(Error::Outside("program headers")));
        file[56] = 1;
        file[64] = 1;
        // A segment of nearly all addresses, and none of its bytes.
        file[64 + 8..64 + 48].fill(0xff);
        let image = Image::parse(&file).unwrap().unwrap();
        assert_eq!(image.from(u64::MAX), None);
        assert_eq!(image.number(0, 8), None);
        assert_eq!((image.symbols().unwrap().len(), image.frames().len()), (0, 0));
        file[4] = 1;
        assert!(Image::parse(&file).unwrap().is_none());
    }
}
