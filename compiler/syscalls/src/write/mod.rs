//! Writers of profiles: [`runtime_spec`] for the node, [`filter`] for the image.
//!
//! Both say the same, with two differences that belong to who loads them. The file on the node also holds
//! what the container runtime itself calls before the program starts. And runc answers ENOSYS to numbers
//! above the highest that the file names, so that newer C libraries fall back; the filter in the image
//! gives them the default action like any other call.

pub mod filter;
pub mod runtime_spec;

use plan::calls;
use plan::platform::Arch;
use plan::profile::{Action, Profile};
use std::collections::BTreeMap;

/// The named calls of `arch` by number. Names that it lacks are left out.
fn by_number(profile: &Profile, arch: Arch) -> BTreeMap<u32, Action> {
    let numbered = |(name, decision): (&String, &plan::profile::CallDecision)| {
        calls::number(arch, name).map(|number| (number, decision.action))
    };
    profile.calls.iter().filter_map(numbered).collect()
}

#[cfg(test)]
pub(crate) mod sample {
    //! Profiles for the tests of both writers.

    use super::*;
    use plan::profile::{CallDecision, DefaultAction};
    use plan::reason::Reason;

    /// A profile of these calls, for both architectures.
    pub fn profile<'a>(otherwise: DefaultAction, calls: impl IntoIterator<Item = (&'a str, Action)>) -> Profile {
        let decide = |(name, action): (&str, Action)| {
            (name.to_owned(), CallDecision { action, reason: Reason::fact("a test says so") })
        };
        Profile {
            name: "test".to_owned(),
            otherwise,
            calls: calls.into_iter().map(decide).collect(),
            archs: Arch::ALL.into(),
            widenings: Vec::new(),
            accepted: Vec::new(),
        }
    }

    /// What RuntimeDefault allows, probes refused.
    pub fn default_profile() -> Profile {
        let refused = calls::groups::calls(calls::groups::PROBES).iter().map(|name| (*name, Action::Errno(38)));
        let allowed = calls::groups::calls(calls::groups::RUNTIME_DEFAULT).iter().map(|name| (*name, Action::Allow));
        profile(DefaultAction::KillProcess, refused.chain(allowed))
    }
}
