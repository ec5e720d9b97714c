//! Knowledge of how libraries are written, as data: what a function does only under a condition that can be
//! proved of the process, or is stated in the report.
//!
//! Internal functions have no names in stripped files. A rule finds them by what they lead to; where that finds
//! nothing or is ambiguous, it does nothing. Rules whose enabler turns out to be reachable are withdrawn and the
//! search is done again without them, so that rules may hold each other up.

use std::collections::{BTreeMap, BTreeSet};

use plan::calls;
use plan::platform::Arch;

use super::link::{Loaded, Process};
use super::reach::{Cuts, Node, Reach};
use super::result::Applied;
use super::summary::{Edge, Held, Named, Summary};

/// When a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// None of these exports of its file is reached: proved by the search itself.
    Unreached(&'static [&'static str]),
    /// The same, but that a function of the file itself may reach the first of them, as it does no harm there.
    UnreachedBut(Which, &'static [&'static str]),
    /// The node's kernel is at least this: stated.
    Kernel(u32, u32),
    /// The manifest owns the environment: stated.
    Environment,
}

/// Which units of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// An exported function, of this version where the name has several.
    Export(&'static str, Option<&'static str>),
    /// Those without a name that lead straight to all of these exports or imports.
    Leads(&'static [&'static str]),
    /// Those that make all of these calls themselves: `pthread_create` and what it leads to.
    Makes(&'static [&'static str]),
}

/// What is taken out of the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The units are not entered.
    Closed,
    /// Steps to these exports and imports, and calls of their own.
    Parts(&'static [&'static str], &'static [&'static str]),
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub name: &'static str,
    pub condition: &'static str,
    pub file: &'static str,
    pub holds: Holds,
    pub cuts: &'static [(Which, Cut)],
}

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "mutexes without priority protection",
        condition: "no file of the process calls pthread_mutexattr_setprotocol",
        file: "libc.so.6",
        holds: Holds::Unreached(&["pthread_mutexattr_setprotocol"]),
        cuts: &[
            // __pthread_tpp_change_priority, __pthread_current_priority, __init_sched_fifo_prio
            (Which::Leads(&["sched_getparam", "sched_getscheduler"]), Cut::Closed),
            (Which::Leads(&["sched_get_priority_max", "sched_get_priority_min"]), Cut::Closed),
        ],
    },
    Rule {
        name: "threads with the default scheduling",
        condition: "no file of the process calls pthread_attr_setschedpolicy, pthread_attr_setschedparam, \
                    pthread_attr_setinheritsched or pthread_setattr_default_np",
        file: "libc.so.6",
        holds: Holds::Unreached(&[
            "pthread_attr_setschedpolicy",
            "pthread_attr_setschedparam",
            "pthread_attr_setinheritsched",
            "pthread_setattr_default_np",
        ]),
        cuts: &[
            (
                Which::Export("pthread_create", None),
                Cut::Parts(&[], &["sched_getscheduler", "sched_getparam", "sched_setscheduler"]),
            ),
            (Which::Makes(&["sched_setaffinity", "sched_setscheduler"]), Cut::Parts(&[], &["sched_setscheduler"])),
        ],
    },
    Rule {
        name: "posix_spawn without attributes",
        condition: "no file of the process calls posix_spawnattr_setflags (but the C library's system), \
                    posix_spawnattr_setpgroup or the posix_spawn_file_actions for directories, terminals and closefrom",
        file: "libc.so.6",
        // `system` asks for signal masks and defaults only (sysdeps/posix/system.c).
        holds: Holds::UnreachedBut(
            Which::Leads(&["posix_spawnattr_setflags", "posix_spawnattr_setsigmask", "posix_spawn"]),
            &[
                "posix_spawnattr_setflags",
                "posix_spawnattr_setpgroup",
                "posix_spawnattr_setschedparam",
                "posix_spawnattr_setschedpolicy",
                "posix_spawn_file_actions_addchdir_np",
                "posix_spawn_file_actions_addfchdir_np",
                "posix_spawn_file_actions_addclosefrom_np",
                "posix_spawn_file_actions_addtcsetpgrp_np",
            ],
        ),
        cuts: &[(
            Which::Leads(&["setsid", "setpgid", "sched_setscheduler", "sched_setparam"]),
            Cut::Parts(
                &[
                    "setsid",
                    "setpgid",
                    "getpgid",
                    "tcsetpgrp",
                    "fchdir",
                    "chdir",
                    "sched_setscheduler",
                    "sched_setparam",
                    "getuid",
                    "getgid",
                ],
                &["close_range", "setresuid", "setresgid"],
            ),
        )],
    },
    Rule {
        name: "no Sun RPC",
        condition: "no file of the process uses the C library's RPC (svc_*, clnt_*)",
        file: "libc.so.6",
        holds: Holds::Unreached(&[
            "__rpc_thread_svc_fdset",
            "__rpc_thread_createerr",
            "__rpc_thread_svc_pollfd",
            "__rpc_thread_svc_max_pollfd",
        ]),
        cuts: &[(Which::Export("__rpc_thread_destroy", None), Cut::Parts(&["svc_unregister", "xprt_unregister"], &[]))],
    },
    Rule {
        name: "faccessat2 is there",
        condition: "the node's kernel is 5.8 or later",
        file: "libc.so.6",
        holds: Holds::Kernel(5, 8),
        cuts: &[(
            Which::Export("faccessat", None),
            Cut::Parts(&["geteuid", "getuid", "getegid", "getgid", "group_member"], &["faccessat"]),
        )],
    },
    Rule {
        name: "getrandom is there",
        condition: "the node's kernel is 3.17 or later",
        file: "libcrypto.so.3",
        holds: Holds::Kernel(3, 17),
        // wait_random_seeded, only after getrandom gave nothing.
        cuts: &[(Which::Leads(&["shmget", "shmat", "select", "open"]), Cut::Closed)],
    },
    Rule {
        name: "no profiling by the loader",
        condition: "LD_PROFILE is not set; the manifest owns the environment",
        file: "ld-linux",
        holds: Holds::Environment,
        cuts: &[(Which::Makes(&["setitimer"]), Cut::Closed)],
    },
];

/// The probe that a rule relies on: it must not be answered with ENOSYS while the rule holds.
pub(crate) fn relies_on(rule: &str) -> Option<&'static str> {
    match rule {
        "faccessat2 is there" => Some("faccessat2"),
        "getrandom is there" => Some("getrandom"),
        _ => None,
    }
}

/// Units by the names that their file exports them under.
fn exported(summary: &Summary, name: &str, version: Option<&str>) -> Vec<u32> {
    let fits = |e: &&super::summary::Export| e.name == name && version.is_none_or(|v| e.version.as_deref() == Some(v));
    let unit = |e: &super::summary::Export| match e.to {
        Named::Unit(unit) | Named::Resolver(unit) => Some(unit),
        _ => None,
    };
    summary.exports.iter().filter(fits).filter_map(unit).collect()
}

/// Whether an edge leads to a name of the file's own or of another.
fn leads(summary: &Summary, edge: Edge, own: &[u32], name: &str) -> bool {
    match edge {
        Edge::Go(unit) => own.contains(&unit),
        Edge::Through(slot) | Edge::Read(slot) => match summary.slots.get(slot as usize).map(|slot| slot.to) {
            Some(Held::Import(import)) => summary.imports.get(import as usize).is_some_and(|i| i.name == name),
            _ => false,
        },
        _ => false,
    }
}

fn units(summary: &Summary, which: Which, arch: Arch) -> Vec<u32> {
    let named: BTreeSet<u32> = summary
        .exports
        .iter()
        .filter_map(|e| match e.to {
            Named::Unit(unit) | Named::Resolver(unit) => Some(unit),
            _ => None,
        })
        .collect();
    match which {
        Which::Export(name, version) => exported(summary, name, version),
        Which::Leads(names) => {
            let own: Vec<(Vec<u32>, &str)> = names.iter().map(|name| (exported(summary, name, None), *name)).collect();
            let all = |unit: &super::summary::Unit| {
                own.iter().all(|(own, name)| unit.edges.iter().any(|edge| leads(summary, *edge, own, name)))
            };
            let found = (0_u32..).zip(&summary.units).filter(|(place, unit)| !named.contains(place) && all(unit));
            found.map(|(place, _)| place).collect()
        }
        Which::Makes(wanted) => {
            let numbers: Vec<u32> = wanted.iter().filter_map(|name| calls::number(arch, name)).collect();
            if numbers.len() != wanted.len() {
                return Vec::new();
            }
            let makes = |unit: &super::summary::Unit, n: &u32| unit.sites.iter().any(|site| site.numbers.contains(n));
            let all = |unit: &super::summary::Unit| numbers.iter().all(|n| makes(unit, n));
            (0_u32..).zip(&summary.units).filter(|(_, unit)| all(unit)).map(|(place, _)| place).collect()
        }
    }
}

fn concerns(rule: &Rule, loaded: &Loaded) -> bool {
    let soname = loaded.summary.soname.as_deref().unwrap_or_default();
    soname == rule.file || rule.file == "ld-linux" && soname.starts_with("ld-linux")
}

/// What the rules take out of one file.
pub(crate) fn cut(rules: &BTreeSet<usize>, file: u32, loaded: &Loaded, arch: Arch, cuts: &mut Cuts) {
    for rule in rules.iter().filter_map(|place| RULES.get(*place)).filter(|rule| concerns(rule, loaded)) {
        let summary = &loaded.summary;
        for (which, cut) in rule.cuts {
            for unit in units(summary, *which, arch) {
                match cut {
                    Cut::Closed => _ = cuts.closed.insert((file, unit)),
                    Cut::Parts(names, own) => {
                        let numbers = own.iter().filter_map(|name| calls::number(arch, name));
                        cuts.calls.extend(numbers.map(|number| (file, unit, number)));
                        let Some(known) = summary.units.get(unit as usize) else { continue };
                        for name in *names {
                            let targets = exported(summary, name, None);
                            let edges = known.edges.iter().filter(|edge| leads(summary, **edge, &targets, name));
                            cuts.edges.extend(edges.map(|edge| (file, unit, *edge)));
                        }
                    }
                }
            }
        }
    }
}

/// Whether reachable code or data leads to units of a file, which others know by `name`, other than `harmless`
/// units of the same file.
fn entered_besides(process: &Process, reach: &Reach, to: (u32, &[u32]), name: &str, harmless: &[u32]) -> bool {
    (0_u32..).zip(&process.files).any(|(file, loaded)| {
        let summary = &loaded.summary;
        let same = file == to.0;
        let held = |held: Held| match held {
            Held::Unit(unit) | Held::Resolver(unit) => same && to.1.contains(&unit),
            Held::Import(import) => summary.imports.get(import as usize).is_some_and(|i| i.name == name),
            _ => false,
        };
        let slot = |slot: u32| summary.slots.get(slot as usize).is_some_and(|slot| held(slot.to));
        let leads = |edge: &Edge| match *edge {
            Edge::Go(unit) | Edge::Take(unit) => same && to.1.contains(&unit),
            Edge::Through(place) | Edge::Read(place) => slot(place),
            Edge::Data(_) => false,
        };
        let unit = (0_u32..).zip(&summary.units).any(|(place, unit)| {
            reach.has(file, place) && !(same && harmless.contains(&place)) && unit.edges.iter().any(leads)
        });
        let object = (0_u32..).zip(&summary.objects).any(|(place, object)| {
            let slots = summary.slots.get(summary.slots_in(object.start, object.end)).unwrap_or_default();
            // Words for linkage are read one by one, by the code above.
            let table = object.section.starts_with(".got");
            reach.parent(Node::Object(file, place)).is_some() && !table && slots.iter().any(|slot| held(slot.to))
        });
        unit || object
    })
}

/// The rules of which the enabler is reached.
pub(crate) fn refuted(rules: &BTreeSet<usize>, process: &Process, reach: &Reach, arch: Arch) -> BTreeSet<usize> {
    let mut wrong = BTreeSet::new();
    for place in rules {
        let Some(rule) = RULES.get(*place) else { continue };
        let (but, enablers) = match rule.holds {
            Holds::Unreached(enablers) => (None, enablers),
            Holds::UnreachedBut(but, enablers) => (Some(but), enablers),
            Holds::Kernel(..) | Holds::Environment => continue,
        };
        for (file, loaded) in (0_u32..).zip(&process.files).filter(|(_, loaded)| concerns(rule, loaded)) {
            let harmless = but.map(|which| units(&loaded.summary, which, arch)).unwrap_or_default();
            for (n, name) in enablers.iter().enumerate() {
                let units = exported(&loaded.summary, name, None);
                let reached = units.iter().any(|unit| reach.has(file, *unit));
                let mine = if n == 0 { harmless.as_slice() } else { &[] };
                if reached && (mine.is_empty() || entered_besides(process, reach, (file, &units), name, mine)) {
                    wrong.insert(*place);
                }
            }
        }
    }
    wrong
}

/// What the report says of the rules that were applied: those that concern a file of the process.
pub(crate) fn applied(rules: &BTreeSet<usize>, process: &Process, arch: Arch) -> Vec<Applied> {
    let mut told = BTreeMap::new();
    for rule in rules.iter().filter_map(|place| RULES.get(*place)) {
        for loaded in process.files.iter().filter(|loaded| concerns(rule, loaded)) {
            if rule.cuts.iter().any(|(which, _)| !units(&loaded.summary, *which, arch).is_empty()) {
                let proved = matches!(rule.holds, Holds::Unreached(_) | Holds::UnreachedBut(..));
                told.insert(rule.name, Applied { name: rule.name, condition: rule.condition, proved });
            }
        }
    }
    told.into_values().collect()
}

/// Which rules may be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// Rules at all; without them nothing is assumed of any library.
    pub rules: bool,
    /// The oldest kernel of a node.
    pub kernel: (u32, u32),
    /// Whether the manifest owns the environment.
    pub environment: bool,
}

impl Assumptions {
    /// No rule.
    pub const NONE: Assumptions = Assumptions { rules: false, kernel: (0, 0), environment: false };
}

impl Default for Assumptions {
    /// Rules that are proved, a kernel of 5.8, an environment of the manifest's own.
    fn default() -> Self {
        Assumptions { rules: true, kernel: (5, 8), environment: true }
    }
}

/// The rules to begin with.
pub(crate) fn hopeful(assumptions: &Assumptions) -> BTreeSet<usize> {
    let holds = |rule: &Rule| match rule.holds {
        Holds::Unreached(_) | Holds::UnreachedBut(..) => true,
        Holds::Kernel(major, minor) => assumptions.kernel >= (major, minor),
        Holds::Environment => assumptions.environment,
    };
    let rules = RULES.iter().enumerate().filter(|(_, rule)| assumptions.rules && holds(rule));
    rules.map(|(place, _)| place).collect()
}
