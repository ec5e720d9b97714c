//! Which values reach a place: constants, and what came from the caller, followed forward through a function.
//!
//! The domain is a small set of [`Atom`]s for each register and stack word, or anything. Memory is followed on
//! the own stack only, and there it is assumed that a store through an unknown pointer does not hit a word whose
//! address was never given away: compilers assume the same.

pub(crate) mod aarch64;
pub(crate) mod global;
pub(crate) mod lanes;
pub(crate) mod pointers;
pub(crate) mod sites;
pub(crate) mod solve;
#[cfg(test)]
mod tests;
pub(crate) mod x86_64;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::summary::Atom;

/// Most atoms of one value.
const MOST: usize = 24;
/// Most stack words that are followed in one function.
const MOST_WORDS: usize = 512;

/// What a register or word may hold; none: anything.
pub(crate) type Value = Option<Rc<Vec<Atom>>>;

/// A value of one atom.
pub(crate) fn one(atom: Atom) -> Value {
    Some(Rc::new(vec![atom]))
}

/// A value of these atoms; anything when they are too many.
pub(crate) fn set(mut atoms: Vec<Atom>) -> Value {
    atoms.sort_unstable();
    atoms.dedup();
    (!atoms.is_empty() && atoms.len() <= MOST).then(|| Rc::new(atoms))
}

/// Either of two.
pub(crate) fn join(a: &Value, b: &Value) -> Value {
    let (a, b) = (a.as_ref()?, b.as_ref()?);
    if a == b {
        return Some(Rc::clone(a));
    }
    set(a.iter().chain(b.iter()).copied().collect())
}

/// The one atom, where there is one.
pub(crate) fn single(value: &Value) -> Option<Atom> {
    match value.as_ref()?.as_slice() {
        [atom] => Some(*atom),
        _ => None,
    }
}

/// Each constant through a function; anything else makes it unknown.
pub(crate) fn map(value: &Value, function: impl Fn(u64) -> u64) -> Value {
    let constant = |atom: &Atom| match atom {
        Atom::Const(number) => Some(Atom::Const(function(*number))),
        _ => None,
    };
    set(value.as_ref()?.iter().map(constant).collect::<Option<_>>()?)
}

/// All pairs of constants through a function.
pub(crate) fn map2(a: &Value, b: &Value, function: impl Fn(u64, u64) -> u64) -> Value {
    let (a, b) = (a.as_ref()?, b.as_ref()?);
    if a.len().saturating_mul(b.len()) > MOST * MOST {
        return None;
    }
    let mut all = Vec::new();
    for x in a.iter() {
        for y in b.iter() {
            let (Atom::Const(x), Atom::Const(y)) = (x, y) else { return None };
            all.push(Atom::Const(function(*x, *y)));
        }
    }
    set(all)
}

/// Adds a number to constants and to addresses of the stack.
pub(crate) fn add(value: &Value, number: i64) -> Value {
    let shift = |atom: &Atom| match atom {
        Atom::Const(x) => Some(Atom::Const(x.wrapping_add_signed(number))),
        Atom::Frame(x) => Some(Atom::Frame(x.wrapping_add(number))),
        _ if number == 0 => Some(*atom),
        _ => None,
    };
    set(value.as_ref()?.iter().map(shift).collect::<Option<_>>()?)
}

/// Registers and stack at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// By number; aarch64's stack pointer is 31.
    pub registers: Vec<Value>,
    /// By distance from the stack pointer at the entry: value and bytes.
    stack: BTreeMap<i64, (Value, i64)>,
    /// Vector registers of which something is known.
    vectors: BTreeMap<u8, lanes::Lanes>,
}

impl State {
    /// At the entry of a function.
    pub fn entry(stack: u8) -> Self {
        let mut registers: Vec<Value> = (0..32).map(|n| one(Atom::Register(n))).collect();
        if let Some(place) = registers.get_mut(usize::from(stack)) {
            *place = one(Atom::Frame(0));
        }
        State { registers, stack: BTreeMap::new(), vectors: BTreeMap::new() }
    }

    /// Where nothing is known.
    pub fn unknown() -> Self {
        State { registers: vec![None; 32], stack: BTreeMap::new(), vectors: BTreeMap::new() }
    }

    /// A register.
    pub fn get(&self, register: u8) -> Value {
        self.registers.get(usize::from(register)).cloned().flatten()
    }

    /// Sets a register.
    pub fn put(&mut self, register: u8, value: Value) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
        }
    }

    /// A vector register.
    pub fn lanes(&self, register: u8) -> lanes::Lanes {
        self.vectors.get(&register).cloned().unwrap_or_default()
    }

    /// Sets a vector register.
    pub fn set_lanes(&mut self, register: u8, value: lanes::Lanes) {
        if value.iter().all(Option::is_none) {
            self.vectors.remove(&register);
        } else {
            self.vectors.insert(register, value);
        }
    }

    /// What a call leaves of the vector registers: nothing.
    pub fn lose_vectors(&mut self) {
        self.vectors.clear();
    }

    /// A word of the stack.
    pub fn word(&self, at: i64) -> Value {
        match self.stack.get(&at) {
            Some((value, _)) => value.clone(),
            None if at >= 0 => one(Atom::Stack(at)),
            None => None,
        }
    }

    /// Writes `size` bytes of the stack.
    pub fn write(&mut self, at: i64, size: i64, value: Value) {
        let near = self.stack.range(at.saturating_sub(7)..at.saturating_add(size));
        let hit: Vec<i64> =
            near.filter(|(other, (_, wide))| other.saturating_add(*wide) > at).map(|(other, _)| *other).collect();
        for other in hit {
            self.forget(other);
        }
        if at >= 0 || self.stack.len() < MOST_WORDS {
            self.stack.insert(at, (value, size.clamp(1, 8)));
        }
        if size > 8 && at.saturating_add(8) >= 0 {
            (at.saturating_add(8)..at.saturating_add(size))
                .step_by(8)
                .for_each(|at| _ = self.stack.insert(at, (None, 8)));
        }
    }

    fn forget(&mut self, at: i64) {
        if at >= 0 {
            self.stack.insert(at, (None, 8));
        } else {
            self.stack.remove(&at);
        }
    }

    /// What a call may have written: the own frame from each address that it was given.
    pub fn escape(&mut self, registers: &[u8]) {
        let frames = registers.iter().filter_map(|register| self.get(*register));
        let lowest = frames.flat_map(|value| value.iter().copied().collect::<Vec<_>>()).filter_map(|atom| match atom {
            Atom::Frame(at) => Some(at),
            _ => None,
        });
        if let Some(lowest) = lowest.min()
            && lowest < 0
        {
            self.stack.retain(|at, _| *at < lowest || *at >= 0);
        }
    }

    /// Takes in another way to the same place. True when that changed anything.
    pub fn join(&mut self, other: &State) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            let both = join(mine, theirs);
            if both != *mine {
                *mine = both;
                changed = true;
            }
        }
        let registers: Vec<u8> = self.vectors.keys().copied().collect();
        for register in registers {
            let (mine, theirs) = (self.lanes(register), other.lanes(register));
            let mut both = lanes::Lanes::default();
            for ((both, mine), theirs) in both.iter_mut().zip(&mine).zip(&theirs) {
                *both = join(mine, theirs);
            }
            if both != mine {
                self.set_lanes(register, both);
                changed = true;
            }
        }
        let keys: Vec<i64> = self.stack.keys().chain(other.stack.keys()).copied().collect();
        for at in keys {
            let both = join(&self.word(at), &other.word(at));
            if both != self.word(at) {
                match both {
                    None => self.forget(at),
                    some => {
                        let wide = self.stack.get(&at).or(other.stack.get(&at)).map_or(8, |(_, wide)| *wide);
                        self.stack.insert(at, (some, wide));
                    }
                }
                changed = true;
            }
        }
        changed
    }

    /// What an atom of a callee's entry means here, where it is called (`pushed` bytes on the stack) or jumped to.
    pub fn translate(&self, atom: Atom, stack: u8, pushed: i64) -> Value {
        match atom {
            Atom::Const(_) | Atom::Word(_) | Atom::BehindWord(..) => one(atom),
            Atom::Register(register) => self.get(register),
            Atom::Stack(at) | Atom::Frame(at) => match single(&self.get(stack))? {
                Atom::Frame(top) => {
                    let place = top.wrapping_add(at).wrapping_sub(pushed);
                    if matches!(atom, Atom::Frame(_)) { one(Atom::Frame(place)) } else { self.word(place) }
                }
                _ => None,
            },
            Atom::Behind(register, offset) => {
                let mut all: Value = None;
                for (n, base) in self.get(register)?.iter().enumerate() {
                    let value = match base {
                        Atom::Frame(at) => self.word(at.wrapping_add(offset)),
                        Atom::Register(register) => one(Atom::Behind(*register, offset)),
                        Atom::Word(at) => one(Atom::BehindWord(*at, offset)),
                        _ => None,
                    };
                    all = if n == 0 { value } else { join(&all, &value) };
                }
                all
            }
        }
    }

    /// Reads memory at a base plus a number.
    pub fn load(&self, base: &Value, offset: i64) -> Value {
        match single(base)? {
            Atom::Frame(at) => self.word(at.wrapping_add(offset)),
            Atom::Register(register) => one(Atom::Behind(register, offset)),
            Atom::Word(at) => one(Atom::BehindWord(at, offset)),
            _ => None,
        }
    }

    /// Writes memory at a base plus a number, where that is the own stack.
    pub fn store(&mut self, base: &Value, offset: i64, size: i64, value: Value) {
        match base.as_ref().map(|atoms| atoms.as_slice()) {
            Some([Atom::Frame(at)]) => self.write(at.wrapping_add(offset), size, value),
            Some(several) => {
                for atom in several.iter().copied() {
                    if let Atom::Frame(at) = atom {
                        self.write(at.wrapping_add(offset), size, None);
                    }
                }
            }
            None => {}
        }
    }
}
