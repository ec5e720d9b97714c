//! Params: defaults, the command line, and what is refused of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Memory;

const SPEC: &str = "k8orc version=1
param \"tag\" default=\"1.0\"
param \"idle\" default=\"x\"
param \"port\" default=\"8080\"
image \"web\" { base \"scratch\"; label \"version\"=(t)\"v{{ tag | upper }}\" \"plain\"=\"v{{ tag }}\" }
workload \"web\" { port (t)\"{{ port }}\" }
";

#[test]
fn defaults_and_the_command_line() {
    let labels = |params: &[(&str, &str)]| {
        let outcome = Memory::new(SPEC).run_with(params);
        let spec = outcome.spec().clone();
        (
            spec.image.labels.iter().map(|(_, value)| value.value.clone()).collect::<Vec<_>>(),
            spec.workloads[0].ports[0].number.value,
        )
    };
    assert_eq!(labels(&[]), (vec!["v{{ tag }}".to_owned(), "v1.0".to_owned()], 8080));
    assert_eq!(labels(&[("tag", "a"), ("port", "9")]), (vec!["v{{ tag }}".to_owned(), "vA".to_owned()], 9));
}

#[test]
fn rendered_values_are_checked_as_written_ones() {
    assert_eq!(Memory::new(SPEC).run_with(&[("port", "70000")]).lines(), ["6:26 E0115"]);
    assert_eq!(Memory::new(SPEC).run_with(&[("port", "http")]).lines(), ["6:26 E0109"]);
}

#[test]
fn unknown_and_unused() {
    let outcome = Memory::new(SPEC).run_with(&[("tga", "1")]);
    assert_eq!(outcome.lines(), ["E0200"]);
    assert_eq!(outcome.found.0[0].help, ["did you mean -p tag=…?"]);
    assert_eq!(Memory::new(SPEC).run_with(&[("idle", "1")]).lines(), ["3:7 E0201"]);
    // A template's file may use any of them.
    let template = format!("{SPEC}files {{ template \"./spec.kdl\" to=\"/t\" }}\n");
    let outcome = Memory::new(&template).run_with(&[("idle", "1")]);
    assert_eq!(outcome.lines(), Vec::<String>::new());
    assert!(format!("{:?}", outcome.spec().files.add).contains("\"idle\": \"1\""));
}

#[test]
fn a_param_without_default_is_given() {
    let spec = SPEC.replace(" default=\"1.0\"", "");
    assert_eq!(Memory::new(&spec).run().lines(), ["2:7 E0202"]);
    assert_eq!(Memory::new(&spec).run_with(&[("tag", "2")]).lines(), Vec::<String>::new());
}

#[test]
fn modules_declare_params_and_importers_overrule_them() {
    let mut memory = Memory::new(
        "k8orc version=1\nuse \"./m.kdl\"\nparam \"p\" default=\"mine\" override=#true\nimage \"x\" { base \"scratch\" }\n",
    );
    memory.file("m.kdl", "k8orc version=1\nparam \"p\" default=\"theirs\"\nimage { workdir (t)\"/{{ p }}\" }\n");
    let outcome = memory.run();
    assert_eq!(outcome.spec().image.workdir.as_ref().unwrap().value, "/mine", "{}", outcome.story());
    memory.file(
        "spec.kdl",
        "k8orc version=1\nuse \"./m.kdl\"\nparam \"p\" default=\"mine\"\nimage \"x\" { base \"scratch\" }\n",
    );
    assert_eq!(memory.run().lines(), ["3:19 E0210"]);
}
