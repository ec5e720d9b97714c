//! What the verbs beside `build` refuse.

use std::path::Path;

use driver::Quiet;
use k8orc_tests::fixture::{Desk, HELLO, codes};

#[test]
fn unknown_things_are_not_explained() {
    let desk = Desk::new(HELLO);
    for known in [
        "/usr/bin/hello",
        "/usr/bin/perl",
        "package:libc6",
        "user:www-data",
        "group:web",
        "syscall:read",
        "image:hello",
    ] {
        let finished = driver::explain::explain(&desk.request(), known, &Quiet);
        assert_eq!(codes(&finished), [""; 0], "{known}");
        assert!(finished.value.is_some_and(|text| !text.is_empty()), "{known}");
    }
    for unknown in ["/usr/bin/helo", "package:helo", "user:wbe", "group:wbe", "syscall:raed", "animal:cat"] {
        let finished = driver::explain::explain(&desk.request(), unknown, &Quiet);
        assert_eq!(codes(&finished), ["E E1040"], "{unknown}");
    }
}

#[test]
fn init_writes_over_nothing() {
    let desk = Desk::new("mine\n");
    let init = |to: &Path| driver::init::init("tar:base.tar", "linux/amd64", to, Some(&desk.path("cache")), &Quiet);
    assert_eq!(codes(&init(&desk.path("spec.kdl"))), ["E E1041"]);
    assert_eq!(desk.read("spec.kdl"), "mine\n");
    // A link that leads nowhere is somebody's too.
    std::os::unix::fs::symlink("nowhere", desk.path("link.kdl")).expect("ours");
    assert_eq!(codes(&init(&desk.path("link.kdl"))), ["E E1041"]);

    assert_eq!(codes(&init(&desk.path("new.kdl"))), [""; 0]);
    let mut request = desk.request();
    request.spec = desk.path("new.kdl");
    // `tar:` has no entrypoint, so the starter spec cannot be whole, but it is in the language.
    let syntax = driver::check_syntax(&request);
    assert_eq!(codes(&syntax), [""; 0], "{}", desk.read("new.kdl"));
}

#[test]
fn a_stale_output_is_not_tested() {
    let desk = Desk::new(HELLO);
    let test = |workload: Option<&str>| driver::test::test(&desk.request(), workload, &Quiet);
    desk.build();
    desk.edit("spec.kdl", "\"@runtime-default\" }", "\"@runtime-default\"; deny \"ptrace\" }");
    assert_eq!(codes(&test(None)), ["E E1031"]);
}

#[test]
fn an_unknown_workload_is_not_tested() {
    let desk = Desk::new(HELLO);
    desk.build();
    let finished = driver::test::test(&desk.request(), Some("hullo"), &Quiet);
    assert_eq!(codes(&finished), ["E E1042"]);
}
