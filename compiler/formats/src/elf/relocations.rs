//! What the loader writes into a file's memory: relocations of x86-64 and aarch64 by meaning, packed ones
//! (`DT_RELR`) unpacked.

use super::Error;
use super::image::{Image, section_kind};

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relocation {
    /// Where.
    pub address: u64,
    /// What.
    pub target: Target,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The load address plus this: an address of the same file.
    Local(u64),
    /// The address of the dynamic symbol of this place, plus the addend.
    Symbol(u32, i64),
    /// The contents of the dynamic symbol of this place, defined elsewhere.
    Copy(u32),
    /// What the function at this address returns.
    Resolver(u64),
    /// Something for thread-local storage: no address of code or data.
    ThreadLocal,
}

/// aarch64's `e_machine`.
const AARCH64: u16 = 183;

fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = at.checked_add(8).and_then(|end| bytes.get(at..end)).unwrap_or_default();
    bytes.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b))
}

impl Image<'_> {
    /// All of them, sorted by address.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn relocations(&self) -> Result<Vec<Relocation>, Error> {
        let mut all = Vec::new();
        for row in self.table(7, 8, "relocations")?.chunks_exact(24) {
            all.extend(self.relocation(row));
        }
        for row in self.table(23, 2, "relocations")?.chunks_exact(24) {
            all.extend(self.relocation(row));
        }
        self.packed(self.table(36, 35, "relocations")?, &mut all);
        if self.dynamic.is_empty() {
            // A static program relocates itself; the linker's sections say where.
            for section in self.sections.iter().filter(|s| s.kind == section_kind::RELA && s.loaded) {
                all.extend(self.contents(section).chunks_exact(24).filter_map(|row| self.relocation(row)));
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    fn relocation(&self, row: &[u8]) -> Option<Relocation> {
        let (address, info, addend) = (word(row, 0), word(row, 8), word(row, 16));
        let symbol = u32::try_from(info >> 32).unwrap_or(u32::MAX);
        let target = match (self.machine == AARCH64, info & 0xffff_ffff) {
            (_, 0) => return None,
            (false, 16..=18 | 36) | (true, 1028..=1031) => Target::ThreadLocal,
            (false, 8 | 38) | (true, 1027) => Target::Local(addend),
            (false, 37) | (true, 1032) => Target::Resolver(addend),
            (false, 5) | (true, 1024) => Target::Copy(symbol),
            _ if symbol == 0 => Target::Local(addend),
            _ => Target::Symbol(symbol, addend.cast_signed()),
        };
        Some(Relocation { address, target })
    }

    /// `DT_RELR`: an even entry is an address, an odd one a bit for each of the 63 words that follow.
    fn packed(&self, table: &[u8], all: &mut Vec<Relocation>) {
        let mut next = 0_u64;
        let mut one = |address: u64| {
            if let Some(value) = self.number(address, 8) {
                all.push(Relocation { address, target: Target::Local(value) });
            }
        };
        for entry in table.chunks_exact(8).map(|row| word(row, 0)) {
            if entry & 1 == 0 {
                one(entry);
                next = entry.wrapping_add(8);
            } else {
                for bit in (1..64).filter(|bit| entry >> bit & 1 != 0) {
                    one(next.wrapping_add((bit - 1) * 8));
                }
                next = next.wrapping_add(63 * 8);
            }
        }
    }
}
