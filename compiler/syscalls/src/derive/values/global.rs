//! Pointers in static variables: who stores what there.
//!
//! The C library's set*id functions hand a pointer to the caller's record to a signal handler through a static
//! variable; the handler makes the call that the record names. Whoever stores the pointer got it from its own
//! caller, so the numbers are those that the callers put there.

use std::collections::{BTreeMap, BTreeSet};

use super::solve::Context;
use crate::derive::code::Touch;
use crate::derive::summarise::Work;
use crate::derive::summary::Atom;

/// Stores by address, gathered once for a file.
pub(crate) struct Global {
    stores: BTreeMap<u64, Vec<(u64, u64)>>,
    taken: BTreeSet<u64>,
}

impl Global {
    pub fn new(work: &Work) -> Self {
        let mut found = Global { stores: BTreeMap::new(), taken: BTreeSet::new() };
        for piece in work.pieces.all.values() {
            for (at, touch) in &piece.touches {
                match touch {
                    Touch::Store(to) => found.stores.entry(*to).or_default().push((*at, piece.start)),
                    Touch::Address(to) => _ = found.taken.insert(*to),
                    _ => {}
                }
            }
        }
        found
    }

    /// The number in a static variable that nothing writes and of which nobody has the address: Go keeps a few
    /// numbers of calls in such. In C a larger thing around it might be written, so this holds for Go only.
    pub fn never_written(&self, context: &Context, at: u64) -> Option<u64> {
        let quiet = !self.stores.contains_key(&at) && !self.taken.contains(&at);
        (context.summary.traits.go && quiet).then(|| context.work.image.number(at, 8)).flatten()
    }

    /// The units that store an argument of their own in the word at `at`, and the register it came in. None when
    /// anything else may be stored there: its address is taken, or other values are.
    pub fn stored(&self, context: &Context, members: &dyn Fn(u32) -> Vec<u32>, at: u64) -> Option<Vec<(u32, u8)>> {
        if self.taken.contains(&at) || context.work.symbols.iter().any(|s| s.defined && s.value == at) {
            return None;
        }
        let Some(stores) = self.stores.get(&at) else {
            // Nothing stores there: it stays null, and what looks behind it is never run.
            return (context.work.image.number(at, 8).unwrap_or(0) == 0).then(Vec::new);
        };
        let mut found = Vec::new();
        let units: BTreeSet<u32> =
            stores.iter().map(|(_, start)| context.summary.unit_at(*start)).collect::<Option<_>>()?;
        for unit in units {
            // A function that nothing calls and nobody has the address of, as a static program may hold some.
            let entered = |unit: &u32| {
                let known = context.summary.units.get(*unit as usize);
                known.is_none_or(|known| context.enter.range(known.start..known.end).next().is_some())
            };
            if !members(unit).iter().any(entered) {
                continue;
            }
            for value in context.stores(&members(unit), at)? {
                for atom in value?.iter() {
                    match atom {
                        Atom::Register(register) => found.push((unit, *register)),
                        Atom::Const(0) => {}
                        _ => return None,
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }
}
