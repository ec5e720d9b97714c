//! `keep`: what stays of a base and what is added to it, each thing with its reason.
//!
//! One rule (design §3): **keep > needed > remove > the rest goes.** The steps:
//! 1. accounts by name, so that owners mean something;
//! 2. what the spec adds, laid over the base's tree;
//! 3. programs, and what each needs to start: links, interpreter, loader, libraries; with `closure="files"` what these
//!    need besides (`reach`);
//! 4. packages: those that are kept or that own what is needed, with their dependencies or without;
//! 5. each name of the base; directories and links that follow from it;
//! 6. accounts by what stays.
//!
//! Pure: contents of programs come through [`Inspect`], the user's files through the World.

mod accounts;
mod add;
mod assemble;
mod families;
mod files;
mod globs;
mod ignore;
mod index;
mod known;
mod leftovers;
mod libraries;
mod near;
mod needs;
mod overlay;
mod packages;
mod programs;
mod reach;
mod template;
#[cfg(test)]
mod tests;
mod unowned;

use std::collections::BTreeMap;

use diag::Diagnostics;
use lang::spec::Spec;
use lang::world::World;

use crate::facts::Facts;
use crate::kept::Kept;
use index::Index;

pub use accounts::wanted_ids;
pub use families::{apk_directory, rpm_directory};
pub use index::owned;
pub use known::{ACCOUNT_FILES, dpkg_directory};
pub use needs::{Dynamic, Inspect, MENTIONS, Start};
pub use reach::RULES;

/// Ids of new accounts that say `auto`, as the lock has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// By login name.
    pub users: BTreeMap<String, u32>,
    /// By group name, the groups of new users too.
    pub groups: BTreeMap<String, u32>,
}

/// What the decision is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What the user wrote.
    pub spec: &'a Spec,
    /// What the base holds.
    pub facts: &'a Facts,
    /// Looks into programs.
    pub inspect: &'a dyn Inspect,
    /// The user's files.
    pub world: &'a dyn World,
    /// Ids from the lock.
    pub ids: &'a Ids,
    /// Seconds since 1970 for all that we make.
    pub epoch: i64,
}

/// Decides what stays of the base and what is added. The result is whole even when there are errors, so that
/// later steps can complain of more; it is not to be written then.
pub fn keep(input: &Input<'_>) -> (Kept, Diagnostics) {
    let mut out = Diagnostics::new();
    let accounts = accounts::Accounts::new(input, &mut out);
    let overlay = add::additions(input, &accounts, &mut out);
    let env = programs::environment(input);
    let roots = programs::programs(input, &overlay, &env, &mut out);
    programs::complain_scripts(input, &overlay, &roots, &mut out);
    programs::complain_workloads(input, &overlay, &env, &roots, &mut out);
    let index = Index::new(input.facts);
    let mut closure = needs::Closure::new(input.facts, &overlay, input.inspect, &env);
    let needed_by = closure.programs(&roots, &mut out);
    if reach::by_files(input.spec) {
        reach::follow(&mut closure, input, &index, &mut out);
    }
    let needed = closure.into_needed();
    // With `closure="runtime"`: packages that were passed over and that a program of another needs all the same.
    let mut missed = Vec::new();
    let verdicts = loop {
        let mut found = Diagnostics::new();
        let verdicts = packages::packages(input, &index, &needed, &missed, &mut found);
        let scratch = needs::Closure::new(input.facts, &overlay, input.inspect, &env);
        let more = reach::missed(scratch, input, &index, &needed, &verdicts);
        if more.is_empty() {
            out.extend(found);
            break verdicts;
        }
        missed.extend(more);
    };
    let fates = files::files(input, &index, &overlay, &needed, &verdicts, &mut out);
    let fates = leftovers::settle(&index, &overlay, fates);
    let mut kept = assemble::assemble(input, &index, overlay, accounts, roots, &verdicts, &fates, &mut out);
    kept.needed = needed_by;
    families::complain_frozen(input, &kept, &mut out);
    (kept, out)
}
