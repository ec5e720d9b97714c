//! What a derivation has to say to the user, beside its result.

use diag::codes;
use diag::{Diagnostic, Diagnostics};

use super::result::{Derivation, Problem, Step, Witness};

/// A step as a person reads it: `libc.so.6: getaddrinfo`, or the address where there is no name.
pub fn step(step: &Step) -> String {
    let file = step.file.rsplit('/').next().unwrap_or(&step.file);
    match &step.name {
        Some(name) if step.data => format!("{file}: data in {name}"),
        Some(name) => format!("{file}: {name}"),
        None => format!("{file}: {:#x}", step.address),
    }
}

/// A witness as lines: the program, why its first step runs, each step, the instruction.
pub fn lines(witness: &Witness) -> Vec<String> {
    let mut lines = vec![format!("{} ({})", witness.program, witness.root)];
    lines.extend(witness.steps.iter().map(step));
    lines.push(format!("the call at {:#x}", witness.site));
    lines
}

fn way(witness: &Witness) -> String {
    lines(witness).join(" → ")
}

/// All diagnostics of a derivation. Which of them end a build is said by their codes.
pub fn diagnostics(derivation: &Derivation) -> Diagnostics {
    let mut all = Diagnostics::new();
    for widening in &derivation.widenings {
        let last = widening.witness.steps.last().map(step).unwrap_or_default();
        let message = format!("{last} at {:#x} makes a system call that is not known", widening.witness.site);
        all.push(Diagnostic::new(codes::E0713, message).note(way(&widening.witness)).help(widening.why));
    }
    for (number, witness) in &derivation.unknown {
        let message = format!("system call {number} has no name on this architecture");
        all.push(Diagnostic::new(codes::E0713, message).note(way(witness)));
    }
    for runtime in &derivation.runtimes {
        let message = format!("{} is a runtime that is open: {}", runtime.file, runtime.kind);
        let help = "allow what its programs call, found with `k8orc trace`; the derived set covers the runtime itself";
        all.push(Diagnostic::new(codes::E0714, message).help(help));
    }
    for loader in &derivation.loaders {
        let message = format!("{} calls {} with a name that is not in the file", step(&loader.step), loader.call);
        let help = "declare the files that it may load as plugins; without them their calls are not in the set";
        all.push(Diagnostic::new(codes::E0715, message).help(help));
    }
    for problem in &derivation.problems {
        all.push(match problem {
            Problem::Missing { wanted, by } => {
                let message = format!("{by} needs {wanted}, which is not kept");
                Diagnostic::new(codes::E0716, message).help("keep the file, or the package that it belongs to")
            }
            Problem::Unreadable { path, error } => {
                let message = format!("{path} cannot be analysed: {error}");
                Diagnostic::new(codes::E0717, message).help("allow what it calls by name, and do not derive it")
            }
        });
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::derive::result::{LoadsUnknown, Runtime, Widening};

    fn said(derivation: &Derivation) -> Vec<(&'static str, String)> {
        diagnostics(derivation).iter().map(|d| (d.code.id(), d.message.clone())).collect()
    }

    fn witness() -> Witness {
        let step = |file: &str, name: Option<&str>| Step {
            file: file.to_owned(),
            name: name.map(str::to_owned),
            address: 0x1000,
            data: false,
        };
        Witness {
            program: "/usr/bin/p".to_owned(),
            root: "entry of the program".to_owned(),
            steps: vec![step("/usr/bin/p", Some("main")), step("/usr/lib/libx.so.1", None)],
            site: 0x1010,
        }
    }

    #[test]
    fn a_call_of_unknown_number_is_told_with_its_way() {
        let widenings = vec![Widening { witness: witness(), why: "allow it by name" }];
        let derivation = Derivation { widenings, ..Derivation::default() };
        let text = "libx.so.1: 0x1000 at 0x1010 makes a system call that is not known";
        assert_eq!(said(&derivation), [("E0713", text.to_owned())]);
        let way = "/usr/bin/p (entry of the program) → p: main → libx.so.1: 0x1000 → the call at 0x1010";
        assert_eq!(lines(&witness()).join(" → "), way);
    }

    #[test]
    fn an_open_runtime_is_told() {
        let runtimes = vec![Runtime { kind: "foreign functions (libffi)", file: "/usr/lib/libffi.so.8".to_owned() }];
        let derivation = Derivation { runtimes, ..Derivation::default() };
        assert_eq!(said(&derivation)[0].0, "E0714");
    }

    #[test]
    fn a_loader_of_unknown_files_is_told() {
        let step = witness().steps.remove(0);
        let derivation = Derivation { loaders: vec![LoadsUnknown { step, call: "dlopen" }], ..Derivation::default() };
        assert_eq!(
            said(&derivation),
            [("E0715", "p: main calls dlopen with a name that is not in the file".to_owned())]
        );
    }

    #[test]
    fn a_missing_or_broken_file_is_an_error() {
        let problems = vec![
            Problem::Missing { wanted: "libx.so.1".to_owned(), by: "/usr/bin/p".to_owned() },
            Problem::Unreadable { path: "/usr/bin/q".to_owned(), error: "odd".to_owned() },
        ];
        let derivation = Derivation { problems, ..Derivation::default() };
        assert_eq!(said(&derivation).iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["E0716", "E0717"]);
        assert!(diagnostics(&derivation).has_errors());
    }
}
