//! Modules: the merge does not see any order, importers overrule, and hostile sets of files end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Memory, Outcome};
use lang::spec::{BaseRef, IdChoice, Spec};

/// The Spec without places and digests of texts: what must not depend on any order.
fn canonical(spec: &Spec) -> String {
    let mut spec = spec.clone();
    let overruling = spec.overruling.len();
    spec.overruling.clear();
    for unit in &mut spec.units {
        unit.sha256.clear();
    }
    let text = format!("{spec:?} {overruling}");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Span { file: FileId(") {
        out += &rest[..at];
        rest = &rest[at..];
        rest = &rest[rest.find('}').unwrap() + 1..];
    }
    out + rest
}

const ENTRY: &[&str] = &[
    "use \"./a.kdl\"",
    "use \"./team/b.kdl\"",
    "use \"std/debian/minimal\"",
    "image \"web\" { base \"tar:base.tar\"; entrypoint \"/usr/bin/hello\" \"-g\" \"x\"; env B=\"2\" A=\"1\"; workdir \"/srv\" override=#true }",
    "files { keep \"/z\" \"/a/**\"; remove \"/y\" because=\"so\"; directory \"/var/x\"; copy \"./base.tar\" to=\"/etc/x\" }",
    "files { keep \"/m\"; symlink \"/l\" target=\"a\" }",
    "users { create \"web\" uid=5; create \"app\" uid=auto; group \"g\" { member \"web\" \"app\" } }",
    "volumes { volume \"v\" class=\"c\" size=\"1Gi\" { mount \"/data\"; mount \"/more\" } }",
    "workload \"one\" replicas=2 { port 8080 name=\"http\"; port 80 name=\"a\"; service port=80 target=\"a\" }",
    "workload \"two\" { env Z=\"1\"; env Y=\"2\" }",
    "stage \"prod\" { class \"c\" provisioner=\"x.y\" { parameter type=\"gp3\" } }",
    "checks { http 8080 \"/\"; exec \"/usr/bin/hello\" \"-t\" }",
];
const A: &[&str] = &[
    "use \"./team/b.kdl\"",
    "image { workdir \"/\"; env A=\"1\"; runs \"/usr/bin/b\" \"/usr/bin/a\" }",
    "files { remove \"/docs/**\"; keep \"/a/**\" }",
    "workload \"two\" { port 9000 }",
];
const B: &[&str] = &[
    "stage \"prod\" { namespace \"shop\" }",
    "syscalls { allow \"read\" \"@x\"; otherwise \"log\" }",
    "param \"p\" default=\"1\"",
];

fn permuted(step: usize) -> Memory {
    let order = |nodes: &[&str]| {
        let mut nodes = nodes.to_vec();
        if step % 2 == 1 {
            nodes.reverse();
        }
        let by = step / 2 % nodes.len();
        nodes.rotate_left(by);
        format!("k8orc version=1\n{}\n", nodes.join("\n"))
    };
    let mut memory = Memory::new(&order(ENTRY));
    memory.file("a.kdl", &order(A)).file("team/b.kdl", &order(B));
    memory
}

#[test]
fn no_order_is_seen() {
    let first = permuted(0).run();
    let wanted = canonical(first.spec());
    assert!(first.found.0.is_empty(), "{}", first.story());
    for step in 1..2 * ENTRY.len() {
        assert_eq!(canonical(permuted(step).run().spec()), wanted, "step {step}");
    }
    // The comparison can fail: another value is seen, and places are really gone.
    assert!(wanted.contains("/usr/bin/hello") && !wanted.contains("Span {"));
    let mut other = permuted(0);
    other.file("team/b.kdl", "k8orc version=1\nstage \"prod\" { namespace \"other\" }\n");
    assert_ne!(canonical(other.run().spec()), wanted);
}

#[test]
fn what_modules_say_is_united() {
    let outcome = permuted(0).run();
    let spec = outcome.spec();
    let texts = |list: &[diag::Spanned<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&spec.image.runs), ["/usr/bin/a", "/usr/bin/b"]);
    assert_eq!(spec.image.workdir.as_ref().unwrap().value, "/srv");
    assert_eq!(texts(&spec.image.entrypoint), ["/usr/bin/hello", "-g", "x"]);
    assert_eq!(texts(&spec.files.keep), ["/a/**", "/m", "/z"]);
    assert_eq!(spec.stages[0].namespace.as_ref().unwrap().value.name, "shop");
    assert_eq!(spec.workloads[1].ports[0].number.value, 9000);
    assert!(matches!(&spec.image.base.value, BaseRef::Tar(path) if path.path.to_str() == Some("base.tar")));
    assert_eq!(spec.users.create[1].uid.value, IdChoice::Fixed(5));
    let names: Vec<&str> = spec.units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["spec.kdl", "./a.kdl", "./team/b.kdl", "std/debian/minimal"]);
    assert!(spec.units[0].entry && !spec.units[1].entry);
    assert_eq!(spec.units[2].root.as_ref().unwrap().to_str(), Some("./team"));
}

/// The spec uses a and b, a uses c; each file's only node is given.
fn four(spec: &str, a: &str, b: &str, c: &str) -> Outcome {
    let mut memory = Memory::new(&format!(
        "k8orc version=1\nuse \"./a.kdl\" \"./b.kdl\"\nimage \"x\" {{ base \"scratch\" }}\n{spec}\n"
    ));
    memory.file("a.kdl", &format!("k8orc version=1\nuse \"./c.kdl\"\n{a}\n"));
    memory.file("b.kdl", &format!("k8orc version=1\n{b}\n"));
    memory.file("c.kdl", &format!("k8orc version=1\n{c}\n"));
    memory.run()
}

#[test]
fn only_an_importer_overrules() {
    let say = |what: &str| format!("syscalls {{ otherwise \"{what}\" }}");
    let over = |what: &str| format!("syscalls {{ otherwise \"{what}\" override=#true }}");
    // The same everywhere, and an importer over all others.
    assert_eq!(four(&say("log"), &say("log"), &say("log"), &say("log")).lines(), Vec::<String>::new());
    let outcome = four(&over("log"), &say("kill-thread"), "", &say("kill-process"));
    assert_eq!(outcome.lines(), Vec::<String>::new());
    assert_eq!(outcome.spec().syscalls.otherwise.as_ref().unwrap().value, "log");
    // Through a chain: the top one wins over an importer that overrules too.
    let outcome = four(&over("log"), &over("kill-thread"), "", &say("kill-process"));
    assert_eq!(outcome.spec().syscalls.otherwise.as_ref().unwrap().value, "log", "{}", outcome.story());
    // Not without saying so, not between strangers, not upward.
    for (spec, a, b, c) in [
        (say("log"), say("kill-thread"), String::new(), String::new()),
        (String::new(), over("log"), say("kill-thread"), String::new()),
        (say("log"), String::new(), String::new(), over("kill-thread")),
    ] {
        let outcome = four(&spec, &a, &b, &c);
        let conflicts: Vec<_> = outcome.found.iter().filter(|one| one.code == diag::codes::E0210).collect();
        assert_eq!(conflicts.len(), 1, "{}", outcome.story());
        assert_eq!(conflicts[0].labels.len(), 1, "both places are shown");
        assert!(outcome.spec.is_none());
    }
    // Nothing to overrule.
    assert_eq!(four(&over("log"), "", "", "").lines(), ["4:28 E0211"]);
}

#[test]
fn an_importer_keeps_what_a_module_removes() {
    let outcome = four("files { keep \"/a/b\" \"/c\" override=#true }", "files { remove \"/a/**\" \"/c\" }", "", "");
    assert_eq!(outcome.lines(), Vec::<String>::new());
    let spec = outcome.spec();
    // Equal globs are settled; of others the plan asks.
    assert_eq!(spec.files.remove.len(), 1);
    let (kept, removed) = (spec.files.keep[0].span, spec.files.remove[0].what.span);
    assert!(spec.overrules(kept, removed) && !spec.overrules(removed, kept));
    let outcome = four("files { keep \"/a/b\" \"/c\" }", "files { remove \"/a/**\" \"/c\" }", "", "");
    assert_eq!(outcome.lines(), ["4:21 E0210"]);
}

#[test]
fn scalars_of_keyed_nodes_agree_or_not() {
    let outcome = four("workload \"w\" { port 80 }", "workload \"w\" replicas=2", "workload \"w\" replicas=2", "");
    assert_eq!(outcome.lines(), Vec::<String>::new());
    assert_eq!(outcome.spec().workloads[0].replicas.unwrap().value, 2);
    let outcome = four("", "workload \"w\" replicas=2", "workload \"w\" replicas=3", "");
    assert_eq!(outcome.lines(), ["3:23 E0210"]);
    let outcome = four("image2", "image { env A=\"1\" }", "image { env A=\"2\" }", "");
    assert_eq!(outcome.lines(), ["4:1 E0101", "3:15 E0210"]);
}

#[test]
fn modules_stay_in_their_directory() {
    let mut memory = Memory::new("k8orc version=1\nuse \"./team/b.kdl\"\nimage \"x\" { base \"scratch\" }\n");
    memory.file(
        "team/b.kdl",
        "k8orc version=1\nuse \"../base.kdl\"\nfiles { copy \"./x\" to=\"/x\"; copy \"./base.tar\" to=\"/y\" }\n",
    );
    memory.file("team/x", "").file("base.kdl", "k8orc version=1\n");
    // `./x` lies beside the module, `./base.tar` beside the spec only.
    assert_eq!(memory.run().lines(), ["2:5 E0251", "3:34 E0250"]);
    memory.outside.push("team".into());
    assert_eq!(memory.run().lines(), ["2:5 E0251"]);
}

#[test]
fn standard_modules_name_no_files() {
    let mut memory = Memory::new("k8orc version=1\nuse \"std/x\"\nimage \"x\" { base \"scratch\" }\n");
    memory.std.insert(
        "std/x".into(),
        "k8orc version=1\nuse \"./spec.kdl\"\nfiles { copy \"./base.tar\" to=\"/y\" }\n".into(),
    );
    assert_eq!(memory.run().lines(), ["2:5 E0251", "3:14 E0251"]);
}

#[test]
fn circles_are_one_mistake() {
    let mut memory = Memory::new("k8orc version=1\nuse \"./a.kdl\"\nimage \"x\" { base \"scratch\" }\n");
    memory
        .file("a.kdl", "k8orc version=1\nuse \"./b.kdl\" \"./a.kdl\"\n")
        .file("b.kdl", "k8orc version=1\nuse \"./spec.kdl\"\n");
    let outcome = memory.run();
    assert_eq!(outcome.found.iter().filter(|one| one.code == diag::codes::E0221).count(), 1, "{}", outcome.story());
    assert_eq!(outcome.lines().len(), 1, "{}", outcome.story());
}

#[test]
fn depth_and_number_are_bounded() {
    let mut deep = Memory::new("k8orc version=1\nuse \"./m0.kdl\"\nimage \"x\" { base \"scratch\" }\n");
    for n in 0..40 {
        deep.file(&format!("m{n}.kdl"), &format!("k8orc version=1\nuse \"./m{}.kdl\"\n", n + 1));
    }
    let outcome = deep.run();
    assert_eq!(outcome.lines(), ["2:5 E0222"], "{}", outcome.story());
    assert!(outcome.loaded.units.len() < 20);

    let many: Vec<String> = (0..1000).map(|n| format!("\"./m{n}.kdl\"")).collect();
    let mut wide =
        Memory::new(&format!("k8orc version=1\nuse {}\nimage \"x\" {{ base \"scratch\" }}\n", many.join(" ")));
    for n in 0..1000 {
        wide.file(&format!("m{n}.kdl"), "k8orc version=1\n");
    }
    let outcome = wide.run();
    assert_eq!(outcome.found.iter().map(|one| one.code.id()).collect::<Vec<_>>(), ["E0222"], "{}", outcome.story());
    assert_eq!(outcome.loaded.units.len(), 256);
}

#[test]
fn size_is_bounded() {
    let mut memory = Memory::new("k8orc version=1\nuse \"./big.kdl\"\nimage \"x\" { base \"scratch\" }\n");
    memory.file("big.kdl", &format!("k8orc version=1\n//{}\n", "x".repeat(1 << 20)));
    assert_eq!(memory.run().lines(), ["2:5 E0252"]);
    memory.files.insert("big.kdl".into(), b"k8orc version=1\n\xff".to_vec());
    assert_eq!(memory.run().lines(), ["2:5 E0253"]);
}

#[test]
fn a_missing_entry_is_one_error() {
    let mut memory = Memory::new("");
    memory.files.remove(std::path::Path::new("spec.kdl"));
    memory.file("spec.kdll", "");
    let outcome = memory.run();
    assert_eq!(outcome.lines(), ["E0250"]);
    assert_eq!(outcome.found.0[0].help, ["did you mean `spec.kdll`?"]);
}

#[test]
fn the_standard_library_is_sound() {
    let names: Vec<String> = Memory::new("").std.keys().cloned().collect();
    for name in names {
        let spec = format!("k8orc version=1\nuse \"{name}\"\nimage \"x\" {{ base \"debian:trixie\" }}\n");
        let outcome = Memory::new(&spec).run();
        assert!(outcome.found.0.is_empty(), "{name}: {}", outcome.story());
    }
}
