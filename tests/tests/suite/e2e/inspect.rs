//! `init`, `explain` and `diff` on real bases.

use std::collections::BTreeMap;

use k8orc_tests::peers::{Need, Registry};
use serde_json::Value;

use super::{Case, Output, said};

/// An image that says what it starts: the starter spec checks and builds as it is, and its user stays.
#[test]
fn init_gives_a_spec_that_builds() {
    let Some(registry) = Registry::find() else { return };
    for image in ["layers:1", "layers:docker", "layers:zstd"] {
        let case = Case::new("probe");
        let reference = format!("{}/k8orc/{image}", registry.open);
        let Some(written) = case.k8orc(&["init", "-o", "layers.kdl", &reference]) else { return };
        written.ok();
        let spec = case.read("layers.kdl");
        assert!(spec.contains(&format!("base \"{reference}\"")) && spec.contains("user \"www-data\""), "{spec}");
        // The port for a workload is one that speaks TCP.
        assert!(spec.contains("port 8080 name=\"http\""), "{spec}");
        let Some(formatted) = case.k8orc(&["fmt", "--check", "layers.kdl"]) else { return };
        formatted.ok();
        let Some(checked) = case.k8orc(&["check", "layers.kdl"]) else { return };
        assert_eq!(checked.ok().out(), "", "{image}");
        let Some(built) = case.k8orc(&["build", "layers.kdl"]) else { return };
        built.ok();
        let output = case.output();
        assert_eq!(output.user(), (33, 33), "{image}");
        // With the commented workload taken in, it has manifests.
        let spec: String = spec.lines().map(uncommented).collect();
        case.write("layers.kdl", &spec);
        let Some(built) = case.k8orc(&["build", "layers.kdl"]) else { return };
        built.ok();
        assert_eq!(case.output().digest(), output.digest(), "{image}");
        assert!(case.path("out/layers/manifests/dev/deployment-layers.yaml").is_file(), "{image}");
    }
}

/// Takes the comment marker off the starter's examples.
fn uncommented(line: &str) -> String {
    let example = line.trim_start().strip_prefix("// ").unwrap_or(line);
    let first = example.trim_start().split(' ').next().unwrap_or_default();
    let shown = ["publish", "workload", "port", "probe", "service", "stage", "}"].contains(&first);
    let taken = line.starts_with("//") || first == "publish";
    format!("{}\n", if shown && taken { example } else { line })
}

/// An image that does not: one error says what is missing and how to write it; with that line it builds.
#[test]
fn init_of_an_image_without_a_program_says_what_is_missing() {
    let Some(registry) = Registry::find() else { return };
    let case = Case::new("probe");
    let reference = format!("{}/k8orc/trixie-nginx:1", registry.open);
    let Some(written) = case.k8orc(&["init", "-o", "new.kdl", &reference]) else { return };
    written.ok();
    let Some(checked) = case.k8orc(&["check", "new.kdl"]) else { return };
    let checked = checked.with_code(1);
    assert!(checked.err().contains("E0692") && checked.err().contains("1 error"), "{checked}");
    let line = "// entrypoint \"/usr/bin/program\" \"--option\"";
    case.edit("new.kdl", line, "entrypoint \"/usr/sbin/nginx\" \"-g\" \"daemon off;\"");
    let Some(checked) = case.k8orc(&["check", "new.kdl"]) else { return };
    checked.ok();
    let Some(built) = case.k8orc(&["build", "new.kdl"]) else { return };
    built.ok();
}

#[test]
fn explain_leads_to_a_line_of_the_spec() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let case = Case::on_tar("lean", &tar);
    let line_of = |text: &str| {
        let spec = case.read("spec.kdl");
        let line = spec.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text} in\n{spec}"));
        format!("[spec.kdl:{}:", line + 1)
    };
    let explain = |thing: &str| Some(case.k8orc(&case.with_spec(&["explain", thing]))?.ok().out());
    for (thing, fate, words) in [
        ("/usr/sbin/nginx", "stays", "entrypoint"),
        ("/usr/bin/su", "stays", "runs \"/usr/bin/su\""),
        ("/usr/lib/x86_64-linux-gnu/libpam.so.0", "stays", "runs \"/usr/bin/su\""),
        ("/etc/nginx/nginx.conf", "", "copy \"./nginx.conf\""),
        ("/usr/share/man/man8/add-shell.8.gz", "removed", "remove \"/usr/share/{man"),
        ("/etc/bash.bashrc", "removed", "remove \"/etc/bash.bashrc\""),
        ("/usr/bin/perl", "removed", "remove \"perl-base\""),
        ("package:bash", "stays", "keep \"ca-certificates\" \"bash\""),
        ("user:web", "created", "create \"web\""),
        ("syscall:read", "", "allow \"@runtime-default\""),
    ] {
        let Some(said) = explain(thing) else { return };
        assert!(said.contains(fate), "{thing} {fate}:\n{said}");
        let place = said.rfind('[').map(|at| &said[at..]).unwrap_or_default();
        assert!(place.starts_with(&line_of(words)), "{thing} ends at the line of {words}:\n{said}");
    }
    // What nothing keeps has a reason too.
    let Some(said) = explain("/usr/bin/hostname") else { return };
    assert!(said.contains("removed") && said.contains("it is a file of hostname"), "{said}");
}

#[test]
fn a_diff_shows_what_was_added_and_nothing_else() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let case = Case::on_tar("plain", &tar);
    let Some(first) = case.build() else { return };
    let old = case.path("old");
    std::fs::rename(&first.dir, &old).expect("ours");

    // The same again.
    let Some(same) = case.build() else { return };
    assert_eq!(same.digest(), first.digest());
    let (old, new) = (old.display().to_string(), same.dir.display().to_string());
    let Some(text) = case.k8orc(&["diff", &old, &new]) else { return };
    assert_eq!(text.ok().out(), format!("the same image: {}\n", first.digest()));
    let Some(sections) = diff(&case, &old, &new) else { return };
    assert_eq!(sections, BTreeMap::new());

    // One file more.
    case.write("html/more.html", "more\n");
    let Some(more) = case.build() else { return };
    let Some(sections) = diff(&case, &old, &new) else { return };
    let added = [("paths added".to_owned(), vec!["/srv/html/more.html".to_owned()])];
    assert_eq!(sections, BTreeMap::from(added));
    assert_ne!(more.digest(), first.digest());

    // One package more, which brings none: its files, dpkg's own records of it, and nothing else.
    case.edit("spec.kdl", "packages closure=\"depends\"", "packages closure=\"depends\" { keep \"hostname\" }");
    if case.build().is_none() {
        return;
    }
    let Some(sections) = diff(&case, &old, &new) else { return };
    assert_eq!(sections.get("packages added"), Some(&vec!["hostname:amd64".to_owned()]));
    let titles: Vec<_> = sections.keys().map(String::as_str).collect();
    assert_eq!(titles, ["packages added", "paths added", "paths changed"]);
    let Some(dpkg) = Need::tool("tar").map(|program| {
        said(std::process::Command::new(program).arg("-xOf").arg(&tar).arg("./var/lib/dpkg/info/hostname.list"))
    }) else {
        return;
    };
    for path in &sections["paths added"] {
        // The package says /bin, which is a link to /usr/bin.
        let own = dpkg.lines().any(|line| line == path || format!("/usr{line}") == *path)
            || path.starts_with("/var/lib/dpkg/info/hostname.");
        assert!(own || path == "/srv/html/more.html", "{path}");
    }
    assert_eq!(sections["paths changed"], ["/var/lib/dpkg/status"]);
}

/// `k8orc diff --json`: title and kind of change → the first words of its lines. Empty lists are left out.
fn diff(case: &Case, old: &str, new: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let text = case.k8orc(&["diff", "--json", old, new])?.ok().out();
    let parsed: Value = serde_json::from_str(&text).expect("JSON");
    let name = |which: &str| parsed["image"][which].as_str().expect("text").to_owned();
    assert_eq!(name("new"), Output::read(new.into()).digest());
    let mut out = BTreeMap::new();
    for (title, section) in parsed["sections"].as_object().expect("an object") {
        for (kind, lines) in section.as_object().expect("an object") {
            let lines = lines.as_array().expect("a list").iter();
            let words: Vec<_> = lines.filter_map(|line| line.as_str()?.split(' ').next().map(str::to_owned)).collect();
            if !words.is_empty() {
                out.insert(format!("{title} {kind}"), words);
            }
        }
    }
    Some(out)
}

#[test]
fn what_machines_read_is_json() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let case = Case::on_tar("plain", &tar);
    let Some(output) = case.build() else { return };
    for file in ["report.json", "hgraph.json", "seccomp/web.json", "image/index.json", "image/oci-layout"] {
        super::json(&output.dir.join(file));
    }
    let Some(graph) = case.k8orc(&case.with_spec(&["graph", "--json"])) else { return };
    let graph: Value = serde_json::from_slice(&graph.ok().stdout).expect("JSON");
    let built = super::json(&output.dir.join("hgraph.json"));
    assert_eq!(graph["edges"], built["edges"]);
    assert_eq!(graph["sectors"].as_array().map(Vec::len), Some(8));
    assert!(built.to_string().contains(&output.digest()), "the graph of a build names the image");
    // Every file that is there has its digest in the seal, which sha256sum reads.
    let Some(sha256sum) = Need::tool("sha256sum") else { return };
    let sealed =
        said(std::process::Command::new(sha256sum).current_dir(&output.dir).args(["--check", "outputs.sha256"]));
    let files = super::dpkg::files_below(&output.dir).len() - 1;
    assert_eq!(sealed.lines().filter(|line| line.ends_with(": OK")).count(), files);
    // An error of the spec, one JSON object a line.
    case.edit("spec.kdl", "create \"web\"", "creat \"web\"");
    let Some(refused) = case.k8orc(&case.with_spec(&["--format", "json", "check"])) else { return };
    for line in refused.with_code(1).err().lines() {
        let said: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(said["code"].as_str().is_some_and(|code| code.starts_with('E')), "{said}");
    }
}
