//! Hostile specs: no panic, no long run, and for each mistake one diagnostic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::{Duration, Instant};

use common::Memory;

/// Runs a spec of up to a megabyte; debug builds get ten times the two seconds of a release.
fn timed(name: &str, body: &str) -> common::Outcome {
    let spec = format!("k8orc version=1\nimage \"x\" {{ base \"scratch\" }}\n{body}\n");
    let begun = Instant::now();
    let outcome = Memory::new(&spec).run();
    assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
    outcome
}

#[test]
fn megabytes_of_sound_nodes() {
    let many = |line: &dyn Fn(usize) -> String| (0..9_000).map(line).collect::<Vec<_>>().join("\n");
    for (name, body) in [
        ("keeps", format!("files {{ {} }}", many(&|n| format!("keep \"/a/{n}/**\"")))),
        ("users", format!("users {{ {} }}", many(&|n| format!("create \"u{n}\" uid={}; keep \"k{n}\"", n + 1)))),
        (
            "mounts",
            format!("volumes {{ {} }}", many(&|n| format!("volume \"v{n}\" ephemeral=#true {{ mount \"/m/{n}\" }}"))),
        ),
        ("workloads", many(&|n| format!("workload \"w{n}\" {{ port 80 name=\"http\"; volumes }}"))),
        (
            "stages",
            format!("workload \"w\" \nstage \"s\" {{ {} }}", many(&|n| format!("class \"c{n}\" existing=#true"))),
        ),
    ] {
        let outcome = timed(name, &body);
        assert!(outcome.spec.is_some(), "{name}: {}", outcome.story().lines().next().unwrap());
    }
}

#[test]
fn megabytes_of_mistakes() {
    let many = |line: &dyn Fn(usize) -> String| (0..9_000).map(line).collect::<Vec<_>>().join("\n");
    for (name, count, body) in [
        ("unknown nodes", 9_000, many(&|n| format!("nonsense{n}"))),
        (
            "unknown volumes",
            9_000,
            format!(
                "volumes {{ volume \"abc\" ephemeral=#true {{ mount \"/m\" }} }}\nworkload \"w\" {{ {} }}",
                many(&|n| format!("volumes \"v{n}\""))
            ),
        ),
        (
            "unknown replicas",
            9_000,
            format!(
                "{}\nstage \"s\" {{ {} }}",
                many(&|n| format!("workload \"workload-{n}\"")),
                many(&|n| format!("replicas \"workloda-{n}\" 1"))
            ),
        ),
        ("one name", 8_999, format!("users {{ {} }}", many(&|_| "create \"web\"".to_owned()))),
        (
            "one path",
            8_999,
            format!("volumes {{ {} }}", many(&|n| format!("volume \"v{n}\" ephemeral=#true {{ mount \"/m\" }}"))),
        ),
        (
            "no agreement",
            1,
            many(&|n| {
                format!(
                    "packages closure=\"depends\" override=#true\nsyscalls {{ otherwise \"{}\" override=#true }}",
                    if n == 8_999 { "log" } else { "kill-thread" }
                )
            }),
        ),
    ] {
        let outcome = timed(name, &body);
        let errors = outcome.found.iter().filter(|one| one.is_error()).count();
        assert_eq!(errors, count, "{name}: {}", outcome.story().lines().next().unwrap());
    }
}

#[test]
fn deep_and_long_things() {
    let deep = "a {".repeat(100_000);
    assert!(timed("deep", &deep).found.has_errors());
    let hidden = "a /- {".repeat(10_000);
    assert!(timed("hidden", &hidden).found.has_errors());
    let long = "x".repeat(900_000);
    for body in [
        format!("users {{ keep \"{long}\" }}"),
        format!("{long} \"x\""),
        format!("files {{ keep \"/{long}\"; remove \"/{}\" }}", "[".repeat(1000)),
        format!("files {{ symlink \"/a\" target=(t)\"{}{}\" }}", "{{ (".repeat(10_000), ") }}".repeat(10_000)),
        format!("volumes {{ volume \"v\" ephemeral=#true {{ mount \"{}\" }} }}", "/a".repeat(400_000)),
        format!("files {{ keep \"/{}\" }}", "{a,b}".repeat(200)),
        format!("files {{ keep \"/{}\" }}", "*a".repeat(2000)),
    ] {
        let outcome = timed("long", &body);
        assert!(outcome.found.0.len() <= 2, "{}", outcome.story().chars().take(300).collect::<String>());
    }
}

/// What the command line of another program would read as an option is no name (hostile class 33).
#[test]
fn options_are_no_names() {
    let evil = "-oProxyCommand=x";
    for body in [
        format!("stage \"{evil}\""),
        format!("stage \"s\" {{ namespace \"{evil}\" }}"),
        format!("stage \"s\" {{ target \"{evil}\" }}"),
        format!("stage \"s\" {{ jump-host \"{evil}\" }}"),
        format!("stage \"s\" {{ jump-host \"{evil}@host\" }}"),
        format!("stage \"s\" {{ jump-host \"user@{evil}\" }}"),
        format!("stage \"s\" {{ eks \"{evil}\" }}"),
        format!("stage \"s\" {{ eks \"e\" region=\"{evil}\" }}"),
        format!("stage \"s\" {{ node-group \"{evil}\" }}"),
        format!("stage \"s\" {{ require \"{evil}\" }}"),
        format!("stage \"s\" {{ class \"{evil}\" existing=#true }}"),
        format!("stage \"s\" {{ class \"c\" existing=#true as=\"{evil}\" }}"),
        format!("workload \"{evil}\""),
        format!("volumes {{ volume \"{evil}\" ephemeral=#true {{ mount \"/x\" }} }}"),
        format!("users {{ create \"{evil}\" }}"),
        format!("packages {{ keep \"{evil}\" }}"),
        format!("workload \"w\" {{ secret \"A\" from=\"k8s:{evil}/x\" to=\"env\" }}"),
    ] {
        let outcome = timed("option", &body);
        assert_eq!(outcome.found.0.len(), 1, "{body}: {}", outcome.story());
    }
    for place in [
        format!("image \"{evil}\" {{ base \"scratch\" }}"),
        format!("image \"x\" {{ base \"{evil}\" }}"),
        format!("image \"x\" {{ base \"scratch\"; publish \"{evil}\" }}"),
    ] {
        let outcome = Memory::new(&format!("k8orc version=1\n{place}\n")).run();
        assert_eq!(outcome.found.0.len(), 1, "{place}: {}", outcome.story());
    }
}
