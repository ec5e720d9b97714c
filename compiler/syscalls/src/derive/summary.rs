//! What one ELF file means for the derivation: a value of its bytes alone, so that it can be kept by their hash.
//!
//! Addresses inside the file are resolved to places in the lists below; names are left to `link`. The
//! form may change with every version of the analyser, [`ANALYSER`], which is part of a cache's key.

use plan::platform::Arch;
use serde::{Deserialize, Serialize};

/// Version of the analysis and of the form of its result: part of the key under which a summary is kept.
pub const ANALYSER: u32 = 1;

/// A summary of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// `DT_SONAME`
    pub soname: Option<String>,
    /// `DT_NEEDED`
    pub needed: Vec<String>,
    /// `DT_RPATH`, one directory each; only where there is no `DT_RUNPATH`.
    pub rpath: Vec<String>,
    /// `DT_RUNPATH`, one directory each.
    pub runpath: Vec<String>,
    /// `PT_INTERP`
    pub interpreter: Option<String>,
    /// Pieces of code, by address.
    pub units: Vec<Unit>,
    /// Pieces of data, by address.
    pub objects: Vec<Object>,
    /// Words of data that hold addresses, by address.
    pub slots: Vec<Slot>,
    /// What other files may ask for by name.
    pub exports: Vec<Export>,
    /// What it asks for by name.
    pub imports: Vec<Import>,
    /// Units that are run when it is loaded or unloaded: constructors, destructors.
    pub starts: Vec<u32>,
    /// Slots of constructors and destructors: words that hold the addresses of such units, perhaps of other files.
    pub start_slots: Vec<u32>,
    /// Units that the loader runs to fill slots.
    pub resolvers: Vec<u32>,
    /// Where execution of the file itself begins.
    pub entry: Option<u32>,
    /// Its names bind to itself first (`DF_SYMBOLIC`).
    pub symbolic: bool,
    /// What is known of calls to imports of which the arguments matter, by unit and address.
    pub asks: Vec<Ask>,
    /// What it names besides, of which the linker must know.
    pub traits: Traits,
}

/// Facts about a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// Addresses in data are not marked (not position-independent): every word counts.
    pub fixed: bool,
    /// Share of the code that `.eh_frame` covers, in percent.
    pub covered: u8,
    /// Made by Go.
    pub go: bool,
}

/// A function, or a piece of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// First address.
    #[serde(rename = "s")]
    pub start: u64,
    /// One past the last.
    #[serde(rename = "e")]
    pub end: u64,
    /// A symbol at its start, where there is one.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it leads to, sorted.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty", with = "super::compact")]
    pub edges: Vec<Edge>,
    /// System calls made by it, or by wrappers for it.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<Site>,
    /// System calls of which the number is not known.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Open>,
    /// Numbers that come from whoever calls it.
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<Atom>,
    /// The calls through pointers of its file were looked at for the numbers that it wants, and some were found.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub pointed: bool,
    /// Shared objects that it names.
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    pub objects_named: Vec<String>,
}

/// A piece of data. Whatever has its address can read all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// The section it lies in.
    pub section: String,
    /// Always in use: initial values of thread-local storage.
    pub always: bool,
    /// Shared objects that its pointers name.
    pub objects_named: Vec<String>,
}

/// One step of reachability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Edge {
    /// Calls or jumps to a unit.
    Go(u32),
    /// Has the address of a unit.
    Take(u32),
    /// Calls or jumps to what a slot holds.
    Through(u32),
    /// Reads a slot.
    Read(u32),
    /// Has the address of an object.
    Data(u32),
}

/// A word that holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// Where it is.
    #[serde(rename = "a")]
    pub at: u64,
    /// What it holds.
    #[serde(rename = "t")]
    pub to: Held,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Held {
    /// The address of a unit.
    #[serde(rename = "u")]
    Unit(u32),
    /// The address of an object.
    #[serde(rename = "o")]
    Object(u32),
    /// The address of an import.
    #[serde(rename = "i")]
    Import(u32),
    /// The contents of an import.
    #[serde(rename = "c")]
    Copy(u32),
    /// What a unit returns.
    #[serde(rename = "r")]
    Resolver(u32),
}

impl Held {
    /// The import, where it is one.
    pub fn import(self) -> Option<u32> {
        match self {
            Held::Import(import) => Some(import),
            _ => None,
        }
    }
}

/// A name for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Not what a request without a version gets.
    pub hidden: bool,
    /// What it names.
    pub to: Named,
}

/// What an export names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Named {
    /// A function.
    Unit(u32),
    /// A function that returns the address of the function.
    Resolver(u32),
    /// Data.
    Object(u32),
    /// Thread-local or absolute: nothing to follow.
    Nothing,
}

/// A wish for a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
}

/// A system call of which the number is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Site {
    /// The instruction: `syscall`, or the call of a wrapper.
    pub at: u64,
    /// Its numbers.
    pub numbers: Vec<u32>,
}

/// A system call of which the number is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Open {
    /// The instruction.
    pub at: u64,
    /// Why not.
    pub why: Why,
}

/// Why a number is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// It is computed, or comes from memory.
    Computed,
    /// It is an argument of a function that is called through a pointer.
    Pointer,
    /// The function is too large to follow.
    Large,
    /// The entry of 32-bit programs, of which the numbers differ.
    Foreign,
}

/// A value that a function gets from its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Atom {
    /// A number.
    Const(u64),
    /// What a register held at the entry, by its number in machine code.
    Register(u8),
    /// The word at the stack pointer of the entry plus this.
    Stack(i64),
    /// The address of that word.
    Frame(i64),
    /// The word at what a register held at the entry, plus this.
    Behind(u8, i64),
    /// The word at a fixed address.
    Word(u64),
    /// The word at what the word at a fixed address holds, plus this.
    BehindWord(u64, i64),
}

/// A call of an import of which the arguments matter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ask {
    /// The unit that calls.
    pub unit: u32,
    /// The instruction.
    pub at: u64,
    /// The import.
    pub import: u32,
    /// The first six arguments as far as they are known; none: anything.
    pub arguments: Vec<Option<Vec<u64>>>,
    /// The first three arguments as texts, where all that they may be are constant texts.
    pub texts: Vec<Option<Vec<String>>>,
}

impl Summary {
    /// The unit that contains an address.
    pub fn unit_at(&self, address: u64) -> Option<u32> {
        let place = self.units.partition_point(|unit| unit.start <= address).checked_sub(1)?;
        self.units.get(place).filter(|unit| address < unit.end)?;
        u32::try_from(place).ok()
    }

    /// The object that contains an address, or that ends there.
    pub fn object_at(&self, address: u64) -> Option<u32> {
        let place = self.objects.partition_point(|object| object.start <= address).checked_sub(1)?;
        self.objects.get(place).filter(|object| address <= object.end)?;
        u32::try_from(place).ok()
    }

    /// The slots in `[from, to)`.
    pub fn slots_in(&self, from: u64, to: u64) -> std::ops::Range<usize> {
        let first = self.slots.partition_point(|slot| slot.at < from);
        first..self.slots.partition_point(|slot| slot.at < to).max(first)
    }
}

/// A program's own word for an architecture's registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abi {
    /// Holds the number of a system call.
    pub number: u8,
    /// Stack pointer.
    pub stack: u8,
    /// Carry arguments, in order.
    pub arguments: &'static [u8],
    /// Not kept over a call.
    pub lost: &'static [u8],
    /// Not kept over a system call.
    pub lost_in_kernel: &'static [u8],
    /// Bytes that a call puts on the stack.
    pub pushed: i64,
}

/// The conventions of Linux on an architecture.
pub(crate) fn abi(arch: Arch) -> Abi {
    match arch {
        Arch::X86_64 => Abi {
            number: 0,
            stack: 4,
            arguments: &[7, 6, 2, 1, 8, 9],
            lost: &[0, 1, 2, 6, 7, 8, 9, 10, 11],
            lost_in_kernel: &[0, 1, 11],
            pushed: 8,
        },
        Arch::Aarch64 => Abi {
            number: 8,
            stack: 31,
            arguments: &[0, 1, 2, 3, 4, 5],
            lost: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 30],
            lost_in_kernel: &[0],
            pushed: 0,
        },
    }
}
