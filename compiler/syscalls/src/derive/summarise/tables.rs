//! Jump tables that lead out of their unit: compilers put rare cases into pieces of their own.

use std::collections::BTreeSet;

use super::Work;
use crate::derive::code::Touch;
use crate::derive::summary::{Edge, Summary};
use crate::derive::units::Piece;

/// Most entries of one table.
const MOST: u64 = 65_536;

/// Addresses of data that code names: no table reaches over one.
pub(crate) fn anchors(work: &Work) -> BTreeSet<u64> {
    let touches = work.pieces.all.values().flat_map(|piece| &piece.touches);
    let places = touches.filter_map(|(_, touch)| match touch {
        Touch::Address(at) | Touch::Load(at, _) => Some(*at),
        _ => None,
    });
    places.filter(|at| !work.pieces.is_code(*at)).collect()
}

/// Bytes before a jump in which its table is named, unless that was done long before.
const NEAR: u64 = 64;

/// The targets of one computed jump: of the tables that are named just before it, else of all of the unit's.
pub(crate) fn targets_of(work: &Work, piece: &Piece, anchors: &BTreeSet<u64>, jump: u64) -> BTreeSet<u64> {
    let near = between(work, piece, anchors, (jump.saturating_sub(NEAR), jump));
    if near.is_empty() { targets(work, piece, anchors) } else { near }
}

/// The targets of a unit's tables, wherever they are.
pub(crate) fn targets(work: &Work, piece: &Piece, anchors: &BTreeSet<u64>) -> BTreeSet<u64> {
    between(work, piece, anchors, (piece.start, piece.end))
}

/// The targets of the tables that are named between two places.
fn between(work: &Work, piece: &Piece, anchors: &BTreeSet<u64>, place: (u64, u64)) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    if !piece.jumps_anywhere {
        return found;
    }
    for (_, touch) in piece.touches.iter().filter(|(at, _)| *at >= place.0 && *at < place.1) {
        let Touch::Address(table) = *touch else { continue };
        if work.pieces.is_code(table) {
            continue;
        }
        let end = anchors.range(table.saturating_add(1)..).next().copied().unwrap_or(u64::MAX);
        let relative = |n: u64| {
            let at = table.checked_add(n * 4)?;
            let distance = u32::try_from(work.image.number(at, 4)?).ok()?.cast_signed();
            (at < end).then(|| table.wrapping_add_signed(i64::from(distance)))
        };
        found.extend((0..MOST).map_while(relative).take_while(|to| work.pieces.is_code(*to)));
        if work.setting.fixed.is_some() {
            let absolute = |n: u64| {
                let at = table.checked_add(n * 8)?;
                (at < end).then(|| work.image.number(at, 8)).flatten()
            };
            found.extend((0..MOST).map_while(absolute).take_while(|to| work.pieces.is_code(*to)));
        }
    }
    found
}

/// Edges into other units: to their start, or between two that jump into each other. A table of which the end
/// is not known may seem to run on into numbers that mean something else.
pub(super) fn edges(work: &Work, summary: &Summary, piece: &Piece, anchors: &BTreeSet<u64>) -> Vec<Edge> {
    let mut edges = Vec::new();
    for to in targets(work, piece, anchors) {
        if to >= piece.start && to < piece.end {
            continue;
        }
        let Some(other) = work.pieces.at(to) else { continue };
        let inside = |piece: &Piece, at: u64| at >= piece.start && at < piece.end;
        let partner = piece.jumps.iter().any(|(_, at)| inside(other, *at))
            || other.jumps.iter().any(|(_, at)| inside(piece, *at));
        if to == other.start || partner {
            edges.extend(summary.unit_at(to).map(Edge::Go));
        }
    }
    edges
}
