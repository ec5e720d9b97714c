//! ELF files. Here the few parts that say what a file needs to start, and the `#!` line of a script.
//!
//! Only headers are read, each access bounds-checked; numbers are never trusted for allocation
//! (elf(5), System V gABI). Whoever has the whole file can look further: `image`, `symbols`,
//! `relocations`, `frames`.

pub mod frames;
pub mod image;
pub mod relocations;
pub mod symbols;

/// What a file says about its own start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// 32 or 64 bits.
    pub class: Class,
    /// True for big-endian files.
    pub big_endian: bool,
    /// `e_machine`: 62 x86-64, 183 aarch64 …
    pub machine: u16,
    /// `e_type`: 2 executable, 3 shared object or PIE.
    pub kind: u16,
    /// `PT_INTERP`: the loader.
    pub interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_SONAME`
    pub soname: Option<Vec<u8>>,
    /// `DT_RPATH`, directories separated by colons.
    pub rpath: Option<Vec<u8>>,
    /// `DT_RUNPATH`, directories separated by colons.
    pub runpath: Option<Vec<u8>>,
    /// Which of the symbols that were asked for its dynamic string table holds.
    pub mentions: Vec<&'static str>,
}

/// Word size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// ELFCLASS32
    Bits32,
    /// ELFCLASS64
    Bits64,
}

/// Why a file that begins like ELF cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header that this reader does not know.
    #[error("unknown ELF {0} {1}")]
    Unknown(&'static str, u64),
    /// A table or text that lies outside the file.
    #[error("the {0} lies outside the file")]
    Outside(&'static str),
    /// More of something than any real file has.
    #[error("too many {0}")]
    TooMany(&'static str),
}

/// Longest path or name in bytes: PATH_MAX; search paths can be a few of them.
const LONGEST: usize = 16 * 4096;
/// Longest table of names of dynamic symbols that is searched: LLVM's has 3 MB.
const LONGEST_NAMES: usize = 32 << 20;
/// Most entries of the dynamic section; real files have some thirty.
const MOST_DYNAMIC: usize = 65_536;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// True when `bytes` start like an ELF file.
pub fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Reads an ELF file; `Ok(None)` when it is none.
///
/// # Errors
/// See [`Error`].
pub fn read(bytes: &[u8]) -> Result<Option<Elf>, Error> {
    let mut at = |offset, most: usize| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let rest = bytes.get(start..).unwrap_or_default();
        rest.get(..most.min(rest.len())).unwrap_or_default().to_vec()
    };
    read_with(&mut at, &[])
}

/// Reads an ELF file of which only parts are at hand: `at(offset, most)` gives at most so many bytes from there,
/// fewer at the end of the file. Some ten short pieces are asked for, and the names of dynamic symbols where
/// `symbols` asks for some.
///
/// # Errors
/// See [`Error`].
pub fn read_with(at: &mut dyn FnMut(u64, usize) -> Vec<u8>, symbols: &[&'static str]) -> Result<Option<Elf>, Error> {
    let head = at(0, 64);
    if !is_elf(&head) {
        return Ok(None);
    }
    let outside = Error::Outside("header");
    let class = match head.get(4).ok_or(outside)? {
        1 => Class::Bits32,
        2 => Class::Bits64,
        other => return Err(Error::Unknown("class", u64::from(*other))),
    };
    let big_endian = match head.get(5).ok_or(outside)? {
        1 => false,
        2 => true,
        other => return Err(Error::Unknown("byte order", u64::from(*other))),
    };
    let shape = Shape { wide: class == Class::Bits64, big_endian };
    let mut elf = Elf {
        class,
        big_endian,
        machine: shape.half(&head, 18).ok_or(outside)?,
        kind: shape.half(&head, 16).ok_or(outside)?,
        interpreter: None,
        needed: Vec::new(),
        soname: None,
        rpath: None,
        runpath: None,
        mentions: Vec::new(),
    };
    let segments = segments(shape, &head, at)?;
    for segment in &segments {
        match segment.kind {
            PT_INTERP => {
                let size = usize::try_from(segment.size).unwrap_or(usize::MAX).min(LONGEST);
                elf.interpreter = Some(text_of(&at(segment.offset, size)).ok_or(Error::Outside("interpreter"))?);
            }
            PT_DYNAMIC => dynamic(shape, segment, &segments, (&mut *at, symbols), &mut elf)?,
            _ => {}
        }
    }
    Ok(Some(elf))
}

/// The text up to its NUL, which must be there.
fn text_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|b| *b == 0)?;
    bytes.get(..end).map(Into::into)
}

struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

/// How numbers are written.
#[derive(Clone, Copy)]
struct Shape {
    wide: bool,
    big_endian: bool,
}

impl Shape {
    /// An unsigned number of `size` bytes.
    fn number(self, bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
        let bytes = bytes.get(offset..offset.checked_add(size)?)?;
        let fold = |value: u64, b: &u8| (value << 8) | u64::from(*b);
        Some(if self.big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) })
    }

    fn half(self, bytes: &[u8], offset: usize) -> Option<u16> {
        self.number(bytes, offset, 2).and_then(|n| u16::try_from(n).ok())
    }

    /// A number of the class's word size.
    fn word(self, bytes: &[u8], offset: usize) -> Option<u64> {
        self.number(bytes, offset, if self.wide { 8 } else { 4 })
    }
}

fn segments(shape: Shape, head: &[u8], at: &mut dyn FnMut(u64, usize) -> Vec<u8>) -> Result<Vec<Segment>, Error> {
    let outside = Error::Outside("program headers");
    let (table, size, count) = if shape.wide {
        (shape.word(head, 32), shape.half(head, 54), shape.half(head, 56))
    } else {
        (shape.word(head, 28), shape.half(head, 42), shape.half(head, 44))
    };
    let (Some(table), Some(size), Some(count)) = (table, size, count) else { return Err(outside) };
    if count == u16::MAX {
        return Err(Error::TooMany("program headers"));
    }
    if count > 0 && size != if shape.wide { 56 } else { 32 } {
        return Err(Error::Unknown("program header size", u64::from(size)));
    }
    let (size, count) = (usize::from(size), usize::from(count));
    let bytes = at(table, size * count);
    let mut all = Vec::new();
    for row in bytes.chunks_exact(size.max(1)).take(count) {
        let field = |wide: usize, narrow: usize| shape.word(row, if shape.wide { wide } else { narrow }).ok_or(outside);
        all.push(Segment {
            kind: shape.number(row, 0, 4).ok_or(outside)?,
            offset: field(8, 4)?,
            address: field(16, 8)?,
            size: field(32, 16)?,
        });
    }
    if all.len() == count { Ok(all) } else { Err(outside) }
}

fn dynamic(
    shape: Shape,
    segment: &Segment,
    segments: &[Segment],
    (at, symbols): (&mut dyn FnMut(u64, usize) -> Vec<u8>, &[&'static str]),
    elf: &mut Elf,
) -> Result<(), Error> {
    let word = if shape.wide { 8 } else { 4 };
    let size = usize::try_from(segment.size).unwrap_or(usize::MAX);
    // A separate debug file has the header but not the bytes: nothing needed then.
    if size == 0 {
        return Ok(());
    }
    let bytes = at(segment.offset, size.min(MOST_DYNAMIC * 2 * word));
    let (mut table, mut table_size) = (None, None);
    let mut texts: Vec<(u64, u64)> = Vec::new();
    let mut ended = false;
    for row in bytes.chunks_exact(2 * word) {
        let (Some(tag), Some(value)) = (shape.word(row, 0), shape.word(row, word)) else { break };
        match tag {
            DT_NULL => {
                ended = true;
                break;
            }
            DT_STRTAB => table = Some(value),
            DT_STRSZ => table_size = Some(value),
            DT_NEEDED | DT_SONAME | DT_RPATH | DT_RUNPATH => texts.push((tag, value)),
            _ => {}
        }
    }
    if !ended && bytes.len() < size {
        let what = if size > MOST_DYNAMIC * 2 * word {
            Error::TooMany("dynamic entries")
        } else {
            Error::Outside("dynamic section")
        };
        return Err(what);
    }
    if texts.is_empty() {
        return Ok(());
    }
    let outside = Error::Outside("string table");
    let (Some(address), Some(table_size)) = (table, table_size) else { return Err(outside) };
    let load = |s: &&Segment| s.kind == PT_LOAD && address.checked_sub(s.address).is_some_and(|d| d < s.size);
    let home = segments.iter().find(load).ok_or(outside)?;
    let start = home.offset.checked_add(address - home.address).ok_or(outside)?;
    if !symbols.is_empty() {
        let names = at(start, usize::try_from(table_size).unwrap_or(usize::MAX).min(LONGEST_NAMES));
        let there: std::collections::BTreeSet<&[u8]> = names.split(|b| *b == 0).collect();
        elf.mentions.extend(symbols.iter().filter(|name| there.contains(name.as_bytes())));
    }
    for (tag, offset) in texts {
        let left = table_size.checked_sub(offset).ok_or(outside)?;
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(LONGEST);
        // Most names are short: the first piece nearly always holds the NUL.
        let from = start.checked_add(offset).ok_or(outside)?;
        let text = text_of(&at(from, most.min(256))).or_else(|| text_of(&at(from, most))).ok_or(outside)?;
        match tag {
            DT_NEEDED => elf.needed.push(text),
            DT_SONAME => elf.soname = Some(text),
            DT_RPATH => elf.rpath = Some(text),
            _ => elf.runpath = Some(text),
        }
    }
    Ok(())
}

/// The first line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shebang {
    /// The program that runs it.
    pub interpreter: Vec<u8>,
    /// All that follows, as one argument.
    pub argument: Option<Vec<u8>>,
}

/// Bytes of a file that the kernel looks at (BINPRM_BUF_SIZE since Linux 5.1).
pub const SHEBANG_BYTES: usize = 256;

/// Reads `#!` as the kernel does (`fs/binfmt_script.c`). None when the file is no script, or
/// when the interpreter's path does not end within [`SHEBANG_BYTES`].
pub fn shebang(bytes: &[u8]) -> Option<Shebang> {
    let window = bytes.get(..bytes.len().min(SHEBANG_BYTES))?;
    let rest = window.strip_prefix(b"#!")?;
    let newline = rest.iter().position(|b| *b == b'\n');
    let line = rest.get(..newline.unwrap_or(rest.len()))?;
    let blank = |b: &u8| matches!(*b, b' ' | b'\t');
    let start = line.iter().position(|b| !blank(b))?;
    let line = line.get(start..)?;
    let end = line.iter().position(|b| blank(b) || *b == 0);
    // Cut off by the window: the kernel cannot know where the path ends.
    if end.is_none() && newline.is_none() && bytes.len() > SHEBANG_BYTES {
        return None;
    }
    let (interpreter, argument) = line.split_at(end.unwrap_or(line.len()));
    if interpreter.is_empty() {
        return None;
    }
    let argument = argument.split(|b| *b == 0).next().unwrap_or_default();
    let from = argument.iter().position(|b| !blank(b));
    let to = argument.iter().rposition(|b| !blank(b));
    let argument = from.zip(to).and_then(|(a, b)| argument.get(a..=b)).map(Into::into);
    Some(Shebang { interpreter: interpreter.into(), argument })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// A minimal ELF64: one PT_LOAD over all of it, PT_INTERP, PT_DYNAMIC.
    fn sample() -> Vec<u8> {
        let mut file = vec![0; 64 + 3 * 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let mut put = |at: usize, n: u64, size: usize| file[at..at + size].copy_from_slice(&n.to_le_bytes()[..size]);
        put(16, 3, 2);
        put(18, 62, 2);
        put(32, 64, 8);
        put(54, 56, 2);
        put(56, 3, 2);
        let strings = b"\0libc.so.6\0$ORIGIN/../lib\0libx.so.1\0";
        let interp = b"/lib64/ld-linux-x86-64.so.2\0";
        let at_strings = 64 + 3 * 56;
        let at_interp = at_strings + strings.len();
        let at_dynamic = at_interp + interp.len();
        let dynamic: [(u64, u64); 6] =
            [(1, 1), (29, 11), (14, 26), (5, 0x1000 + at_strings as u64), (10, strings.len() as u64), (0, 0)];
        let total = (at_dynamic + dynamic.len() * 16) as u64;
        let sizes = [(1, 0, total), (3, at_interp as u64, interp.len() as u64), (2, at_dynamic as u64, 96)];
        for (i, (kind, offset, size)) in sizes.into_iter().enumerate() {
            let at = 64 + i * 56;
            put(at, kind, 4);
            put(at + 8, offset, 8);
            put(at + 16, 0x1000 + offset, 8);
            put(at + 32, size, 8);
        }
        file.extend_from_slice(strings);
        file.extend_from_slice(interp);
        for (tag, value) in dynamic {
            file.extend_from_slice(&tag.to_le_bytes());
            file.extend_from_slice(&value.to_le_bytes());
        }
        file
    }

    #[test]
    fn the_parts_are_found() {
        let elf = read(&sample()).unwrap().unwrap();
        assert_eq!((elf.class, elf.machine, elf.kind), (Class::Bits64, 62, 3));
        assert_eq!(elf.interpreter.as_deref(), Some(&b"/lib64/ld-linux-x86-64.so.2"[..]));
        assert_eq!(elf.needed, [b"libc.so.6"]);
        assert_eq!(elf.soname.as_deref(), Some(&b"libx.so.1"[..]));
        assert_eq!(elf.runpath.as_deref(), Some(&b"$ORIGIN/../lib"[..]));
        assert_eq!(read(b"#!/bin/sh\n").unwrap(), None);
    }

    #[test]
    fn no_cut_and_no_changed_byte_makes_it_panic() {
        let good = sample();
        for end in 0..good.len() {
            let _ = read(&good[..end]);
        }
        for at in 4..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = read(&bad);
            }
        }
        let mut bad = good.clone();
        bad[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(read(&bad), Err(Error::Outside("program headers")));
        assert_eq!(read(&good[..good.len() - 90]), Err(Error::Outside("dynamic section")));
    }

    #[test]
    fn scripts_are_read_as_the_kernel_does() {
        let read = |text: &str| {
            shebang(text.as_bytes()).map(|s| {
                let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
                (text(s.interpreter), s.argument.map(text))
            })
        };
        assert_eq!(read("#!/bin/sh\n"), Some(("/bin/sh".into(), None)));
        assert_eq!(read("#! /usr/bin/env -S a b \nx"), Some(("/usr/bin/env".into(), Some("-S a b".into()))));
        assert_eq!(read("#!/bin/sh"), Some(("/bin/sh".into(), None)));
        assert_eq!(read("#!\n/bin/sh"), None);
        assert_eq!(read("#!   \n"), None);
        assert_eq!(read(""), None);
        assert_eq!(read(&format!("#!/{}\n", "x".repeat(400))), None);
        let long = format!("#!/bin/sh {}\n", "x".repeat(400));
        assert_eq!(read(&long).unwrap().1.unwrap().len(), 256 - 10);
    }

    #[test]
    fn this_machines_programs_are_read() {
        let Ok(dir) = std::fs::read_dir("/bin") else {
            println!("skipped: no /bin here");
            return;
        };
        let mut dynamic = 0;
        for entry in dir.flatten().take(400) {
            let Ok(bytes) = std::fs::read(entry.path()) else {
                continue;
            };
            if let Some(elf) = read(&bytes).unwrap() {
                dynamic += usize::from(elf.interpreter.is_some() && !elf.needed.is_empty());
            }
        }
        assert!(dynamic > 10 || !std::path::Path::new("/bin/ls").exists());
    }
}
