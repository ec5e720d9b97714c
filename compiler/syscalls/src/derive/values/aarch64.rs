//! What each aarch64 instruction does to the values: moves, sums, loads and stores; all else forgets.

use formats::elf::image::Image;

use super::{State, Value, add, map, one, set, single};
use crate::derive::code::aarch64::{Means, means, writes};
use crate::derive::summary::Atom;

fn bits(word: u32, low: u32, count: u32) -> u32 {
    (word >> low) & ((1 << count) - 1)
}

fn signed(word: u32, low: u32, count: u32) -> i64 {
    let shift = 64 - count;
    (i64::from(bits(word, low, count)) << shift) >> shift
}

fn register(word: u32, low: u32) -> u8 {
    u8::try_from(bits(word, low, 5)).unwrap_or(31)
}

/// Register 31 as a value is zero, not the stack pointer.
fn value(state: &State, register: u8) -> Value {
    if register == 31 { one(Atom::Const(0)) } else { state.get(register) }
}

fn put(state: &mut State, register: u8, value: Value) {
    if register != 31 {
        state.put(register, value);
    }
}

fn narrow(value: &Value, wide: bool) -> Value {
    let each = |atom: &Atom| match atom {
        Atom::Const(number) if !wide => Atom::Const(number & 0xffff_ffff),
        atom => *atom,
    };
    set(value.as_ref()?.iter().map(each).collect())
}

fn fixed(image: &Image, at: u64, size: u64) -> Value {
    let home = image.segments.iter().find(|s| at.checked_sub(s.address).is_some_and(|d| d < s.file));
    match home {
        Some(segment) if !segment.writable => {
            image.number(at, usize::try_from(size.min(8)).unwrap_or(8)).and_then(|number| one(Atom::Const(number)))
        }
        _ if size >= 4 => one(Atom::Word(at)),
        _ => None,
    }
}

/// Executes one instruction, but for where it goes.
pub(crate) fn apply(image: &Image, word: u32, at: u64, state: &mut State) {
    let wide = bits(word, 31, 1) == 1;
    let (low, base) = (register(word, 0), register(word, 5));
    // movn, movz, movk
    if bits(word, 23, 6) == 0b10_0101 {
        let shift = bits(word, 21, 2) * 16;
        let number = u64::from(bits(word, 5, 16)) << shift;
        let result = match bits(word, 29, 2) {
            0 => one(Atom::Const(!number)),
            2 => one(Atom::Const(number)),
            3 => map(&state.get(low), |old| (old & !(0xffff << shift)) | number),
            _ => None,
        };
        return put(state, low, narrow(&result, wide));
    }
    // mov register (orr with zero)
    if word & 0x7fe0_ffe0 == 0x2a00_03e0 {
        let result = narrow(&value(state, register(word, 16)), wide);
        return put(state, low, result);
    }
    // sxtw
    if word & 0xffff_fc00 == 0x9340_7c00 {
        let old = value(state, base);
        let wide = map(&old, |x| ((x << 32).cast_signed() >> 32).cast_unsigned());
        return put(state, low, if wide.is_some() { wide } else { old });
    }
    // csel, csinc and kin: either
    if word & 0x7fe0_0c00 == 0x1a80_0000 {
        let result = super::join(&value(state, base), &value(state, register(word, 16)));
        return put(state, low, narrow(&result, wide));
    }
    // add and sub with a number
    if bits(word, 23, 6) == 0b10_0010 {
        let number = i64::from(bits(word, 10, 12)) << if bits(word, 22, 1) == 1 { 12 } else { 0 };
        let result = add(&state.get(base), if bits(word, 30, 1) == 1 { -number } else { number });
        let compares = bits(word, 29, 1) == 1 && low == 31;
        if !compares {
            state.put(low, narrow(&result, wide));
        }
        return;
    }
    match means(word, at) {
        Means::Page(to, address) | Means::Address(to, address) => {
            return put(state, u8::try_from(to).unwrap_or(31), one(Atom::Const(address)));
        }
        Means::Literal(place, size) if bits(word, 26, 1) == 0 => return put(state, low, fixed(image, place, size)),
        _ => {}
    }
    // Loads and stores: bit 27 set, bit 25 clear.
    if bits(word, 27, 1) == 1 && bits(word, 25, 1) == 0 {
        return memory(image, word, state);
    }
    forget(word, state);
}

fn forget(word: u32, state: &mut State) {
    let mask = writes(word);
    for register in (0..31_u8).filter(|register| mask >> register & 1 == 1) {
        state.put(register, None);
    }
}

fn memory(image: &Image, word: u32, state: &mut State) {
    let (low, base, second) = (register(word, 0), register(word, 5), register(word, 10));
    let vector = bits(word, 26, 1) == 1;
    let pair = bits(word, 27, 3) == 0b101;
    let single_kind = bits(word, 27, 3) == 0b111;
    // The offset, and the change of the base before or after.
    let (offset, before, after, size) = if pair {
        let scale = if vector { 2 + bits(word, 30, 2) } else { 2 + bits(word, 31, 1) };
        let number = signed(word, 15, 7) << scale;
        match bits(word, 23, 2) {
            0b01 => (0, 0, number, 1_i64 << scale),
            0b11 => (0, number, 0, 1 << scale),
            _ => (number, 0, 0, 1 << scale),
        }
    } else if single_kind && bits(word, 24, 1) == 1 {
        let scale = if vector && bits(word, 23, 1) == 1 { 4 } else { bits(word, 30, 2) };
        (i64::from(bits(word, 10, 12)) << scale, 0, 0, 1 << scale)
    } else if single_kind && bits(word, 21, 1) == 0 {
        let number = signed(word, 12, 9);
        let size = if vector && bits(word, 23, 1) == 1 { 16 } else { 1 << bits(word, 30, 2) };
        match bits(word, 10, 2) {
            0b01 => (0, 0, number, size),
            0b11 => (0, number, 0, size),
            _ => (number, 0, 0, size),
        }
    } else {
        return forget(word, state);
    };
    let load = if pair || vector { bits(word, 22, 1) == 1 } else { bits(word, 22, 2) != 0 };
    if before != 0 {
        let moved = add(&state.get(base), before);
        state.put(base, moved);
    }
    let at = state.get(base);
    let names: &[(u8, i64)] = if pair { &[(low, 0), (second, size)] } else { &[(low, 0)] };
    let mut loaded = Vec::new();
    for (name, more) in names {
        if load {
            let place = match single(&at) {
                Some(Atom::Const(address)) => {
                    fixed(image, address.wrapping_add_signed(offset + more), size.cast_unsigned())
                }
                _ => state.load(&at, offset + more),
            };
            loaded.push((*name, if size >= 4 { narrow(&place, size == 8) } else { None }));
        } else {
            let stored = if vector { None } else { value(state, *name) };
            state.store(&at, offset + more, size, stored);
        }
    }
    if !vector {
        loaded.into_iter().for_each(|(name, value)| put(state, name, value));
    }
    if after != 0 {
        let moved = add(&state.get(base), after);
        state.put(base, moved);
    }
}
