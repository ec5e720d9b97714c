//! Wrappers of system calls that are called through pointers: a callback that is handed out with its record, and
//! functions in a table of the same file (libcap).

use std::collections::BTreeSet;

use super::Value;
use super::sites::Finder;
use super::solve::Kind;
use crate::derive::summary::{Atom, Edge, Held, Named};

impl Finder<'_> {
    /// Functions that want a number from behind a pointer and are handed out with it: musl's `__setxid` gives a
    /// function and the record that it is to look at to whoever runs it on every thread.
    pub(super) fn callbacks(&mut self) {
        let summary = self.context.summary;
        let wanting: Vec<(u32, Vec<Atom>)> = self
            .found
            .wants
            .iter()
            .filter(|(_, wants)| wants.iter().all(|want| matches!(want, Atom::Behind(..))))
            .map(|(unit, wants)| (*unit, wants.iter().copied().collect()))
            .collect();
        for (unit, wants) in wanting {
            let Some(start) = summary.units.get(unit as usize).map(|unit| unit.start) else { continue };
            let held = summary.slots.iter().any(|slot| slot.to == Held::Unit(unit));
            let takers: BTreeSet<u32> = (0_u32..)
                .zip(&summary.units)
                .filter(|(_, other)| other.edges.contains(&Edge::Take(unit)))
                .map(|(other, _)| other)
                .collect();
            if held || takers.is_empty() {
                continue;
            }
            let mut given: Vec<(u32, u64, Value)> = Vec::new();
            let mut givers = BTreeSet::new();
            for taker in &takers {
                let function = self.functions.of(*taker);
                for event in self.solve(function).unwrap_or_default() {
                    let Kind::Go(_, call) = event.kind else { continue };
                    let arguments = self.context.abi.arguments;
                    let is = |register: &u8| super::single(&event.state.get(*register)) == Some(Atom::Const(start));
                    let Some(place) = arguments.iter().position(is) else { continue };
                    // The record is the next argument.
                    let Some(record) = arguments.get(place + 1) else { continue };
                    let abi = self.context.abi;
                    for want in &wants {
                        let Atom::Behind(_, offset) = want else { continue };
                        let behind = Atom::Behind(*record, *offset);
                        let value = event.state.translate(behind, abi.stack, if call { abi.pushed } else { 0 });
                        given.push((function, event.at, value));
                        givers.insert(*taker);
                    }
                }
            }
            if givers == takers {
                given.into_iter().for_each(|(function, at, value)| self.number(function, at, &value));
                self.found.pointed.insert(unit);
            }
        }
    }

    /// Functions that want a number and are called through pointers of this file: the constants at all such calls
    /// are charged to those who make them.
    pub(super) fn pointers(&mut self) {
        let summary = self.context.summary;
        let taken = |unit: u32| {
            summary.slots.iter().any(|slot| slot.to == Held::Unit(unit))
                || summary.units.iter().any(|other| other.edges.contains(&Edge::Take(unit)))
        };
        let exported = |unit: u32| summary.exports.iter().any(|export| export.to == Named::Unit(unit));
        let units: Vec<u32> = self.found.wants.keys().copied().filter(|u| taken(*u) && !exported(*u)).collect();
        let wants = units.iter().filter_map(|unit| self.found.wants.get(unit));
        let wanted: BTreeSet<Atom> = wants.flatten().copied().collect();
        if wanted.is_empty() {
            return;
        }
        let with: BTreeSet<u32> = (0_u32..)
            .zip(self.context.work.pieces.all.values())
            .filter(|(_, piece)| piece.calls_anywhere || piece.jumps_anywhere)
            .map(|(unit, _)| self.functions.of(unit))
            .collect();
        for function in with {
            let Some(events) = self.solve(function) else { continue };
            for event in events {
                let Kind::Anywhere(call) = event.kind else { continue };
                for atom in &wanted {
                    let abi = self.context.abi;
                    let value = event.state.translate(*atom, abi.stack, if call { abi.pushed } else { 0 });
                    let constants = value.iter().flat_map(|atoms| atoms.iter()).filter_map(|atom| match atom {
                        Atom::Const(number) if *number <= 600 => u32::try_from(*number).ok(),
                        _ => None,
                    });
                    let numbers: BTreeSet<u32> = constants.collect();
                    if !numbers.is_empty() {
                        let unit = self.unit_at(event.at);
                        self.found.sites.entry(unit).or_default().entry(event.at).or_default().extend(numbers);
                        self.found.pointed.extend(&units);
                    }
                }
            }
        }
    }
}
