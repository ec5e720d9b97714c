//! `OUT/NAME`: whole or not at all, and known when it was changed.

use std::process::Command;

use driver::{Quiet, build};
use k8orc_tests::fixture::{Desk, HELLO, codes};
use k8orc_tests::peers::Need;

#[test]
fn two_builds_give_the_same_bytes() {
    let (one, other) = (Desk::new(HELLO), Desk::new(HELLO));
    let (a, b) = (one.build(), other.build());
    assert_eq!(a.digest, b.digest);
    assert_eq!(one.read("out/hello/outputs.sha256"), other.read("out/hello/outputs.sha256"));
    // One thread instead of one a core, and a cache that is warm.
    let mut request = one.request();
    request.jobs = Some(1);
    let again = build(&request, &Quiet).value.expect("it was built before");
    assert_eq!(again.digest, a.digest);
    assert_eq!(one.read("out/hello/outputs.sha256"), other.read("out/hello/outputs.sha256"));
}

#[test]
fn a_changed_output_is_noticed() {
    let desk = Desk::new(HELLO);
    let output = desk.build().output;
    assert!(driver::diff::diff(&output, &output).is_ok());
    desk.edit("out/hello/report.json", "hello", "hullo");
    let error = driver::diff::diff(&output, &output).expect_err("it was changed");
    assert_eq!(error.code, diag::codes::E1030);
    assert!(error.message.contains("report.json"), "{}", error.message);
    std::fs::remove_file(output.join("report.json")).expect("ours");
    let pushed = driver::push(&output, "127.0.0.1:1/x", Some(&desk.path("cache")));
    assert_eq!(k8orc_tests::fixture::codes(&pushed), ["E E1030"], "it is not whole");
}

/// The disk of the output is full: the build says so, and the previous output is untouched.
#[test]
fn a_full_disk() {
    let Some(()) = Need::root() else { return };
    let Some(mount) = Need::tool("mount") else { return };
    let desk = Desk::new(HELLO);
    std::fs::create_dir(desk.path("out")).expect("ours");
    let small = Mount::small(&mount, &desk);
    let first = desk.build();
    let seal = desk.read("out/hello/outputs.sha256");
    fill(&desk.path("out/filler"));
    desk.edit("spec.kdl", "port 8080", "port 8081");
    let finished = build(&desk.request(), &Quiet);
    assert!(finished.value.is_none(), "there is no room for another");
    assert_eq!(codes(&finished), ["E E1003"]);
    assert_eq!(finished.diagnostics.exit(), 3);
    assert_eq!(desk.read("out/hello/outputs.sha256"), seal);
    let mut left: Vec<_> =
        std::fs::read_dir(desk.path("out")).expect("ours").map(|e| e.expect("ours").file_name()).collect();
    left.sort();
    assert_eq!(left, ["filler", "hello"], "nothing is left behind");
    assert!(first.output.is_dir());
    drop(small);
}

/// Writes until the disk is full.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("there is room for its name");
    for _ in 0..1024 {
        if file.write_all(&[0; 4096]).is_err() {
            return;
        }
    }
    panic!("four mebibytes went into a file system of two");
}

/// A file system of two mebibytes at `out`, unmounted with the value.
struct Mount(std::path::PathBuf);

impl Mount {
    fn small(mount: &std::path::Path, desk: &Desk) -> Mount {
        let at = desk.path("out");
        let status = Command::new(mount).args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&at).status();
        assert!(status.expect("mount starts").success(), "root may mount a tmpfs");
        Mount(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "umount {}", self.0.display());
    }
}

/// Text that YAML could misread travels into manifests; none of it stops the writer.
#[test]
fn manifests_hold_any_text() {
    let values =
        ["yes", "1e3", "0o17", "~", " x ", "a: b", "- a", "\\u{0}x", "'", "#", "2001-01-01", "\\u{85}", "|", "%YAML"];
    let env: String = values
        .iter()
        .filter(|value| !value.contains("{0}"))
        .enumerate()
        .map(|(n, value)| format!("    env V{n}=\"{value}\"\n"))
        .collect();
    let spec = HELLO.replace("port 8080 name=\"http\" }", &format!("port 8080 name=\"http\"\n{env}}}"));
    let desk = Desk::new(&spec);
    desk.build();
    let manifests = std::fs::read_dir(desk.path("out/hello/manifests/prod")).expect("a stage has manifests");
    let names = manifests.map(|entry| entry.expect("ours").file_name().into_string().expect("a plain name"));
    let manifest: String = names.map(|name| desk.read(&format!("out/hello/manifests/prod/{name}"))).collect();
    for n in 0..values.len() - 1 {
        assert!(manifest.contains(&format!("V{n}")), "V{n} is in\n{manifest}");
    }
}

/// A docker-archive has no index, so the second platform has no place in it.
#[test]
fn an_archive_holds_one_platform() {
    use k8orc_tests::fixture::Arch;
    // The runtime for the other architecture lies beside the executable, so a copy of it gets a directory.
    let desk = Desk::new(
        "k8orc version=1\nimage \"data\" {\n    base \"scratch\"\n    platform \"linux/amd64\" \"linux/arm64\"\n    \
         user \"10001\"\n    entrypoint \"/data\"\n}\nfiles { copy \"./data\" to=\"/data\" mode=\"0755\" }\n\
         syscalls { allow \"@runtime-default\" }\n",
    );
    desk.write("data", b"neither a program nor a script\n");
    for arch in [Arch::Amd64, Arch::Arm64] {
        desk.write(&format!("bin/k8or-linux-{}", arch.debian()), &k8orc_tests::fixture::static_program(arch));
    }
    let Some(found) = k8orc_tests::peers::k8orc(&desk.path("home")) else { return };
    let copy = desk.path("bin/k8orc");
    std::fs::copy(found.get_program(), &copy).expect("ours");
    let run = |archive: bool| {
        let mut command = Command::new(&copy);
        command.env_clear().env("HOME", desk.path("home")).arg("build").arg(desk.path("spec.kdl"));
        command.arg("-o").arg(desk.path("out"));
        if archive {
            command.arg("--archive").arg(desk.path("data.tar"));
        }
        command.output().expect("it starts")
    };
    let out = run(true);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(text.contains("E1021"), "{text}");
    assert_eq!(out.status.code(), Some(1));
    assert!(!desk.path("data.tar").exists(), "no half of an image is left");
    let out = run(false);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
