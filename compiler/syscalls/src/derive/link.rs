//! A program with all files of its process: names resolved as the loader does (LSB 5, "Symbol Versioning";
//! ld.so(8)), each to whatever it may be.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::summary::{Export, Import, Named, Summary};

/// A file of the process.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Its path, links followed.
    pub path: String,
    /// What it is.
    pub summary: Rc<Summary>,
    /// Loaded later, by a call: its names come after those of the others.
    pub late: bool,
    /// The loader itself.
    pub loader: bool,
}

/// All files of one process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    /// In the order of the loader's search.
    pub files: Vec<Loaded>,
    names: BTreeMap<String, Vec<(u32, u32)>>,
    /// For aarch64.
    pub arm: bool,
}

/// Something in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// The file's place.
    pub file: u32,
    /// What in it.
    pub named: Named,
}

/// Whether a definition answers a wish.
fn answers(export: &Export, version: Option<&str>, exact: bool) -> bool {
    match (version, export.version.as_deref()) {
        (Some(wanted), Some(given)) => wanted == given,
        (Some(_), None) => true,
        (None, None) => true,
        (None, Some(_)) => !exact || !export.hidden,
    }
}

impl Process {
    /// Adds a file; its place.
    pub fn add(&mut self, loaded: Loaded) -> u32 {
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        for (place, export) in (0_u32..).zip(&loaded.summary.exports) {
            self.names.entry(export.name.clone()).or_default().push((file, place));
        }
        self.files.push(loaded);
        file
    }

    /// A file.
    pub fn file(&self, file: u32) -> Option<&Loaded> {
        self.files.get(file as usize)
    }

    fn export(&self, file: u32, place: u32) -> Option<&Export> {
        self.file(file)?.summary.exports.get(place as usize)
    }

    /// The definitions that a wish of a file may get.
    pub fn resolve(&self, file: u32, import: &Import) -> Vec<Target> {
        self.lookup(Some(file), &import.name, import.version.as_deref())
    }

    /// The definitions of a name, as `file` or everyone sees them.
    pub fn lookup(&self, file: Option<u32>, name: &str, version: Option<&str>) -> Vec<Target> {
        let Some(candidates) = self.names.get(name) else { return Vec::new() };
        let mut found: Vec<Target> = Vec::new();
        let own = file.and_then(|file| self.file(file));
        for exact in [true, false] {
            let fits = |(file, place): &&(u32, u32)| {
                self.export(*file, *place).is_some_and(|export| answers(export, version, exact))
            };
            let early = |(file, _): &&(u32, u32)| self.file(*file).is_some_and(|loaded| !loaded.late);
            let mine = |(owner, _): &&(u32, u32)| Some(*owner) == file;
            let first = candidates.iter().filter(early).find(fits);
            let self_first = own.is_some_and(|own| own.summary.symbolic || own.loader || own.late);
            let chosen = [
                first,
                // Bound to itself: by DF_SYMBOLIC, while the loader relocates itself, or in a scope of its own.
                if self_first { candidates.iter().filter(mine).find(fits) } else { None },
            ];
            for (owner, place) in chosen.into_iter().flatten() {
                if let Some(export) = self.export(*owner, *place) {
                    found.push(Target { file: *owner, named: export.to });
                }
            }
            if found.is_empty() {
                // Only files that are loaded later have it: any of them.
                for (owner, place) in candidates.iter().filter(fits) {
                    if let Some(export) = self.export(*owner, *place) {
                        found.push(Target { file: *owner, named: export.to });
                    }
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
