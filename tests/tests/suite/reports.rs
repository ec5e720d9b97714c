//! SBOM, provenance and the page for people, judged by spdx-tools, in-toto's own types and a real browser.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8orc_tests::fixture::{Arch, Desk, HELLO, archive, base_tree, static_program};
use k8orc_tests::peers::{Need, k8orc, look_at_report, run, umoci_unpack, validate_provenance, validate_sbom};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a hostile base may call its files.
const STRANGE: [&str; 6] = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "a\u{202e}gpj.exe",
    "line\nbreak\u{1b}[31m",
    "\"'` onmouseover=alert(1) x=",
    "]]>&lt;b&gt;\u{2028}",
];

fn document(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&desk.read(&format!("out/hello/{name}"))).expect("JSON")
}

fn sha256(path: &Path) -> String {
    let sum = Sha256::digest(fs::read(path).expect("there"));
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pictures are kept beside the other inputs of the tests, for people to look at.
fn pictures(name: &str) -> Option<PathBuf> {
    Some(Need::path("K8ORC_TEST_DIR")?.join("pictures").join(name))
}

/// `package version arch` of the elements that a scanner takes for Debian packages.
fn counted(sbom: &Value) -> BTreeSet<String> {
    let packages = sbom["packages"].as_array().expect("packages").iter();
    let debian = packages.filter(|one| {
        let url = one["externalRefs"][0]["referenceLocator"].as_str();
        url.is_some_and(|url| url.starts_with("pkg:deb/debian/") && url.contains("distro=debian-13"))
    });
    debian
        .map(|one| {
            let url = one["externalRefs"][0]["referenceLocator"].as_str().unwrap_or_default();
            let arch = url.split("arch=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
            format!(
                "{} {} {arch}",
                one["name"].as_str().unwrap_or_default(),
                one["versionInfo"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

#[test]
fn the_sbom_names_what_is_there() {
    let desk = Desk::new(
        &HELLO.replace("closure=\"depends\"", "closure=\"depends\" { remove \"perl-base\" because=\"no scripts\" }"),
    );
    let built = desk.build();
    let sbom = document(&desk, "sbom.spdx.json");
    let report = document(&desk, "report.json");
    let packages = report["images"][0]["packages"].as_array().expect("packages");
    let said = |kept: bool| -> BTreeSet<String> {
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let chosen = packages.iter().filter(|one| one["kept"] == kept);
        chosen
            .map(|one| format!("{} {} {}", text(one, "name"), text(one, "version"), text(one, "architecture")))
            .collect()
    };
    assert_eq!(counted(&sbom), said(true));
    assert!(said(true).iter().any(|one| one.starts_with("libc6 ")) && !said(false).is_empty());
    // The removed ones are told with their reason, and are no elements.
    let image = &sbom["packages"][0];
    assert_eq!(image["versionInfo"], built.digest.as_str());
    let told: String =
        image["annotations"].as_array().expect("annotations").iter().map(|one| one["comment"].to_string()).collect();
    for removed in said(false) {
        let (name, rest) = removed.split_once(' ').expect("a name and more");
        let (version, arch) = rest.split_once(' ').expect("a version and more");
        assert!(told.contains(&format!("removed package: {name} {version} ({arch}), because ")), "{removed} in {told}");
    }
    let relations = sbom["relationships"].as_array().expect("relationships");
    let depends = relations.iter().any(|one| {
        one["relationshipType"] == "DEPENDS_ON"
            && one["spdxElementId"] == "SPDXRef-package-hello-amd64"
            && one["relatedSpdxElement"] == "SPDXRef-package-libc6-amd64"
    });
    assert!(depends, "hello depends on libc6");
    let k8or =
        sbom["packages"].as_array().expect("packages").iter().find(|one| one["name"] == "k8or").expect("the runtime");
    assert_eq!(k8or["licenseDeclared"], "Apache-2.0");
    // What belongs to no package: rewritten databases and accounts, with hashes, as they are few.
    let written =
        sbom["packages"].as_array().expect("packages").iter().find(|one| one["SPDXID"] == "SPDXRef-files-written");
    let lines: String = written.expect("written files")["annotations"].to_string();
    assert!(lines.contains(" /etc/passwd\"") && lines.contains(" /k8or/sealed.conf\""), "{lines}");
    let Some(valid) = validate_sbom(&desk.path("out/hello/sbom.spdx.json")) else { return };
    let urls = valid.ok().out();
    assert_eq!(urls.lines().filter(|url| url.starts_with("pkg:deb/")).count(), said(true).len(), "{urls}");
    assert!(urls.contains("pkg:oci/hello@sha256:") && urls.contains("pkg:generic/k8or@"), "{urls}");
}

/// The validator is no rubber stamp.
#[test]
fn a_broken_sbom_is_refused() {
    let desk = Desk::new(HELLO);
    desk.build();
    desk.edit(
        "out/hello/sbom.spdx.json",
        "\"SPDXID\": \"SPDXRef-package-libc6-amd64\"",
        "\"SPDXID\": \"SPDXRef-libc_6\"",
    );
    let Some(refused) = validate_sbom(&desk.path("out/hello/sbom.spdx.json")) else { return };
    assert!(refused.with_code(1).err().contains("libc"));
    desk.edit("out/hello/provenance.intoto.json", "\"buildType\"", "\"buildKind\"");
    let refused = validate_provenance(&desk.path("out/hello/provenance.intoto.json")).expect("it was there");
    assert!(refused.with_code(1).err().contains("buildKind"));
}

#[test]
fn the_provenance_names_what_went_in() {
    let spec = HELLO
        .replace("k8orc version=1\n", "k8orc version=1\nuse \"std/debian/minimal\"\nuse \"./team/base.kdl\"\nparam \"tone\" default=\"low\"\n")
        .replace("syscalls {", "files {\n    copy \"./motd\" to=\"/etc/motd\"\n    template \"./issue.j2\" to=\"/etc/issue\"\n}\nsyscalls {");
    let desk = Desk::new(&spec);
    desk.write("team/base.kdl", b"k8orc version=1\nusers { keep \"www-data\" }\n");
    desk.write("motd", b"hello\n");
    desk.write("issue.j2", b"{{ tone }}\n");
    desk.write("not-named", b"nobody reads this\n");
    let mut request = desk.request();
    request.params.insert("tone".to_owned(), "high".to_owned());
    let built = driver::build(&request, &driver::Quiet);
    let built = built.value.unwrap_or_else(|| panic!("{:#?}", built.diagnostics));
    let statement = document(&desk, "provenance.intoto.json");
    assert_eq!(statement["subject"][0]["name"], "registry.example.com/shop/hello");
    assert_eq!(
        format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().expect("a digest")),
        built.digest
    );
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["params"], serde_json::json!({ "tone": "high" }));
    assert_eq!(definition["externalParameters"]["spec"]["digest"]["sha256"], sha256(&desk.path("spec.kdl")));
    let found: BTreeMap<String, String> = definition["resolvedDependencies"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["name"].to_string(), one["digest"]["sha256"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let by_name =
        |name: &str| found.get(&format!("\"{name}\"")).unwrap_or_else(|| panic!("{name} is not in {found:#?}"));
    for (name, path) in [
        ("tar:base.tar", "base.tar"),
        ("spec.kdl", "spec.kdl"),
        ("./team/base.kdl", "team/base.kdl"),
        ("motd", "motd"),
        ("issue.j2", "issue.j2"),
        ("k8orc.lock", "k8orc.lock"),
    ] {
        assert_eq!(*by_name(name), sha256(&desk.path(path)), "{name}");
    }
    assert_eq!(by_name("std/debian/minimal").len(), 64);
    let lock = desk.read("k8orc.lock");
    assert!(lock.contains(by_name("k8or for x86_64")) && lock.contains(by_name("standard library of k8orc")));
    assert_eq!(found.len(), 9, "each once, and nothing else: {found:#?}");
    let byproduct = &statement["predicate"]["runDetails"]["byproducts"][0];
    assert_eq!(byproduct["digest"]["sha256"], sha256(&desk.path("out/hello/sbom.spdx.json")));
    // No time but the epoch, which is a number of the lock.
    assert!(!statement.to_string().contains("startedOn") && !statement.to_string().contains("T00:"));
    let Some(valid) = validate_provenance(&desk.path("out/hello/provenance.intoto.json")) else { return };
    assert_eq!(valid.ok().out().lines().count(), 9);
}

/// A base with more than 12,000 removed files, and names that try to be markup.
fn hostile() -> Desk {
    let spec = HELLO.replace("syscalls {", "files {\n    unowned \"keep\"\n    remove \"/srv/many/**\"\n}\nsyscalls {");
    let desk = Desk::new(&spec);
    let mut tree = base_tree(Arch::Amd64);
    for n in 0..12_000 {
        let directory = format!("srv/many/{:02}/a directory with a long name {:03}", n / 500, n / 40);
        tree.file(&format!("{directory}/file number {n:05}"), 0o644, vec![b'x'; n % 97]);
    }
    for strange in STRANGE {
        tree.file(&format!("srv/many/{strange}"), 0o644, "removed");
        tree.file(&format!("opt/{strange}/{strange}"), 0o644, vec![b'y'; 300_000]);
    }
    desk.write("base.tar", &archive(&tree));
    desk
}

#[test]
fn the_page_holds_in_a_browser() {
    let desk = hostile();
    desk.build();
    let page = desk.read("out/hello/report.html");
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    assert!(!page.contains(['\u{202e}', '\u{1b}', '\u{2028}']), "raw characters of a name");
    assert!(!page.contains("<img") && !page.contains("http://") && !page.contains("https://"));
    let Some(to) = pictures("hostile") else { return };
    let Some(seen) = look_at_report(&desk.path("out/hello/report.html"), &to, "file number 11999", 1) else { return };
    println!("{}", seen.ok());
    let seen = look_at_report(&desk.path("out/hello/report.html"), &to, "</script><img", 1).expect("it was there");
    println!("{}", seen.ok());
}

/// On a real base: dpkg says of the unpacked image what the SBOM says, and the page holds.
#[test]
fn on_a_real_base() {
    let Some(base) = Need::path("K8ORC_TEST_TRIXIE") else { return };
    let spec = HELLO
        .replace("k8orc version=1\n", "k8orc version=1\nuse \"std/debian/minimal\"\n")
        .replace("/usr/bin/hello", "/usr/sbin/nginx")
        .replace("packages closure=\"depends\"", "packages closure=\"depends\" { keep \"ca-certificates\" }")
        .replace("syscalls {", "files { unowned \"keep\"; copy \"./motd\" to=\"/etc/nginx/nginx.conf\" }\nsyscalls {");
    let desk = Desk::new(&spec);
    desk.write("motd", b"events {}\n");
    fs::remove_file(desk.path("base.tar")).expect("ours");
    fs::hard_link(&base, desk.path("base.tar"))
        .or_else(|_| fs::copy(&base, desk.path("base.tar")).map(drop))
        .expect("ours");
    desk.build();
    let sbom = document(&desk, "sbom.spdx.json");
    if let Some(valid) = validate_sbom(&desk.path("out/hello/sbom.spdx.json")) {
        valid.ok();
        validate_provenance(&desk.path("out/hello/provenance.intoto.json")).expect("it was there").ok();
    }
    if let (Some(tree), Some(query)) = (umoci_unpack(&desk.path("out/hello/image"), "latest"), Need::tool("dpkg-query"))
    {
        let admin = tree.path().join("bundle/rootfs/var/lib/dpkg");
        let mut command = Command::new(query);
        command.arg("--admindir").arg(admin).args(["-W", "-f", "${Package} ${Version} ${Architecture}\\n"]);
        let installed: BTreeSet<String> =
            run(&mut command, Duration::from_secs(60)).ok().out().lines().map(str::to_owned).collect();
        assert_eq!(counted(&sbom), installed);
        assert!(installed.len() > 10);
    }
    let report = document(&desk, "report.json");
    let perl = report["images"][0]["removed"].as_array().expect("a list").iter();
    let perl = perl.filter(|one| one["path"].as_str().is_some_and(|path| path.starts_with("/usr/bin/perl")));
    let Some(to) = pictures("trixie") else { return };
    let Some(seen) = look_at_report(&desk.path("out/hello/report.html"), &to, "/usr/bin/perl", perl.count()) else {
        return;
    };
    println!("{}", seen.ok());
}

/// An index: both images in one document, one statement about three digests.
#[test]
fn of_two_platforms() {
    let desk = Desk::new(
        "k8orc version=1\nimage \"hello\" {\n    base \"scratch\"\n    platform \"linux/amd64\" \"linux/arm64\"\n    \
         user \"10001\"\n    entrypoint \"/data\"\n}\nfiles { copy \"./data\" to=\"/data\" mode=\"0755\" }\n\
         syscalls { allow \"@runtime-default\" }\n",
    );
    desk.write("data", b"neither a program nor a script\n");
    // The runtime for another architecture lies beside the executable, so a copy of it gets a directory.
    for arch in [Arch::Amd64, Arch::Arm64] {
        desk.write(&format!("bin/k8or-linux-{}", arch.debian()), &static_program(arch));
    }
    let Some(found) = k8orc(&desk.path("home")) else { return };
    fs::copy(found.get_program(), desk.path("bin/k8orc")).expect("ours");
    let mut command = Command::new(desk.path("bin/k8orc"));
    command
        .env_clear()
        .env("HOME", desk.path("home"))
        .arg("build")
        .arg(desk.path("spec.kdl"))
        .arg("-o")
        .arg(desk.path("out"));
    run(&mut command, Duration::from_secs(120)).ok();
    let (sbom, statement) = (document(&desk, "sbom.spdx.json"), document(&desk, "provenance.intoto.json"));
    let relations = sbom["relationships"].as_array().expect("relationships");
    let contained: Vec<&Value> = relations.iter().filter(|one| one["spdxElementId"] == "SPDXRef-index").collect();
    assert_eq!(contained.len(), 2, "{contained:?}");
    let names: Vec<&str> =
        statement["subject"].as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["hello", "hello (linux/amd64)", "hello (linux/arm64)"]);
    assert!(desk.read("out/hello/report.html").contains("id=\"sizes-1\""));
    let Some(valid) = validate_sbom(&desk.path("out/hello/sbom.spdx.json")) else { return };
    valid.ok();
    validate_provenance(&desk.path("out/hello/provenance.intoto.json")).expect("it was there").ok();
}
