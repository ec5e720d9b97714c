//! Mistake 32: a patch starts something beside the runtime layer, so it has no filter, and no secret that only the
//! layer gives. Commands and probes of the language go through the layer always (`kube::pod`).

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Severity, codes};

use super::view::View;
use crate::plan::Plan;

/// The layer's program in every image.
const LAYER: &str = "/k8or/k8or";

/// Commands, hooks and probes of every patch.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan) {
        for command in view.patched.commands.iter().filter(|one| around(&one.argv)) {
            let message = format!(
                "{} replaces the command{}, so the runtime layer does not start it: no filter is installed",
                printable(&command.file),
                view.place()
            );
            found.push(
                Diagnostic::new(codes::E0932, message)
                    .at(command.span, "this patch")
                    .note(format!("it starts \"{}\" itself", printable(&command.argv.join(" "))))
                    .help("say the command in the spec: workload \"…\" { command \"/usr/…\" }")
                    .help(format!("or begin it with the layer: command: [{LAYER}, run, --, …]")),
            );
        }
        // A program that is not there is E0910.
        let hooks =
            view.patched.hooks.iter().filter(|hook| {
                around(&hook.argv) && view.program(hook.argv.first().map_or("", String::as_str)).is_some()
            });
        for hook in hooks {
            let message = format!(
                "{} of {} runs beside the runtime layer: without the filter{}",
                hook.what,
                printable(&hook.file),
                view.place()
            );
            found.push(
                Diagnostic::new(codes::E0932, message).severity(Severity::Warning).at(hook.span, "this patch").help(
                    format!(
                        "begin it with the layer: command: [{LAYER}, exec, --, {}]",
                        printable(&hook.argv.join(", "))
                    ),
                ),
            );
        }
    }
}

fn around(argv: &[String]) -> bool {
    argv.first().is_some_and(|word| word != LAYER)
}

/// The program that a line starts, the layer's own words passed over; `None` where it is the layer itself.
pub(super) fn program(argv: &[String]) -> Option<&str> {
    if around(argv) {
        return argv.first().map(String::as_str);
    }
    match argv.iter().position(|word| word == "--") {
        Some(at) => argv.get(at + 1).map(String::as_str),
        None => None,
    }
}
