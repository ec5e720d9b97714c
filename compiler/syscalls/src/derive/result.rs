//! What a derivation says: calls with their witnesses, what could not be resolved, which files count and why.

use std::collections::BTreeMap;

/// The result for all programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derivation {
    /// Calls that the programs can make, by name, each with one way to it.
    pub calls: BTreeMap<String, Witness>,
    /// Calls of which the number is not known: each widens the profile until someone says what it is.
    pub widenings: Vec<Widening>,
    /// Numbers that are no calls of the architecture, with one way to each.
    pub unknown: BTreeMap<u32, Witness>,
    /// Runtimes that make code or call by description: what they run is not seen.
    pub runtimes: Vec<Runtime>,
    /// Functions that load files of which the name is not known: declare them as plugins.
    pub loaders: Vec<LoadsUnknown>,
    /// Rules that took calls out, each with its condition.
    pub rules: Vec<Applied>,
    /// Every file that counts, and why.
    pub files: Vec<Cause>,
    /// What is missing or cannot be read.
    pub problems: Vec<Problem>,
}

/// One way to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The program.
    pub program: String,
    /// Why the first step is reached.
    pub root: String,
    /// From there to the function that makes the call.
    pub steps: Vec<Step>,
    /// The instruction: in the file of the last step.
    pub site: u64,
}

/// A step of a way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The file.
    pub file: String,
    /// A function's name, or a section's for data.
    pub name: Option<String>,
    /// Its address in the file.
    pub address: u64,
    /// True for data that holds a pointer to the next step.
    pub data: bool,
}

/// A call of unknown number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The way to it.
    pub witness: Witness,
    /// Why it is not known, and how to resolve it.
    pub why: &'static str,
}

/// A runtime whose programs are not in the files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runtime {
    /// What it is.
    pub kind: &'static str,
    /// The file that is or has it.
    pub file: String,
}

/// A function that loads code by a name that is not in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadsUnknown {
    /// Where.
    pub step: Step,
    /// `dlopen` or `dlsym`.
    pub call: &'static str,
}

/// A rule that was applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    /// Its name.
    pub name: &'static str,
    /// The condition under which it holds, in a sentence.
    pub condition: &'static str,
    /// Whether the derivation has proved it, or the report states it.
    pub proved: bool,
}

/// A file that counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Its path.
    pub path: String,
    /// Why.
    pub because: Because,
}

/// Why a file counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// It is one of the programs.
    Program,
    /// A script names it in its first line.
    Script {
        /// The script.
        by: String,
    },
    /// It loads the others.
    Loader,
    /// Another file needs it (`DT_NEEDED`).
    Needed {
        /// Which.
        by: String,
    },
    /// Reachable code or data has its name.
    Named {
        /// In which file.
        by: String,
    },
    /// `/etc/nsswitch.conf` names it.
    NameService {
        /// As which service.
        service: String,
    },
    /// A module of iconv.
    CharacterSet,
    /// Declared by the spec.
    Declared,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// A file that another needs is not kept: the program does not start.
    Missing {
        /// Its name.
        wanted: String,
        /// Who needs it.
        by: String,
    },
    /// A file that counts cannot be analysed.
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        error: String,
    },
}
