//! Data: sections as objects, and the words in them that hold addresses.
//!
//! An object is a whole section. Finer cuts are unsound where the address of the middle of a thing is taken
//! (`_rtld_global + 0xab0`, the tables of libcrypto), and gain a server nothing.

use std::collections::BTreeMap;

use formats::elf::image::{Image, Section, section_kind};
use formats::elf::relocations::Target;

use super::Work;
use crate::derive::summary::{Held, Object, Slot, Summary};

fn holds_data(section: &&Section) -> bool {
    // .tbss has addresses, but they are those of what follows it.
    let unmapped = section.thread_local && section.kind == section_kind::NOBITS;
    section.loaded && !section.executable && section.size > 0 && section.address > 0 && !unmapped
}

/// Sections without code; where there are none, segments.
pub(super) fn objects(image: &Image) -> Vec<Object> {
    let object = |start: u64, size: u64, name: String, always| Object {
        start,
        end: start.saturating_add(size),
        section: name,
        always,
        objects_named: Vec::new(),
    };
    let mut all: Vec<Object> = image
        .sections
        .iter()
        .filter(holds_data)
        .map(|s| object(s.address, s.size, super::text(s.name), s.thread_local))
        .collect();
    if all.is_empty() {
        let name = |n: usize| format!("segment {n}");
        let thread_local = |address| image.thread_local.is_some_and(|(at, _)| at == address);
        let segments = image.segments.iter().enumerate();
        all = segments.map(|(n, s)| object(s.address, s.memory, name(n), thread_local(s.address))).collect();
        // Without sections nobody says where thread-local storage begins: all is in use.
        if image.thread_local.is_some() {
            all.iter_mut().for_each(|object| object.always = true);
        }
    }
    all.sort_by_key(|object| (object.start, object.end));
    for place in 1..all.len() {
        let next = all[place].start;
        all[place - 1].end = all[place - 1].end.min(next);
    }
    all.retain(|object| object.start < object.end);
    all
}

/// All aligned words of data that the file has bytes for: address and value.
pub(super) fn words<'a>(image: &'a Image<'a>) -> Box<dyn Iterator<Item = (u64, u64)> + 'a> {
    let rows = |start: u64, bytes: &'a [u8]| {
        let skip = start.wrapping_neg() & 7;
        let bytes = bytes.get(usize::try_from(skip).unwrap_or(0)..).unwrap_or_default();
        let word = |row: &[u8]| row.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b));
        let at = move |n: usize| start.wrapping_add(skip).wrapping_add(n as u64 * 8);
        bytes.chunks_exact(8).enumerate().map(move |(n, row)| (at(n), word(row)))
    };
    if image.sections.iter().any(|s| holds_data(&s)) {
        let sections = image.sections.iter().filter(holds_data).filter(|s| !tables_only(s.name));
        Box::new(sections.flat_map(move |s| rows(s.address, image.contents(s))))
    } else {
        let segments = image.segments.iter();
        Box::new(segments.flat_map(move |s| {
            let size = usize::try_from(s.file).unwrap_or(0);
            rows(s.address, image.at(s.address, size).unwrap_or_default())
        }))
    }
}

/// Sections that the linker makes and that hold no pointers of the program.
fn tables_only(name: &[u8]) -> bool {
    matches!(
        name,
        b".eh_frame" | b".eh_frame_hdr" | b".gcc_except_table" | b".dynsym" | b".dynstr" | b".gnu.hash" | b".hash"
    ) || name.starts_with(b".rela")
        || name.starts_with(b".gnu.version")
        || name.starts_with(b".note")
        || name == b".gopclntab"
}

/// What a word that holds `address` leads to.
fn held(work: &Work, summary: &Summary, address: u64) -> Option<Held> {
    if work.pieces.is_stub(address) {
        return through_stub(work, address);
    }
    if work.pieces.is_code(address) {
        return summary.unit_at(address).map(Held::Unit);
    }
    summary.object_at(address).map(Held::Object)
}

/// The import behind a linkage stub.
fn through_stub(work: &Work, address: u64) -> Option<Held> {
    let word = crate::derive::code::stub(work.image, work.setting.arch, address)?;
    let place = work.relocations.partition_point(|r| r.address < word);
    match work.relocations.get(place).filter(|r| r.address == word)?.target {
        Target::Symbol(symbol, _) => Some(Held::Import(symbol)),
        _ => None,
    }
}

/// Fills the summary's slots.
pub(super) fn slots(work: &Work, summary: &mut Summary) {
    let mut slots: BTreeMap<u64, Held> = BTreeMap::new();
    if work.setting.fixed.is_some() {
        for (at, value) in words(work.image).filter(|(_, value)| work.setting.may_be_address(*value)) {
            if let Some(held) = held(work, summary, value) {
                slots.insert(at, held);
            }
        }
    }
    for relocation in &work.relocations {
        let at = relocation.address;
        let found = match relocation.target {
            Target::Local(to) => held(work, summary, to),
            Target::Resolver(to) => summary.unit_at(to).map(Held::Resolver),
            Target::Copy(symbol) => Some(Held::Copy(symbol)),
            Target::ThreadLocal => None,
            Target::Symbol(symbol, addend) => {
                let found = usize::try_from(symbol).ok().and_then(|place| work.symbols.get(place));
                match found {
                    // What cannot be interposed is a local address.
                    Some(s) if s.defined && (s.local || s.bound) => {
                        held(work, summary, s.value.wrapping_add_signed(addend))
                    }
                    Some(_) => Some(Held::Import(symbol)),
                    None => None,
                }
            }
        };
        if let Some(found) = found {
            slots.insert(at, found);
        }
    }
    summary.slots = slots.into_iter().map(|(at, to)| Slot { at, to }).collect();
}

/// Notes which shared objects the pointers of each object name.
pub(super) fn name_objects(work: &Work, summary: &mut Summary) {
    let mut found: Vec<(u32, String)> = Vec::new();
    for relocation in &work.relocations {
        if let Target::Local(to) = relocation.target
            && let Some(name) = shared_object(work, to)
            && let Some(object) = summary.object_at(relocation.address)
        {
            found.push((object, name));
        }
    }
    for (object, name) in found {
        if let Some(object) = summary.objects.get_mut(object as usize)
            && !object.objects_named.contains(&name)
        {
            object.objects_named.push(name);
        }
    }
}

/// The text at an address, where it looks like the name of a shared object.
pub(super) fn shared_object(work: &Work, address: u64) -> Option<String> {
    if work.pieces.is_code(address) {
        return None;
    }
    let bytes = work.image.from(address)?;
    let bytes = bytes.get(..bytes.len().min(256))?;
    let text = bytes.get(..bytes.iter().position(|b| *b == 0)?)?;
    let plain = |b: &u8| b.is_ascii_graphic();
    let looks = text.ends_with(b".so") || text.windows(4).any(|w| w == b".so.");
    (looks && text.iter().all(plain) && !text.contains(&b'%')).then(|| super::text(text))
}
