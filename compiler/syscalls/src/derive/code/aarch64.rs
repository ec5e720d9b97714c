//! aarch64: the few instructions that matter, by their bits (Arm ARM DDI 0487, C4 and C6).
//!
//! Addresses are made of two instructions, `adrp` for the page and another for the place in it. The pages that
//! registers hold are followed through the stretch in one pass, joined where branches forward come together; a
//! page that is used in any other way counts as an address itself.

use std::collections::BTreeMap;

use formats::elf::image::Image;

use super::{Flow, Insn, Touch};

/// Pages that registers may hold. Of more than four in one the others count as addresses where they come together.
type Pages = BTreeMap<u32, Vec<u64>>;

fn bits(word: u32, low: u32, count: u32) -> u32 {
    (word >> low) & ((1 << count) - 1)
}

/// `count` bits from `low`, with their sign.
fn signed(word: u32, low: u32, count: u32) -> i64 {
    let shift = 64 - count;
    (i64::from(bits(word, low, count)) << shift) >> shift
}

pub(crate) fn flow(word: u32, at: u64) -> Flow {
    let to = |low, count| at.wrapping_add_signed(signed(word, low, count) * 4);
    match word {
        w if w >> 26 == 0b00_0101 => Flow::Jump(to(0, 26)),
        w if w >> 26 == 0b10_0101 => Flow::Call(to(0, 26)),
        w if w >> 24 == 0x54 => {
            if bits(w, 0, 4) >= 14 {
                Flow::Jump(to(5, 19))
            } else {
                Flow::Branch(to(5, 19))
            }
        }
        w if bits(w, 25, 6) == 0b01_1010 => Flow::Branch(to(5, 19)),
        w if bits(w, 25, 6) == 0b01_1011 => Flow::Branch(to(5, 14)),
        w if w & 0xffe0_001f == 0xd400_0001 => Flow::Syscall,
        w if w >> 24 == 0xd4 => Flow::Stop,
        // br, blr, ret and their kin with pointer authentication.
        w if w >> 25 == 0b110_1011 => match bits(w, 21, 3) {
            0b000 => Flow::JumpAnywhere,
            0b001 => Flow::CallAnywhere,
            0b010 => Flow::Return,
            _ => Flow::Stop,
        },
        w if w >> 16 == 0 => Flow::Stop,
        _ => Flow::Next,
    }
}

/// What an instruction means for addresses.
pub(crate) enum Means {
    /// A register gets the address of a page.
    Page(u32, u64),
    /// A register gets an address.
    Address(u32, u64),
    /// A register gets another plus a number.
    Sum(u32, u32, u64),
    /// Reads or writes memory at a register plus a number: base, offset, bytes, whether it reads.
    Memory(u32, u64, u64, bool),
    /// Reads a fixed place.
    Literal(u64, u64),
    /// Anything else.
    Other,
}

pub(crate) fn means(word: u32, at: u64) -> Means {
    let (low, base) = (bits(word, 0, 5), bits(word, 5, 5));
    let immediate = (signed(word, 5, 19) << 2) | i64::from(bits(word, 29, 2));
    match word {
        w if w & 0x9f00_0000 == 0x9000_0000 => Means::Page(low, (at & !0xfff).wrapping_add_signed(immediate << 12)),
        w if w & 0x9f00_0000 == 0x1000_0000 => Means::Address(low, at.wrapping_add_signed(immediate)),
        w if w & 0xff80_0000 == 0x9100_0000 => {
            let number = u64::from(bits(w, 10, 12));
            Means::Sum(low, base, if bits(w, 22, 1) == 1 { number << 12 } else { number })
        }
        // Loads and stores with an unsigned offset; bits 30 and 31 are the size, SIMD has a fifth one.
        w if bits(w, 27, 3) == 0b111 && bits(w, 24, 2) == 0b01 => {
            let vector = bits(w, 26, 1) == 1;
            let scale = if vector && bits(w, 23, 1) == 1 { 4 } else { bits(w, 30, 2) };
            let load = if vector { bits(w, 22, 1) == 1 } else { bits(w, 22, 2) != 0 };
            Means::Memory(base, u64::from(bits(w, 10, 12)) << scale, 1 << scale, load)
        }
        // Pairs with an offset.
        w if bits(w, 27, 3) == 0b101 && bits(w, 23, 3) == 0b010 => {
            let vector = bits(w, 26, 1) == 1;
            let scale = if vector { 2 + bits(w, 30, 2) } else { 2 + bits(w, 31, 1) };
            let offset = (signed(w, 15, 7) << scale).cast_unsigned();
            Means::Memory(base, offset, 2 << scale, bits(w, 22, 1) == 1)
        }
        w if bits(w, 27, 3) == 0b011 && bits(w, 24, 2) == 0b00 => {
            Means::Literal(at.wrapping_add_signed(signed(w, 5, 19) * 4), 8)
        }
        _ => Means::Other,
    }
}

/// Registers that an instruction may write, generously: bit n is xn.
pub(crate) fn writes(word: u32) -> u32 {
    let (low, base, second) = (bits(word, 0, 5), bits(word, 5, 5), bits(word, 10, 5));
    let mut mask = 1 << low;
    // Loads and stores: bit 27 set, bit 25 clear.
    if bits(word, 27, 1) == 1 && bits(word, 25, 1) == 0 {
        let vector = bits(word, 26, 1) == 1;
        let pair = bits(word, 27, 3) == 0b101;
        let load = if pair { bits(word, 22, 1) == 1 } else { bits(word, 22, 2) != 0 };
        mask = 0;
        if load && !vector {
            mask |= 1 << low;
            if pair {
                mask |= 1 << second;
            }
        }
        let exclusive = bits(word, 24, 6) == 0b00_1000;
        let atomic = bits(word, 27, 3) == 0b111 && bits(word, 24, 2) == 0 && bits(word, 21, 1) == 1;
        if exclusive || atomic {
            mask |= 1 << low | 1 << bits(word, 16, 5) | 1 << second;
        }
        let back = if pair { bits(word, 23, 1) == 1 } else { bits(word, 24, 2) == 0 && bits(word, 10, 1) == 1 };
        if back {
            mask |= 1 << base;
        }
    }
    // Vector instructions write general registers only where they say so: fmov, fcvt and kin, umov, smov.
    if bits(word, 25, 3) == 0b111 {
        let convert = bits(word, 24, 5) == 0b1_1110 && bits(word, 21, 1) == 1 && bits(word, 10, 6) == 0;
        let element = bits(word, 21, 8) == 0b0111_0000 && matches!(bits(word, 10, 6), 0b00_1111 | 0b00_1011);
        if !convert && !element {
            mask = 0;
        }
    }
    if !matches!(flow(word, 0), Flow::Next) {
        mask = 0;
    }
    mask
}

/// The registers that an instruction may read as values, generously: by the groups of the encoding (C4.1).
fn reads(word: u32) -> u32 {
    let (low, base, second, other) = (bits(word, 0, 5), bits(word, 5, 5), bits(word, 10, 5), bits(word, 16, 5));
    // Loads and stores.
    if bits(word, 27, 1) == 1 && bits(word, 25, 1) == 0 {
        let (vector, pair) = (bits(word, 26, 1) == 1, bits(word, 27, 3) == 0b101);
        let single = bits(word, 27, 3) == 0b111;
        let load = if pair { bits(word, 22, 1) == 1 } else { bits(word, 22, 2) != 0 };
        let mut mask = 1 << base;
        if !load && !vector {
            mask |= 1 << low;
            if pair {
                mask |= 1 << second;
            }
        }
        if single && bits(word, 24, 1) == 0 && bits(word, 21, 1) == 1 || bits(word, 24, 6) == 0b00_1000 {
            mask |= 1 << other;
        }
        return mask;
    }
    match bits(word, 25, 4) {
        // Numbers; movk keeps the rest of its register.
        0b1000 | 0b1001 if bits(word, 23, 6) == 0b10_0101 => 1 << low,
        0b1000 | 0b1001 => 1 << base,
        // Branches compare with zero, or go where no page is.
        0b1010 | 0b1011 => 0,
        0b0101 | 0b1101 => 1 << base | 1 << other | if bits(word, 24, 5) == 0b1_1011 { 1 << second } else { 0 },
        // Vector instructions read general registers only to convert, to copy into elements.
        _ if bits(word, 24, 5) == 0b1_1110 && bits(word, 21, 1) == 1 && bits(word, 10, 6) == 0 => 1 << base,
        _ if bits(word, 21, 8) == 0b0111_0000 && matches!(bits(word, 10, 6), 0b00_0011 | 0b00_0111) => 1 << base,
        _ => 0,
    }
}

/// Rounds in which the pages at branch targets settle; three are enough for loops within loops.
const ROUNDS: usize = 4;

/// Longest stretch in bytes that is read more than once: no function is longer, only what is not yet cut into them.
const LONG: usize = 1 << 15;

pub(super) fn sweep(bytes: &[u8], start: u64, visit: &mut dyn FnMut(&Insn) -> bool) {
    let mut joins: BTreeMap<u64, Pages> = BTreeMap::new();
    // Few stretches of code make addresses at all; the others are read once.
    let makes = |chunk: &[u8]| chunk.get(3).is_some_and(|top| top & 0x9f == 0x90);
    if bytes.len() <= LONG && bytes.chunks(4).any(makes) {
        for _ in 0..ROUNDS {
            let before = joins.clone();
            pass(bytes, start, &mut joins, &mut |_| true);
            if joins == before {
                break;
            }
        }
    }
    pass(bytes, start, &mut joins, visit);
}

/// Reads once, with the pages that are known at branch targets, and adds to them.
fn pass(bytes: &[u8], start: u64, joins: &mut BTreeMap<u64, Pages>, visit: &mut dyn FnMut(&Insn) -> bool) {
    let mut pages: Pages = Default::default();
    let end = start.wrapping_add(bytes.len() as u64);
    let (mut at, mut falls) = (start, true);
    for chunk in bytes.chunks(4) {
        let whole = chunk.len() == 4;
        let word = chunk.iter().rev().fold(0, |value, b| (value << 8) | u32::from(*b));
        let mut found = Vec::new();
        if let Some(other) = joins.get(&at) {
            // What nothing runs on into and nothing jumps to is reached in other ways: the pages before it stay.
            if !falls {
                pages = Default::default();
            }
            join(&mut pages, other, &mut found);
        }
        let mut insn = Insn {
            at,
            size: chunk.len() as u64,
            flow: if whole { flow(word, at) } else { Flow::Broken },
            touches: [Touch::Nothing; 3],
            padding: word == 0xd503_201f,
            absurd: !whole || word >> 16 == 0,
        };
        follow(word, at, &mut pages, &mut found);
        falls = insn.flow.goes_on();
        match insn.flow {
            Flow::Branch(to) | Flow::Jump(to) if to >= start && to < end => {
                let known = joins.entry(to).or_default();
                join(known, &pages, &mut found);
            }
            Flow::Call(_) | Flow::CallAnywhere => pages.retain(|register, _| *register >= 19),
            _ => {}
        }
        // An instruction names few addresses; where pages were joined they are given one after another.
        let mut rest = found.into_iter();
        loop {
            insn.touches = std::array::from_fn(|_| rest.next().unwrap_or(Touch::Nothing));
            let more = rest.len() > 0;
            let one = if more { Insn { flow: Flow::Next, ..insn } } else { insn };
            if !visit(&one) {
                return;
            }
            if !more {
                break;
            }
        }
        at = at.wrapping_add(4);
    }
}

/// A page too many counts as an address by itself.
fn join(into: &mut Pages, other: &Pages, found: &mut Vec<Touch>) {
    for (register, theirs) in other {
        let mine = into.entry(*register).or_default();
        for page in theirs.iter().filter(|page| !mine.contains(page)).copied().collect::<Vec<_>>() {
            if mine.len() < 4 {
                mine.push(page);
            } else {
                found.push(Touch::Address(page));
            }
        }
    }
}

/// Updates the pages and names the addresses of one instruction.
fn follow(word: u32, at: u64, pages: &mut Pages, found: &mut Vec<Touch>) {
    let held = |pages: &Pages, register: u32| pages.get(&register).cloned().unwrap_or_default();
    let meaning = means(word, at);
    let mut result = None;
    match meaning {
        Means::Page(register, page) => result = Some((register, vec![page])),
        Means::Address(register, address) => {
            found.push(Touch::Address(address));
            result = Some((register, Vec::new()));
        }
        Means::Sum(register, base, number) => {
            found.extend(held(pages, base).into_iter().map(|page| Touch::Address(page.wrapping_add(number))));
            result = Some((register, Vec::new()));
        }
        Means::Memory(base, offset, size, load) => {
            for page in held(pages, base) {
                let place = page.wrapping_add(offset);
                found.push(if load { Touch::Load(place, size) } else { Touch::Store(place) });
            }
            // The value that is stored may be a page itself.
            if !load && bits(word, 26, 1) == 0 {
                found.extend(held(pages, bits(word, 0, 5)).into_iter().map(Touch::Address));
            }
        }
        Means::Literal(place, size) => found.push(Touch::Load(place, size)),
        Means::Other => {
            let mask = reads(word) & !(1 << 31);
            for register in (0..31).filter(|register| mask >> register & 1 == 1) {
                // Destinations count as read: a page that is overwritten there was perhaps used.
                if writes(word) >> register & 1 == 0 || bits(word, 5, 5) == register {
                    found.extend(held(pages, register).into_iter().map(Touch::Address));
                }
            }
        }
    }
    let mask = writes(word);
    pages.retain(|register, _| mask >> register & 1 == 0);
    if let Some((register, state)) = result {
        if register == 31 || state.is_empty() {
            pages.remove(&register);
        } else {
            pages.insert(register, state);
        }
    }
}

/// The word that a linkage stub jumps through (`adrp x16; ldr x17, [x16, n]; add; br x17`).
pub(crate) fn stub(image: &Image, at: u64) -> Option<u64> {
    let word = |n: u64| {
        let number = image.number(at.wrapping_add(n * 4), 4)?;
        u32::try_from(number).ok()
    };
    let skip = u64::from(word(0)? == 0xd503_245f);
    let Means::Page(16, page) = means(word(skip)?, at.wrapping_add(skip * 4)) else { return None };
    let Means::Memory(16, offset, 8, true) = means(word(skip + 1)?, 0) else { return None };
    let last = (2..5).find(|n| word(skip + n) == Some(0xd61f_0220));
    last.map(|_| page.wrapping_add(offset))
}

/// Whether the address that the instruction at `at` makes is only ever compared, on every way on.
pub(crate) fn only_compared(image: &Image, at: u64, end: u64) -> bool {
    let word_at = |at: u64| image.number(at, 4).and_then(|word| u32::try_from(word).ok());
    let Some(first) = word_at(at) else { return false };
    let register = match means(first, at) {
        Means::Address(register, _) | Means::Sum(register, ..) => register,
        _ => return false,
    };
    let (mut todo, mut seen, mut compared) = (vec![at.wrapping_add(4)], Vec::new(), false);
    while let Some(ip) = todo.pop() {
        if seen.contains(&ip) {
            continue;
        }
        seen.push(ip);
        let (true, Some(word)) = (seen.len() <= 48 && ip > at && ip < end, word_at(ip)) else { return false };
        // cmp with a register: subs xzr, xn, xm
        if word & 0xff20_001f == 0xeb00_001f {
            compared |= bits(word, 5, 5) == register || bits(word, 16, 5) == register;
        } else if flow(word, ip) == Flow::Next && reads(word) >> register & 1 == 1 && bits(word, 0, 5) != register {
            return false;
        }
        match flow(word, ip) {
            Flow::Next if writes(word) >> register & 1 == 1 => {
                if bits(word, 5, 5) == register {
                    return false;
                }
            }
            Flow::Next | Flow::Syscall => todo.push(ip.wrapping_add(4)),
            Flow::Branch(to) => todo.extend([to, ip.wrapping_add(4)]),
            Flow::Jump(to) => todo.push(to),
            Flow::Return | Flow::Stop if register != 0 => {}
            _ => return false,
        }
    }
    compared
}
