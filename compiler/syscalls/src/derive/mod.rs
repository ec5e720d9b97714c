//! Which system calls the kept programs can make, read from their machine code.
//!
//! Each file is summarised alone ([`summarise`]): functions without symbols, what they lead to, the numbers of
//! their system calls. Then each program is linked as the loader would, and one search from its entry finds all
//! code and data that it can reach. A call is in the result when a reachable function can make it; the way there
//! is its witness. What is not understood widens, and is never left out.

pub mod classes;
pub(crate) mod code;
pub(crate) mod compact;
pub mod diagnostics;
pub(crate) mod link;
pub(crate) mod process;
pub(crate) mod reach;
pub mod result;
pub mod rules;
pub mod store;
pub mod summarise;
pub mod summary;
pub mod tree;
pub(crate) mod units;
pub(crate) mod values;
pub(crate) mod witness;

use std::collections::{BTreeMap, BTreeSet};

use plan::calls;
use plan::platform::Arch;

use process::Run;
use result::{Because, Cause, Derivation, LoadsUnknown, Runtime, Widening};
use rules::Assumptions;
use store::{Cache, Store};
use summary::Why;
use tree::Tree;

/// What to derive.
#[derive(Clone, Debug)]
pub struct Request {
    /// Paths of the programs: ELF files or scripts.
    pub programs: Vec<String>,
    /// For which architecture.
    pub arch: Arch,
    /// Paths of files that the programs may load besides those that are found.
    pub plugins: Vec<String>,
    /// Which rules may be applied.
    pub assumptions: Assumptions,
}

/// A piece of code of a file that counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Whether some program reaches it.
    pub reached: bool,
}

/// All pieces of code of all files that count, by path: what a test compares with what was executed.
pub fn functions(tree: &dyn Tree, request: &Request, cache: &mut dyn Cache) -> BTreeMap<String, Vec<Function>> {
    let mut store = Store::new(tree, request.arch, cache);
    let mut all: BTreeMap<String, BTreeMap<u64, Function>> = BTreeMap::new();
    for (path, _) in programs(tree, request) {
        let (run, _) = search(&mut store, &path, request);
        for (file, loaded) in (0_u32..).zip(&run.process.files) {
            let functions = all.entry(loaded.path.clone()).or_default();
            for (place, unit) in (0_u32..).zip(&loaded.summary.units) {
                let function = Function { start: unit.start, end: unit.end, reached: false };
                functions.entry(unit.start).or_insert(function).reached |=
                    run.reach.has(file, place) || run.reach.ran.contains(&(file, place));
            }
        }
    }
    all.into_iter().map(|(path, functions)| (path, functions.into_values().collect())).collect()
}

/// Searches one program with as many rules as hold.
fn search(store: &mut Store, path: &str, request: &Request) -> (Run, BTreeSet<usize>) {
    let mut rules = rules::hopeful(&request.assumptions);
    loop {
        let run = process::run(store, path, &request.plugins, &rules);
        let wrong = rules::refuted(&rules, &run.process, &run.reach, request.arch);
        if wrong.is_empty() {
            return (run, rules);
        }
        rules.retain(|rule| !wrong.contains(rule));
    }
}

/// Derives the calls of all programs together.
pub fn derive(tree: &dyn Tree, request: &Request, cache: &mut dyn Cache) -> Derivation {
    let mut store = Store::new(tree, request.arch, cache);
    let mut all = Derivation::default();
    let mut files: BTreeMap<String, Because> = BTreeMap::new();
    for (path, because) in programs(tree, request) {
        let (run, rules) = search(&mut store, &path, request);
        all.rules.extend(rules::applied(&rules, &run.process, request.arch));
        files.entry(path.clone()).or_insert(because);
        for cause in &run.causes {
            files.entry(cause.path.clone()).or_insert_with(|| cause.because.clone());
        }
        collect(&run, request.arch, &path, &mut all);
    }
    all.files = files.into_iter().map(|(path, because)| Cause { path, because }).collect();
    let mut seen = BTreeSet::new();
    all.widenings.retain(|w| seen.insert((w.witness.steps.last().cloned(), w.witness.site)));
    all.rules.sort();
    all.rules.dedup();
    all.runtimes.sort();
    all.runtimes.dedup();
    all.loaders.sort();
    all.loaders.dedup();
    all.problems.sort();
    all.problems.dedup();
    all
}

/// The programs behind the requested paths: a script is run by what its first line names.
fn programs(tree: &dyn Tree, request: &Request) -> Vec<(String, Because)> {
    let mut found = Vec::new();
    for path in &request.programs {
        let (mut path, mut because) = (path.clone(), Because::Program);
        // The kernel follows four of them (fs/exec.c, BINPRM).
        for _ in 0..5 {
            let Some(script) = tree.read(&path).and_then(|bytes| formats::elf::shebang(&bytes)) else { break };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let interpreter = text(&script.interpreter);
            because = Because::Script { by: path.clone() };
            let argument = script.argument.as_deref().map(text);
            if interpreter.ends_with("/env")
                && let Some(name) =
                    argument.as_deref().and_then(|a| a.split_ascii_whitespace().find(|w| !w.starts_with('-')))
            {
                found.push((tree.resolve(&interpreter).unwrap_or(interpreter), because.clone()));
                let places = ["/usr/local/bin", "/usr/bin", "/bin"].map(|d| format!("{d}/{name}"));
                let Some(place) = places.into_iter().find(|place| tree.resolve(place).is_some()) else { break };
                path = place;
            } else {
                path = interpreter;
            }
        }
        found.push((tree.resolve(&path).unwrap_or(path), because));
    }
    found
}

/// Exports that mark a runtime of which the programs are not in the files.
const RUNTIMES: &[(&str, &str)] = &[
    ("ffi_call", "foreign functions (libffi)"),
    ("JNI_CreateJavaVM", "Java virtual machine"),
    ("napi_create_function", "Node.js"),
    ("luaJIT_profile_start", "LuaJIT"),
    ("mono_jit_init", "Mono"),
    ("coreclr_initialize", ".NET"),
    ("LLVMCreateMCJITCompilerForModule", "LLVM's compiler in memory"),
];

fn collect(run: &Run, arch: Arch, program: &str, all: &mut Derivation) {
    let way = |spot| witness::witness(run, program, spot);
    for (number, spot) in &run.reach.calls {
        match calls::name(arch, *number) {
            Some(name) => {
                all.calls.entry(name.to_owned()).or_insert_with(|| way(*spot));
            }
            None => {
                all.unknown.entry(*number).or_insert_with(|| way(*spot));
            }
        }
    }
    for (spot, (why, holder)) in &run.reach.open {
        let why = match why {
            Why::Computed => {
                "its number is computed or comes from memory; record it with `k8orc trace`, or allow it by name"
            }
            Why::Pointer => {
                "its number is an argument of a function that is called through a pointer; allow it by name"
            }
            Why::Large => "the function is too large to follow; record it with `k8orc trace`, or allow it by name",
            Why::Foreign => "the entry of 32-bit programs, which a profile never opens",
        };
        let witness = match holder {
            Some(holder) => witness::through(run, program, *holder, *spot),
            None => way(*spot),
        };
        all.widenings.push(Widening { witness, why });
    }
    for loaded in &run.process.files {
        for (name, kind) in RUNTIMES {
            if loaded.summary.exports.binary_search_by(|export| export.name.as_str().cmp(name)).is_ok() {
                all.runtimes.push(Runtime { kind, file: loaded.path.clone() });
            }
        }
    }
    for ((file, unit), what) in &run.reach.asking {
        for call in what {
            all.loaders.push(LoadsUnknown { step: witness::step(run, reach::Node::Unit(*file, *unit)), call });
        }
    }
    all.problems.extend(run.problems.iter().cloned());
}
