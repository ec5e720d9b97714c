//! Prints which system calls the programs of an unpacked tree can make, and how.
//!
//!     cargo run --release -p k8orc-syscalls --example derive -- ROOT PROGRAM… [--names] [--plugin PATH] [--arch NAME]

use std::path::PathBuf;
use std::time::Instant;

#[path = "../tests/common/tree.rs"]
mod tree;

use plan::platform::Arch;
use syscalls::derive::rules::Assumptions;
use syscalls::derive::store::MemoryCache;
use syscalls::derive::{Request, derive};
use tree::Directory;

/// Allowed in every profile, and not counted when results are compared.
const ALWAYS: &[&str] =
    &["clock_gettime", "gettimeofday", "time", "getcpu", "exit", "exit_group", "rt_sigreturn", "restart_syscall"];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or_else(|| "/".to_owned());
    let mut request =
        Request { programs: Vec::new(), arch: Arch::X86_64, plugins: Vec::new(), assumptions: Assumptions::default() };
    let (mut names_only, mut map, mut trace) = (false, false, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-rules" => request.assumptions = Assumptions::NONE,
            "--map" => map = true,
            "--names" => names_only = true,
            "--plugin" => request.plugins.extend(arguments.next()),
            "--arch" => request.arch = arguments.next().and_then(|name| Arch::parse(&name)).unwrap_or(Arch::X86_64),
            "--explain" => trace.extend(arguments.next()),
            _ => request.programs.push(argument),
        }
    }
    let tree = Directory(PathBuf::from(root));
    let mut cache = MemoryCache::default();
    let start = Instant::now();
    if map {
        for (path, functions) in syscalls::derive::functions(&tree, &request, &mut cache) {
            for function in functions {
                println!("{path} {:x} {:x} {}", function.start, function.end, u8::from(function.reached));
            }
        }
        return;
    }
    let derivation = derive(&tree, &request, &mut cache);
    let cold = start.elapsed();
    let start = Instant::now();
    let again = derive(&tree, &request, &mut cache);
    let warm = start.elapsed();
    if derivation != again {
        eprintln!("error: kept summaries give another result");
        std::process::exit(1);
    }
    if names_only {
        derivation.calls.keys().for_each(|name| println!("{name}"));
        return;
    }
    let way = |witness: &syscalls::derive::result::Witness| {
        let step = |step: &syscalls::derive::result::Step| {
            let file = step.file.rsplit('/').next().unwrap_or(&step.file);
            match &step.name {
                Some(name) => format!("{file}:{name}"),
                None => format!("{file}:{:#x}", step.address),
            }
        };
        let steps: Vec<String> = witness.steps.iter().map(step).collect();
        format!("{} [{}] at {:#x}", steps.join(" > "), witness.root, witness.site)
    };
    for (name, witness) in &derivation.calls {
        if trace.is_empty() || trace.contains(name) {
            println!("{name}: {}", way(witness));
        }
    }
    for widening in &derivation.widenings {
        println!("WIDENING {}\n    {}", way(&widening.witness), widening.why);
    }
    for (number, witness) in &derivation.unknown {
        println!("UNKNOWN {number} {}", way(witness));
    }
    for runtime in &derivation.runtimes {
        println!("OPEN {} {}", runtime.kind, runtime.file);
    }
    for loader in &derivation.loaders {
        println!("LOADS {} {:?} {:#x} {:?}", loader.step.file, loader.step.name, loader.step.address, loader.call);
    }
    for rule in &derivation.rules {
        println!("RULE {} ({}): {}", rule.name, if rule.proved { "proved" } else { "stated" }, rule.condition);
    }
    for problem in &derivation.problems {
        println!("PROBLEM {problem:?}");
    }
    let modules = |c: &&syscalls::derive::result::Cause| c.because != syscalls::derive::result::Because::CharacterSet;
    for cause in derivation.files.iter().filter(modules) {
        println!("FILE {} {:?}", cause.path, cause.because);
    }
    let kept = cache.size();
    println!(
        "{} calls ({} besides those that are always allowed), {} widenings, {} files; cold {cold:.0?}, warm {warm:.0?}, summaries {} KB",
        derivation.calls.len(),
        derivation.calls.keys().filter(|name| !ALWAYS.contains(&name.as_str())).count(),
        derivation.widenings.len(),
        derivation.files.len(),
        kept / 1024,
    );
}
