//! Programs and what they need.

use super::*;

#[test]
fn a_program_brings_links_loader_and_libraries() {
    let base = Base::debian();
    let mut spec = spec();
    spec.image.entrypoint = vec![word("/bin/hello")];
    let kept = base.kept(&spec);
    for needed in ["/bin", "/lib64", "/usr/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libc.so.6"] {
        assert!(there(&kept, needed), "{needed}");
    }
    let words = why(&kept, "/usr/lib/x86_64-linux-gnu/libc.so.6");
    assert_eq!(words, "/usr/bin/hello needs libc.so.6 ← entrypoint \"/bin/hello\"");
    assert_eq!(kept.programs[0].0, path("/usr/bin/hello"));
    assert!(!there(&kept, "/usr/bin/perl"));
    assert_eq!(why_not(&kept, "/usr/bin/perl"), "it is a file of perl-base ← nothing that stays depends on it");
}

#[test]
fn a_missing_program_is_an_error() {
    let base = Base::debian();
    for (word_, part) in [
        ("/usr/bin/helo", "is not in the base"),
        ("/nowhere/at/all", "\" is not in the base"),
        ("helo", "no directory of PATH"),
        ("/usr/bin", "is a directory"),
        ("/etc/hello.conf", "no x bit"),
        ("/etc/hello.conf/x", "no directory"),
        ("/usr/../bin/hello", "`..`"),
    ] {
        let mut spec = spec();
        spec.image.entrypoint = vec![word(word_)];
        let (_, found) = base.keep(&spec);
        let first = found.iter().find(|d| d.is_error()).unwrap();
        assert_eq!(first.code.id(), "E0600");
        assert!(first.message.contains(part), "{}", first.message);
    }
}

#[test]
fn the_bases_own_command_is_looked_up_in_path() {
    let mut base = Base::debian();
    base.facts.config = serde_json::json!({"config": {"Env": ["PATH=/nowhere:/bin"], "Cmd": ["hello", "-x"]}});
    let mut spec = spec();
    spec.image.entrypoint.clear();
    let kept = base.kept(&spec);
    assert_eq!(kept.programs[0].0, path("/usr/bin/hello"));
    assert!(kept.programs[0].1.in_words().contains("command of the base"));
}

#[test]
fn a_missing_library_is_an_error() {
    let mut base = Base::debian();
    base.program("/usr/bin/hello", elf(&["libmissing.so.1"]));
    let (_, found) = base.keep(&spec());
    let one = found.iter().find(|d| d.code.id() == "E0602").unwrap();
    assert!(one.message.contains("libmissing.so.1"));
    // Where it is said, it is found.
    base.program("/opt/x/libmissing.so.1", library(&[]));
    let mut spec = spec();
    spec.image.env = vec![(word("LD_LIBRARY_PATH"), word("/opt/x"))];
    assert!(there(&base.kept(&spec), "/opt/x/libmissing.so.1"));
}

#[test]
fn a_library_for_another_machine_is_passed_over() {
    let mut base = Base::debian();
    base.program("/usr/bin/hello", elf(&["libz.so.1"]));
    base.program("/lib32x/libz.so.1", library(&[]));
    let Start::Elf(mut other) = library(&[]) else { unreachable!() };
    other.kind.2 = 3;
    base.program("/usr/lib/x86_64-linux-gnu/libz.so.1", Start::Elf(other));
    assert!(base.codes(&spec()).contains(&"E0602"));
    base.program("/usr/lib/libz.so.1", library(&[]));
    assert!(why(&base.kept(&spec()), "/usr/lib/libz.so.1").contains("needs libz.so.1"));
}

#[test]
fn search_paths_follow_origin_conf_and_inheritance() {
    let mut base = Base::debian();
    let with = |start: Start, rpath: Option<&str>, runpath: Option<&str>| {
        let Start::Elf(elf) = start else { unreachable!() };
        Start::Elf(Dynamic { rpath: rpath.map(Into::into), runpath: runpath.map(Into::into), ..elf })
    };
    base.link("/usr/bin/tool", "../../opt/tool/bin/tool");
    base.program("/opt/tool/bin/tool", with(elf(&["liba.so"]), None, Some("$ORIGIN/../lib")));
    // RUNPATH is not inherited: libb is found by ld.so.conf.
    base.program("/opt/tool/lib/liba.so", library(&["libb.so"]));
    base.program("/opt/tool/lib/libb.so", library(&[]));
    base.program("/opt/conf/libb.so", library(&[]));
    base.file("/etc/ld.so.cache", 0o644);
    base.facts.files.insert(path("/etc/ld.so.conf"), b"include /etc/ld.so.conf.d/*.conf\n".to_vec());
    base.facts.files.insert(path("/etc/ld.so.conf.d/x.conf"), b"# note\n/opt/conf\n".to_vec());
    let mut wanted = spec();
    wanted.image.entrypoint = vec![word("/usr/bin/tool")];
    wanted.files.unowned = Some(said(Unowned::Keep));
    let kept = base.kept(&wanted);
    assert!(why(&kept, "/opt/tool/lib/liba.so").contains("needs liba.so"));
    assert!(why(&kept, "/opt/conf/libb.so").contains("needs libb.so"));
    assert!(why(&kept, "/opt/tool/lib/libb.so").starts_with("files unowned"));
    assert!(why(&kept, "/usr/bin/tool").contains("link on the way"));
    // RPATH is.
    base.program("/opt/tool/bin/tool", with(elf(&["liba.so"]), Some("${ORIGIN}/../lib"), None));
    assert!(why(&base.kept(&wanted), "/opt/tool/lib/libb.so").contains("needs libb.so"));
}

#[test]
fn musl_finds_its_own_way() {
    let mut base = Base::empty();
    let Start::Elf(mut hello) = elf(&["libc.musl-x86_64.so.1", "libz.so.1"]) else { unreachable!() };
    hello.interpreter = Some(b"/lib/ld-musl-x86_64.so.1".to_vec());
    base.program("/usr/bin/hello", Start::Elf(hello));
    base.program("/lib/ld-musl-x86_64.so.1", library(&[]));
    base.program("/usr/local/lib/libz.so.1", library(&[]));
    base.facts.packages.family = Family::None;
    let kept = base.kept(&spec());
    assert!(why(&kept, "/usr/local/lib/libz.so.1").contains("needs libz.so.1"));
    base.facts.files.insert(path("/etc/ld-musl-x86_64.path"), b"/lib:/usr/lib\n".to_vec());
    assert!(base.codes(&spec()).contains(&"E0602"));
}

#[test]
fn scripts_bring_their_interpreter() {
    let mut base = Base::debian();
    base.program("/usr/bin/dash", elf(&["libc.so.6"]));
    base.link("/usr/bin/sh", "dash");
    base.package("dash", &["libc6"], &["/usr/bin/dash", "/usr/bin/sh"]);
    base.program("/entry.sh", script("/bin/sh", None));
    let mut wanted = spec();
    wanted.image.entrypoint = vec![word("/entry.sh")];
    let (kept, found) = base.keep(&wanted);
    assert_eq!(found.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0604"]);
    assert!(there(&kept, "/usr/bin/sh") && there(&kept, "/usr/bin/dash"));
    assert!(kept.packages.iter().any(|p| p.name == "dash" && p.kept));
    // env finds its program in PATH.
    base.program("/usr/bin/env", elf(&["libc.so.6"]));
    base.program("/entry.sh", script("/usr/bin/env", Some("-S perl -w")));
    let kept = base.kept(&wanted);
    assert!(why(&kept, "/usr/bin/perl").contains("runs the script /entry.sh"));
    assert!(why(&kept, "/usr/bin/env").contains("runs the script /entry.sh"));
    base.program("/entry.sh", script("/bin/bash", None));
    assert!(base.codes(&wanted).contains(&"E0602"));
    // A script that is its own interpreter ends.
    base.program("/entry.sh", script("/entry.sh", None));
    base.keep(&wanted);
}

#[test]
fn another_architecture_is_refused() {
    let mut base = Base::debian();
    base.facts.platform = Platform::parse("linux/arm64").unwrap();
    let (_, found) = base.keep(&spec());
    assert!(found.iter().any(|d| d.code.id() == "E0600" && d.message.contains("another architecture")));
}

#[test]
fn a_workload_starts_only_programs() {
    let base = Base::debian();
    let mut wanted = spec();
    wanted.workloads.push(Workload {
        span: said(()).span,
        name: word("web"),
        kind: word("Deployment"),
        replicas: None,
        command: vec![word("/usr/bin/perl")],
        ports: Vec::new(),
        requests: Vec::new(),
        limits: Vec::new(),
        probes: Vec::new(),
        env: Vec::new(),
        secrets: Vec::new(),
        configs: Vec::new(),
        services: Vec::new(),
        patches: Vec::new(),
        volumes: None,
        grace: None,
    });
    assert_eq!(base.codes(&wanted), ["E0603"]);
    wanted.image.runs = vec![word("/bin/perl")];
    assert_eq!(base.codes(&wanted), [""; 0]);
}
