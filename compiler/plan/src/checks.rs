//! Whole-system checks: mistakes that join two artifacts, which no checker of one of them can see.
//!
//! A rule is a file, named for its code; the number is that of the list of cross-artifact mistakes.

mod e0925_shared_claim;
mod e0926_claim_size;

use diag::Diagnostics;

use crate::plan::Plan;

/// All rules, in order.
const RULES: &[fn(&Plan, &mut Diagnostics)] = &[e0925_shared_claim::check, e0926_claim_size::check];

/// Runs every rule.
pub fn run(plan: &Plan) -> Diagnostics {
    let mut found = Diagnostics::new();
    for rule in RULES {
        rule(plan, &mut found);
    }
    found
}
