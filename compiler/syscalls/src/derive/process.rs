//! One program and all that its process may load: what the kernel and the loader start with, then what reachable
//! code asks for, until nothing new comes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::link::{Loaded, Process};
use super::reach::{Node, Reach};
use super::result::{Because, Cause, Problem};
use super::rules;
use super::store::Store;
use super::summary::{Named, Summary};

/// A process, loaded and searched.
pub(crate) struct Run {
    pub process: Process,
    pub reach: Reach,
    pub causes: Vec<Cause>,
    pub problems: BTreeSet<Problem>,
}

/// Most files of one process.
const MOST: usize = 4096;

/// Names that the loader itself looks up in what it loaded (glibc 2.36 and 2.41, `rtld.c`, `dl-minimal-malloc.c`,
/// `dl-libc_freeres`): constructors of the C library and its memory functions. musl's `dynlink.c` finds its own second
/// and third stage so.
const LOOKED_UP: &[&str] = &[
    "__libc_early_init",
    "malloc",
    "calloc",
    "realloc",
    "free",
    "__pthread_initialize_minimal",
    "_dl_relocate_static_pie",
    "__dls2b",
    "__dls3",
];

struct Loading<'a, 'b> {
    store: &'a mut Store<'b>,
    run: Run,
    known: BTreeMap<String, u32>,
    rules: &'a BTreeSet<usize>,
}

/// Loads and searches the program at `path`. `plugins` are files that it may load besides what is found.
pub(crate) fn run(store: &mut Store, path: &str, plugins: &[String], rules: &BTreeSet<usize>) -> Run {
    let mut process = Process::default();
    process.arm = store.arch == plan::platform::Arch::Aarch64;
    let run = Run { process, reach: Reach::default(), causes: Vec::new(), problems: BTreeSet::new() };
    let mut loading = Loading { store, run, known: BTreeMap::new(), rules };
    loading.program(path);
    for plugin in plugins {
        loading.late(plugin, Because::Declared);
    }
    loading.search();
    loading.run
}

impl Loading<'_, '_> {
    /// Adds a file unless it is there. Its place, when it could be read.
    fn add(&mut self, path: &str, late: bool, because: Because) -> Option<u32> {
        let path = self.store.tree.resolve(path)?;
        if let Some(known) = self.known.get(&path) {
            return Some(*known);
        }
        if self.run.process.files.len() >= MOST {
            return None;
        }
        let summary = match self.store.summary(&path) {
            Ok(summary) => summary,
            Err(error) => {
                self.run.problems.insert(Problem::Unreadable { path, error: error.to_string() });
                return None;
            }
        };
        let loader = because == Because::Loader;
        let loaded = Loaded { path: path.clone(), summary, late, loader };
        let place = u32::try_from(self.run.process.files.len()).unwrap_or(u32::MAX);
        rules::cut(self.rules, place, &loaded, self.store.arch, &mut self.run.reach.cuts);
        self.run.process.add(loaded);
        self.run.causes.push(Cause { path: path.clone(), because });
        self.known.insert(path, place);
        Some(place)
    }

    fn program(&mut self, path: &str) {
        let Some(program) = self.add(path, false, Because::Program) else { return };
        self.needed(program);
        let Some(loaded) = self.run.process.file(program) else { return };
        let interpreter = loaded.summary.interpreter.clone();
        if let Some(interpreter) = interpreter {
            let because = Because::Loader;
            // musl's loader is its C library, and glibc's is often needed by name too: the first mention counts.
            if let Some(place) = self.add(&interpreter, false, because) {
                self.mark_loader(place);
            } else {
                self.run.problems.insert(Problem::Missing { wanted: interpreter, by: path.to_owned() });
            }
        }
        self.run.reach.grow(&self.run.process);
        for file in 0..self.count() {
            self.start(file);
        }
        if let Some(entry) = self.run.process.file(program).and_then(|loaded| loaded.summary.entry) {
            self.run.reach.root_unit(program, entry, "entry of the program");
        }
    }

    fn mark_loader(&mut self, place: u32) {
        if let Some(loaded) = self.run.process.files.get_mut(place as usize) {
            loaded.loader = true;
            if let Some(entry) = loaded.summary.entry {
                self.run.reach.grow(&self.run.process);
                self.run.reach.root_unit(place, entry, "entry of the loader");
            }
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.run.process.files.len()).unwrap_or(u32::MAX)
    }

    /// Adds what a file and those behind it need, breadth first.
    fn needed(&mut self, first: u32) {
        let mut next = first;
        while next < self.count() {
            let Some(loaded) = self.run.process.file(next) else { return };
            let (path, late, summary) = (loaded.path.clone(), loaded.late, Rc::clone(&loaded.summary));
            for wanted in &summary.needed {
                match self.store.find(wanted, &path, &summary) {
                    Some(found) => _ = self.add(&found, late, Because::Needed { by: path.clone() }),
                    None => {
                        self.run.problems.insert(Problem::Missing { wanted: wanted.clone(), by: path.clone() });
                    }
                }
            }
            next += 1;
        }
    }

    /// A file that is loaded while the program runs: any of its names may be asked for.
    fn late(&mut self, path: &str, because: Because) {
        let before = self.count();
        let Some(place) = self.add(path, true, because) else { return };
        if place < before {
            // It is there already; by its handle any of its names may be asked for nonetheless.
            self.run.reach.root_exports(&self.run.process, place, "name of a file that is loaded by its name");
            return;
        }
        self.needed(place);
        self.run.reach.grow(&self.run.process);
        for file in before..self.count() {
            self.start(file);
        }
        self.run.reach.root_exports(&self.run.process, place, "name of a file that is loaded by its name");
    }

    /// What the loader does with a file.
    fn start(&mut self, file: u32) {
        let Some(loaded) = self.run.process.file(file) else { return };
        let summary: Rc<Summary> = Rc::clone(&loaded.summary);
        for unit in &summary.starts {
            self.run.reach.root_unit(file, *unit, "constructor or destructor");
        }
        for slot in &summary.start_slots {
            self.run.reach.root_slot(&self.run.process, file, *slot, "constructor or destructor");
        }
        for (object, known) in (0_u32..).zip(&summary.objects) {
            if known.always {
                self.run.reach.root_object(file, object, "thread-local storage");
            }
        }
        for unit in &summary.resolvers {
            self.run.reach.run_resolver(&self.run.process, file, *unit);
        }
        // The loader may bind every wish at once; a function that returns the address is run for that.
        let wishes: BTreeSet<u32> = summary.slots.iter().filter_map(|slot| slot.to.import()).collect();
        for wish in wishes {
            let Some(import) = summary.imports.get(wish as usize) else { continue };
            for target in self.run.process.resolve(file, import) {
                if let Named::Resolver(unit) = target.named {
                    self.run.reach.run_resolver(&self.run.process, target.file, unit);
                }
            }
        }
        if summary.traits.go {
            // Go's linker keeps only what is reachable, and methods are found by tables of distances.
            for unit in 0..u32::try_from(summary.units.len()).unwrap_or(0) {
                self.run.reach.root_unit(file, unit, "function that Go's linker kept");
            }
        }
    }

    fn search(&mut self) {
        for name in LOOKED_UP {
            self.run.reach.root_name(&self.run.process, name, None, "looked up by the loader");
        }
        let mut named: BTreeSet<String> = BTreeSet::new();
        let mut opened: BTreeSet<(String, u32)> = BTreeSet::new();
        let mut exported = false;
        let mut modules = false;
        loop {
            self.run.reach.run(&self.run.process);
            let before = self.progress();
            let fresh: Vec<String> = self.run.reach.names.difference(&named).cloned().collect();
            for name in fresh {
                self.run.reach.root_name(&self.run.process, &name, None, "asked of dlsym");
                named.insert(name);
            }
            // The program asks for names that it makes up: its own may be among them.
            let unknown = |((file, _), what): (&(u32, u32), &BTreeSet<&str>)| *file == 0 && what.contains("dlsym");
            if !exported && self.run.reach.asking.iter().any(unknown) {
                exported = true;
                self.run.reach.root_exports(&self.run.process, 0, "name that the program may ask dlsym for");
            }
            for (file, name) in self.names_of_files() {
                if opened.insert((name.clone(), file)) {
                    self.open(file, &name);
                }
            }
            if !modules {
                modules = true;
                self.modules();
            }
            if self.progress() == before && self.run.reach.idle() {
                return;
            }
        }
    }

    fn progress(&self) -> (u32, usize) {
        (self.count(), self.run.reach.names.len())
    }

    /// Names of shared objects in reachable code and data, with the file that has them.
    fn names_of_files(&self) -> BTreeSet<(u32, String)> {
        let mut found = BTreeSet::new();
        for (file, loaded) in (0_u32..).zip(&self.run.process.files) {
            let summary = &loaded.summary;
            for (unit, known) in (0_u32..).zip(&summary.units) {
                if !known.objects_named.is_empty() && self.run.reach.has(file, unit) {
                    found.extend(known.objects_named.iter().map(|name| (file, name.clone())));
                }
            }
            for (object, known) in (0_u32..).zip(&summary.objects) {
                if !known.objects_named.is_empty() && self.run.reach.parent(Node::Object(file, object)).is_some() {
                    found.extend(known.objects_named.iter().map(|name| (file, name.clone())));
                }
            }
        }
        found
    }

    fn open(&mut self, file: u32, name: &str) {
        let Some(loaded) = self.run.process.file(file) else { return };
        let (path, summary) = (loaded.path.clone(), Rc::clone(&loaded.summary));
        // The loader's own list of names is not a list of wishes.
        if loaded.loader {
            return;
        }
        let Some(found) = self.store.find(name, &path, &summary) else { return };
        // Functions of the C library and the loader are asked for by constant names, or by a runtime that is open.
        let base = |loaded: &Loaded| loaded.loader || loaded.summary.soname.as_deref() == Some("libc.so.6");
        if self.known.get(&found).and_then(|file| self.run.process.file(*file)).is_some_and(base) {
            return;
        }
        if summary.interpreter.is_none() && summary.needed.is_empty() && summary.soname.is_none() {
            // A static program's C library names its shared self; what it loads are name services.
            if name.starts_with("libc.so") || name.starts_with("ld-linux") {
                return;
            }
        }
        self.late(&found, Because::Named { by: path });
    }

    /// Modules of the C library that its configuration names: name services, character sets.
    fn modules(&mut self) {
        let asked = self.run.process.lookup(None, "__nss_database_get", None);
        let asks = asked.iter().any(|target| match target.named {
            Named::Unit(unit) => self.run.reach.has(target.file, unit),
            _ => false,
        });
        if asks {
            for service in self.store.services() {
                if let Some(found) = self.store.find_default(&format!("libnss_{service}.so.2")) {
                    self.late(&found, Because::NameService { service });
                }
            }
        }
        if !self.run.process.lookup(None, "__libc_start_main", None).is_empty() {
            for module in self.store.character_sets() {
                self.late(&module, Because::CharacterSet);
            }
        }
    }
}
