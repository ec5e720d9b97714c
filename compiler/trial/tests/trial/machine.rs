//! Machines and requests that a test cannot be made of.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plan::plan::Plan;
use plan::platform::{Arch, Platform};
use trial::Request;

use crate::harness::{able, codes};
use crate::image::{Draft, arch};

fn said_of(plan: &Plan, output: &Path, workload: &str) -> Vec<String> {
    let patience = Duration::from_secs(1);
    let request = Request { plan, output, workload: Some(workload), secrets: BTreeMap::new(), patience };
    let (_, said) = trial::run(&request, &|| false);
    let notes = said.iter().flat_map(|diagnostic| diagnostic.notes.clone());
    codes(&said).into_iter().map(str::to_owned).chain(notes).collect()
}

#[test]
fn an_unknown_workload_is_named() {
    let said = said_of(&Draft::new(&["wait"]).plan(), Path::new("/nowhere"), "wob");
    assert_eq!(said, ["E1106", "the spec has: web"]);
}

#[test]
fn an_image_of_another_architecture_is_not_run() {
    let mut plan = Draft::new(&["wait"]).plan();
    let other = Arch::ALL.into_iter().find(|other| *other != arch()).unwrap();
    plan.images[0].platform = Platform { arch: other, variant: None };
    assert_eq!(said_of(&plan, Path::new("/nowhere"), "web")[0], "E1103");
}

#[test]
fn an_output_that_is_none_is_said() {
    if let Some(_turn) = able() {
        let said = said_of(&Draft::new(&["wait"]).plan(), Path::new("/nowhere"), "web");
        assert_eq!(said, ["E1104", "/nowhere/image/index.json"]);
    }
}

/// What the tests below run in another process, whose environment they choose; by itself it has nothing to ask.
#[test]
fn in_another_process() {
    let Some(output) = std::env::var_os("K8ORC_TEST_OUTPUT") else { return };
    println!("said {:?}", said_of(&Draft::new(&["wait"]).plan(), Path::new(&output), "web"));
}

fn elsewhere(command: &mut Command, output: &Path) -> String {
    let output = command
        .args(["machine::in_another_process", "--exact", "--nocapture"])
        .env("K8ORC_TEST_OUTPUT", output)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn without_runc_it_says_how_to_get_it() {
    let own = std::env::current_exe().unwrap();
    let said = elsewhere(Command::new(own).env("PATH", "/nowhere"), Path::new("/nowhere"));
    assert!(said.contains("said [\"E1100\"]"), "{said}");
}

#[test]
fn another_user_is_told_to_be_root() {
    let Some(_turn) = able() else { return };
    // Where other users may execute it.
    let directory = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), mode).unwrap();
    let copy = directory.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    let said = elsewhere(&mut command, Path::new("/nowhere"));
    assert!(said.contains("said [\"E1101\""), "{said}");
}

#[test]
fn a_temporary_directory_that_is_not_there_is_said() {
    let Some(_turn) = able() else { return };
    let image = Draft::new(&["wait"]).write();
    let own = std::env::current_exe().unwrap();
    let said = elsewhere(Command::new(own).env("TMPDIR", "/nowhere"), image.output());
    assert!(said.contains("said [\"E1102\""), "{said}");
}
