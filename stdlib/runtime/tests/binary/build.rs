//! The binary as a file: static, small, and the same from every directory.

use crate::build_step::{Step, compile};
use crate::harness::{binary, host, rustc, sources};
use std::path::Path;
use std::process::Command;

#[test]
fn the_binary_is_static_and_small() {
    let bytes = std::fs::read(binary()).unwrap();
    assert!(bytes.len() < 150 * 1024, "{} bytes", bytes.len());
    let told = Command::new("ldd").arg(binary()).output().unwrap();
    assert!(!told.status.success(), "ldd finds libraries: {}", String::from_utf8_lossy(&told.stdout));
}

#[test]
fn its_bytes_do_not_depend_on_where_it_is_built() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere");
    let _ = std::fs::remove_dir_all(&root);
    let made = ["one", "a longer/path with spaces"].map(|name| {
        let sources_here = root.join(name).join("src");
        let out = root.join(name).join("out");
        std::fs::create_dir_all(&out).unwrap();
        let copied = Command::new("cp").arg("-r").arg(sources()).arg(&sources_here).status().unwrap();
        assert!(copied.success());
        let (rustc, target) = (rustc(), host());
        let step = Step { rustc: &rustc, sources: &sources_here, out: &out, target: &target, home_relative: false };
        std::fs::read(compile(&step).unwrap_or_else(|why| panic!("{why}"))).unwrap()
    });
    assert!(made[0] == made[1], "two directories, two binaries");
    let root = root.to_str().unwrap().as_bytes();
    assert!(!made[0].windows(root.len()).any(|window| window == root), "a path of this machine is in it");
}

#[test]
fn a_broken_source_is_a_readable_error() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken");
    let out = root.join("out");
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(root.join("lib.rs"), "#![no_std]\nfn broken( {}\n").unwrap();
    let (rustc, target) = (rustc(), host());
    let step = Step { rustc: &rustc, sources: &root, out: &out, target: &target, home_relative: false };
    let why = compile(&step).unwrap_err();
    assert!(why.starts_with("rustc failed on stdlib/runtime/src/lib.rs for "), "{why}");
    assert!(why.contains("/k8or/lib.rs:2"), "{why}");
    let absent = Step { rustc: Path::new("/nowhere/rustc"), ..step };
    assert!(compile(&absent).unwrap_err().starts_with("/nowhere/rustc cannot be started"));
}

/// Only the tests' variant looks for its configuration in the working directory.
#[test]
fn the_shipped_binary_reads_its_configuration_under_k8or_alone() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipped");
    std::fs::create_dir_all(&out).unwrap();
    let (rustc, sources, target) = (rustc(), sources(), host());
    let step = Step { rustc: &rustc, sources: &sources, out: &out, target: &target, home_relative: false };
    let shipped = compile(&step).unwrap_or_else(|why| panic!("{why}"));
    let place = crate::harness::Place::new("filter none\n");
    let output = Command::new(shipped).current_dir(&place.0).arg("info").output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("k8or: /k8or/sealed.conf: the sealed configuration is missing"), "{said}");
}
