//! What a program executes, seen by qemu's user emulator: it logs each piece of code once, when it translates it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use formats::elf::image::{Image, Segment};
use plan::platform::Arch;
use syscalls::derive::Function;
use syscalls::derive::tree::Tree;

use crate::tree::Directory;

/// Executed addresses by file; an address is that of the file, not of the process.
pub type Executed = BTreeMap<String, BTreeSet<u64>>;

/// A mapped piece of a file: where it is, how long, which file, from which place on.
struct Mapped {
    start: u64,
    size: u64,
    path: String,
    offset: u64,
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

fn executable(segments: &[Segment]) -> impl Iterator<Item = &Segment> {
    segments.iter().filter(|segment| segment.executable)
}

/// Runs a program of a tree under qemu's emulator and says what it executed, in libraries and the loader too. Files
/// that the tree lacks are this machine's own.
pub fn run(tree: &Directory, arch: Arch, program: &str, arguments: &[&str]) -> Executed {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(format!("qemu-{}", arch.kernel()));
    command.arg("-L").arg(&tree.0).args(["-d", "in_asm,strace", "-D"]).arg(log.path());
    command.arg(tree.0.join(tree.resolve(program).unwrap().trim_start_matches('/'))).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(log.path()).unwrap()).into_owned();
    read(tree, arch, program, &text)
}

fn read(tree: &Directory, arch: Arch, program: &str, text: &str) -> Executed {
    let path = tree.resolve(program).unwrap();
    let bytes = tree.read(&path).unwrap();
    let image = Image::parse(&bytes).unwrap().unwrap();
    let mut mapped = Vec::new();
    let mut map = |base: u64, path: &str, segments: &[Segment]| {
        for segment in executable(segments) {
            let start = base + segment.address;
            mapped.push(Mapped { start, size: segment.memory, path: path.to_owned(), offset: segment.offset });
        }
    };
    // Where qemu puts a program that may lie anywhere.
    let anywhere = match arch {
        Arch::X86_64 => 0x40_0000_0000,
        Arch::Aarch64 => 0x55_0000_0000,
    };
    map(if image.kind == 3 { anywhere } else { 0 }, &path, &image.segments);
    let addresses: Vec<u64> =
        text.lines().filter(|line| line.starts_with("0x")).filter_map(|line| hex(line.split_once(':')?.0)).collect();
    let heads = formats::elf::read(&bytes).unwrap().unwrap();
    if let Some(loader) = heads.interpreter {
        let path = tree.resolve(std::str::from_utf8(&loader).unwrap()).unwrap();
        let bytes = tree.read(&path).unwrap();
        let image = Image::parse(&bytes).unwrap().unwrap();
        // It is entered first.
        map(addresses[0] - image.entry, &path, &image.segments);
    }
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    for line in text.lines() {
        if let Some((call, result)) = line.split_once(") = ") {
            if let Some((_, rest)) = call.split_once("openat(")
                && let (Some(path), Ok(file)) = (rest.split('"').nth(1), result.trim().parse())
            {
                open.insert(file, path.to_owned());
            }
            if let Some((_, rest)) = call.split_once("mmap(") {
                let fields: Vec<&str> = rest.split(',').collect();
                let [_, size, protection, _, file, offset] = fields[..] else { continue };
                let offset = hex(offset).or_else(|| offset.parse().ok());
                let file = file.parse().ok().and_then(|file: u64| open.get(&file));
                if let (true, Some(path), Some(start)) = (protection.contains("PROT_EXEC"), file, hex(result)) {
                    let path = tree.resolve(path).unwrap_or_else(|| path.clone());
                    mapped.push(Mapped { start, size: size.parse().unwrap(), path, offset: offset.unwrap_or(0) });
                }
            }
        }
    }
    let mut executed = Executed::new();
    let mut files: BTreeMap<String, Vec<Segment>> = BTreeMap::new();
    for address in addresses {
        let Some(piece) = mapped.iter().find(|m| address >= m.start && address - m.start < m.size) else { continue };
        let segments = files.entry(piece.path.clone()).or_insert_with(|| {
            let bytes = tree.read(&piece.path).unwrap_or_default();
            Image::parse(&bytes).ok().flatten().map(|image| image.segments).unwrap_or_default()
        });
        let place = address - piece.start + piece.offset;
        let home = executable(segments).find(|s| place >= s.offset && place - s.offset < s.file);
        if let Some(segment) = home {
            executed.entry(piece.path.clone()).or_default().insert(place - segment.offset + segment.address);
        }
    }
    executed
}

/// What was executed and lies in a function that is not reached, or in a file that is not known. Linkage stubs are
/// no functions, and are passed over.
pub fn outside(executed: &Executed, known: &BTreeMap<String, Vec<Function>>) -> Vec<String> {
    let mut outside = BTreeSet::new();
    for (path, addresses) in executed {
        let Some(functions) = known.get(path) else {
            outside.insert(format!("all of {path}"));
            continue;
        };
        for address in addresses {
            let place = functions.partition_point(|function| function.start <= *address);
            let Some(function) = place.checked_sub(1).map(|place| &functions[place]) else { continue };
            if *address < function.end && !function.reached {
                outside.insert(format!("{path} {:#x}", function.start));
            }
        }
    }
    outside.into_iter().collect()
}
