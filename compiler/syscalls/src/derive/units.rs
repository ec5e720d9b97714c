//! Where the pieces of code begin and end, without symbols.
//!
//! Where `.eh_frame` covers most of the code its entries are the units, and what lies between them is read from
//! an address that something names. Elsewhere (musl, stripped static programs) a unit goes from one address that
//! is called, taken or named by a symbol to the next; jumps across are edges like calls.

use std::collections::{BTreeMap, BTreeSet};

use formats::elf::frames::Frame;
use formats::elf::image::Image;

use super::code::{Flow, Insn, Setting, Touch};

/// One unit as read: addresses only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Calls: instruction and target.
    pub calls: Vec<(u64, u64)>,
    /// Jumps out of the unit: instruction and target.
    pub jumps: Vec<(u64, u64)>,
    /// Calls and jumps through a word: instruction, word, whether it is a call.
    pub through: Vec<(u64, u64, bool)>,
    /// Addresses that are named.
    pub touches: Vec<(u64, Touch)>,
    /// `syscall` instructions.
    pub syscalls: Vec<u64>,
    /// Entries of 32-bit programs.
    pub foreign: Vec<u64>,
    /// Whether it jumps to a computed address.
    pub jumps_anywhere: bool,
    /// Whether it calls a computed address.
    pub calls_anywhere: bool,
    /// Addresses behind ends of control, filling aside: functions begin there.
    pub breaks: BTreeSet<u64>,
    /// Whether it has a return.
    pub returns: bool,
    /// The last instruction, filling aside, goes on: none does not, some the call that ends it or 0.
    pub falls: Option<Falls>,
}

/// How a unit runs into the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Falls {
    /// Simply.
    On,
    /// Behind a call, which perhaps does not return.
    Call(Option<u64>),
}

/// The code of a file in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    /// By start.
    pub all: BTreeMap<u64, Piece>,
    /// Share of the code that `.eh_frame` covers, in percent.
    pub covered: u8,
    /// Executable ranges.
    pub ranges: Vec<(u64, u64)>,
    /// Ranges of linkage stubs.
    stubs: Vec<(u64, u64)>,
}

/// Below this share of covered code, in percent, units go from anchor to anchor.
const MOSTLY: u8 = 75;
/// Rounds of splitting; what is named later stays inside a unit.
const ROUNDS: usize = 12;

/// First addresses and ends.
type Ranges = Vec<(u64, u64)>;

fn within(ranges: &[(u64, u64)], address: u64) -> Option<(u64, u64)> {
    let place = ranges.partition_point(|(start, _)| *start <= address).checked_sub(1)?;
    ranges.get(place).copied().filter(|(_, end)| address < *end)
}

/// Executable ranges and those of stubs among them, from sections, or from segments where there are none.
fn ranges(image: &Image) -> (Ranges, Ranges) {
    // Only what the file has bytes for, whatever a header says.
    let there = |start: u64| image.from(start).map_or(0, |bytes| bytes.len() as u64);
    let end = |start: u64, size: u64| (start, start.saturating_add(size.min(there(start))));
    let sections: Vec<_> = image.sections.iter().filter(|s| s.loaded && s.executable && s.size > 0).collect();
    let (mut code, mut stubs) = (Vec::new(), Vec::new());
    for section in &sections {
        code.push(end(section.address, section.size));
        if section.name.starts_with(b".plt") || section.name.starts_with(b".iplt") {
            stubs.push(end(section.address, section.size));
        }
    }
    if sections.is_empty() {
        code = image.segments.iter().filter(|s| s.executable).map(|s| end(s.address, s.file)).collect();
    }
    code.retain(|(start, end)| start < end);
    code.sort_unstable();
    stubs.sort_unstable();
    (code, stubs)
}

impl Pieces {
    /// Finds them. `seeds` are addresses that symbols, relocations and headers name; not all need be code.
    pub fn find(image: &Image, setting: &Setting, frames: &[Frame], seeds: &BTreeSet<u64>) -> Self {
        let (ranges, stubs) = ranges(image);
        let mut pieces = Pieces { ranges, stubs, ..Pieces::default() };
        let total: u64 = pieces.ranges.iter().map(|(start, end)| end - start).sum();
        let total = total - pieces.stubs.iter().map(|(start, end)| end - start).sum::<u64>().min(total);
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for frame in frames {
            let start = frame.start.saturating_add(u64::from(frame.signal));
            let Some((_, most)) = within(&pieces.ranges, start) else { continue };
            if within(&pieces.stubs, start).is_none() {
                spans.push((start, frame.end.min(most)));
            }
        }
        spans.sort_unstable();
        // Overlapping entries: the later start wins its bytes.
        for place in 1..spans.len() {
            let next = spans[place].0;
            spans[place - 1].1 = spans[place - 1].1.min(next);
        }
        spans.retain(|(start, end)| start < end);
        let covered: u64 = spans.iter().map(|(start, end)| end - start).sum();
        pieces.covered =
            u8::try_from((covered.saturating_mul(100)).checked_div(total).unwrap_or(0).min(100)).unwrap_or(0);
        if pieces.covered >= MOSTLY {
            for (start, end) in spans {
                let mut piece = read(image, setting, start, end);
                piece.breaks.clear();
                pieces.all.insert(start, piece);
            }
            pieces.fill(image, setting, seeds);
        } else {
            pieces.anchored(image, setting, &spans, seeds);
        }
        pieces
    }

    /// Whether an address lies in code.
    pub fn is_code(&self, address: u64) -> bool {
        within(&self.ranges, address).is_some()
    }

    /// Whether an address lies among linkage stubs.
    pub fn is_stub(&self, address: u64) -> bool {
        within(&self.stubs, address).is_some()
    }

    /// The piece that contains an address.
    pub fn at(&self, address: u64) -> Option<&Piece> {
        self.all.range(..=address).next_back().map(|(_, piece)| piece).filter(|piece| address < piece.end)
    }

    /// Reads what is named between the entries of `.eh_frame`.
    fn fill(&mut self, image: &Image, setting: &Setting, seeds: &BTreeSet<u64>) {
        // Address and whether something calls it: what is only named may be data among code.
        let mut todo: Vec<(u64, bool)> = seeds.iter().map(|seed| (*seed, false)).collect();
        for piece in self.all.values() {
            todo.extend(named(piece));
            todo.extend(falls_to(piece));
        }
        let mut seen: BTreeMap<u64, bool> = BTreeMap::new();
        while let Some((at, called)) = todo.pop() {
            let Some((_, range_end)) = within(&self.ranges, at) else { continue };
            if called && only_filling(image, setting, at, range_end) {
                continue;
            }
            if self.at(at).is_some() || self.is_stub(at) || seen.get(&at).is_some_and(|before| *before || !called) {
                continue;
            }
            seen.insert(at, called);
            let next = self.all.range(at..).next().map_or(range_end, |(start, _)| *start).min(range_end);
            let Some(piece) = self.descend(image, setting, at, next, called) else { continue };
            todo.extend(named(&piece));
            todo.extend(falls_to(&piece));
            self.all.insert(at, piece);
        }
        self.stretch(image, setting);
    }

    /// A unit that runs on through filling has it: `__memmove_chk` goes through 55 bytes of it into `memmove`.
    fn stretch(&mut self, image: &Image, setting: &Setting) {
        let falling = self.all.values().filter(|piece| piece.falls == Some(Falls::On));
        let ends: Vec<(u64, u64)> = falling.map(|piece| (piece.start, piece.end)).collect();
        for (start, end) in ends {
            let Some((next, _)) = self.all.range(end..).next() else { continue };
            let gap = next.checked_sub(end).and_then(|gap| usize::try_from(gap).ok()).filter(|gap| *gap <= 256);
            let Some(bytes) = gap.and_then(|gap| image.at(end, gap)) else { continue };
            let (mut filling, next) = (true, *next);
            setting.sweep(bytes, end, &mut |insn| {
                filling &= insn.padding;
                filling
            });
            if filling && let Some(piece) = self.all.get_mut(&start) {
                piece.end = next;
            }
        }
    }

    /// Reads from `at` to the first end of control behind which nothing jumps, at most to `most`.
    fn descend(&self, image: &Image, setting: &Setting, at: u64, most: u64, called: bool) -> Option<Piece> {
        let bytes = image.at(at, usize::try_from(most.checked_sub(at)?).ok()?)?;
        let (mut end, mut far, mut sane) = (most, at, true);
        setting.sweep(bytes, at, &mut |insn| {
            sane &= !insn.absurd && insn.flow != Flow::Broken;
            match insn.flow {
                Flow::Jump(to) | Flow::Branch(to) if to >= at && to < most => far = far.max(to),
                // A function that is missing has the address 0.
                Flow::Jump(0) | Flow::Call(0) => {}
                Flow::Jump(to) | Flow::Branch(to) | Flow::Call(to) => sane &= within(&self.ranges, to).is_some(),
                _ => {}
            }
            let last = !insn.flow.goes_on() && far < insn.end();
            if last {
                end = insn.end().min(most);
            }
            !last && (sane || called)
        });
        // Something calls it: code, whatever it looks like. Something has its address: perhaps a table.
        (sane || called).then(|| read(image, setting, at, end))
    }

    /// Units from anchor to anchor.
    fn anchored(&mut self, image: &Image, setting: &Setting, spans: &[(u64, u64)], seeds: &BTreeSet<u64>) {
        let mut anchors: BTreeSet<u64> = BTreeSet::new();
        let ranges: Vec<_> = self.ranges.iter().copied().filter(|(start, _)| !self.is_stub(*start)).collect();
        anchors.extend(ranges.iter().map(|(start, _)| *start));
        anchors.extend(spans.iter().flat_map(|(start, end)| [*start, *end]));
        anchors.extend(seeds);
        anchors.retain(|at| within(&ranges, *at).is_some());
        let mut fresh: BTreeSet<u64> = anchors.clone();
        for _ in 0..ROUNDS {
            let mut found = BTreeSet::new();
            for at in std::mem::take(&mut fresh) {
                // An anchor inside a unit cuts it.
                let before = self.all.range(..at).next_back().map(|(start, piece)| (*start, piece.end));
                if let Some((start, end)) = before
                    && end > at
                {
                    self.all.insert(start, read(image, setting, start, at));
                }
                let Some((_, range_end)) = within(&ranges, at) else { continue };
                let next = anchors.range(at.saturating_add(1)..).next().copied().unwrap_or(u64::MAX).min(range_end);
                let piece = read(image, setting, at, next);
                let jumps: BTreeSet<u64> = piece.jumps.iter().map(|(_, to)| *to).collect();
                found.extend(named(&piece).map(|(to, _)| to).filter(|to| !jumps.contains(to)));
                self.all.insert(at, piece);
            }
            // A jump leads into the middle of another unit, unless that looks like the start of a function.
            let starts = |to: &u64| self.at(*to).is_some_and(|other| other.breaks.contains(to));
            found.extend(self.all.values().flat_map(|piece| &piece.jumps).map(|(_, to)| *to).filter(starts));
            found.retain(|at| !anchors.contains(at) && within(&ranges, *at).is_some());
            anchors.extend(&found);
            fresh = found;
            if fresh.is_empty() {
                break;
            }
        }
    }
}

/// The addresses that a piece names as code, and whether it goes there.
fn named(piece: &Piece) -> impl Iterator<Item = (u64, bool)> {
    let calls = piece.calls.iter().map(|(_, to)| (*to, true));
    let jumps = piece.jumps.iter().map(|(_, to)| (*to, true));
    let taken = piece.touches.iter().filter_map(|(_, touch)| match touch {
        Touch::Address(to) => Some((*to, false)),
        _ => None,
    });
    calls.chain(jumps).chain(taken)
}

/// Whether nothing but filling follows, up to a multiple of 16 at least.
fn only_filling(image: &Image, setting: &Setting, at: u64, end: u64) -> bool {
    let size = usize::try_from(end.saturating_sub(at).min(64)).unwrap_or(0);
    let (mut filling, mut reached) = (true, at);
    setting.sweep(image.at(at, size).unwrap_or_default(), at, &mut |insn| {
        filling &= insn.padding;
        reached = insn.end();
        filling && reached & 15 != 0
    });
    filling && reached & 15 == 0 && reached > at
}

/// Where a piece runs on without a jump: the C library's `clone` has its `syscall` between two entries.
fn falls_to(piece: &Piece) -> Option<(u64, bool)> {
    (piece.falls == Some(Falls::On)).then_some((piece.end, true))
}

/// Reads one unit.
fn read(image: &Image, setting: &Setting, start: u64, end: u64) -> Piece {
    let mut piece = Piece { start, end, ..Piece::default() };
    let size = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    let bytes = image.from(start).unwrap_or_default();
    let bytes = bytes.get(..size.min(bytes.len())).unwrap_or_default();
    let mut broken = false;
    setting.sweep(bytes, start, &mut |insn: &Insn| {
        let inside = |to: u64| to >= start && to < end;
        match insn.flow {
            Flow::Jump(to) | Flow::Branch(to) if !inside(to) => piece.jumps.push((insn.at, to)),
            Flow::Call(to) => piece.calls.push((insn.at, to)),
            Flow::JumpThrough(word) => piece.through.push((insn.at, word, false)),
            Flow::CallThrough(word) => piece.through.push((insn.at, word, true)),
            Flow::JumpAnywhere => piece.jumps_anywhere = true,
            Flow::CallAnywhere => piece.calls_anywhere = true,
            Flow::Return => piece.returns = true,
            Flow::Syscall => piece.syscalls.push(insn.at),
            Flow::Foreign => piece.foreign.push(insn.at),
            _ => {}
        }
        let direct = matches!(insn.flow, Flow::JumpThrough(_) | Flow::CallThrough(_));
        for touch in insn.touches {
            if touch != Touch::Nothing && !direct {
                piece.touches.push((insn.at, touch));
            }
        }
        if broken && !insn.padding {
            piece.breaks.insert(insn.at);
        }
        let ended = matches!(insn.flow, Flow::Call(to) if setting.ended.contains(&to));
        broken = ended || !insn.flow.goes_on() || broken && insn.padding;
        if !insn.padding {
            piece.falls = match insn.flow {
                Flow::Call(to) => Some(Falls::Call(Some(to))),
                Flow::CallThrough(_) | Flow::CallAnywhere => Some(Falls::Call(None)),
                flow => flow.goes_on().then_some(Falls::On),
            };
        }
        true
    });
    piece
}
