//! The numbers of a file's system calls: in the function itself, else from those that call it.

use std::collections::{BTreeMap, BTreeSet};

use super::solve::{Context, Event, Kind};
use super::{Value, global};
use crate::derive::summarise::Work;
use crate::derive::summarise::edges::Place;
use crate::derive::summarise::returning::returning;
use crate::derive::summarise::tables;
use crate::derive::summary::{Ask, Atom, Edge, Held, Open, Site, Summary, Why, abi};

/// Imports of which the arguments matter: makers of system calls, and loaders of code.
pub(crate) const ASKED: &[&str] = &["syscall", "dlopen", "dlmopen", "dlsym", "dlvsym"];

/// Numbers above this are none: pointers, errors.
const HIGHEST: u64 = 0xffff;

/// Units that jump into each other's middle are one function.
pub(super) struct Functions {
    /// The function of each unit: its lowest unit.
    of: Vec<u32>,
    members: BTreeMap<u32, Vec<u32>>,
}

impl Functions {
    fn find(work: &Work, summary: &Summary) -> Self {
        let mut of: Vec<u32> = (0..u32::try_from(summary.units.len()).unwrap_or(0)).collect();
        fn root(of: &mut [u32], mut unit: u32) -> u32 {
            while let Some(up) = of.get(unit as usize).copied() {
                if up == unit {
                    break;
                }
                let top = of.get(up as usize).copied().unwrap_or(up);
                if let Some(place) = of.get_mut(unit as usize) {
                    *place = top;
                }
                unit = top;
            }
            unit
        }
        for (unit, piece) in (0_u32..).zip(work.pieces.all.values()) {
            for (_, to) in &piece.jumps {
                let Some(other) = summary.unit_at(*to) else { continue };
                if summary.units.get(other as usize).is_some_and(|other| other.start != *to) {
                    let (a, b) = (root(&mut of, unit), root(&mut of, other));
                    if let Some(place) = of.get_mut(a.max(b) as usize) {
                        *place = a.min(b);
                    }
                }
            }
        }
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for unit in 0..u32::try_from(of.len()).unwrap_or(0) {
            let top = root(&mut of, unit);
            if let Some(place) = of.get_mut(unit as usize) {
                *place = top;
            }
            members.entry(top).or_default().push(unit);
        }
        Functions { of, members }
    }

    pub(super) fn of(&self, unit: u32) -> u32 {
        self.of.get(unit as usize).copied().unwrap_or(unit)
    }

    pub(super) fn members(&self, function: u32) -> &[u32] {
        self.members.get(&function).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What was found, before it is put into the summary.
#[derive(Default)]
pub(super) struct Found {
    pub(super) sites: BTreeMap<u32, BTreeMap<u64, BTreeSet<u32>>>,
    open: BTreeSet<(u32, Open)>,
    pub(super) wants: BTreeMap<u32, BTreeSet<Atom>>,
    pub(super) pointed: BTreeSet<u32>,
    asks: Vec<Ask>,
}

pub(super) struct Finder<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) functions: Functions,
    /// Functions that go to a function, by a call, a jump or running on.
    callers: BTreeMap<u32, BTreeSet<u32>>,
    solved: BTreeMap<u32, Option<Vec<Event>>>,
    pub(super) found: Found,
    todo: Vec<(u32, Atom)>,
    done: BTreeSet<(u32, Atom)>,
    global: global::Global,
}

/// Fills in the sites, open sites and wants of all units, and the asks.
pub(crate) fn sites(work: &Work, summary: &mut Summary) {
    let found = {
        let summary = &*summary;
        let context = Context {
            work,
            summary,
            abi: abi(work.setting.arch),
            returning: returning(work, summary),
            anchors: tables::anchors(work),
            enter: enter(work, summary),
        };
        let functions = Functions::find(work, summary);
        let callers = callers(work, summary, &functions);
        let mut finder = Finder {
            context: &context,
            functions,
            callers,
            solved: BTreeMap::new(),
            found: Found::default(),
            todo: Vec::new(),
            done: BTreeSet::new(),
            global: global::Global::new(work),
        };
        finder.direct();
        finder.through();
        finder.propagate();
        finder.callbacks();
        finder.propagate();
        finder.pointers();
        finder.asks();
        finder.found
    };
    for (unit, sites) in found.sites {
        if let Some(unit) = summary.units.get_mut(unit as usize) {
            unit.sites = sites.into_iter().map(|(at, n)| Site { at, numbers: n.into_iter().collect() }).collect();
        }
    }
    for (unit, open) in found.open {
        if let Some(unit) = summary.units.get_mut(unit as usize) {
            unit.open.push(open);
        }
    }
    for (unit, wants) in found.wants {
        if let Some(unit) = summary.units.get_mut(unit as usize) {
            unit.wants = wants.into_iter().collect();
        }
    }
    for unit in found.pointed {
        if let Some(unit) = summary.units.get_mut(unit as usize) {
            unit.pointed = true;
        }
    }
    summary.asks = found.asks;
    summary.asks.sort();
}

/// Addresses where functions begin: what is called, taken or held by a word, exported or run by the loader.
fn enter(work: &Work, summary: &Summary) -> BTreeSet<u64> {
    use crate::derive::code::Touch;
    let mut enter = BTreeSet::new();
    for piece in work.pieces.all.values() {
        enter.extend(piece.calls.iter().map(|(_, to)| *to));
        let taken = piece.touches.iter().filter_map(|(_, touch)| match touch {
            Touch::Address(at) => Some(*at),
            _ => None,
        });
        enter.extend(taken.filter(|at| work.pieces.all.contains_key(at)));
    }
    let start = |unit: u32| summary.units.get(unit as usize).map(|unit| unit.start);
    let slots = summary.slots.iter().filter_map(|slot| match slot.to {
        Held::Unit(unit) | Held::Resolver(unit) => start(unit),
        _ => None,
    });
    enter.extend(slots);
    enter.extend(work.symbols.iter().filter(|s| s.defined && work.pieces.is_code(s.value)).map(|s| s.value));
    enter.insert(work.image.entry);
    // A jump to the start of another unit is a call for it, unless both are one function.
    let functions = Functions::find(work, summary);
    for (unit, piece) in (0_u32..).zip(work.pieces.all.values()) {
        for (_, to) in &piece.jumps {
            if let Some(other) = summary.unit_at(*to)
                && functions.of(other) != functions.of(unit)
            {
                enter.insert(*to);
            }
        }
        if let Some(next) = work.next_unit(summary, piece)
            && piece.falls.is_some()
            && functions.of(next) != functions.of(unit)
        {
            enter.extend(start(next));
        }
    }
    enter
}

fn callers(work: &Work, summary: &Summary, functions: &Functions) -> BTreeMap<u32, BTreeSet<u32>> {
    let mut callers: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (unit, piece) in (0_u32..).zip(work.pieces.all.values()) {
        let mine = functions.of(unit);
        for (_, to) in piece.calls.iter().chain(&piece.jumps) {
            if let Some(Place::Unit(to)) = work.place(summary, *to) {
                callers.entry(functions.of(to)).or_default().insert(mine);
            }
        }
        if piece.falls.is_some()
            && let Some(next) = work.next_unit(summary, piece)
        {
            callers.entry(functions.of(next)).or_default().insert(mine);
        }
    }
    callers
}

impl Finder<'_> {
    pub(super) fn solve(&mut self, function: u32) -> Option<Vec<Event>> {
        if let Some(known) = self.solved.get(&function) {
            return known.clone();
        }
        let events = self.context.solve(self.functions.members(function));
        self.solved.insert(function, events.clone());
        events
    }

    pub(super) fn unit_at(&self, at: u64) -> u32 {
        self.context.summary.unit_at(at).unwrap_or(u32::MAX)
    }

    fn open(&mut self, at: u64, why: Why) {
        let unit = self.unit_at(at);
        self.found.open.insert((unit, Open { at, why }));
    }

    /// Sorts the atoms of a number: constants are calls at `at`, what the caller knows is asked of the callers.
    pub(super) fn number(&mut self, function: u32, at: u64, value: &Value) {
        let Some(atoms) = value else { return self.open(at, Why::Computed) };
        for atom in atoms.iter() {
            match *atom {
                Atom::Const(number) => {
                    // What the kernel sees are 32 bits; glibc passes int.
                    let number = number & 0xffff_ffff;
                    if number <= HIGHEST {
                        let unit = self.unit_at(at);
                        let numbers = self.found.sites.entry(unit).or_default().entry(at).or_default();
                        numbers.extend(u32::try_from(number));
                    } else {
                        self.open(at, Why::Computed);
                    }
                }
                Atom::Register(_) | Atom::Stack(_) | Atom::Behind(..) => self.want(function, *atom),
                Atom::BehindWord(word, offset) => match self.stored(word) {
                    // Whoever stores that pointer has it from its own caller, and is asked for what is behind it.
                    Some(stores) => {
                        for (unit, register) in stores {
                            let function = self.functions.of(unit);
                            self.want(function, Atom::Behind(register, offset));
                        }
                    }
                    None => self.open(at, Why::Computed),
                },
                Atom::Word(word) => match self.global.never_written(self.context, word) {
                    Some(number) => self.number(function, at, &super::one(Atom::Const(number))),
                    None => match self.stored(word).filter(|_| self.context.summary.traits.go) {
                        Some(stores) => {
                            for (unit, register) in stores {
                                let function = self.functions.of(unit);
                                self.want(function, Atom::Register(register));
                            }
                        }
                        None => self.open(at, Why::Computed),
                    },
                },
                Atom::Frame(_) => self.open(at, Why::Computed),
            }
        }
    }

    fn stored(&self, word: u64) -> Option<Vec<(u32, u8)>> {
        let members = |unit: u32| self.functions.members(self.functions.of(unit)).to_vec();
        self.global.stored(self.context, &members, word)
    }

    fn want(&mut self, function: u32, atom: Atom) {
        if self.done.insert((function, atom)) {
            self.todo.push((function, atom));
        }
    }

    /// The numbers that functions set themselves.
    fn direct(&mut self) {
        let with: BTreeSet<u32> = (0_u32..)
            .zip(self.context.work.pieces.all.values())
            .filter(|(_, piece)| !piece.syscalls.is_empty())
            .map(|(unit, _)| self.functions.of(unit))
            .collect();
        for function in with {
            match self.solve(function) {
                Some(events) => {
                    for event in events.iter().filter(|event| event.kind == Kind::Syscall) {
                        let number = event.state.get(self.context.abi.number);
                        self.number(function, event.at, &number);
                    }
                }
                None => {
                    let members = self.functions.members(function).to_vec();
                    let pieces = members.iter().filter_map(|unit| {
                        let unit = self.context.summary.units.get(*unit as usize)?;
                        self.context.work.pieces.all.get(&unit.start)
                    });
                    let sites: Vec<u64> = pieces.flat_map(|piece| piece.syscalls.clone()).collect();
                    sites.into_iter().for_each(|at| self.open(at, Why::Large));
                }
            }
        }
        let foreign: Vec<u64> = self.context.work.pieces.all.values().flat_map(|piece| piece.foreign.clone()).collect();
        foreign.into_iter().for_each(|at| self.open(at, Why::Foreign));
    }

    /// The numbers that are given to the C library's `syscall`.
    fn through(&mut self) {
        for function in self.asking(&["syscall"]) {
            let Some(events) = self.solve(function) else {
                let start = self.functions.members(function).first().copied().unwrap_or(0);
                let at = self.context.summary.units.get(start as usize).map_or(0, |unit| unit.start);
                self.open(at, Why::Large);
                continue;
            };
            for event in events {
                let Kind::Through(slot, _) = event.kind else { continue };
                if self.asked(slot, &["syscall"]).is_some() {
                    let first = self.context.abi.arguments.first().copied().unwrap_or(0);
                    self.number(function, event.at, &event.state.get(first));
                }
            }
        }
    }

    /// The import of a slot, where it is one of these names.
    fn asked(&self, slot: u32, names: &[&str]) -> Option<u32> {
        match self.context.summary.slots.get(slot as usize)?.to {
            Held::Import(import) => {
                let name = &self.context.summary.imports.get(import as usize)?.name;
                names.contains(&name.as_str()).then_some(import)
            }
            _ => None,
        }
    }

    /// Functions that use one of these imports.
    fn asking(&self, names: &[&str]) -> BTreeSet<u32> {
        (0_u32..)
            .zip(&self.context.summary.units)
            .filter(|(_, unit)| {
                unit.edges.iter().any(|edge| match edge {
                    Edge::Through(slot) | Edge::Read(slot) => self.asked(*slot, names).is_some(),
                    _ => false,
                })
            })
            .map(|(unit, _)| self.functions.of(unit))
            .collect()
    }

    /// Asks the callers, and theirs.
    fn propagate(&mut self) {
        while let Some((function, atom)) = self.todo.pop() {
            for unit in self.functions.members(function).to_vec() {
                self.found.wants.entry(unit).or_default().insert(atom);
            }
            let callers = self.callers.get(&function).cloned().unwrap_or_default();
            for caller in callers {
                let Some(events) = self.solve(caller) else {
                    let start = self.functions.members(caller).first().copied().unwrap_or(0);
                    let at = self.context.summary.units.get(start as usize).map_or(0, |unit| unit.start);
                    self.open(at, Why::Large);
                    continue;
                };
                for event in events {
                    let Kind::Go(to, call) = event.kind else { continue };
                    if self.context.summary.unit_at(to).map(|unit| self.functions.of(unit)) != Some(function) {
                        continue;
                    }
                    let abi = self.context.abi;
                    let value = event.state.translate(atom, abi.stack, if call { abi.pushed } else { 0 });
                    self.number(caller, event.at, &value);
                }
            }
        }
    }

    /// Calls of imports of which the arguments matter.
    fn asks(&mut self) {
        for function in self.asking(ASKED) {
            let Some(events) = self.solve(function) else { continue };
            for event in events {
                let Kind::Through(slot, _) = event.kind else { continue };
                let Some(import) = self.asked(slot, ASKED) else { continue };
                let values: Vec<Value> =
                    self.context.abi.arguments.iter().map(|register| event.state.get(*register)).collect();
                let constants = |value: &Value| {
                    let each = |atom: &Atom| match atom {
                        Atom::Const(number) => Some(*number),
                        _ => None,
                    };
                    value.as_ref()?.iter().map(each).collect::<Option<Vec<u64>>>()
                };
                let arguments: Vec<_> = values.iter().map(constants).collect();
                let text = |at: &u64| {
                    let text = self.context.work.image.text(*at)?;
                    (*at != 0).then(|| String::from_utf8_lossy(text).into_owned())
                };
                let texts = arguments.iter().take(3).map(|list| list.as_ref()?.iter().map(text).collect()).collect();
                self.found.asks.push(Ask { unit: self.unit_at(event.at), at: event.at, import, arguments, texts });
            }
        }
    }
}
