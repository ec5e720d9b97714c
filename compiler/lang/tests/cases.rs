//! Specs as data: each case of `cases/*.txt` gives exactly the diagnostics that it lists, at exactly these places.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Memory;
use diag::{FileId, SourceMap};
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
fn user_files() {
    for (name, text, expected) in cases(include_str!("cases/user.txt")) {
        let mut sources = SourceMap::new();
        let file = sources.add("config.kdl", text.as_str());
        let found = lang::user::read(&text, file).err().unwrap_or_default();
        let lines: Vec<String> = found.iter().map(|one| common::line(&sources, one)).collect();
        assert_eq!(lines, expected, "{name}: {found:#?}");
    }
    let whole = r#"k8orc version=1
mirror "debian" "https://mirror.example.com/debian"
mirror "ubuntu" "http://mirror.example.com/2026-01-01" snapshot=#true
keyring "debian" "team.gpg"
proxy https="http://proxy.example.com:3128" direct="localhost,.example.com"
trust "/etc/team/ca.pem"
registries "registry.example.com:5000/team" "docker.io"
"#;
    let read = lang::user::read(whole, FileId(0)).unwrap();
    assert_eq!(read.mirrors["debian"].url, "https://mirror.example.com/debian");
    assert!(read.mirrors["ubuntu"].snapshot && !read.mirrors["debian"].snapshot);
    assert_eq!(read.keyrings["debian"], "team.gpg");
    assert_eq!((read.http_proxy, read.no_proxy.as_deref()), (None, Some("localhost,.example.com")));
    assert_eq!(read.https_proxy.as_deref(), Some("http://proxy.example.com:3128"));
    assert_eq!(read.trust.as_deref(), Some("/etc/team/ca.pem"));
    assert_eq!(read.registries.unwrap().len(), 2);
    assert_eq!(lang::user::read("k8orc version=1", FileId(0)).unwrap(), lang::user::UserFile::default());
}

#[test]
fn every_type_has_a_failing_case() {
    let all = [include_str!("cases/schema.txt"), include_str!("cases/user.txt")];
    let names: Vec<String> = all.into_iter().flat_map(cases).map(|(name, _, _)| name).collect();
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
