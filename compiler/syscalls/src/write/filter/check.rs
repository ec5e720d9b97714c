//! A second reading of a filter: the kernel's rules for classic BPF and a plain interpreter.
//!
//! It shares no code with the writer but the numbers of the architectures, so that [`verify`] can tell the
//! driver, before anything is published, that the bytes mean what the profile says.

use std::ops::RangeInclusive;

use plan::calls;
use plan::platform::Arch;
use plan::profile::{Action, DefaultAction, Profile};

use super::audit;

/// The part of `struct seccomp_data` that our filters look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The call's number, with the x32 bit where it has it.
    pub number: u32,
    /// `AUDIT_ARCH_…` of the entry that the call came through.
    pub audit: u32,
}

/// Why bytes are no filter that the kernel would take, or not the profile's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a whole number of instructions, none, or more than 4096.
    Length(usize),
    /// An instruction that the kernel refuses or that our filters never hold.
    Instruction(usize),
    /// A jump past the end.
    Jump(usize),
    /// The last instruction does not return.
    NoReturn,
    /// It returns `found` for a call where the profile means `meant`.
    Differs {
        /// The call.
        call: Call,
        /// What the filter returns.
        found: u32,
        /// What the profile says.
        meant: u32,
    },
}

/// Takes one instruction apart: code, jump when true, jump when false, value.
fn decode(program: &[u8], at: usize) -> Option<(u16, usize, usize, u32)> {
    let bytes: [u8; 8] = program.get(at.checked_mul(8)?..)?.get(..8)?.try_into().ok()?;
    let [c, d, when_true, when_false, k @ ..] = bytes;
    Some((u16::from_le_bytes([c, d]), when_true.into(), when_false.into(), u32::from_le_bytes(k)))
}

/// The rules that the kernel applies before it takes a filter (`bpf_check_classic`,
/// `seccomp_check_filter`), for the instructions that ours are made of.
pub fn check(program: &[u8]) -> Result<(), Fault> {
    let count = program.len() / 8;
    if !program.len().is_multiple_of(8) || !(1..=4096).contains(&count) {
        return Err(Fault::Length(program.len()));
    }
    for at in 0..count {
        let (code, when_true, when_false, value) = decode(program, at).ok_or(Fault::Length(program.len()))?;
        let left = count - at - 1;
        let fine = match code {
            // Loads are of aligned words inside struct seccomp_data, 64 bytes long.
            0x20 => value % 4 == 0 && value < 64,
            0x05 if usize::try_from(value).is_ok_and(|value| value < left) => true,
            0x15 | 0x35 if when_true < left && when_false < left => true,
            0x05 | 0x15 | 0x35 => return Err(Fault::Jump(at)),
            0x06 => true,
            _ => false,
        };
        if !fine {
            return Err(Fault::Instruction(at));
        }
    }
    match decode(program, count - 1) {
        Some((0x06, ..)) => Ok(()),
        _ => Err(Fault::NoReturn),
    }
}

/// What the filter returns for `call`.
pub fn run(program: &[u8], call: Call) -> Result<u32, Fault> {
    walk(program, call).map(|(value, _)| value)
}

/// How many instructions the filter runs for `call`.
pub fn steps(program: &[u8], call: Call) -> Result<usize, Fault> {
    walk(program, call).map(|(_, steps)| steps)
}

fn walk(program: &[u8], call: Call) -> Result<(u32, usize), Fault> {
    let mut loaded = 0;
    let mut at = 0usize;
    // Jumps only go forward, so no run is longer than the program.
    for step in 1..=program.len() / 8 {
        let (code, when_true, when_false, value) = decode(program, at).ok_or(Fault::Jump(at))?;
        let jump = match code {
            0x20 => {
                loaded = match value {
                    0 => call.number,
                    4 => call.audit,
                    _ => return Err(Fault::Instruction(at)),
                };
                0
            }
            0x05 => usize::try_from(value).map_err(|_| Fault::Jump(at))?,
            0x15 if loaded == value => when_true,
            0x35 if loaded >= value => when_true,
            0x15 | 0x35 => when_false,
            0x06 => return Ok((value, step)),
            _ => return Err(Fault::Instruction(at)),
        };
        at = at.saturating_add(1).saturating_add(jump);
    }
    Err(Fault::NoReturn)
}

/// Numbers that [`verify`] looks at: past every table, then around each bit that means something.
const NUMBERS: [RangeInclusive<u32>; 4] =
    [0..=2047, 0x3fff_fff0..=0x4000_0800, 0x7fff_fff0..=0x8000_0010, 0xffff_fff0..=u32::MAX];

/// Whether the kernel would take `program` and it means what `profile` says for `arch`: every number that
/// a table may hold, the x32 numbers, and the entries of other architectures.
pub fn verify(program: &[u8], profile: &Profile, arch: Arch) -> Result<(), Fault> {
    check(program)?;
    let foreign = [0x4000_0003, 0x4000_0028].into_iter().chain(Arch::ALL.map(audit)).filter(|a| *a != audit(arch));
    let audits: Vec<u32> = foreign.chain([audit(arch)]).collect();
    for number in NUMBERS.into_iter().flatten() {
        for &audited in &audits {
            let call = Call { number, audit: audited };
            let meant = meaning(profile, arch, call);
            let found = run(program, call)?;
            if found != meant {
                return Err(Fault::Differs { call, found, meant });
            }
        }
    }
    Ok(())
}

/// The profile's answer in the kernel's words (`SECCOMP_RET_…`).
fn meaning(profile: &Profile, arch: Arch, call: Call) -> u32 {
    let foreign = call.audit != audit(arch) || (arch == Arch::X86_64 && call.number & 0xc000_0000 != 0);
    if foreign {
        return 0x8000_0000;
    }
    let named = calls::name(arch, call.number).and_then(|name| profile.calls.get(name));
    match (named.map(|decision| decision.action), profile.otherwise) {
        (Some(Action::Allow), _) => 0x7fff_0000,
        (Some(Action::Errno(number)), _) | (None, DefaultAction::Errno(number)) => 0x0005_0000 + u32::from(number),
        (None, DefaultAction::KillProcess) => 0x8000_0000,
        (None, DefaultAction::KillThread) => 0,
        (None, DefaultAction::Log) => 0x7ffc_0000,
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter;
    use super::*;
    use crate::write::sample::default_profile;

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut profile = default_profile();
        // Another action than the one for foreign entries, so that no change can hide behind it.
        profile.otherwise = DefaultAction::Errno(1);
        let good = filter(&profile, Arch::X86_64);
        assert_eq!(verify(&good, &profile, Arch::X86_64), Ok(()));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            // Jump fields: unused ones mean nothing, and another way may lead to the same answer.
            if !matches!(at % 8, 2 | 3) {
                assert!(verify(&bad, &profile, Arch::X86_64).is_err(), "byte {at}");
            }
        }
        assert!(verify(&good, &profile, Arch::Aarch64).is_err());
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        assert_eq!(check(&[]), Err(Fault::Length(0)));
        assert_eq!(check(&[6, 0, 0]), Err(Fault::Length(3)));
        assert_eq!(check(&[6u8, 0, 0, 0, 0, 0, 0, 0].repeat(4097)), Err(Fault::Length(4097 * 8)));
        assert_eq!(check(&[0x20, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::NoReturn));
        assert_eq!(check(&[0x05, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::Jump(0)));
        assert_eq!(check(&[0x15, 0, 9, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::Jump(0)));
        assert_eq!(check(&[0x20, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::Instruction(0)));
        assert_eq!(check(&[0xff, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::Instruction(0)));
    }
}
