//! Which call was it? The same run again under filters that stop a process at a forbidden call.
//!
//! Where the real filter kills, these answer SECCOMP_RET_USER_NOTIF and nobody ever takes the
//! notification: the thread stays at its call, and `/proc/PID/task/TID/syscall` says which one and from
//! where. That needs neither auditd nor ptrace, sees every process of the container, and cannot be missed
//! by being late. The call is then allowed and the run repeated, until none is left to be found.
//!
//! Two filters are looked at one after the other, for a process can have one listener only: the one that
//! the node installs (runc keeps no listener itself: it sends it to a socket, where it stays unread), and
//! the one that the image installs (`k8or` keeps that listener; INTERFACE.md, `on-violation wait`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diag::Diagnostic;
use formats::oci::Digest;
use plan::calls;
use plan::platform::Arch;
use rustix::process::Pid;
use serde_json::{Value, json};

use crate::bundle::Mount;
use crate::container;
use crate::layout::unreadable;
use crate::report::Violation;
use crate::session::{self, Observer, Place, Setup};
use crate::volumes;
use crate::workdir::disk;
use crate::{Subject, interruption};

/// More calls than this are not looked for in one filter.
const ROUNDS: usize = 40;
/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);
/// `RET` of a constant, KILL_PROCESS, KILL_THREAD, USER_NOTIF, ALLOW (include/uapi/linux/{bpf_common,seccomp}.h).
const RET: u16 = 0x06;
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const USER_NOTIF: u32 = 0x7fc0_0000;
const ALLOW: u32 = 0x7fff_0000;

/// The profile of the subject as the output directory has it; `None` where it has none (no workload).
pub fn read_profile(output: &Path, subject: &Subject<'_>) -> Result<Option<Value>, Diagnostic> {
    let Some(workload) = subject.workload else { return Ok(None) };
    let file = output.join("seccomp").join(format!("{}.json", workload.name));
    let bytes = std::fs::read(&file).map_err(|error| unreadable(&file, &error.to_string()))?;
    let value = serde_json::from_slice(&bytes).map_err(|error| unreadable(&file, &error.to_string()))?;
    Ok(Some(value))
}

/// One filter, in its waiting form.
enum Filter<'a> {
    /// The node's.
    Workload(&'a Value),
    /// The image's.
    Image,
}

/// Looks for calls that the filters forbid; each is found once.
pub fn find(
    place: &Place<'_>,
    setup: &Setup<'_>,
    patience: Duration,
    interrupted: &dyn Fn() -> bool,
) -> Result<Vec<Violation>, Diagnostic> {
    let arch = place.subject.image.platform.arch;
    let mut filters = Vec::new();
    filters.extend(setup.seccomp.map(Filter::Workload));
    if place.rootfs.join("k8or/filter.bpf").exists() {
        filters.push(Filter::Image);
    }
    let mut found: Vec<Violation> = Vec::new();
    for filter in &filters {
        for _ in 0..ROUNDS {
            volumes::empty(setup.mounts)?;
            let known = found.iter().map(|violation| violation.syscall.clone()).collect::<BTreeSet<_>>();
            let violation = round(place, setup, filter, &known, arch, patience, interrupted)?;
            if interrupted() {
                return Err(interruption());
            }
            match violation {
                Some(violation) if !known.contains(&violation.syscall) => found.push(violation),
                _ => break,
            }
        }
    }
    found.sort();
    Ok(found)
}

fn round(
    place: &Place<'_>,
    setup: &Setup<'_>,
    filter: &Filter<'_>,
    known: &BTreeSet<String>,
    arch: Arch,
    patience: Duration,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<Violation>, Diagnostic> {
    let name = place.next_name("waiting");
    place.work.directory(&name)?;
    let sealed = std::fs::read(place.rootfs.join("k8or/sealed.conf")).unwrap_or_default();
    let sealed = String::from_utf8_lossy(&sealed).into_owned();
    let mut mounts = setup.mounts.to_vec();
    let mut replace = |inside: &str, bytes: &[u8]| -> Result<(), Diagnostic> {
        let file = place.work.file(&format!("{name}/{}", inside.replace('/', "-")), bytes)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        std::fs::set_permissions(&file, mode).map_err(|error| disk(&file, &error))?;
        mounts.push(Mount { source: container::text(file)?, path: inside.to_owned(), read_only: true });
        Ok(())
    };
    let (label, seccomp, _listener, stops) = match filter {
        Filter::Workload(profile) => {
            // Its own filter would kill where the node's is to wait.
            replace("/k8or/sealed.conf", resealed(&sealed, "none", None).as_bytes())?;
            let listener = Listener::bind(&place.work.path().join(&name).join("s"))?;
            let waiting = waiting_profile(profile, known, arch, &listener.path);
            let stops = numbers(arch, &notified(&waiting));
            ("workload", Some(waiting), Some(listener), stops)
        }
        Filter::Image => {
            let file = place.rootfs.join("k8or/filter.bpf");
            let bytes = std::fs::read(&file).map_err(|error| disk(&file, &error))?;
            let bytes = waiting_filter(&bytes, known, arch);
            let words = format!("/k8or/filter.bpf {} {}", Digest::of(&bytes), bytes.len() / 8);
            replace("/k8or/filter.bpf", &bytes)?;
            replace("/k8or/sealed.conf", resealed(&sealed, &words, Some("wait")).as_bytes())?;
            let named = &place.subject.plan.profile.calls;
            let stops = calls::all(arch).filter(|(name, _)| !named.contains_key(*name) && !known.contains(*name));
            ("image", None, None, stops.map(|(_, number)| number).collect())
        }
    };
    let watch = Watch::new(label, arch, stops, interrupted);
    let setup = Setup { mounts: &mounts, env: setup.env, seccomp: seccomp.as_ref() };
    session::run(place, &setup, patience, &watch)?;
    Ok(watch.found.into_inner())
}

/// The sealed configuration with another filter and, where given, another end of `on-violation`.
fn resealed(sealed: &str, filter: &str, on_violation: Option<&str>) -> String {
    let lines = sealed.lines().map(|line| match (line.split(' ').next(), on_violation) {
        (Some("filter"), _) => format!("filter {filter}\n"),
        (Some("on-violation"), Some(word)) => format!("on-violation {word}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// The calls that a waiting profile asks about.
fn notified(profile: &Value) -> Vec<&str> {
    let entries = profile.get("syscalls").and_then(Value::as_array);
    let asking = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("action").and_then(Value::as_str) == Some("SCMP_ACT_NOTIFY"));
    asking.filter_map(|entry| entry.get("names")?.as_array()).flatten().filter_map(Value::as_str).collect()
}

fn numbers(arch: Arch, names: &[&str]) -> BTreeSet<u32> {
    names.iter().filter_map(|name| calls::number(arch, name)).collect()
}

/// The profile with all calls that it does not name answered by a notification. runc takes no such default
/// action, so they are named.
fn waiting_profile(profile: &Value, known: &BTreeSet<String>, arch: Arch, socket: &str) -> Value {
    let mut waiting = profile.clone();
    let entries = profile.get("syscalls").and_then(Value::as_array).cloned().unwrap_or_default();
    let named = entries.iter().filter_map(|entry| entry.get("names")?.as_array());
    let named = named.flatten().filter_map(Value::as_str).collect::<BTreeSet<_>>();
    // Above the highest named number runc answers ENOSYS instead of killing: no violation.
    let highest = named.iter().filter_map(|name| calls::number(arch, name)).max().unwrap_or(0);
    // runc refuses to be asked about `write`: it could not tell its parent of the listener.
    let rest = calls::all(arch).filter(|(_, number)| *number <= highest).map(|(name, _)| name);
    let rest = rest.filter(|name| !named.contains(name) && !known.contains(*name) && *name != "write");
    let rest = rest.collect::<Vec<_>>();
    let mut entries = entries.clone();
    entries.push(json!({"names": rest, "action": "SCMP_ACT_NOTIFY"}));
    if !known.is_empty() {
        entries.push(json!({"names": known, "action": "SCMP_ACT_ALLOW"}));
    }
    if let Some(waiting) = waiting.as_object_mut() {
        waiting.insert("syscalls".to_owned(), Value::Array(entries));
        waiting.insert("listenerPath".to_owned(), json!(socket));
    }
    waiting
}

/// The filter program with notifications instead of kills, and the known calls let through first. Jumps
/// are relative, so a prefix changes none.
fn waiting_filter(program: &[u8], known: &BTreeSet<String>, arch: Arch) -> Vec<u8> {
    let mut waiting = Vec::with_capacity(program.len() + 32 * known.len());
    let mut push = |code: u16, yes: u8, no: u8, operand: u32| {
        waiting.extend_from_slice(&code.to_le_bytes());
        waiting.extend_from_slice(&[yes, no]);
        waiting.extend_from_slice(&operand.to_le_bytes());
    };
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    push(LOAD_NUMBER, 0, 0, 0);
    for number in known.iter().filter_map(|name| calls::number(arch, name)) {
        push(JUMP_IF_EQUAL, 0, 1, number);
        push(RET, 0, 0, ALLOW);
    }
    for instruction in program.chunks_exact(8) {
        if let [c0, c1, yes, no, k0, k1, k2, k3] = *instruction {
            let code = u16::from_le_bytes([c0, c1]);
            let operand = u32::from_le_bytes([k0, k1, k2, k3]);
            let kills = code == RET && matches!(operand, KILL_PROCESS | KILL_THREAD);
            push(code, yes, no, if kills { USER_NOTIF } else { operand });
        }
    }
    waiting
}

/// Takes the connections that runc makes and leaves what is in them: as long as they are open, the
/// listeners in flight are too, and the stopped processes stay stopped.
struct Listener {
    path: String,
    _kept: Arc<Mutex<Vec<UnixStream>>>,
}

impl Listener {
    fn bind(path: &Path) -> Result<Listener, Diagnostic> {
        let socket = UnixListener::bind(path).map_err(|error| disk(path, &error))?;
        let kept = Arc::new(Mutex::new(Vec::new()));
        let streams = Arc::clone(&kept);
        // Ends with the process: a blocked accept costs nothing.
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                if let Ok(mut streams) = streams.lock() {
                    streams.push(stream);
                }
            }
        });
        Ok(Listener { path: container::text(path.to_owned())?, _kept: kept })
    }
}

/// Looks at the container's processes for one that stands at a forbidden call.
struct Watch<'a> {
    label: &'static str,
    arch: Arch,
    /// Numbers at which the filter stops a process.
    stops: BTreeSet<u32>,
    interrupted: &'a dyn Fn() -> bool,
    namespace: RefCell<Option<String>>,
    looked: Cell<Option<Instant>>,
    found: RefCell<Option<Violation>>,
}

impl<'a> Watch<'a> {
    fn new(label: &'static str, arch: Arch, stops: BTreeSet<u32>, interrupted: &'a dyn Fn() -> bool) -> Watch<'a> {
        let (namespace, looked, found) = Default::default();
        Watch { label, arch, stops, interrupted, namespace, looked, found }
    }

    fn look(&self) -> Option<Violation> {
        let namespace = self.namespace.borrow();
        let namespace = namespace.as_deref()?;
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let process = entry.path();
            if process_namespace(&process).as_deref() != Some(namespace) {
                continue;
            }
            for task in std::fs::read_dir(process.join("task")).ok().into_iter().flatten().flatten() {
                if let Some((number, counter)) = stopped_at(&task.path(), &self.stops) {
                    return Some(self.violation(&process, number, counter));
                }
            }
        }
        None
    }

    fn violation(&self, process: &Path, number: u32, counter: Option<u64>) -> Violation {
        let name = calls::name(self.arch, number);
        let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
        Violation {
            syscall: name.map_or_else(|| format!("call number {number}"), str::to_owned),
            program: diag::text::printable_bytes(program.as_os_str().as_encoded_bytes()),
            at: counter.and_then(|counter| mapped(process, counter)),
            filter: self.label.to_owned(),
        }
    }
}

impl Observer for Watch<'_> {
    fn started(&self, pid: Pid) {
        let process = format!("/proc/{}", pid.as_raw_nonzero());
        *self.namespace.borrow_mut() = process_namespace(Path::new(&process));
    }

    fn enough(&self) -> bool {
        if (self.interrupted)() || self.found.borrow().is_some() {
            return true;
        }
        if self.looked.get().is_some_and(|looked| looked.elapsed() < LOOK) {
            return false;
        }
        self.looked.set(Some(Instant::now()));
        let found = self.look();
        let enough = found.is_some();
        *self.found.borrow_mut() = found;
        enough
    }
}

/// The identity of a process's pid namespace.
fn process_namespace(process: &Path) -> Option<String> {
    std::fs::read_link(process.join("ns/pid")).ok()?.into_os_string().into_string().ok()
}

/// The call at which a filter holds this thread, and the address it was made from.
fn stopped_at(task: &Path, stops: &BTreeSet<u32>) -> Option<(u32, Option<u64>)> {
    // The function of the kernel that it sleeps in; a kernel may hide it ("0").
    let place = std::fs::read_to_string(task.join("wchan")).unwrap_or_default();
    let hidden = place.is_empty() || place == "0";
    if !hidden && !place.starts_with("seccomp") {
        return None;
    }
    // "135 0xffffffff 0x1 … 0x7ffd… 0x43ad77": number, six arguments, stack, address after the call.
    let text = std::fs::read_to_string(task.join("syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number = words.next()?.parse::<u64>().ok()?;
    let counter = words.last().and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let number = u32::try_from(number & 0xffff_ffff).ok()?;
    // Where the place is hidden: a filtered thread is inside a call that its filter does not let begin.
    let stopped = !hidden || stops.contains(&number) && is_filtered(task);
    stopped.then_some((number, counter))
}

/// Whether a thread has a seccomp filter: k8or as PID 1 has none in the image's case.
fn is_filtered(task: &Path) -> bool {
    let status = std::fs::read(task.join("status")).unwrap_or_default();
    status.split(|byte| *byte == b'\n').any(|line| line == b"Seccomp:\t2")
}

/// The file that an address of a process lies in, with the offset there: `/lib/libc.so.6+0x8a2b`.
fn mapped(process: &Path, address: u64) -> Option<String> {
    let maps = std::fs::read(process.join("maps")).ok()?;
    let maps = String::from_utf8_lossy(&maps).into_owned();
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let hex = |word: &str| u64::from_str_radix(word, 16).ok();
        let (from, to, offset) = (hex(from)?, hex(to)?, hex(words.nth(1)?)?);
        let file = words.nth(2)?;
        let inside = (from..to).contains(&address) && file.starts_with('/');
        inside.then(|| format!("{}+{:#x}", diag::text::printable(file), address - from + offset))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn kills_become_notifications_and_known_calls_pass() {
        let mut program = Vec::new();
        for operand in [KILL_PROCESS, KILL_THREAD, ALLOW, 0x0005_0001] {
            program.extend_from_slice(&[6, 0, 0, 0]);
            program.extend_from_slice(&operand.to_le_bytes());
        }
        let known = BTreeSet::from(["personality".to_owned()]);
        let waiting = waiting_filter(&program, &known, Arch::X86_64);
        let operand = |at: usize| u32::from_le_bytes(waiting[8 * at + 4..8 * at + 8].try_into().unwrap());
        assert_eq!((1..7).map(operand).collect::<Vec<_>>(), [135, ALLOW, USER_NOTIF, USER_NOTIF, ALLOW, 0x0005_0001]);
    }

    #[test]
    fn what_a_profile_names_is_left_alone() {
        let profile = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [
            {"names": ["read", "statx"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ]});
        let known = BTreeSet::from(["personality".to_owned()]);
        let waiting = waiting_profile(&profile, &known, Arch::X86_64, "/s");
        assert_eq!(waiting["syscalls"][0], profile["syscalls"][0]);
        let asked = notified(&waiting);
        for (name, expected) in [
            ("read", false),
            ("kexec_load", false),
            ("personality", false),
            ("write", false),
            ("sethostname", true),
            ("faccessat2", false),
        ] {
            assert_eq!(asked.contains(&name), expected, "{name}");
        }
        assert_eq!(waiting["syscalls"][3]["names"][0], "personality");
    }

    #[test]
    fn only_the_filter_of_the_sealed_configuration_changes() {
        let sealed = "k8or 1\nfilter /k8or/filter.bpf sha256:00 3\non-violation kill-process\nprogram /a filter\n";
        assert_eq!(
            resealed(sealed, "none", Some("wait")),
            "k8or 1\nfilter none\non-violation wait\nprogram /a filter\n"
        );
    }

    /// A thread as /proc shows it, made of files.
    fn task(wchan: &str, syscall: &str, seccomp: &str) -> tempfile::TempDir {
        let task = tempfile::tempdir().unwrap();
        for (name, text) in [("wchan", wchan), ("syscall", syscall), ("status", seccomp)] {
            std::fs::write(task.path().join(name), text).unwrap();
        }
        task
    }

    #[test]
    fn only_a_thread_that_a_filter_holds_is_stopped() {
        let stops = BTreeSet::from([135]);
        let (call, filtered, free) =
            ("135 0x1 0x0 0x0 0x0 0x0 0x0 0x7f 0x43ad77\n", "a\nSeccomp:\t2\n", "Seccomp:\t0\n");
        let at = |wchan, syscall, status| stopped_at(task(wchan, syscall, status).path(), &stops);
        assert_eq!(at("seccomp_do_user_notification.isra.0", call, filtered), Some((135, Some(0x43ad77))));
        assert_eq!(at("do_wait", call, filtered), None);
        assert_eq!(at("0", call, filtered), Some((135, Some(0x43ad77))));
        assert_eq!(at("0", call, free), None);
        assert_eq!(at("0", "61 0x1 0x0 0x0 0x0 0x0 0x0 0x7f 0x43ad77\n", filtered), None);
        assert_eq!(at("0", "running\n", filtered), None);
    }
}
