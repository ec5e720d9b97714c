//! Vector registers, as far as compilers build small records in them: four lanes of 32 bits, filled by moves from
//! general registers, interleaved, and stored to the stack (musl's `setuid` and its kin).

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::{State, Value, map, one};
use crate::derive::summary::Atom;

/// What a vector register holds.
pub(crate) type Lanes = [Value; 4];

fn vector(register: Register) -> Option<u8> {
    register.is_xmm().then(|| u8::try_from(register.number()).unwrap_or(0))
}

/// The low and high half of a value of 64 bits. What came from the caller counts as its low half.
fn halves(value: &Value) -> (Value, Value) {
    let constants = map(value, |x| x & 0xffff_ffff);
    if constants.is_some() { (constants, map(value, |x| x >> 32)) } else { (value.clone(), None) }
}

/// Where a memory operand lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the own stack.
    Stack(i64),
    /// At a fixed address.
    Fixed(u64),
    /// Anywhere, or there is none.
    Other,
}

/// Executes an instruction that only concerns vectors and the stack. False when it is none that is known here.
/// `source` is the value of the second operand, where that is a general register; `place` that of a memory operand.
pub(crate) fn apply(raw: &Instruction, state: &mut State, source: &Value, place: Place) -> bool {
    let stack = if let Place::Stack(at) = place { Some(at) } else { None };
    let zero = || one(Atom::Const(0));
    let from = |state: &State| -> Option<Lanes> {
        if raw.op1_kind() == OpKind::Register {
            return Some(state.lanes(vector(raw.op1_register())?));
        }
        match place {
            Place::Stack(at) => Some([0, 4, 8, 12].map(|lane| state.word(at.wrapping_add(lane)))),
            Place::Fixed(at) => Some([0, 4, 8, 12].map(|lane| one(Atom::Word(at.wrapping_add(lane))))),
            Place::Other => None,
        }
    };
    let to = if raw.op0_kind() == OpKind::Register { vector(raw.op0_register()) } else { None };
    let store = |state: &mut State, lanes: &Lanes, count: i64| {
        let Some(at) = stack else { return };
        for (n, lane) in (0_i64..).zip(lanes.iter()).take(usize::try_from(count).unwrap_or(0)) {
            state.write(at.wrapping_add(n * 4), 4, lane.clone());
        }
    };
    match raw.mnemonic() {
        Mnemonic::Movd | Mnemonic::Movq => {
            let wide = raw.mnemonic() == Mnemonic::Movq;
            if let Some(to) = to {
                let (low, high) = match from(state).filter(|_| raw.op1_kind() == OpKind::Register) {
                    Some([low, high, ..]) => (low, high),
                    None => halves(source),
                };
                state.set_lanes(to, [low, if wide { high } else { zero() }, zero(), zero()]);
                return true;
            }
            let Some(source) = vector(raw.op1_register()) else { return false };
            let lanes = state.lanes(source);
            if raw.op0_kind() != OpKind::Memory {
                return false;
            }
            store(state, &lanes, if wide { 2 } else { 1 });
            true
        }
        Mnemonic::Movaps | Mnemonic::Movups | Mnemonic::Movdqa | Mnemonic::Movdqu => {
            if let Some(to) = to {
                let lanes = from(state).unwrap_or_default();
                state.set_lanes(to, lanes);
                return true;
            }
            let Some(source) = vector(raw.op1_register()) else { return false };
            let lanes = state.lanes(source);
            store(state, &lanes, 4);
            true
        }
        Mnemonic::Punpckldq | Mnemonic::Punpcklqdq | Mnemonic::Pxor | Mnemonic::Xorps => {
            let Some(to) = to else { return false };
            let same = raw.op1_kind() == OpKind::Register && raw.op0_register() == raw.op1_register();
            let [a0, a1, ..] = state.lanes(to);
            let [b0, b1, ..] = from(state).unwrap_or_default();
            let lanes = match raw.mnemonic() {
                Mnemonic::Punpckldq => [a0, b0, a1, b1],
                Mnemonic::Punpcklqdq => [a0, a1, b0, b1],
                _ if same => [zero(), zero(), zero(), zero()],
                _ => Lanes::default(),
            };
            state.set_lanes(to, lanes);
            true
        }
        _ => {
            // Anything else that writes a vector forgets it.
            if let Some(to) = to {
                state.set_lanes(to, Lanes::default());
            }
            false
        }
    }
}
