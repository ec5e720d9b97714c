//! Specs as data: each case of `cases/*.txt` gives exactly the diagnostics that it lists, at exactly these places.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Memory;
use lang::schema::types::Type;

/// Name, spec, expected lines.
fn cases(text: &str) -> Vec<(String, String, Vec<String>)> {
    let blocks = text.split("\n=== ").skip(1);
    let case = |block: &str| {
        let (name, rest) = block.split_once('\n').expect("a name");
        let (spec, expected) = rest.split_once("---").expect("a line of ---");
        let spec = match spec.starts_with("k8orc") {
            true => spec.to_owned(),
            false => format!("k8orc version=1\nimage \"x\" {{ base \"scratch\" }}\n{spec}"),
        };
        (name.to_owned(), spec, expected.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    };
    blocks.map(case).collect()
}

fn run(text: &str) {
    let mut wrong = String::new();
    for (name, spec, expected) in cases(text) {
        let outcome = Memory::new(&spec).run();
        if outcome.lines() != expected {
            wrong += &format!(
                "\n=== {name}\n{spec}wanted {expected:#?}\n   got {:#?}\n{}\n",
                outcome.lines(),
                outcome.story()
            );
        }
        assert_eq!(outcome.spec.is_none(), outcome.found.has_errors(), "{name}: a Spec exactly without errors");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn schema() {
    run(include_str!("cases/schema.txt"));
}

#[test]
fn whole() {
    run(include_str!("cases/whole.txt"));
}

#[test]
fn every_type_has_a_failing_case() {
    let names: Vec<String> = cases(include_str!("cases/schema.txt")).into_iter().map(|(name, _, _)| name).collect();
    for ty in Type::all() {
        assert!(names.contains(&format!("type {}", ty.name())), "no case `type {}`", ty.name());
    }
}

/// A spec that uses what the language has, and is built today.
#[test]
fn the_example_is_read() {
    let text = include_str!("cases/example.kdl");
    let mut memory = Memory::new(text);
    for file in ["nginx.conf", "app.conf.j2", "web.toml", "k8s/topology.yaml"] {
        memory.file(file, "");
    }
    memory.file("team/base.kdl", "k8orc version=1\n");
    let outcome = memory.run();
    assert_eq!(outcome.lines(), Vec::<String>::new(), "{}", outcome.story());
    let spec = outcome.spec();
    assert_eq!(spec.image.labels[0].1.value, "v1.0");
    assert_eq!((spec.volumes.len(), spec.stages.len(), spec.checks.len(), spec.files.add.len()), (3, 2, 2, 4));
    assert_eq!(spec.workloads[0].secrets.len(), 2);
    assert_eq!(spec.volumes[1].mounts[0].mode.unwrap().value, 0o700);
    assert!(spec.stages[1].classes[0].expand.unwrap().value);
    assert_eq!(spec.syscalls.otherwise.as_ref().unwrap().value, "kill-process");
}
