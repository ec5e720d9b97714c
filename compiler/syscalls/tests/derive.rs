//! Derived calls beside what really happens: every function that an emulator sees executed is reached, every call
//! that strace sees is derived, and the sets are as small as they were measured to be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/executed.rs"]
mod executed;
#[path = "common/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::available;
use plan::calls::groups;
use plan::platform::Arch;
use syscalls::derive::result::Derivation;
use syscalls::derive::rules::Assumptions;
use syscalls::derive::store::MemoryCache;
use syscalls::derive::{Request, derive};
use tree::Directory;

/// Commands of a plain system: program and arguments.
const COMMANDS: &[(&str, &[&str])] = &[
    ("/bin/true", &[]),
    ("/bin/ls", &["-la", "/"]),
    ("/bin/date", &["-R"]),
    ("/bin/cat", &["/etc/passwd", "/etc/group"]),
    ("/usr/bin/id", &[]),
    ("/bin/grep", &["-r", "root", "/etc/passwd"]),
    ("/bin/sed", &["-n", "s/root/x/p", "/etc/passwd"]),
    ("/usr/bin/sort", &["-R", "/etc/passwd"]),
    ("/usr/bin/find", &["/etc/ld.so.conf.d"]),
    ("/usr/bin/sha256sum", &["/etc/passwd"]),
    ("/usr/bin/stat", &["-f", "/"]),
    ("/usr/bin/timeout", &["5", "/bin/true"]),
    ("/bin/bash", &["-c", "x=$(echo a | cat); for i in 1 2; do echo $i $x; done; kill -0 $$; ulimit -a"]),
    ("/bin/sh", &["-c", "trap 'echo end' EXIT; echo *; wait"]),
];

fn request(programs: &[&str], assumptions: Assumptions) -> Request {
    let programs = programs.iter().map(|path| (*path).to_owned()).collect();
    Request { programs, arch: Arch::X86_64, plugins: Vec::new(), assumptions }
}

fn for_arm(programs: &[&str]) -> Request {
    Request { arch: Arch::Aarch64, ..request(programs, Assumptions::default()) }
}

fn here() -> Directory {
    Directory(PathBuf::from("/"))
}

fn there(program: &str) -> bool {
    cfg!(target_arch = "x86_64") && Path::new(program).exists()
}

#[test]
fn every_executed_function_is_reached() {
    if !available("qemu-x86_64", &["--version"]) {
        return;
    }
    let (mut functions, mut cache) = (0, MemoryCache::default());
    for (program, arguments) in COMMANDS.iter().filter(|(program, _)| there(program)) {
        let seen = executed::run(&here(), Arch::X86_64, program, arguments);
        let known = syscalls::derive::functions(&here(), &request(&[program], Assumptions::default()), &mut cache);
        let outside = executed::outside(&seen, &known);
        assert!(outside.is_empty(), "{program} executes what is not reached: {outside:?}");
        functions += seen.values().map(BTreeSet::len).sum::<usize>();
    }
    // The comparison can fail: there is much to compare.
    assert!(functions > 1000 || !there("/bin/ls"), "only {functions} addresses were seen");
}

/// The names of the calls that strace sees, from the program's start on.
fn observed(program: &str, arguments: &[&str]) -> BTreeSet<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(log.path()).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap();
    let text = std::fs::read_to_string(log.path()).unwrap();
    let name = |line: &str| {
        let (_, rest) = line.split_once(' ')?;
        let rest = rest.trim_start().strip_prefix("<... ").unwrap_or(rest.trim_start());
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        (end > 0).then(|| rest[..end].to_owned())
    };
    let real = |name: &String| plan::calls::number(Arch::X86_64, name).is_some();
    text.lines().filter_map(name).filter(real).collect()
}

#[test]
fn every_observed_call_is_derived() {
    if !available("strace", &["-V"]) || !available("strace", &["-qq", "-o", "/dev/null", "/bin/true"]) {
        return;
    }
    let mut cache = MemoryCache::default();
    for (program, arguments) in COMMANDS.iter().filter(|(program, _)| there(program)) {
        // What a command starts is another program: shells and timeout run the ones that they are given here.
        let programs = [program, "/bin/cat", "/bin/true"];
        let derivation = derive(&here(), &request(&programs, Assumptions::default()), &mut cache);
        let observed = observed(program, arguments);
        assert!(observed.contains("execve"), "{program} was not seen");
        let start = groups::calls(groups::START);
        let missed: Vec<_> = observed
            .iter()
            .filter(|name| !derivation.calls.contains_key(*name) && !start.contains(name.as_str()))
            .collect();
        assert!(missed.is_empty(), "{program} makes calls that were not derived: {missed:?}");
    }
}

/// Calls beside those that every profile allows.
fn counted(derivation: &Derivation) -> usize {
    let start = groups::calls(groups::START);
    derivation.calls.keys().filter(|name| !start.contains(name.as_str())).count()
}

/// Servers of Debian bookworm: the program, the most calls without a rule, the most with rules
/// (syscall-derivation, "Realistic targets"; haproxy has no published figure without).
const SERVERS: &[(&str, usize, usize)] = &[
    ("/usr/sbin/nginx", 116, 105),
    ("/usr/bin/redis-server", 111, 98),
    ("/usr/bin/memcached", 109, 98),
    ("/usr/sbin/lighttpd", 106, 97),
    ("/usr/sbin/haproxy", 123, 107),
];

/// A base, unpacked, where `tests/run` made it. Devices are left out.
fn base(variable: &str) -> Option<tempfile::TempDir> {
    let Some(tar) = std::env::var_os(variable) else {
        assert!(std::env::var_os("K8ORC_REQUIRE").is_none_or(|value| value != "all"), "{variable} is not set");
        eprintln!("skipped: {variable} is not set; tests/run makes the base");
        return None;
    };
    Some(unpacked(Path::new(&tar)))
}

fn unpacked(tar: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("tar");
    command.args(["--exclude=./dev", "--no-same-owner", "-xf"]).arg(tar).arg("-C").arg(folder.path());
    assert!(command.status().unwrap().success());
    folder
}

#[test]
fn servers_are_as_tight_as_the_targets() {
    let Some(folder) = base("K8ORC_TEST_SERVERS") else { return };
    let tree = Directory(folder.path().to_owned());
    let mut cache = MemoryCache::default();
    for (program, plain, ruled) in SERVERS {
        for (assumptions, most) in [(Assumptions::NONE, plain), (Assumptions::default(), ruled)] {
            let derivation = derive(&tree, &request(&[program], assumptions), &mut cache);
            assert_eq!(derivation.widenings, [], "{program} has unresolved calls");
            assert_eq!(derivation.problems, []);
            let count = counted(&derivation);
            println!("{program}: {count} of {most} with {assumptions:?}");
            assert!(count <= *most, "{program}: {count} calls, the target is {most} with {assumptions:?}");
            // Not by losing what a server cannot do without.
            for needed in ["accept4", "bind", "clone", "epoll_wait", "execve", "futex", "mmap", "openat", "setsid"] {
                let lighttpd = *program == "/usr/sbin/lighttpd" && needed == "futex";
                assert!(derivation.calls.contains_key(needed) || lighttpd, "{program} lacks {needed}");
            }
        }
    }
}

/// What the rules take out of nginx, each by one of them: mutexes, threads, spawn, faccessat2, getrandom.
const TAKEN_OUT: &[&str] = &[
    "faccessat",
    "getgid",
    "sched_get_priority_max",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setscheduler",
    "shmat",
    "shmget",
];

#[test]
fn rules_take_out_what_they_name_and_nothing_that_is_needed() {
    let Some(folder) = base("K8ORC_TEST_SERVERS") else { return };
    let tree = Directory(folder.path().to_owned());
    let mut cache = MemoryCache::default();
    let mut names = |assumptions| {
        let derivation = derive(&tree, &request(&["/usr/sbin/nginx"], assumptions), &mut cache);
        derivation.calls.into_keys().collect::<BTreeSet<_>>()
    };
    let (all, fewer) = (names(Assumptions::NONE), names(Assumptions::default()));
    let gone: BTreeSet<&str> = all.difference(&fewer).map(String::as_str).collect();
    assert!(fewer.is_subset(&all));
    println!("taken out of nginx: {gone:?}");
    for name in TAKEN_OUT {
        assert!(gone.contains(name), "{name} stays: {gone:?}");
    }
    // A condition that does not hold takes its rule away.
    let old = names(Assumptions { kernel: (5, 4), ..Assumptions::default() });
    assert!(old.contains("faccessat") && !old.contains("shmget"));
    let older = names(Assumptions { kernel: (3, 10), ..Assumptions::default() });
    assert!(older.contains("shmget"));
}

#[test]
fn musl_and_static_programs_have_no_unresolved_calls() {
    let Some(bases) = std::env::var_os("K8ORC_TEST_BASES") else {
        println!("skipped: K8ORC_TEST_BASES is not set");
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(bases).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("alpine-minirootfs") {
            continue;
        }
        let folder = unpacked(&entry.path());
        let mut wanted = request(&["/bin/busybox"], Assumptions::default());
        if name.contains("aarch64") {
            wanted.arch = Arch::Aarch64;
        }
        let (tree, mut cache) = (Directory(folder.path().to_owned()), MemoryCache::default());
        let derivation = derive(&tree, &wanted, &mut cache);
        assert_eq!(derivation.widenings, [], "{name}");
        if available(&format!("qemu-{}", wanted.arch.kernel()), &["--version"]) {
            let seen = executed::run(&tree, wanted.arch, "/bin/busybox", &["find", "/etc"]);
            assert!(seen.values().map(BTreeSet::len).sum::<usize>() > 300, "{name} did not run");
            let outside = executed::outside(&seen, &syscalls::derive::functions(&tree, &wanted, &mut cache));
            assert!(outside.is_empty(), "{name} executes what is not reached: {outside:?}");
        }
        for call in ["clone", "execve", "mount", "read", "setuid", "wait4"] {
            assert!(derivation.calls.contains_key(call), "{name} lacks {call}");
        }
        assert!(derivation.calls.len() < 180, "{name}: {}", derivation.calls.len());
        seen += 1;
    }
    println!("{seen} bases of Alpine");
}

/// Commands of the arm64 base.
const ARM_COMMANDS: &[(&str, &[&str])] = &[
    ("/bin/ls", &["-l", "/"]),
    ("/usr/bin/sort", &["-R", "/etc/passwd"]),
    ("/bin/grep", &["-r", "root", "/etc/passwd"]),
    ("/bin/bash", &["-c", "for i in 1 2; do echo $i; done; kill -0 $$; ulimit -a"]),
];

#[test]
fn aarch64_is_read_as_well() {
    let Some(folder) = base("K8ORC_TEST_ARM64") else { return };
    let tree = Directory(folder.path().to_owned());
    let mut cache = MemoryCache::default();
    for (program, most) in [("/usr/sbin/nginx", 105), ("/usr/bin/memcached", 98)] {
        let derivation = derive(&tree, &for_arm(&[program]), &mut cache);
        assert_eq!(derivation.widenings, [], "{program}");
        let count = counted(&derivation);
        println!("{program}: {count} of {most}");
        assert!(count <= most && count > 60, "{program}: {count}");
    }
    if !available("qemu-aarch64", &["--version"]) {
        return;
    }
    for (program, arguments) in ARM_COMMANDS {
        let seen = executed::run(&tree, Arch::Aarch64, program, arguments);
        assert!(seen.values().map(BTreeSet::len).sum::<usize>() > 500, "{program} did not run");
        let known = syscalls::derive::functions(&tree, &for_arm(&[program]), &mut cache);
        let outside = executed::outside(&seen, &known);
        assert!(outside.is_empty(), "{program} executes what is not reached: {outside:?}");
    }
}

#[test]
fn every_call_has_a_way_from_the_start() {
    if !there("/bin/ls") {
        println!("skipped: no /bin/ls here");
        return;
    }
    // Once from the files, once from what was kept of them: the result is the same.
    let mut cache = MemoryCache::default();
    let derivation = derive(&here(), &request(&["/bin/ls"], Assumptions::default()), &mut cache);
    assert!(!derivation.calls.is_empty());
    for (name, witness) in &derivation.calls {
        assert!(!witness.root.is_empty() && !witness.steps.is_empty(), "{name} has no way: {witness:?}");
        let last = witness.steps.last().unwrap();
        assert!(!last.data && last.address <= witness.site, "{name}: {witness:?}");
    }
    let again = derive(&here(), &request(&["/bin/ls"], Assumptions::default()), &mut cache);
    assert!(derivation == again, "two derivations differ");
}

#[test]
fn no_change_of_a_file_makes_the_analysis_panic() {
    let Ok(good) = std::fs::read("/bin/true") else {
        println!("skipped: no /bin/true here");
        return;
    };
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |most: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % most as u64).unwrap()
    };
    for round in 0..150 {
        let mut bad = good.clone();
        for _ in 0..=round % 7 {
            // Headers and tables are hit as often as all the rest.
            let at = if next(2) == 0 { next(bad.len()) } else { next(4096.min(bad.len())) };
            bad[at] = u8::try_from(next(256)).unwrap();
        }
        if round % 5 == 0 {
            bad.truncate(next(good.len()));
        }
        for arch in Arch::ALL {
            let _ = syscalls::derive::summarise::summarise(&bad, arch);
        }
    }
    // The aarch64 side on bytes that are not for it: the machine's number is changed.
    let mut other = good.clone();
    other[18..20].copy_from_slice(&183_u16.to_le_bytes());
    let _ = syscalls::derive::summarise::summarise(&other, Arch::Aarch64);
}
