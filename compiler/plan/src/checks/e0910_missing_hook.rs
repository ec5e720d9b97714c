//! Mistake 10: a hook or probe starts what the image does not have (prometheus-operator #8605, distroless #891).
//! Those of the language are E0123 and E0603; this is for what a patch adds.

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};

use super::e0932_around_the_layer::program;
use super::view::View;
use crate::plan::Plan;

/// Hooks and probes of every patch.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan) {
        for hook in &view.patched.hooks {
            let Some(word) = program(&hook.argv).filter(|word| view.program(word).is_none()) else { continue };
            let message = format!("{} starts \"{}\", which is not in the image", hook.what, printable(word));
            found.push(
                Diagnostic::new(codes::E0910, message)
                    .at(hook.span, format!("this patch{}", view.place()))
                    .note("the kubelet runs it in the container: it fails each time")
                    .help("start a program of the image, or keep this one: image { runs \"/usr/bin/…\" }"),
            );
        }
    }
}
