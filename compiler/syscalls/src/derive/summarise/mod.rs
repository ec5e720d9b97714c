//! From the bytes of one file to its [`Summary`].

mod data;
pub(crate) mod edges;
mod handlers;
pub(crate) mod returning;
pub(crate) mod tables;

use std::collections::{BTreeMap, BTreeSet};

use formats::elf::image::{Image, section_kind};
use formats::elf::relocations::{Relocation, Target};
use formats::elf::symbols::{Kind, Symbol};
use formats::elf::{self, frames::Frame};
use plan::platform::Arch;

use super::code::Setting;
use super::summary::{Export, Import, Named, Summary, Traits, Unit};
use super::units::Pieces;
use super::values;

/// Why a file has no summary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not for this architecture, or no ELF at all.
    #[error("it is not an ELF file for this architecture")]
    Other,
    /// Its headers make no sense.
    #[error("its ELF structure cannot be read: {0}")]
    Elf(#[from] elf::Error),
}

/// All that is known of a file while its summary is made.
pub(crate) struct Work<'a> {
    pub image: &'a Image<'a>,
    pub setting: Setting,
    pub frames: Vec<Frame>,
    pub symbols: Vec<Symbol<'a>>,
    pub relocations: Vec<Relocation>,
    pub pieces: Pieces,
}

fn machine(arch: Arch) -> u16 {
    match arch {
        Arch::X86_64 => 62,
        Arch::Aarch64 => 183,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes the summary of a file.
///
/// # Errors
/// See [`Error`].
pub fn summarise(bytes: &[u8], arch: Arch) -> Result<Summary, Error> {
    let image = Image::parse(bytes)?.filter(|image| image.machine == machine(arch)).ok_or(Error::Other)?;
    let heads = elf::read(bytes)?.ok_or(Error::Other)?;
    let fixed = image.kind == 2;
    let low = image.segments.iter().map(|s| s.address).min().unwrap_or(0);
    let high = image.segments.iter().map(|s| s.address.saturating_add(s.memory)).max().unwrap_or(0);
    let symbols = image.symbols()?;
    let ends = |s: &&Symbol| s.defined && std::str::from_utf8(s.name).is_ok_and(returning::never_returns);
    let setting = Setting {
        arch,
        fixed: fixed.then_some((low.max(1), high)),
        ended: symbols.iter().filter(ends).map(|s| s.value).collect(),
    };
    let mut work = Work {
        image: &image,
        setting,
        frames: image.frames(),
        symbols,
        relocations: image.relocations()?,
        pieces: Pieces::default(),
    };
    let statics = image.static_symbols();
    let seeds = seeds(&work, &statics);
    work.pieces = Pieces::find(&image, &work.setting, &work.frames, &seeds);
    let directories = |list: Option<Vec<u8>>| -> Vec<String> {
        list.map(|list| list.split(|b| *b == b':').filter(|d| !d.is_empty()).map(text).collect()).unwrap_or_default()
    };
    let runpath = directories(heads.runpath);
    let mut summary = Summary {
        soname: heads.soname.map(|name| text(&name)),
        needed: heads.needed.iter().map(|name| text(name)).collect(),
        rpath: if runpath.is_empty() { directories(heads.rpath) } else { Vec::new() },
        runpath,
        interpreter: heads.interpreter.map(|path| text(&path)),
        symbolic: image.tag(16).is_some() || image.tag(30).is_some_and(|flags| flags & 2 != 0),
        traits: Traits {
            fixed,
            covered: work.pieces.covered,
            go: image.section(b".gopclntab").is_some() || image.section(b".go.buildinfo").is_some(),
        },
        ..Summary::default()
    };
    let names = names(&work, &statics);
    summary.units = work.pieces.all.values().map(|piece| unit(piece.start, piece.end, &names)).collect();
    summary.objects = data::objects(&image);
    imports_and_exports(&work, &mut summary);
    data::slots(&work, &mut summary);
    data::name_objects(&work, &mut summary);
    edges::edges(&work, &mut summary);
    handlers::edges(&work, &mut summary);
    starts(&work, &mut summary);
    values::sites::sites(&work, &mut summary);
    for unit in &mut summary.units {
        unit.edges.sort_unstable();
        unit.edges.dedup();
        unit.sites.sort();
        unit.open.sort_unstable();
        unit.open.dedup();
    }
    Ok(summary)
}

fn unit(start: u64, end: u64, names: &BTreeMap<u64, String>) -> Unit {
    Unit { start, end, name: names.get(&start).cloned(), ..Unit::default() }
}

/// The best name for each address: the shortest of the exported ones, else of the linker's own.
fn names(work: &Work, statics: &[Symbol]) -> BTreeMap<u64, String> {
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let code = |s: &&Symbol| s.defined && matches!(s.kind, Kind::Function | Kind::Resolver | Kind::Unknown);
    for list in [statics, &work.symbols] {
        let mut these: BTreeMap<u64, &[u8]> = BTreeMap::new();
        for symbol in list.iter().filter(code).filter(|s| !s.name.is_empty() && s.name.first() != Some(&b'$')) {
            let name = these.entry(symbol.value).or_insert(symbol.name);
            if (symbol.name.len(), symbol.name) < (name.len(), *name) {
                *name = symbol.name;
            }
        }
        names.extend(these.into_iter().map(|(at, name)| (at, text(name))));
    }
    names
}

/// Addresses that may be the start of code.
fn seeds(work: &Work, statics: &[Symbol]) -> BTreeSet<u64> {
    let image = work.image;
    let mut seeds: BTreeSet<u64> = BTreeSet::from([image.entry]);
    // DT_INIT, DT_FINI.
    seeds.extend([12, 13].into_iter().filter_map(|tag| image.tag(tag)));
    let functions = |s: &&Symbol| s.defined && matches!(s.kind, Kind::Function | Kind::Resolver);
    let labels = |s: &&Symbol| s.defined && s.kind == Kind::Unknown && !s.local;
    for list in [statics, &work.symbols] {
        seeds.extend(list.iter().filter(|s| functions(s) || labels(s)).map(|s| s.value));
    }
    for relocation in &work.relocations {
        if let Target::Local(to) | Target::Resolver(to) = relocation.target {
            seeds.insert(to);
        }
    }
    if work.setting.fixed.is_some() {
        seeds.extend(data::words(image).map(|(_, value)| value).filter(|value| work.setting.may_be_address(*value)));
    }
    seeds.extend(array_words(image));
    seeds
}

/// The words of constructor and destructor arrays that a linker wrote, for files without relocations.
fn array_words(image: &Image) -> Vec<u64> {
    use section_kind::{FINI_ARRAY, INIT_ARRAY, PREINIT_ARRAY};
    let arrays = image.sections.iter().filter(|s| [INIT_ARRAY, FINI_ARRAY, PREINIT_ARRAY].contains(&s.kind));
    let word = |row: &[u8]| row.iter().rev().fold(0, |value, b| (value << 8) | u64::from(*b));
    arrays.flat_map(|s| image.contents(s).chunks_exact(8).map(word)).filter(|value| *value != 0).collect()
}

fn imports_and_exports(work: &Work, summary: &mut Summary) {
    // Imports keep the places of the symbols, so that relocations name them.
    summary.imports = work
        .symbols
        .iter()
        .map(|symbol| Import { name: text(symbol.name), version: symbol.version.map(text) })
        .collect();
    for symbol in work.symbols.iter().filter(|s| s.defined && !s.local && !s.name.is_empty()) {
        let unit = summary.unit_at(symbol.value);
        let to = match symbol.kind {
            Kind::Resolver => unit.map(Named::Resolver),
            Kind::ThreadLocal | Kind::Other => None,
            _ if work.pieces.is_code(symbol.value) => unit.map(Named::Unit),
            _ => summary.object_at(symbol.value).map(Named::Object),
        };
        summary.exports.push(Export {
            name: text(symbol.name),
            version: symbol.version.map(text),
            hidden: symbol.hidden,
            to: to.unwrap_or(Named::Nothing),
        });
    }
    summary.exports.sort();
    summary.exports.dedup();
}

/// What the loader and the start-up code run by themselves.
fn starts(work: &Work, summary: &mut Summary) {
    use section_kind::{FINI_ARRAY, INIT_ARRAY, PREINIT_ARRAY};
    let image = work.image;
    summary.entry = summary.unit_at(image.entry).filter(|_| image.entry != 0);
    let mut starts: BTreeSet<u32> = [12, 13].iter().filter_map(|tag| summary.unit_at(image.tag(*tag)?)).collect();
    // DT_INIT_ARRAY, DT_FINI_ARRAY, DT_PREINIT_ARRAY with their sizes.
    let mut arrays: Vec<(u64, u64)> = [(25, 27), (26, 28), (32, 33)]
        .iter()
        .filter_map(|(at, size)| Some((image.tag(*at)?, image.tag(*size)?)))
        .collect();
    let sections = image.sections.iter().filter(|s| [INIT_ARRAY, FINI_ARRAY, PREINIT_ARRAY].contains(&s.kind));
    arrays.extend(sections.map(|s| (s.address, s.size)));
    for (at, size) in arrays {
        for slot in summary.slots_in(at, at.saturating_add(size)) {
            summary.start_slots.extend(u32::try_from(slot));
        }
    }
    starts.extend(array_words(image).into_iter().filter_map(|at| summary.unit_at(at)));
    summary.starts = starts.into_iter().collect();
    let resolver = |slot: &super::summary::Slot| match slot.to {
        super::summary::Held::Resolver(unit) => Some(unit),
        _ => None,
    };
    let resolvers: BTreeSet<u32> = summary.slots.iter().filter_map(resolver).collect();
    summary.resolvers = resolvers.into_iter().collect();
}
