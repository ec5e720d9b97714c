//! Whole-system checks: mistakes that join two artifacts, which no checker of one of them can see.
//!
//! A rule is a file, named for its code; the number is that of the list of cross-artifact mistakes. Which of them
//! is met elsewhere, and where, says compiler/docs/cross-artifact-mistakes.md. A rule gives an error where the
//! plan itself proves the failure, and a warning where it is only likely.

mod e0902_digit_names;
mod e0903_no_account;
mod e0904_foreign_directory;
mod e0906_read_only_path;
mod e0907_covered_program;
mod e0908_noexec_class;
mod e0910_missing_hook;
mod e0911_low_port;
mod e0912_other_port;
mod e0913_privileged_file;
mod e0914_changes_user;
mod e0922_workdir;
mod e0923_image_volume;
mod e0924_missing_data;
mod e0925_shared_claim;
mod e0926_claim_size;
mod e0928_no_scratch_space;
mod e0931_loose_mode;
mod e0932_around_the_layer;
mod patched;
#[cfg(test)]
mod tests;
mod view;

use diag::Diagnostics;

use crate::plan::Plan;

/// All rules, in order.
const RULES: &[fn(&Plan, &mut Diagnostics)] = &[
    e0902_digit_names::check,
    e0903_no_account::check,
    e0904_foreign_directory::check,
    e0906_read_only_path::check,
    e0907_covered_program::check,
    e0908_noexec_class::check,
    e0910_missing_hook::check,
    e0911_low_port::check,
    e0912_other_port::check,
    e0913_privileged_file::check,
    e0914_changes_user::check,
    e0922_workdir::check,
    e0923_image_volume::check,
    e0924_missing_data::check,
    e0925_shared_claim::check,
    e0926_claim_size::check,
    e0928_no_scratch_space::check,
    e0931_loose_mode::check,
    e0932_around_the_layer::check,
];

/// Runs every rule. Two platforms may give equal diagnostics; the driver says each once.
pub fn run(plan: &Plan) -> Diagnostics {
    let mut found = Diagnostics::new();
    for rule in RULES {
        rule(plan, &mut found);
    }
    found
}
