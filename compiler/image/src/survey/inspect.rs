//! How programs and libraries of a base start: their ELF headers or their first line.

use diag::{Diagnostic, codes};
use formats::elf;
use plan::decide::keep::{Dynamic, Inspect, MENTIONS, Start};
use plan::facts::Contents;
use plan::tree::{ContentRef, FileNode};

/// Looks into files through a base's contents; only the pieces that matter are read.
pub struct Programs<'a>(pub &'a dyn Contents);

impl Inspect for Programs<'_> {
    fn base(&self, file: &FileNode) -> Result<Start, Diagnostic> {
        let mut failed = None;
        let mut at = |offset: u64, most: usize| {
            let left = file.size.saturating_sub(offset);
            let size = left.min(most as u64);
            // A piece of a file is as good a reference as the whole of it.
            let from = ContentRef { offset: file.at.offset.saturating_add(offset), ..file.at };
            let piece = FileNode { size, at: from, inode: None, ..*file };
            self.0.read(&piece, size).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Vec::new()
            })
        };
        let head = at(0, elf::SHEBANG_BYTES + 1);
        let start = start(&head, &mut at);
        match failed {
            Some(error) => Err(error),
            None => start,
        }
    }

    fn bytes(&self, bytes: &[u8]) -> Result<Start, Diagnostic> {
        start(bytes, &mut |offset, most| {
            let rest = usize::try_from(offset).ok().and_then(|o| bytes.get(o..)).unwrap_or_default();
            rest.get(..most.min(rest.len())).unwrap_or_default().to_vec()
        })
    }
}

fn start(head: &[u8], at: &mut dyn FnMut(u64, usize) -> Vec<u8>) -> Result<Start, Diagnostic> {
    if let Some(script) = elf::shebang(head) {
        return Ok(Start::Script { interpreter: script.interpreter, argument: script.argument });
    }
    let found = elf::read_with(at, &MENTIONS).map_err(|error| {
        Diagnostic::new(codes::E0602, format!("a program or library of the base is a broken ELF file: {error}"))
    })?;
    Ok(found.map_or(Start::Other, |elf| {
        let class = match elf.class {
            elf::Class::Bits32 => 1,
            elf::Class::Bits64 => 2,
        };
        Start::Elf(Dynamic {
            kind: (class, elf.big_endian, elf.machine),
            interpreter: elf.interpreter,
            needed: elf.needed,
            rpath: elf.rpath,
            runpath: elf.runpath,
            mentions: elf.mentions,
        })
    }))
}
