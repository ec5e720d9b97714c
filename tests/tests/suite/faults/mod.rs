//! What goes wrong around a build: a poisoned cache, an interrupt, a full disk, a broken base. Each time the
//! previous output is intact, nothing is left behind, and the message says what to do.

mod apt;
mod cache;
mod disk;
mod inputs;
mod killed;
mod said;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use k8orc_tests::fixture::Desk;
use k8orc_tests::peers::{self, Run};
use sha2::{Digest as _, Sha256};

/// Longer than any of these builds takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(300);

/// `k8orc VERB SPEC` for a desk, with its own home and cache.
pub fn k8orc(desk: &Desk, verb: &str) -> Option<Command> {
    let mut command = peers::k8orc(&desk.path("home"))?;
    command.current_dir(desk.path("")).args([verb, "spec.kdl"]).arg("--cache").arg(desk.path("cache"));
    Some(command)
}

/// Numbers that differ from run to run; the seed is printed, and `K8ORC_TEST_SEED` gives it again.
pub struct Chance(u64);

impl Chance {
    pub fn new() -> Chance {
        let said = std::env::var("K8ORC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let seed = said.unwrap_or(u64::from(now.subsec_nanos()) ^ now.as_secs());
        println!("K8ORC_TEST_SEED={seed}");
        Chance(seed)
    }

    /// From 0 to below `end` (splitmix64).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// A part of a time.
    pub fn part(&mut self, whole: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(whole.as_micros()).expect("short").max(1)))
    }
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Run {
    peers::run(command, LONG)
}

/// Every file of a directory by its path in it; empty where there is no directory.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else { continue };
        for entry in entries {
            let path = entry.expect("listable").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below it").display().to_string();
                found.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

/// Names in a directory, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("listable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The seal of an output, after a look at every file that it names and at every file that is there.
#[track_caller]
pub fn sealed(output: &Path) -> String {
    let mut found = files(output);
    let seal = found.remove("outputs.sha256").unwrap_or_else(|| panic!("{} has no seal", output.display()));
    let seal = String::from_utf8(seal).expect("text");
    let lines: String = found.iter().map(|(path, bytes)| format!("{}  {path}\n", hex(bytes))).collect();
    assert_eq!(lines, seal, "{} is whole", output.display());
    seal
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a build left beside its output and its lock.
pub fn leftovers(desk: &Desk) -> Vec<String> {
    let beside = |dir: &str| names(&desk.path(dir)).into_iter().filter(|name| name.contains(".k8orc-"));
    beside("out").chain(beside("")).collect()
}

/// Moves the spec to another port: the next build has something to do.
pub fn another_port(desk: &Desk, port: u16) {
    let spec = desk.read("spec.kdl");
    let at = spec.find("port ").expect("a port") + "port ".len();
    let end = at + spec[at..].find(' ').expect("a name follows");
    desk.write("spec.kdl", format!("{}{port}{}", &spec[..at], &spec[end..]).as_bytes());
}
