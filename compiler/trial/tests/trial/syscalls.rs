//! Programs that call what their profile lacks.

use std::collections::BTreeSet;

use trial::Violation;

use crate::harness::{able, codes, run};
use crate::image::Draft;

fn found(violations: &[Violation]) -> Vec<(&str, &str, &str)> {
    let show = |found: &Violation| -> (&'static str, &'static str, &'static str) {
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        (leak(&found.syscall), leak(&found.program), leak(&found.filter))
    };
    violations.iter().map(show).collect()
}

#[test]
fn a_forbidden_call_is_named_with_its_program() {
    let Some(_turn) = able() else { return };
    let draft = Draft::new(&["personality", "then", "hostname", "then", "serve", "0.0.0.0:8080"]).ready_on_8080();
    let (report, said) = run(&draft.write());
    let report = report.unwrap();
    // The real filter killed at the first; the test went on and found the second too.
    assert_eq!(report.exit.status, 159);
    assert!(report.stderr.contains("k8or: killed by SIGSYS"), "{}", report.stderr);
    let expected = [("personality", "/bin/program", "workload"), ("sethostname", "/bin/program", "workload")];
    assert_eq!(found(&report.violations), expected);
    assert!(report.violations[0].at.as_ref().is_some_and(|at| at.starts_with("/bin/program+0x")));
    assert_eq!(codes(&said), ["E1110", "E1110", "E1112", "E1114"]);
    assert_eq!(said.0[0].message, "/bin/program calls personality, which is not in the profile");
    assert!(said.0[0].help[0].contains("syscalls { allow \"personality\" because="));
}

#[test]
fn the_filter_in_the_image_is_looked_at_too() {
    let Some(_turn) = able() else { return };
    let mut draft = Draft::new(&["personality", "then", "serve", "0.0.0.0:8080"]).ready_on_8080();
    draft.node_has = BTreeSet::from(["personality"]);
    let (report, said) = run(&draft.write());
    assert_eq!(found(&report.unwrap().violations), [("personality", "/bin/program", "image")]);
    assert_eq!(codes(&said), ["E1110", "E1112", "E1114"]);
}

#[test]
fn a_child_that_dies_of_it_is_noticed() {
    let Some(_turn) = able() else { return };
    let draft = Draft::new(&["child", "hostname", "then", "serve", "0.0.0.0:8080"]).ready_on_8080();
    let (report, said) = run(&draft.write());
    let report = report.unwrap();
    assert!(report.stdout.contains("signal: 31 (SIGSYS)"), "{}", report.stdout);
    assert_eq!(found(&report.violations), [("sethostname", "/bin/program", "workload")]);
    assert_eq!(codes(&said), ["E1110"]);
}

#[test]
fn an_exec_check_is_under_the_filter_as_well() {
    let Some(_turn) = able() else { return };
    let draft = Draft::new(&["serve", "0.0.0.0:8080"]).ready_on_8080().exec(&["personality"]);
    let (report, said) = run(&draft.write());
    assert_eq!(found(&report.unwrap().violations), [("personality", "/bin/program", "workload")]);
    assert_eq!(codes(&said), ["E1110", "E1112"]);
}

#[test]
fn a_call_that_happens_once_is_still_an_error() {
    let Some(_turn) = able() else { return };
    let draft = Draft::new(&["really", "personality", "then", "serve", "0.0.0.0:8080"]).ready_on_8080();
    let (report, said) = run(&draft.write());
    assert!(report.unwrap().violations.is_empty());
    assert_eq!(codes(&said), ["E1111", "E1112", "E1114"]);
}
