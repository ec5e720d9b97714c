//! What is said, where, and with which status: 0 done, 1 the spec or an input, 2 usage, 3 the environment.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use k8orc_tests::fixture::{Arch, Desk, HELLO, archive, base_tree};
use k8orc_tests::peers::{self, Run};
use serde_json::Value;

use super::{k8orc, run};

/// `k8orc` with these arguments in a desk's directory.
fn typed(desk: &Desk, arguments: &[&str]) -> Option<Command> {
    let mut command = peers::k8orc(&desk.path("home"))?;
    command.current_dir(desk.path("")).args(arguments);
    Some(command)
}

#[test]
fn every_exit_status() {
    let desk = Desk::new(HELLO);
    desk.write("bad.kdl", b"k8orc version=1\nimgae \"x\"\n");
    desk.write("file", b"");
    let Some(_) = typed(&desk, &[]) else { return };
    let table: [(u8, &[&str]); 22] = [
        (0, &["--version"]),
        (0, &["--help"]),
        (0, &["schema"]),
        (0, &["explain", "E1003"]),
        (0, &["check"]),
        (0, &["check", "--syntax"]),
        (0, &["build"]),
        (0, &["build", "--frozen"]),
        (0, &["fmt", "--check", "spec.kdl"]),
        (0, &["diff", "out/hello", "out/hello"]),
        (0, &["cache", "info"]),
        (1, &["check", "bad.kdl"]),
        (1, &["build", "bad.kdl"]),
        (1, &["build", "none.kdl"]),
        (1, &["explain", "/usr/bin/none"]),
        (1, &["init", "tar:base.tar"]),
        (2, &[]),
        (2, &["bulid"]),
        (2, &["build", "--no-such-option"]),
        (2, &["build", "-p", "no-value"]),
        (3, &["build", "--cache", "file"]),
        (3, &["build", "-o", "file"]),
    ];
    for (status, arguments) in table {
        let done = run(&mut typed(&desk, arguments).expect("it was there"));
        assert_eq!(done.code(), i32::from(status), "{done}");
        if status != 0 {
            assert!(!done.stderr.is_empty() && done.stdout.is_empty(), "why it failed is on stderr alone: {done}");
        }
    }
}

/// A spec with an error and a warning in it.
const TWO: &str = "k8orc version=1\nimgae \"x\"\nimage \"hello\" {\n    base \"tar:base.tar\"\n    user root,\n}\n";

#[test]
fn diagnostics_for_machines() {
    let desk = Desk::new(TWO);
    let Some(mut json) = typed(&desk, &["check", "--format", "json"]) else { return };
    let failed = run(&mut json).with_code(1);
    assert!(failed.stdout.is_empty(), "{failed}");
    let mut seen = BTreeSet::new();
    for line in failed.err().lines() {
        let one: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        for field in ["code", "severity", "message"] {
            assert!(one[field].is_string(), "{field} in {line}");
        }
        seen.insert(one["code"].as_str().expect("text").to_owned());
    }
    assert!(!seen.is_empty());

    let failed = run(&mut typed(&desk, &["check", "--format", "short"]).expect("it was there")).with_code(1);
    let lines: Vec<String> = failed.err().lines().map(str::to_owned).collect();
    for line in &lines {
        let mut parts = line.splitn(4, ':');
        assert_eq!(parts.next(), Some("spec.kdl"), "{line}");
        assert!(parts.by_ref().take(2).all(|number| number.parse::<u32>().is_ok_and(|n| n > 0)), "{line}");
        assert!(
            parts.next().is_some_and(|rest| rest.starts_with(" error[E") || rest.starts_with(" warning[E")),
            "{line}"
        );
    }

    let failed = run(&mut typed(&desk, &["check", "--format", "sarif"]).expect("it was there")).with_code(1);
    assert!(failed.stderr.is_empty(), "{failed}");
    let sarif: Value = serde_json::from_slice(&failed.stdout).expect("JSON");
    let found = is_sarif(&sarif);
    assert_eq!(found, seen, "the three say the same");
    assert_eq!(lines.len(), sarif["runs"][0]["results"].as_array().expect("a list").len());
}

/// What the schema of SARIF 2.1.0 demands of a log with one run; its rules.
fn is_sarif(sarif: &Value) -> BTreeSet<String> {
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["$schema"].as_str().is_some_and(|uri| uri.starts_with("https://")));
    let runs = sarif["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 1);
    let driver = &runs[0]["tool"]["driver"];
    assert_eq!(driver["name"], "k8orc");
    let rules: BTreeSet<String> = driver["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["id"].as_str().expect("an id").to_owned())
        .collect();
    for result in runs[0]["results"].as_array().expect("results") {
        assert!(rules.contains(result["ruleId"].as_str().expect("an id")), "{result}");
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().expect("a level")), "{result}");
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
        for place in result["locations"].as_array().expect("locations") {
            let place = &place["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().expect("a URI");
            assert!(uri.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)), "{uri}");
            let line = place["region"]["startLine"].as_u64().expect("a line");
            assert!(line >= 1 && place["region"]["endLine"].as_u64() >= Some(line), "{result}");
            assert!(place["region"]["startColumn"].as_u64() >= Some(1), "{result}");
        }
    }
    rules
}

#[test]
fn sarif_of_a_path_that_is_no_uri() {
    let desk = Desk::new(HELLO);
    desk.write("a b/50%/ä.kdl", TWO.as_bytes());
    let Some(mut sarif) = typed(&desk, &["check", "--syntax", "--format", "sarif", "a b/50%/ä.kdl"]) else { return };
    let failed = run(&mut sarif).with_code(1);
    let sarif: Value = serde_json::from_slice(&failed.stdout).expect("JSON");
    is_sarif(&sarif);
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b/50%25/%C3%A4.kdl", "{place}");
}

#[test]
fn quiet_is_quiet_and_a_pipe_gets_no_progress() {
    let desk = Desk::new(HELLO);
    let Some(mut quiet) = typed(&desk, &["build", "--quiet"]) else { return };
    let done = run(&mut quiet).ok();
    assert!(done.stdout.is_empty() && done.stderr.is_empty(), "{done}");
    std::fs::remove_dir_all(desk.path("out")).expect("ours");
    let done = run(&mut k8orc(&desk, "build").expect("it was there")).ok();
    assert!(done.stdout.is_empty(), "the summary is for people: {done}");
    assert!(!done.err().contains(['\u{1b}', '\r']) && !done.err().contains("reading the spec"), "{done}");
    assert!(done.err().contains("not tested") && done.err().contains("sha256:"), "{done}");
    // An error is said all the same, without colour where none is wanted.
    desk.write("spec.kdl", TWO.as_bytes());
    let failed = run(&mut typed(&desk, &["check", "--quiet"]).expect("it was there")).with_code(1);
    assert!(failed.err().contains("error[E") && !failed.err().contains('\u{1b}'), "{failed}");
}

/// On a terminal there is colour, unless `NO_COLOR` forbids it.
#[test]
fn no_color() {
    let Some(script) = peers::Need::tool("script") else { return };
    let desk = Desk::new(TWO);
    let Some(check) = typed(&desk, &[]) else { return };
    for (no_color, colored) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let mut command = Command::new(&script);
        let line = format!("{} check --syntax spec.kdl", check.get_program().display());
        command
            .args(["-qec", &line, "/dev/null"])
            .current_dir(desk.path(""))
            .env("TERM", "xterm")
            .env("HOME", desk.path("home"));
        command.env_remove("NO_COLOR");
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let failed = run(&mut command).with_code(1);
        assert_eq!(failed.out().contains("\u{1b}["), colored, "NO_COLOR={no_color:?}\n{failed}");
        assert!(failed.out().contains("error"), "{failed}");
    }
}

/// Nobody reads to the end: that is no error, and never a panic.
#[test]
fn a_closed_pipe_is_quiet() {
    let desk = Desk::new(TWO);
    let Some(mut schema) = typed(&desk, &["schema", "--markdown"]) else { return };
    let mut child =
        schema.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("ours");
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned()), (Some(0), String::new()));

    let mut check = typed(&desk, &["check", "--verbose"]).expect("it was there");
    let mut child =
        check.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("ours").code(), Some(1), "the status is that of the error");
    let closed = run(Command::new("sh")
        .arg("-c")
        .arg("exec \"$0\" check >&- 2>&-")
        .arg(check.get_program())
        .current_dir(desk.path("")));
    assert_eq!(closed.code(), 1, "{closed}");
}

/// Names that an image or a spec brings never reach a terminal as they are (CVE-2021-25743).
#[test]
fn escapes_of_an_input_stay_escaped() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[31m";
    let mut tree = base_tree(Arch::Amd64);
    tree.file(&format!("srv/{evil}file"), 0o644, "x");
    tree.link(&format!("srv/{evil}link"), &format!("{evil}target"));
    tree.file(&format!("usr/bin/{evil}setuid"), 0o4755, "x");
    let desk = Desk::new(HELLO);
    desk.write("base.tar", &archive(&tree));
    let Some(_) = typed(&desk, &[]) else { return };
    let keep = HELLO
        .replace("syscalls {", "files { unowned \"keep\"; keep \"/srv/**\"; remove \"/usr/bin/*setuid\" }\nsyscalls {");
    let specs = [
        HELLO.to_owned(),
        keep.clone(),
        keep.replace("\"/srv/**\"", "\"/srv/*link/none\""),
        keep.replace("/srv/**", "/srv/\\u{1b}[31mnone"),
        HELLO.replace("\"/usr/bin/hello\"", "\"/srv/\\u{1b}]0;owned\\u{7}\\u{1b}[31mfile\""),
        HELLO.replace("user \"web\"", "user \"\\u{1b}[31mweb\""),
        HELLO.replace("tar:base.tar", "tar:\\u{1b}[31mbase.tar"),
        HELLO.replace("image \"hello\"", "\"\\u{1b}[31mnode\" 1\nimage \"hello\""),
        HELLO.replace("image \"hello\"", "// \u{9b}31m \u{202e}\nimgae \"hello\""),
        HELLO.replace("image \"hello\" {", "imgae \"hello\" { /* \r owned */"),
        format!("{HELLO}\u{1b}[31m \u{7}"),
    ];
    let check = |done: Run, what: &str| {
        for (name, text) in [("stdout", done.out()), ("stderr", done.err())] {
            let raw = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t' || *c == '\u{202e}');
            assert_eq!(raw, None, "{what}: {name} of\n{done:?}");
        }
        assert!([0, 1].contains(&done.code()), "{what}: {done}");
    };
    for spec in &specs {
        desk.write("spec.kdl", spec.as_bytes());
        for arguments in [
            &["build", "--verbose"][..],
            &["check", "--verbose", "--format", "short"],
            &["explain", &format!("/srv/{evil}file")],
            &["explain", &format!("user:{evil}")],
            &["check", "-p", &format!("{evil}=x")],
        ] {
            check(run(&mut typed(&desk, arguments).expect("it was there")), &format!("{arguments:?} of {spec:?}"));
        }
    }
    // An archive whose entry is refused names the entry.
    let mut tree = base_tree(Arch::Amd64);
    tree.file(&format!("srv/{evil}/x"), 0o644, vec![0; 3000]);
    let mut cut = archive(&tree);
    cut.truncate(cut.len() / 2);
    desk.write("base.tar", &cut);
    desk.write("spec.kdl", HELLO.as_bytes());
    std::fs::remove_file(desk.path("k8orc.lock")).expect("ours");
    check(run(&mut typed(&desk, &["build"]).expect("it was there")), "a cut archive");
    check(run(&mut typed(&desk, &["init", "tar:base.tar", "-o", "new.kdl"]).expect("it was there")), "init");
    check(run(&mut typed(&desk, &["build", &format!("{evil}.kdl")]).expect("it was there")), "a name of a spec");
    check(run(&mut typed(&desk, &["diff", evil, "b"]).expect("it was there")), "a name of an output");
}
