//! The three classes of a derived profile: allowed, answered ENOSYS, and everything else, which kills.

use std::collections::BTreeSet;

use plan::calls::{self, groups};
use plan::platform::Arch;

use super::result::Derivation;
use super::rules::relies_on;

/// What a profile says about calls by name. What is in neither set is killed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// Made: what the programs can call, and what every process needs.
    pub allow: BTreeSet<String>,
    /// Answered ENOSYS: probes that have a fall-back and that no program was seen to make.
    pub enosys: BTreeSet<String>,
}

/// Sorts the calls of a derivation. Widenings are the caller's business: each allows every call that is not denied.
///
/// A probe whose fall-back a rule took out is not answered ENOSYS, as nothing would be left to fall back to. With
/// `refuse_clone3` that call stays ENOSYS even where it is reached, as Docker does it: its flags lie in memory,
/// where no filter sees them. The C library then makes `clone`, which is allowed with it.
pub fn classes(derivation: &Derivation, arch: Arch, refuse_clone3: bool) -> Classes {
    let exists = |name: &str| calls::number(arch, name).is_some();
    let mut allow: BTreeSet<String> = derivation.calls.keys().cloned().collect();
    allow.extend(groups::calls(groups::START).iter().filter(|name| exists(name)).map(|name| (*name).to_owned()));
    let kept: BTreeSet<&str> = derivation.rules.iter().filter_map(|rule| relies_on(rule.name)).collect();
    let mut enosys = BTreeSet::new();
    if refuse_clone3 && allow.contains("clone") && allow.remove("clone3") {
        enosys.insert("clone3".to_owned());
    }
    for probe in groups::calls(groups::PROBES).iter().filter(|name| exists(name)) {
        if !allow.contains(*probe) && !kept.contains(probe) {
            enosys.insert((*probe).to_owned());
        }
    }
    Classes { allow, enosys }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::derive::result::{Applied, Witness};

    fn derivation(names: &[&str], rules: &[&'static str]) -> Derivation {
        let witness = Witness { program: "/p".into(), root: "entry".into(), steps: Vec::new(), site: 0 };
        let applied = |name: &&'static str| Applied { name, condition: "", proved: true };
        Derivation {
            calls: names.iter().map(|name| ((*name).to_owned(), witness.clone())).collect(),
            rules: rules.iter().map(applied).collect(),
            ..Derivation::default()
        }
    }

    #[test]
    fn what_is_reached_is_allowed_and_other_probes_fall_back() {
        let found = classes(&derivation(&["openat", "clone", "clone3", "statx"], &[]), Arch::X86_64, false);
        assert!(
            ["openat", "clone3", "statx", "restart_syscall", "exit_group"].iter().all(|n| found.allow.contains(*n))
        );
        assert!(found.enosys.contains("faccessat2") && !found.enosys.contains("statx"));
        let refused = classes(&derivation(&["clone", "clone3"], &[]), Arch::X86_64, true);
        assert!(refused.enosys.contains("clone3") && refused.allow.contains("clone"));
        // Without clone there is nothing to fall back to.
        let alone = classes(&derivation(&["clone3"], &[]), Arch::X86_64, true);
        assert!(alone.allow.contains("clone3") && !alone.enosys.contains("clone3"));
    }

    #[test]
    fn a_probe_without_its_fall_back_is_never_refused() {
        let found = classes(&derivation(&["openat"], &["faccessat2 is there"]), Arch::X86_64, false);
        assert!(!found.enosys.contains("faccessat2") && !found.allow.contains("faccessat2"));
    }

    #[test]
    fn names_of_another_architecture_are_left_out() {
        let found = classes(&derivation(&["openat"], &[]), Arch::Aarch64, false);
        assert!(!found.allow.contains("time") && found.allow.contains("exit"));
    }
}
