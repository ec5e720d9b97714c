//! `k8orc.lock`: what is refused under `--locked`, and what is said about another toolchain.

use driver::{Quiet, build, check};
use k8orc_tests::fixture::{Desk, HELLO, codes};

#[test]
fn locked_refuses_a_change() {
    let desk = Desk::new(HELLO);
    let mut request = desk.request();
    request.locked = true;
    // Nothing is pinned yet: the base would have to be asked for.
    let finished = build(&request, &Quiet);
    assert!(finished.value.is_none());
    assert_eq!(codes(&finished), ["E E0405"]);
    assert!(!desk.path("k8orc.lock").exists() && !desk.path("out").join("hello").exists());

    desk.build();
    let written = desk.read("k8orc.lock");
    assert!(build(&request, &Quiet).value.is_some(), "a complete lock is enough");
    assert_eq!(desk.read("k8orc.lock"), written);

    // One more account needs one more id.
    desk.edit(
        "spec.kdl",
        "create \"web\" uid=auto gid=auto",
        "create \"web\" uid=auto gid=auto\n    create \"job\" uid=auto gid=auto",
    );
    let finished = build(&request, &Quiet);
    assert!(finished.value.is_none());
    assert_eq!(codes(&finished), ["E E1010"]);
    assert_eq!(desk.read("k8orc.lock"), written);
}

#[test]
fn an_unreadable_lock() {
    let desk = Desk::new(HELLO);
    std::fs::create_dir(desk.path("k8orc.lock")).expect("ours");
    let finished = check(&desk.request(), &Quiet);
    assert_eq!(codes(&finished), ["E E1011"]);
    assert_eq!(finished.diagnostics.exit(), 3);
}

#[test]
fn another_compiler() {
    let desk = Desk::new(HELLO);
    desk.build();
    let version = env!("CARGO_PKG_VERSION");
    desk.edit("k8orc.lock", &format!("\"{version}\""), "\"0.0.1\"");
    assert_eq!(codes(&check(&desk.request(), &Quiet)), ["W E1013"]);
    let mut locked = desk.request();
    locked.locked = true;
    let finished = check(&locked, &Quiet);
    assert_eq!(codes(&finished), ["E E1013"]);
    let notes = finished.diagnostics.iter().flat_map(|one| &one.notes).cloned().collect::<String>();
    assert!(notes.contains("0.0.1") && notes.contains(version), "both are named: {notes}");
}
