//! The filter for one architecture, as the kernel's classic BPF, that `k8or` installs before it starts the
//! program (`seccomp(2)`; instruction format: `linux/filter.h`; values: `linux/seccomp.h`, `linux/audit.h`).
//!
//! The file is the array of `struct sock_filter` and nothing else: 8 bytes an instruction, little-endian,
//! as both architectures are. Its number of instructions is its length over eight.
//!
//! 1. Another architecture than the one it was written for ends the process. Numbers mean other calls
//!    there: `int 0x80` on x86_64 makes i386's calls, and its 11 is execve.
//! 2. On x86_64 a number with the x32 bit ends the process as well.
//! 3. A balanced search over ranges of equal action: the kernel runs this at every call of the program.

pub mod check;

use plan::platform::Arch;
use plan::profile::{Action, DefaultAction, Profile};

use super::by_number;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets into `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const ERRNO: u32 = 0x0005_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// Set in the numbers of calls that are made through x86_64's x32 interface.
const X32: u32 = 0x4000_0000;

/// The kernel's limit (`BPF_MAXINSNS`).
const MOST: usize = 4096;

/// `AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`.
fn audit(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 0xc000_003e,
        Arch::Aarch64 => 0xc000_00b7,
    }
}

/// One `struct sock_filter`.
#[derive(Clone, Copy)]
struct Instruction {
    code: u16,
    when_true: u8,
    when_false: u8,
    value: u32,
}

impl Instruction {
    fn plain(code: u16, value: u32) -> Self {
        Self { code, when_true: 0, when_false: 0, value }
    }

    /// Goes on with the next instruction when true, skips one when false.
    fn unless(code: u16, value: u32) -> Self {
        Self { code, when_true: 0, when_false: 1, value }
    }

    fn bytes(self) -> [u8; 8] {
        let [code, code_high] = self.code.to_le_bytes();
        let [a, b, c, d] = self.value.to_le_bytes();
        [code, code_high, self.when_true, self.when_false, a, b, c, d]
    }
}

fn default_return(otherwise: DefaultAction) -> u32 {
    match otherwise {
        DefaultAction::KillProcess => KILL_PROCESS,
        DefaultAction::KillThread => KILL_THREAD,
        DefaultAction::Errno(number) => ERRNO | u32::from(number),
        DefaultAction::Log => LOG,
    }
}

fn named_return(action: Action) -> u32 {
    match action {
        Action::Allow => ALLOW,
        Action::Errno(number) => ERRNO | u32::from(number),
    }
}

/// The filter's bytes for `arch`: at most 4096 instructions, whatever the profile.
pub fn filter(profile: &Profile, arch: Arch) -> Vec<u8> {
    let mut program = vec![
        Instruction::plain(LOAD, ARCHITECTURE),
        Instruction { code: JUMP_IF_EQUAL, when_true: 1, when_false: 0, value: audit(arch) },
        Instruction::plain(RETURN, KILL_PROCESS),
        Instruction::plain(LOAD, NUMBER),
    ];
    if arch == Arch::X86_64 {
        program.push(Instruction::unless(JUMP_IF_AT_LEAST, X32));
        program.push(Instruction::plain(RETURN, KILL_PROCESS));
    }
    search(&ranges(profile, arch), &mut program);
    debug_assert!(program.len() <= MOST, "{} instructions", program.len());
    program.into_iter().flat_map(Instruction::bytes).collect()
}

/// Ranges that cover all numbers: where each begins and what it returns, neighbours different.
fn ranges(profile: &Profile, arch: Arch) -> Vec<(u32, u32)> {
    let rest = default_return(profile.otherwise);
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut begin = |at: u32, value: u32| match ranges.last_mut() {
        Some((start, last)) if *start == at => *last = value,
        Some((_, last)) if *last == value => {}
        _ => ranges.push((at, value)),
    };
    begin(0, rest);
    for (number, action) in by_number(profile, arch) {
        begin(number, named_return(action));
        begin(number.saturating_add(1), rest);
    }
    // Overwriting the start of a range can make it equal to the one before.
    ranges.dedup_by_key(|(_, value)| *value);
    ranges
}

/// Appends a search among `ranges`, which are not empty. Its depth is the logarithm of their number.
fn search(ranges: &[(u32, u32)], program: &mut Vec<Instruction>) {
    let middle = ranges.len() / 2;
    let (lower, upper) = ranges.split_at(middle);
    let Some((pivot, value)) = upper.first() else { return };
    if lower.is_empty() {
        program.push(Instruction::plain(RETURN, *value));
        return;
    }
    let at = program.len();
    program.push(Instruction::plain(JUMP_IF_AT_LEAST, *pivot));
    search(lower, program);
    let distance = program.len() - at - 1;
    match u8::try_from(distance) {
        Ok(near) => {
            if let Some(test) = program.get_mut(at) {
                test.when_true = near;
            }
        }
        // A conditional jump reaches 255 instructions; an unconditional one reaches all.
        Err(_) => {
            if let Some(test) = program.get_mut(at) {
                test.when_false = 1;
            }
            let far = u32::try_from(distance).unwrap_or(u32::MAX);
            program.insert(at + 1, Instruction::plain(JUMP, far));
        }
    }
    search(upper, program);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::check::{Call, run, verify};
    use super::*;
    use crate::write::sample::{default_profile, profile};
    use plan::calls;

    const OTHERWISE: [DefaultAction; 5] = [
        DefaultAction::KillProcess,
        DefaultAction::KillThread,
        DefaultAction::Errno(1),
        DefaultAction::Errno(38),
        DefaultAction::Log,
    ];

    /// What the profile says about a number, straight from its definition and not from our ranges.
    fn meaning(profile: &Profile, arch: Arch, audited: u32, number: u32) -> u32 {
        if audited != audit(arch) || (arch == Arch::X86_64 && number >= X32) {
            return KILL_PROCESS;
        }
        let decision = calls::name(arch, number).and_then(|name| profile.calls.get(name));
        decision.map_or(default_return(profile.otherwise), |decision| named_return(decision.action))
    }

    fn compare(profile: &Profile) {
        let edges = [0x3fff_ffff, X32, X32 | 59, X32 | 520, X32 | 1024, 0x7fff_ffff, 0x8000_0000, u32::MAX];
        let others = [0x4000_0003, 0x4000_0028, 0x0000_003e, 0xc000_00f3, 0];
        for arch in Arch::ALL {
            let program = filter(profile, arch);
            assert_eq!(verify(&program, profile, arch), Ok(()));
            for audited in others.into_iter().chain(Arch::ALL.map(audit)) {
                for number in (0..=1024).chain((0..=1024).map(|number| X32 | number)).chain(edges) {
                    let call = Call { number, audit: audited };
                    assert_eq!(
                        run(&program, call),
                        Ok(meaning(profile, arch, audited, number)),
                        "{arch:?} {audited:#x} {number:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn it_means_what_the_profile_says() {
        for otherwise in OTHERWISE {
            let mut profile = default_profile();
            profile.otherwise = otherwise;
            compare(&profile);
        }
        compare(&profile(DefaultAction::KillProcess, []));
        let names: Vec<_> = calls::all(Arch::X86_64).chain(calls::all(Arch::Aarch64)).map(|(name, _)| name).collect();
        compare(&profile(DefaultAction::KillProcess, names.iter().map(|name| (*name, Action::Allow))));
    }

    /// Any set of calls with any actions: a small generator with a fixed seed, so that a failure repeats.
    #[test]
    fn it_means_what_any_profile_says() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for round in 0..60 {
            let density = 1 + round % 10;
            let mut chosen = Vec::new();
            for (name, _) in calls::all(Arch::X86_64) {
                if random(10) < density {
                    let errno = [1, 13, 38, 4095][random(4) as usize];
                    chosen.push((name, if random(3) > 0 { Action::Allow } else { Action::Errno(errno) }));
                }
            }
            compare(&profile(OTHERWISE[random(5) as usize], chosen));
        }
    }

    #[test]
    fn the_worst_profile_fits() {
        // Every call another action than its neighbours.
        let calls = calls::all(Arch::X86_64).map(|(name, number)| (name, Action::Errno(1 + number as u16)));
        let profile = profile(DefaultAction::KillProcess, calls);
        let program = filter(&profile, Arch::X86_64);
        assert!(program.len() / 8 < MOST / 2, "{}", program.len() / 8);
        assert_eq!(verify(&program, &profile, Arch::X86_64), Ok(()));
    }

    #[test]
    fn a_call_takes_few_steps() {
        let program = filter(&default_profile(), Arch::X86_64);
        let most = (0..500).map(|number| check::steps(&program, Call { number, audit: audit(Arch::X86_64) }).unwrap());
        assert!(most.max().unwrap() <= 5 + 12);
    }

    #[test]
    fn the_bytes_are_these() {
        let profile = profile(DefaultAction::KillProcess, [("read", Action::Allow)]);
        let words: Vec<u64> =
            filter(&profile, Arch::X86_64).chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap())).collect();
        assert_eq!(
            words,
            [
                0x0000_0004_0000_0020, // load the architecture
                0xc000_003e_0001_0015, // equal: skip one
                0x8000_0000_0000_0006, // kill the process
                0x0000_0000_0000_0020, // load the number
                0x4000_0000_0100_0035, // below the x32 bit: skip one
                0x8000_0000_0000_0006, // kill the process
                0x0000_0001_0001_0035, // at least 1: skip one
                0x7fff_0000_0000_0006, // allow
                0x8000_0000_0000_0006, // kill the process
            ]
        );
    }
}
