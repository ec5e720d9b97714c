//! What a workload starts must be a program of the image: a root of what is kept, and covered by the profile.

use std::collections::BTreeSet;

use diag::{Diagnostic, Diagnostics, Spanned, codes};

use super::suggest;
use crate::spec::*;

pub(super) fn check(spec: &Spec, found: &mut Diagnostics) {
    let checks = spec.checks.iter().filter_map(|check| match check {
        Check::Exec { argv, .. } => argv.first(),
        Check::Http { .. } => None,
    });
    let programs: BTreeSet<&str> = spec
        .image
        .entrypoint
        .iter()
        .take(1)
        .chain(&spec.image.runs)
        .chain(checks)
        .map(|name| name.value.as_str())
        .collect();
    for workload in &spec.workloads {
        let probes = workload.probes.iter().filter_map(|probe| match &probe.action {
            ProbeAction::Exec { argv } => argv.first().map(|program| (program, "a probe")),
            _ => None,
        });
        let command = workload.command.first().map(|program| (program, "the command"));
        for (program, what) in command.into_iter().chain(probes) {
            if !programs.contains(program.value.as_str()) {
                let diagnostic = undeclared(program, what, &programs, found);
                found.push(diagnostic);
            }
        }
    }
}

fn undeclared(program: &Spanned<String>, what: &str, programs: &BTreeSet<&str>, found: &Diagnostics) -> Diagnostic {
    let message = format!("{what} starts `{}`, which is none of the image's programs", program.value);
    let diagnostic = Diagnostic::new(codes::E0123, message);
    let diagnostic = match suggest(found, &program.value, programs.iter().copied()) {
        Some(near) => diagnostic.at(program.span, format!("did you mean `{near}`?")),
        None => diagnostic.at(program.span, "not kept for sure, and not in the profile"),
    };
    diagnostic.help(format!("in `image`: runs \"{}\"", program.value))
}
