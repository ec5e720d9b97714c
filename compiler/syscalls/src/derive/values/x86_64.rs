//! What each x86-64 instruction does to the values.

use formats::elf::image::Image;
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use super::{State, Value, add, join, lanes, map, map2, one, set, single};
use crate::derive::code::x86_64::fixed_place;
use crate::derive::summary::Atom;

fn general(register: Register) -> Option<u8> {
    let full = register.full_register();
    (full.is_gpr64()).then(|| u8::try_from(full.number()).unwrap_or(0))
}

fn mask(size: usize) -> u64 {
    match size {
        1 => 0xff,
        2 => 0xffff,
        4 => 0xffff_ffff,
        _ => u64::MAX,
    }
}

/// `ah`, `ch`, `dh`, `bh`
fn high(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

/// Constants cut to a size. What came from the caller stays: numbers of calls fit into every size that is used
/// for them.
fn cut(value: &Value, size: usize) -> Value {
    let each = |atom: &Atom| match atom {
        Atom::Const(number) => Some(Atom::Const(number & mask(size))),
        atom if size >= 4 => Some(*atom),
        _ => None,
    };
    set(value.as_ref()?.iter().map(each).collect::<Option<_>>()?)
}

/// The machine: one of these for each file.
pub(crate) struct Machine<'a> {
    image: &'a Image<'a>,
    info: InstructionInfoFactory,
}

impl<'a> Machine<'a> {
    pub fn new(image: &'a Image<'a>) -> Self {
        Machine { image, info: InstructionInfoFactory::new() }
    }

    /// A word that nothing can change.
    fn constant(&self, at: u64, size: usize) -> Option<u64> {
        let home = self.image.segments.iter().find(|s| at.checked_sub(s.address).is_some_and(|d| d < s.file))?;
        if home.writable { None } else { self.image.number(at, size.min(8)) }
    }

    fn base(raw: &Instruction, state: &State) -> Option<(Value, i64)> {
        if matches!(raw.memory_segment(), Register::FS | Register::GS) || raw.memory_index() != Register::None {
            return None;
        }
        let register = general(raw.memory_base())?;
        Some((state.get(register), raw.memory_displacement64().cast_signed()))
    }

    fn operand(&self, raw: &Instruction, operand: u32, size: usize, state: &State) -> Value {
        match raw.op_kind(operand) {
            OpKind::Register => {
                let register = raw.op_register(operand);
                if high(register) {
                    return None;
                }
                cut(&state.get(general(register)?), register.size())
            }
            OpKind::Memory => {
                let wide = raw.memory_size().size();
                if let Some(at) = fixed_place(raw) {
                    return match self.constant(at, wide) {
                        Some(number) => one(Atom::Const(number)),
                        None if wide >= 4 => one(Atom::Word(at)),
                        None => None,
                    };
                }
                let (base, offset) = Self::base(raw, state)?;
                cut(&state.load(&base, offset), wide)
            }
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => None,
            _ => one(Atom::Const(raw.immediate(operand) & mask(size))),
        }
    }

    fn size0(raw: &Instruction) -> usize {
        match raw.op0_kind() {
            OpKind::Register => raw.op0_register().size(),
            _ => raw.memory_size().size(),
        }
    }

    /// Writes the first operand.
    fn result(raw: &Instruction, state: &mut State, value: Value) {
        Self::write(raw, 0, state, value);
    }

    fn write(raw: &Instruction, operand: u32, state: &mut State, value: Value) {
        match raw.op_kind(operand) {
            OpKind::Register => {
                let name = raw.op_register(operand);
                let Some(register) = general(name) else { return };
                let value = match name.size() {
                    8 => value,
                    4 => cut(&value, 4),
                    _ if high(name) => None,
                    // The rest of the register stays.
                    size => {
                        let old = state.get(register);
                        map2(&old, &cut(&value, size), |old, new| (old & !mask(size)) | new)
                    }
                };
                state.put(register, value);
            }
            OpKind::Memory => {
                let size = i64::try_from(raw.memory_size().size().max(1)).unwrap_or(8);
                if let Some((base, offset)) = Self::base(raw, state) {
                    state.store(&base, offset, size, value);
                } else if let Some(register) = general(raw.memory_base())
                    && raw.memory_index() != Register::None
                {
                    // Somewhere behind that: an array on the stack.
                    let base = state.get(register);
                    let low = raw.memory_displacement64().cast_signed();
                    for atom in base.iter().flat_map(|atoms| atoms.to_vec()) {
                        if let Atom::Frame(at) = atom {
                            state.write(at.wrapping_add(low), 64, None);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Executes one instruction, but for where it goes.
    pub fn apply(&mut self, raw: &Instruction, state: &mut State) {
        let size = Self::size0(raw);
        let a = |state: &State| self.operand(raw, 0, size, state);
        let b = |state: &State| self.operand(raw, 1, size, state);
        let same = raw.op_count() == 2
            && raw.op0_kind() == OpKind::Register
            && raw.op1_kind() == OpKind::Register
            && raw.op0_register() == raw.op1_register();
        match raw.mnemonic() {
            Mnemonic::Mov => {
                let value = b(state);
                Self::result(raw, state, value);
            }
            Mnemonic::Movzx => {
                let value = b(state);
                Self::result(raw, state, value);
            }
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let from = if raw.op1_kind() == OpKind::Register {
                    raw.op1_register().size()
                } else {
                    raw.memory_size().size()
                };
                let bits = u32::try_from(64 - from.clamp(1, 8) * 8).unwrap_or(0);
                let value = b(state);
                let wide = map(&value, |x| ((x << bits).cast_signed() >> bits).cast_unsigned());
                Self::result(raw, state, if wide.is_some() || from < 4 { wide } else { value });
            }
            Mnemonic::Lea => {
                let value = match fixed_place(raw) {
                    Some(at) => one(Atom::Const(at)),
                    None => Self::base(raw, state).and_then(|(base, offset)| add(&base, offset)),
                };
                Self::result(raw, state, value);
            }
            Mnemonic::Xor | Mnemonic::Sub if same => Self::result(raw, state, one(Atom::Const(0))),
            Mnemonic::Sbb if same => {
                let both = set(vec![Atom::Const(0), Atom::Const(mask(size))]);
                Self::result(raw, state, both);
            }
            Mnemonic::Add | Mnemonic::Sub => {
                let (x, y) = (a(state), b(state));
                let minus = raw.mnemonic() == Mnemonic::Sub;
                let value = match single(&y) {
                    Some(Atom::Const(n)) if size == 8 => {
                        let n = n.cast_signed();
                        add(&x, if minus { n.wrapping_neg() } else { n })
                    }
                    _ if minus => map2(&x, &y, u64::wrapping_sub),
                    _ => map2(&x, &y, u64::wrapping_add),
                };
                Self::result(raw, state, cut(&value, size));
            }
            Mnemonic::And if general(raw.op0_register()) == Some(4) && raw.op1_kind() != OpKind::Register => {
                // The stack is aligned: what lies below is a place of its own.
                let value = match single(&state.get(4)) {
                    Some(Atom::Frame(at)) => one(Atom::Frame(at.wrapping_sub(8192) & !63)),
                    _ => None,
                };
                state.put(4, value);
            }
            Mnemonic::And | Mnemonic::Or | Mnemonic::Xor => {
                let (x, y) = (a(state), b(state));
                let zero = single(&y) == Some(Atom::Const(0));
                let value = match raw.mnemonic() {
                    Mnemonic::And if zero => one(Atom::Const(0)),
                    Mnemonic::And => map2(&x, &y, |x, y| x & y),
                    Mnemonic::Or if single(&y) == Some(Atom::Const(mask(size))) => y,
                    Mnemonic::Or => map2(&x, &y, |x, y| x | y),
                    _ => map2(&x, &y, |x, y| x ^ y),
                };
                Self::result(raw, state, value);
            }
            Mnemonic::Shl | Mnemonic::Shr => {
                let (x, y) = (a(state), b(state));
                let left = raw.mnemonic() == Mnemonic::Shl;
                let value = map2(&x, &y, |x, y| if left { x << (y & 63) } else { x >> (y & 63) });
                Self::result(raw, state, cut(&value, size));
            }
            Mnemonic::Inc | Mnemonic::Dec => {
                let by = if raw.mnemonic() == Mnemonic::Inc { 1 } else { -1 };
                let value = map(&a(state), |x| x.wrapping_add_signed(by) & mask(size));
                Self::result(raw, state, value);
            }
            Mnemonic::Neg => {
                let value = map(&a(state), |x| x.wrapping_neg() & mask(size));
                Self::result(raw, state, value);
            }
            Mnemonic::Not => {
                let value = map(&a(state), |x| !x & mask(size));
                Self::result(raw, state, value);
            }
            Mnemonic::Push => {
                let value = self.operand(raw, 0, 8, state);
                let top = add(&state.get(4), -8);
                state.put(4, top.clone());
                state.store(&top, 0, 8, value);
            }
            Mnemonic::Pop => {
                let top = state.get(4);
                let value = state.load(&top, 0);
                state.put(4, add(&top, 8));
                Self::result(raw, state, value);
            }
            Mnemonic::Leave => {
                let base = state.get(5);
                state.put(5, state.load(&base, 0));
                state.put(4, add(&base, 8));
            }
            Mnemonic::Xchg => {
                let (x, y) = (a(state), b(state));
                Self::write(raw, 0, state, y);
                Self::write(raw, 1, state, x);
            }
            Mnemonic::Cdqe => {
                let value = map(&state.get(0), |x| ((x << 32).cast_signed() >> 32).cast_unsigned());
                state.put(0, value);
            }
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Prefetcht0 => {}
            _ if raw.is_jcc_short_or_near() || raw.is_call_near() || raw.is_jmp_short_or_near() => {}
            mnemonic if set_byte(mnemonic) => {
                Self::result(raw, state, set(vec![Atom::Const(0), Atom::Const(1)]));
            }
            mnemonic if conditional_move(mnemonic) => {
                let value = join(&a(state), &b(state));
                Self::result(raw, state, value);
            }
            _ => {
                let source = if raw.op_count() == 2 && raw.op1_kind() == OpKind::Register { b(state) } else { None };
                let place = match Self::base(raw, state).map(|(base, offset)| (single(&base), offset)) {
                    Some((Some(Atom::Frame(at)), offset)) => lanes::Place::Stack(at.wrapping_add(offset)),
                    _ => fixed_place(raw).map_or(lanes::Place::Other, lanes::Place::Fixed),
                };
                if !lanes::apply(raw, state, &source, place) {
                    self.other(raw, state);
                }
            }
        }
    }

    /// What a register is where a branch is taken, or not: it was just compared with a number.
    pub fn learn(&self, compare: &Instruction, branch: &Instruction, taken: bool, state: &mut State) {
        let equal = match branch.mnemonic() {
            Mnemonic::Je => taken,
            Mnemonic::Jne => !taken,
            _ => false,
        };
        if !equal || compare.op0_kind() != OpKind::Register || compare.op0_register().size() < 4 {
            return;
        }
        let Some(register) = general(compare.op0_register()) else { return };
        let same = compare.op1_kind() == OpKind::Register && compare.op1_register() == compare.op0_register();
        let number = match compare.mnemonic() {
            Mnemonic::Test if same => 0,
            Mnemonic::Cmp if compare.op1_kind() != OpKind::Register && compare.op1_kind() != OpKind::Memory => {
                compare.immediate(1) & mask(compare.op0_register().size())
            }
            _ => return,
        };
        state.put(register, one(Atom::Const(number)));
    }

    /// Anything else: what it writes is unknown.
    fn other(&mut self, raw: &Instruction, state: &mut State) {
        let info = self.info.info(raw);
        for used in info.used_registers() {
            let writes = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
            if writes && let Some(register) = general(used.register()) {
                state.put(register, None);
            }
        }
        for operand in 0..raw.op_count() {
            let reads = matches!(info.op_access(operand), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess);
            if raw.op_kind(operand) == OpKind::Memory && !reads {
                Self::write(raw, operand, state, None);
            }
        }
    }
}

fn set_byte(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(
        mnemonic,
        Seta | Setae
            | Setb
            | Setbe
            | Sete
            | Setg
            | Setge
            | Setl
            | Setle
            | Setne
            | Setno
            | Setnp
            | Setns
            | Seto
            | Setp
            | Sets
    )
}

fn conditional_move(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(
        mnemonic,
        Cmova
            | Cmovae
            | Cmovb
            | Cmovbe
            | Cmove
            | Cmovg
            | Cmovge
            | Cmovl
            | Cmovle
            | Cmovne
            | Cmovno
            | Cmovnp
            | Cmovns
            | Cmovo
            | Cmovp
            | Cmovs
    )
}
