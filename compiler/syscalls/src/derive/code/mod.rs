//! Machine code as far as the derivation looks at it: where control goes, which addresses are named.
//!
//! Two decoders give the same small vocabulary. They never follow control flow: a stretch of code is read from
//! its first byte to its last, so that nothing in it can be overlooked.

pub(crate) mod aarch64;
pub(crate) mod x86_64;

use plan::platform::Arch;

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Insn {
    /// Its address.
    pub at: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Where control goes after it.
    pub flow: Flow,
    /// Addresses it names.
    pub touches: [Touch; 3],
    /// Does nothing: fills the space between functions.
    pub padding: bool,
    /// Never in a program's code: privileged, or what zeroes and text decode to.
    pub absurd: bool,
}

impl Insn {
    /// The address behind it.
    pub fn end(&self) -> u64 {
        self.at.wrapping_add(self.size)
    }
}

/// Where control goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// On.
    Next,
    /// To an address.
    Jump(u64),
    /// To an address, or on.
    Branch(u64),
    /// To an address, and back.
    Call(u64),
    /// To what stands in the word at an address.
    JumpThrough(u64),
    /// To what stands in the word at an address, and back.
    CallThrough(u64),
    /// To a computed address.
    JumpAnywhere,
    /// To a computed address, and back.
    CallAnywhere,
    /// Back to the caller.
    Return,
    /// Nowhere: a trap.
    Stop,
    /// Into the kernel, and back.
    Syscall,
    /// Into the kernel by the entry of 32-bit programs.
    Foreign,
    /// No instruction.
    Broken,
}

impl Flow {
    /// Whether what follows in memory may be executed next.
    pub fn goes_on(self) -> bool {
        !matches!(
            self,
            Flow::Jump(_) | Flow::JumpThrough(_) | Flow::JumpAnywhere | Flow::Return | Flow::Stop | Flow::Broken
        )
    }
}

/// An address that an instruction names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touch {
    /// None.
    Nothing,
    /// As a value: whatever lies there may be read or called later.
    Address(u64),
    /// Reads so many bytes there.
    Load(u64, u64),
    /// Writes there; matters only for where else a pointer may go.
    Store(u64),
}

/// What the decoders must know of the file.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Architecture.
    pub arch: Arch,
    /// The loaded addresses, where they are fixed at link time: then a plain number may be an address.
    pub fixed: Option<(u64, u64)>,
    /// Addresses of functions that never return, as far as their names say so.
    pub ended: std::collections::BTreeSet<u64>,
}

impl Setting {
    /// Whether a number in an instruction may be an address.
    pub fn may_be_address(&self, number: u64) -> bool {
        self.fixed.is_some_and(|(low, high)| number >= low && number < high)
    }

    /// Reads `bytes`, which lie at `start`, from the first to the last, until `visit` says no. A byte that begins
    /// no instruction is [`Flow::Broken`]; reading goes on behind it.
    pub fn sweep(&self, bytes: &[u8], start: u64, visit: &mut dyn FnMut(&Insn) -> bool) {
        match self.arch {
            Arch::X86_64 => x86_64::sweep(self, bytes, start, visit),
            Arch::Aarch64 => aarch64::sweep(bytes, start, visit),
        }
    }
}

/// The word that a linkage stub at `at` jumps through.
pub(crate) fn stub(image: &formats::elf::image::Image, arch: Arch, at: u64) -> Option<u64> {
    match arch {
        Arch::X86_64 => x86_64::stub(image, at),
        Arch::Aarch64 => aarch64::stub(image, at),
    }
}

/// Whether the code address that the instruction at `at` makes is only ever compared before `end`.
pub(crate) fn only_compared(image: &formats::elf::image::Image, arch: Arch, at: u64, end: u64) -> bool {
    match arch {
        Arch::X86_64 => x86_64::only_compared(image, at, end),
        Arch::Aarch64 => aarch64::only_compared(image, at, end),
    }
}
