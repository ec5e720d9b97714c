//! Which units may return to their caller: what follows a call of any other is not reached by it.
//!
//! A unit returns when it has a return, a computed jump, or a jump to one that returns. Where `.eh_frame` says what
//! a unit is, all of its instructions count. Elsewhere the end of a unit is a guess, and only what its start leads
//! to counts.

use std::collections::{BTreeMap, BTreeSet};

use super::Work;
use super::edges::Place;
use crate::derive::code::Flow;
use crate::derive::summary::Summary;
use crate::derive::units::{Falls, Piece};

/// Most bytes of code without entries in `.eh_frame` that are walked; in larger files every instruction counts.
const MOST: u64 = 8 << 20;

/// Functions that never return, by their names (ISO C, POSIX, LSB): what follows their calls is not reached.
pub(crate) fn never_returns(name: &str) -> bool {
    matches!(
        name,
        "abort"
            | "exit"
            | "_exit"
            | "_Exit"
            | "quick_exit"
            | "__assert_fail"
            | "__stack_chk_fail"
            | "__chk_fail"
            | "__fortify_fail"
            | "longjmp"
            | "siglongjmp"
            | "__longjmp_chk"
            | "pthread_exit"
            | "_Unwind_Resume"
            | "__cxa_throw"
            | "__cxa_rethrow"
            | "err"
            | "errx"
    )
}

/// The units that may return.
pub(crate) fn returning(work: &Work, summary: &Summary) -> BTreeSet<u32> {
    let pieces: Vec<&Piece> = work.pieces.all.values().collect();
    let described = |piece: &Piece| work.frames.binary_search_by_key(&piece.start, |frame| frame.start).is_ok();
    let guessed: u64 = pieces.iter().filter(|piece| !described(piece)).map(|piece| piece.end - piece.start).sum();
    let walk = |piece: &Piece| guessed <= MOST && !described(piece);
    let mut known: BTreeSet<u32> = BTreeSet::new();
    let mut behind: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut todo = Vec::new();
    let mut walked: BTreeSet<u32> = BTreeSet::new();
    let target = |to: u64| match work.place(summary, to) {
        Some(Place::Unit(unit)) => Some(unit),
        _ => None,
    };
    for (unit, piece) in (0_u32..).zip(&pieces) {
        if walk(piece) {
            walked.insert(unit);
            for (_, to) in &piece.calls {
                behind.entry(target(*to).unwrap_or(u32::MAX)).or_default().push(unit);
            }
        } else {
            let leaves = piece.returns
                || piece.jumps_anywhere
                || piece.through.iter().any(|(_, _, call)| !call)
                || piece.jumps.iter().any(|(_, to)| target(*to).is_none());
            if leaves {
                todo.push(unit);
            }
        }
        for (_, to) in &piece.jumps {
            behind.entry(target(*to).unwrap_or(u32::MAX)).or_default().push(unit);
        }
        if piece.falls.is_some_and(|falls| falls == Falls::On || walk(piece))
            && let Some(next) = work.next_unit(summary, piece)
        {
            behind.entry(next).or_default().push(unit);
        }
    }
    let ended: BTreeSet<u32> = work.setting.ended.iter().filter_map(|at| summary.unit_at(*at)).collect();
    // Whatever is asked again was blocked by a callee that did not return as far as was known.
    let mut ask: Vec<u32> = walked.iter().copied().collect();
    loop {
        while let Some(unit) = todo.pop() {
            if !ended.contains(&unit) && known.insert(unit) {
                for before in behind.get(&unit).into_iter().flatten() {
                    if walked.contains(before) {
                        ask.push(*before);
                    } else {
                        todo.push(*before);
                    }
                }
            }
        }
        let Some(unit) = ask.pop() else { return known };
        if !known.contains(&unit)
            && let Some(piece) = pieces.get(unit as usize)
            && leads_out(work, summary, piece, &known)
        {
            todo.push(unit);
        }
    }
}

/// Whether the start of a piece leads to a return, given which units return.
fn leads_out(work: &Work, summary: &Summary, piece: &Piece, known: &BTreeSet<u32>) -> bool {
    let mut steps: BTreeMap<u64, (u64, Flow)> = BTreeMap::new();
    let size = usize::try_from(piece.end - piece.start).unwrap_or(0);
    let bytes = work.image.from(piece.start).unwrap_or_default();
    let bytes = bytes.get(..size.min(bytes.len())).unwrap_or_default();
    work.setting.sweep(bytes, piece.start, &mut |insn| {
        steps.insert(insn.at, (insn.end(), insn.flow));
        true
    });
    let returns = |to: u64| match work.place(summary, to) {
        Some(Place::Unit(unit)) => known.contains(&unit),
        _ => true,
    };
    let (mut todo, mut seen) = (vec![piece.start], BTreeSet::new());
    while let Some(at) = todo.pop() {
        if !seen.insert(at) {
            continue;
        }
        let Some((end, flow)) = steps.get(&at).copied() else {
            // Out of the piece, by a jump or by running on.
            if returns(at) {
                return true;
            }
            continue;
        };
        match flow {
            Flow::Return | Flow::JumpAnywhere | Flow::JumpThrough(_) => return true,
            Flow::Jump(to) => todo.push(to),
            Flow::Branch(to) => todo.extend([to, end]),
            Flow::Call(to) if !returns(to) => {}
            Flow::Stop | Flow::Broken => {}
            _ => todo.push(end),
        }
    }
    false
}
