//! Edges of units: calls, jumps, addresses taken, words read, and running into the next unit.

use std::collections::BTreeSet;

use formats::elf::relocations::Target;

use super::data::shared_object;
use super::returning::returning;
use super::{Work, tables};
use crate::derive::code::{self, Touch};
use crate::derive::summary::{Edge, Summary};
use crate::derive::units::{Falls, Piece};

/// What a place in code, as the target of a call, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A unit.
    Unit(u32),
    /// A linkage stub for the word of a slot.
    Slot(u32),
}

impl Work<'_> {
    /// What lies at a target in code.
    pub(crate) fn place(&self, summary: &Summary, target: u64) -> Option<Place> {
        let stub = self.pieces.is_stub(target) || self.pieces.at(target).is_none();
        if stub && let Some(word) = code::stub(self.image, self.setting.arch, target) {
            return self.slot(summary, word).map(Place::Slot);
        }
        summary.unit_at(target).map(Place::Unit)
    }

    /// The slot at exactly this address.
    pub(crate) fn slot(&self, summary: &Summary, word: u64) -> Option<u32> {
        let range = summary.slots_in(word, word.saturating_add(1));
        range.into_iter().next().and_then(|slot| u32::try_from(slot).ok())
    }

    /// The unit that runs on behind `piece`: filling is skipped.
    pub(crate) fn next_unit(&self, summary: &Summary, piece: &Piece) -> Option<u32> {
        let mut next = piece.end;
        if self.pieces.at(next).is_none() {
            let bytes = self.image.from(next)?;
            let bytes = bytes.get(..bytes.len().min(256))?;
            self.setting.sweep(bytes, next, &mut |insn| {
                let on = insn.padding && self.pieces.at(insn.at).is_none();
                if on {
                    next = insn.end();
                }
                on
            });
        }
        summary.unit_at(next)
    }
}

/// Whether control may go from the end of a piece to what follows.
pub(crate) fn runs_on(work: &Work, summary: &Summary, piece: &Piece, returning: &BTreeSet<u32>) -> bool {
    match piece.falls {
        None => false,
        Some(Falls::On) => true,
        // An entry of .eh_frame that ends in a call ends there: compilers do so only where it cannot return.
        Some(Falls::Call(to)) => {
            let described = work.frames.binary_search_by_key(&piece.start, |frame| frame.start).is_ok();
            let target = to.and_then(|to| work.place(summary, to));
            !described && !matches!(target, Some(Place::Unit(unit)) if !returning.contains(&unit))
        }
    }
}

/// Fills the edges of all units.
pub(super) fn edges(work: &Work, summary: &mut Summary) {
    let returning = returning(work, summary);
    let anchors = tables::anchors(work);
    let mut all: Vec<(Vec<Edge>, Vec<String>)> = Vec::with_capacity(summary.units.len());
    for (unit, piece) in (0_u32..).zip(work.pieces.all.values()) {
        let mut edges = BTreeSet::new();
        let mut named = BTreeSet::new();
        for (_, to) in piece.calls.iter().chain(&piece.jumps) {
            match work.place(summary, *to) {
                Some(Place::Unit(to)) => _ = edges.insert(Edge::Go(to)),
                Some(Place::Slot(slot)) => _ = edges.insert(Edge::Through(slot)),
                None => {}
            }
        }
        for (_, word, _) in &piece.through {
            edges.extend(work.slot(summary, *word).map(Edge::Through));
        }
        for (at, touch) in &piece.touches {
            match *touch {
                Touch::Address(to) => {
                    named.extend(shared_object(work, to));
                    edges.extend(taken(work, summary, piece, *at, to));
                }
                Touch::Load(from, size) => {
                    let slots = summary.slots_in(from, from.saturating_add(size));
                    edges.extend(slots.filter_map(|slot| u32::try_from(slot).ok()).map(Edge::Read));
                }
                Touch::Store(_) | Touch::Nothing => {}
            }
        }
        if runs_on(work, summary, piece, &returning)
            && let Some(next) = work.next_unit(summary, piece)
        {
            edges.insert(Edge::Go(next));
        }
        edges.extend(tables::edges(work, summary, piece, &anchors));
        edges.remove(&Edge::Go(unit));
        edges.remove(&Edge::Take(unit));
        all.push((edges.into_iter().collect(), named.into_iter().collect()));
    }
    for (unit, (edges, named)) in summary.units.iter_mut().zip(all) {
        unit.edges = edges;
        unit.objects_named = named;
    }
}

/// The edge for an address that an instruction names.
fn taken(work: &Work, summary: &Summary, piece: &Piece, at: u64, to: u64) -> Option<Edge> {
    if !work.pieces.is_code(to) {
        // The pair of words that __tls_get_addr is given lies among the pointers to imports.
        let place = work.relocations.partition_point(|r| r.address < to);
        let here = work.relocations.get(place).filter(|r| r.address == to);
        if here.is_some_and(|r| r.target == Target::ThreadLocal) {
            return None;
        }
        return summary.object_at(to).map(Edge::Data);
    }
    match work.place(summary, to)? {
        Place::Slot(slot) => Some(Edge::Read(slot)),
        Place::Unit(_) if code::only_compared(work.image, work.setting.arch, at, piece.end) => None,
        Place::Unit(unit) => Some(Edge::Take(unit)),
    }
}
