//! What exceptions run: the personality routine of a unit, its landing pads, the types it catches.

use formats::elf::frames::Place;

use super::Work;
use crate::derive::summary::{Edge, Summary};

/// Adds the edges. Pads may lie in another unit than the function; types are objects with virtual functions.
pub(super) fn edges(work: &Work, summary: &mut Summary) {
    let mut found: Vec<(u32, Edge)> = Vec::new();
    for frame in &work.frames {
        let Some(unit) = summary.unit_at(frame.start.saturating_add(u64::from(frame.signal))) else { continue };
        if let Some(place) = frame.personality {
            found.extend(follow(work, summary, place).map(|edge| (unit, edge)));
        }
        let Some(handlers) = frame.lsda.and_then(|lsda| work.image.handlers(lsda, frame.start)) else { continue };
        let pads = handlers.pads.iter().filter_map(|pad| summary.unit_at(*pad)).filter(|pad| *pad != unit);
        found.extend(pads.map(|pad| (unit, Edge::Go(pad))));
        found.extend(handlers.types.iter().filter_map(|place| follow(work, summary, *place)).map(|edge| (unit, edge)));
    }
    for (unit, edge) in found {
        if let Some(unit) = summary.units.get_mut(unit as usize) {
            unit.edges.push(edge);
        }
    }
}

fn follow(work: &Work, summary: &Summary, place: Place) -> Option<Edge> {
    match place {
        Place::Indirect(word) => work.slot(summary, word).map(Edge::Read),
        Place::Direct(at) if work.pieces.is_code(at) => summary.unit_at(at).map(Edge::Take),
        Place::Direct(at) => summary.object_at(at).map(Edge::Data),
    }
}
