//! Follows values through one function: all its units together, from each place where it is entered.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind};
use plan::calls;
use plan::platform::Arch;

use super::{State, Value, aarch64, x86_64};
use crate::derive::code::{self, Flow};
use crate::derive::summarise::Work;
use crate::derive::summarise::edges::Place;
use crate::derive::summarise::returning::never_returns;
use crate::derive::summarise::tables;
use crate::derive::summary::{Abi, Atom, Held, Summary};

/// Most instructions of one function that is followed.
const MOST: usize = 400_000;
/// Most visits of one block.
const VISITS: u32 = 400;

/// A place where control leaves, with the values there.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The instruction.
    pub at: u64,
    /// What happens.
    pub kind: Kind,
    /// The values before it.
    pub state: State,
}

/// How control leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Into the kernel.
    Syscall,
    /// To an address of this file, by a call or else.
    Go(u64, bool),
    /// To what a slot holds, by a call or else.
    Through(u32, bool),
    /// To a value, by a call or else.
    Anywhere(bool),
}

/// What all solutions of a file share.
pub(crate) struct Context<'a> {
    pub work: &'a Work<'a>,
    pub summary: &'a Summary,
    pub abi: Abi,
    /// Units that may return.
    pub returning: BTreeSet<u32>,
    /// Data that code names.
    pub anchors: BTreeSet<u64>,
    /// Addresses at which functions are entered.
    pub enter: BTreeSet<u64>,
}

struct Step {
    at: u64,
    end: u64,
    flow: Flow,
    padding: bool,
}

enum Raw<'a> {
    X86(Box<x86_64::Machine<'a>>, Vec<Instruction>),
    Arm(Vec<u32>),
}

impl Context<'_> {
    /// Whether a call of this target comes back.
    fn comes_back(&self, flow: Flow) -> bool {
        let place = match flow {
            Flow::Call(to) => self.work.place(self.summary, to),
            Flow::CallThrough(word) => self.work.slot(self.summary, word).map(Place::Slot),
            _ => None,
        };
        match place {
            Some(Place::Unit(unit)) => self.returning.contains(&unit),
            Some(Place::Slot(slot)) => match self.summary.slots.get(slot as usize).map(|slot| slot.to) {
                Some(Held::Import(import)) => {
                    !self.summary.imports.get(import as usize).is_some_and(|import| never_returns(&import.name))
                }
                _ => true,
            },
            None => true,
        }
    }

    /// Solves a function of these units. None when it is too large.
    pub fn solve(&self, units: &[u32]) -> Option<Vec<Event>> {
        let mut solver = Solver::new(self, units)?;
        solver.run()?;
        Some(solver.events())
    }
}

impl Context<'_> {
    /// The values that a function stores in the word at a fixed address. None when it is too large.
    pub fn stores(&self, units: &[u32], word: u64) -> Option<Vec<Value>> {
        let mut solver = Solver::new(self, units)?;
        solver.run()?;
        let mut values = Vec::new();
        for block in 0..solver.blocks.len() {
            let Some(mut state) = solver.states.get(block).cloned().flatten() else { continue };
            let (first, end) = solver.blocks[block];
            for place in first..end {
                values.extend(solver.stored(place, word, &state));
                solver.execute(place, &mut state);
            }
        }
        Some(values)
    }
}

struct Solver<'a> {
    context: &'a Context<'a>,
    steps: Vec<Step>,
    raw: Raw<'a>,
    /// First step and one past the last.
    blocks: Vec<(usize, usize)>,
    states: Vec<Option<State>>,
    visits: Vec<u32>,
    /// Where computed jumps lead, by instruction.
    tables: BTreeMap<u64, Vec<usize>>,
    /// At computed jumps that lead nowhere known.
    wild: Option<State>,
}

impl<'a> Solver<'a> {
    fn new(context: &'a Context<'a>, units: &[u32]) -> Option<Self> {
        let work = context.work;
        let mut steps = Vec::new();
        let mut raw = match work.setting.arch {
            Arch::X86_64 => Raw::X86(Box::new(x86_64::Machine::new(work.image)), Vec::new()),
            Arch::Aarch64 => Raw::Arm(Vec::new()),
        };
        let mut leaders: BTreeSet<u64> = BTreeSet::new();
        let mut tables: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for unit in units {
            let unit = context.summary.units.get(*unit as usize)?;
            let piece = work.pieces.all.get(&unit.start)?;
            leaders.insert(unit.start);
            let bytes = work.image.from(unit.start)?;
            let bytes = bytes.get(..bytes.len().min(usize::try_from(unit.end - unit.start).ok()?))?;
            if steps.len() + bytes.len() / 3 > MOST {
                return None;
            }
            let mut jumps = Vec::new();
            let mut note = |at: u64, end: u64, flow: Flow, padding: bool| {
                if let Flow::Jump(to) | Flow::Branch(to) = flow {
                    leaders.insert(to);
                }
                if !matches!(flow, Flow::Next | Flow::Syscall) {
                    leaders.insert(end);
                }
                if flow == Flow::JumpAnywhere {
                    jumps.push(at);
                }
                steps.push(Step { at, end, flow, padding });
            };
            match &mut raw {
                Raw::X86(_, list) => {
                    let mut decoder = Decoder::with_ip(64, bytes, unit.start, DecoderOptions::NONE);
                    for one in &mut decoder {
                        let insn = code::x86_64::plain(&work.setting, &one);
                        note(insn.at, insn.end(), insn.flow, insn.padding);
                        list.push(one);
                    }
                }
                Raw::Arm(list) => {
                    for (n, row) in (0_u64..).zip(bytes.chunks_exact(4)) {
                        let word = row.iter().rev().fold(0, |value, b| (value << 8) | u32::from(*b));
                        let at = unit.start + n * 4;
                        note(at, at + 4, code::aarch64::flow(word, at), word == 0xd503_201f);
                        list.push(word);
                    }
                }
            }
            if !jumps.is_empty() {
                for at in jumps {
                    let targets = tables::targets_of(work, piece, &context.anchors, at);
                    leaders.extend(&targets);
                    tables.insert(at, targets);
                }
            }
        }
        leaders.extend(&context.enter);
        let mut blocks: Vec<(usize, usize)> = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            let joined = place > 0 && steps.get(place - 1).is_some_and(|before| before.end == step.at);
            match blocks.last_mut() {
                Some(last) if joined && !leaders.contains(&step.at) => last.1 = place + 1,
                _ => blocks.push((place, place + 1)),
            }
        }
        let count = blocks.len();
        let mut solver = Solver {
            context,
            steps,
            raw,
            blocks,
            states: vec![None; count],
            visits: vec![0; count],
            tables: BTreeMap::new(),
            wild: None,
        };
        for (at, targets) in tables {
            let found = targets.iter().filter_map(|to| solver.block(*to)).collect();
            solver.tables.insert(at, found);
        }
        Some(solver)
    }

    /// The block that begins at an address.
    fn block(&self, at: u64) -> Option<usize> {
        let start = |block: &(usize, usize)| self.steps.get(block.0).map_or(0, |step| step.at);
        self.blocks.binary_search_by_key(&at, start).ok()
    }

    fn run(&mut self) -> Option<()> {
        let mut todo: BTreeSet<usize> = BTreeSet::new();
        for block in 0..self.blocks.len() {
            let at = self.steps.get(self.blocks[block].0).map_or(0, |step| step.at);
            if self.context.enter.contains(&at) {
                self.states[block] = Some(State::entry(self.context.abi.stack));
                todo.insert(block);
            }
        }
        let mut unseen = 0;
        loop {
            while let Some(block) = todo.pop_first() {
                self.visits[block] += 1;
                if self.visits[block] > VISITS {
                    return None;
                }
                self.walk(block, &mut todo);
            }
            // What nothing leads to: targets of computed jumps, landing pads, dead code.
            while unseen < self.blocks.len() && self.states[unseen].is_some() {
                unseen += 1;
            }
            if unseen == self.blocks.len() {
                return Some(());
            }
            // In Go all functions count as entered: the linker keeps only those.
            let at = self.steps.get(self.blocks[unseen].0).map_or(0, |step| step.at);
            let function = self.context.summary.traits.go && self.context.work.pieces.all.contains_key(&at);
            let entry = function.then(|| State::entry(self.context.abi.stack));
            self.states[unseen] = entry.or_else(|| self.wild.clone()).or_else(|| Some(State::unknown()));
            // Filling before the next jump's target is never executed.
            let (first, end) = self.blocks[unseen];
            if !self.steps.get(first..end).is_some_and(|steps| steps.iter().all(|step| step.padding)) {
                todo.insert(unseen);
            }
        }
    }

    /// One block from its state; gives the state on to those behind it.
    fn walk(&mut self, block: usize, todo: &mut BTreeSet<usize>) {
        let Some(mut state) = self.states.get(block).cloned().flatten() else { return };
        let (first, end) = self.blocks[block];
        let mut next: Vec<usize> = Vec::new();
        let mut learnt: Option<(usize, State)> = None;
        for place in first..end {
            let Some(step) = self.steps.get(place) else { return };
            let (at, behind, flow) = (step.at, step.end, step.flow);
            let mut on = flow.goes_on();
            match flow {
                Flow::Jump(to) => next.extend(self.block(to)),
                Flow::Branch(to) => {
                    if let Some(target) = self.block(to) {
                        let mut there = state.clone();
                        self.learn(place, true, &mut there);
                        learnt = Some((target, there));
                    }
                    self.learn(place, false, &mut state);
                }
                Flow::JumpAnywhere => match self.tables.get(&at) {
                    Some(targets) if !targets.is_empty() => next.extend(targets),
                    _ => match &mut self.wild {
                        Some(wild) => _ = wild.join(&state),
                        none => *none = Some(state.clone()),
                    },
                },
                Flow::Call(_) | Flow::CallThrough(_) | Flow::CallAnywhere => on = self.comes_back(place),
                _ => {}
            }
            self.execute(place, &mut state);
            if !on {
                break;
            }
            if place + 1 == end {
                next.extend(self.block(behind).or_else(|| self.block(self.behind(behind)?)));
            }
        }
        let next = next.into_iter().map(|target| (target, state.clone()));
        for (target, state) in next.chain(learnt) {
            let changed = match &mut self.states[target] {
                Some(old) => old.join(&state),
                none => {
                    *none = Some(state);
                    true
                }
            };
            if changed {
                todo.insert(target);
            }
        }
    }

    /// What the branch at a step tells about the register that was compared just before it.
    fn learn(&self, place: usize, taken: bool, state: &mut State) {
        let Raw::X86(machine, list) = &self.raw else { return };
        let Some(before) = place.checked_sub(1) else { return };
        if let (Some(compare), Some(branch)) = (list.get(before), list.get(place))
            && compare.next_ip() == branch.ip()
        {
            machine.learn(compare, branch, taken, state);
        }
    }

    /// Whether the call at a step comes back. Go's `morestack` has no return of its own, and is left on another
    /// stack; what follows its call loads the arguments again and jumps to the start of the function.
    fn comes_back(&self, place: usize) -> bool {
        let Some(step) = self.steps.get(place) else { return true };
        if self.context.comes_back(step.flow) {
            return true;
        }
        let next = |step: &&Step| step.flow == Flow::Next;
        let behind = self.steps.get(place + 1..).unwrap_or_default();
        let loads = behind.iter().take(16).take_while(next).count();
        let again = |step: &Step| matches!(step.flow, Flow::Jump(to) if self.context.work.pieces.all.contains_key(&to));
        self.context.summary.traits.go && behind.get(loads).is_some_and(again)
    }

    /// Whether the system call at hand ends the thread or the process.
    fn exits(&self, state: &State) -> bool {
        let arch = self.context.work.setting.arch;
        let ends = |name| calls::number(arch, name).map(|number| Atom::Const(u64::from(number)));
        let number = super::single(&state.get(self.context.abi.number));
        number.is_some() && (number == ends("exit") || number == ends("exit_group"))
    }

    /// Where control runs on behind the end of a unit.
    fn behind(&self, end: u64) -> Option<u64> {
        let piece = self.context.work.pieces.at(end.checked_sub(1)?)?;
        let next = self.context.work.next_unit(self.context.summary, piece)?;
        self.context.summary.units.get(next as usize).map(|unit| unit.start)
    }

    fn execute(&mut self, place: usize, state: &mut State) {
        let Some(step) = self.steps.get(place) else { return };
        let abi = self.context.abi;
        match step.flow {
            Flow::Call(_) | Flow::CallThrough(_) | Flow::CallAnywhere => {
                state.escape(abi.arguments);
                state.lose_vectors();
                abi.lost.iter().for_each(|register| state.put(*register, None));
                return;
            }
            Flow::Syscall => {
                abi.lost_in_kernel.iter().for_each(|register| state.put(*register, None));
                return;
            }
            _ => {}
        }
        match &mut self.raw {
            Raw::X86(machine, list) => {
                if let Some(raw) = list.get(place) {
                    machine.apply(raw, state);
                }
            }
            Raw::Arm(list) => {
                if let Some(word) = list.get(place) {
                    aarch64::apply(self.context.work.image, *word, step.at, state);
                }
            }
        }
    }

    /// What a computed call or jump goes to.
    fn callee(&self, place: usize, state: &State) -> Value {
        match &self.raw {
            Raw::X86(_, list) => {
                let raw = list.get(place)?;
                let register =
                    |name: iced_x86::Register| name.is_gpr64().then(|| u8::try_from(name.number()).unwrap_or(0));
                if raw.op0_kind() == OpKind::Register {
                    return state.get(register(raw.op0_register())?);
                }
                if raw.memory_index() != iced_x86::Register::None {
                    return None;
                }
                let base = state.get(register(raw.memory_base())?);
                state.load(&base, raw.memory_displacement64().cast_signed())
            }
            Raw::Arm(list) => state.get(u8::try_from((list.get(place)? >> 5) & 31).ok()?),
        }
    }

    /// What a step stores in the word at a fixed address, where it does.
    fn stored(&self, place: usize, word: u64, state: &State) -> Option<Value> {
        match &self.raw {
            Raw::X86(_, list) => {
                let raw = list.get(place)?;
                let here = raw.op0_kind() == OpKind::Memory && code::x86_64::fixed_place(raw) == Some(word);
                let reads = matches!(raw.mnemonic(), iced_x86::Mnemonic::Cmp | iced_x86::Mnemonic::Test);
                if !here || reads || raw.is_call_near_indirect() || raw.is_jmp_near_indirect() {
                    return None;
                }
                if raw.mnemonic() != iced_x86::Mnemonic::Mov {
                    return Some(None);
                }
                Some(match raw.op1_kind() {
                    OpKind::Register => {
                        state.get(u8::try_from(raw.op1_register().full_register().number()).unwrap_or(0))
                    }
                    _ => super::one(Atom::Const(raw.immediate(1))),
                })
            }
            Raw::Arm(list) => {
                let raw = *list.get(place)?;
                let code::aarch64::Means::Memory(base, offset, _, false) = code::aarch64::means(raw, 0) else {
                    return None;
                };
                let base = super::single(&state.get(u8::try_from(base).ok()?))?;
                let register = u8::try_from(raw & 31).ok()?;
                (base == Atom::Const(word.wrapping_sub(offset)))
                    .then(|| if register == 31 { super::one(Atom::Const(0)) } else { state.get(register) })
            }
        }
    }

    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for block in 0..self.blocks.len() {
            let Some(mut state) = self.states.get(block).cloned().flatten() else { continue };
            let (first, end) = self.blocks[block];
            for place in first..end {
                let Some(step) = self.steps.get(place) else { break };
                let (at, behind, flow) = (step.at, step.end, step.flow);
                for kind in self.kinds(place, flow, &state) {
                    events.push(Event { at, kind, state: state.clone() });
                }
                let before = state.clone();
                self.execute(place, &mut state);
                let calls = matches!(flow, Flow::Call(_) | Flow::CallThrough(_) | Flow::CallAnywhere);
                let exits = flow == Flow::Syscall && self.exits(&before);
                let on = flow.goes_on() && (!calls || self.comes_back(place));
                if !on {
                    break;
                }
                if place + 1 == end
                    && !exits
                    && self.block(behind).is_none()
                    && let Some(to) = self.behind(behind)
                    && self.block(to).is_none()
                {
                    events.push(Event { at, kind: Kind::Go(to, false), state: state.clone() });
                }
            }
        }
        events
    }

    /// How control leaves at a step.
    fn kinds(&self, place: usize, flow: Flow, state: &State) -> Vec<Kind> {
        let to = |target: u64, call: bool| match self.context.work.place(self.context.summary, target) {
            Some(Place::Slot(slot)) => vec![Kind::Through(slot, call)],
            _ => vec![Kind::Go(target, call)],
        };
        let slot = |word: u64| self.context.work.slot(self.context.summary, word);
        match flow {
            Flow::Syscall => vec![Kind::Syscall],
            Flow::Call(target) => to(target, true),
            Flow::Jump(target) | Flow::Branch(target) if self.block(target).is_none() => to(target, false),
            Flow::CallThrough(word) => slot(word).map(|slot| Kind::Through(slot, true)).into_iter().collect(),
            Flow::JumpThrough(word) => slot(word).map(|slot| Kind::Through(slot, false)).into_iter().collect(),
            Flow::CallAnywhere | Flow::JumpAnywhere => {
                let call = flow == Flow::CallAnywhere;
                let Some(callee) = self.callee(place, state) else { return vec![Kind::Anywhere(call)] };
                let mut kinds = Vec::new();
                for atom in callee.iter() {
                    kinds.push(match atom {
                        Atom::Const(target) if self.context.work.pieces.is_code(*target) => Kind::Go(*target, call),
                        Atom::Word(word) => slot(*word).map_or(Kind::Anywhere(call), |s| Kind::Through(s, call)),
                        _ => Kind::Anywhere(call),
                    });
                }
                kinds.dedup();
                kinds
            }
            _ => Vec::new(),
        }
    }
}
