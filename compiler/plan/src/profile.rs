//! Which system calls a set of programs may make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::platform::Arch;
use crate::reason::Reason;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is made.
    Allow,
    /// It returns this error number (1–4095).
    Errno(u16),
}

/// What happens at any other call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefaultAction {
    /// SIGSYS to the process.
    KillProcess,
    /// SIGSYS to the thread.
    KillThread,
    /// An error number.
    Errno(u16),
    /// It is made and logged.
    Log,
}

/// One call's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDecision {
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: Arc<Reason>,
}

/// A profile by call names; a name that an architecture lacks is left out there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `image` or a workload's name.
    pub name: String,
    /// Any call that is not named.
    pub otherwise: DefaultAction,
    /// Named calls.
    pub calls: BTreeMap<String, CallDecision>,
    /// Architectures that it is written for.
    pub archs: BTreeSet<Arch>,
    /// What the profile allows beyond what is said, each a sentence for the summary.
    pub widenings: Vec<String>,
    /// Accepted risks: `deny … because=`.
    pub accepted: Vec<String>,
}
