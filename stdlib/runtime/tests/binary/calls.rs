//! The system calls that INTERFACE.md promises are those that the kernel sees.

use crate::harness::{Place, binary, sha256sum};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

/// The names in the list that begins with `start`.
fn documented(start: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("INTERFACE.md")).unwrap();
    let line = text.lines().find(|line| line.starts_with(start)).unwrap();
    line.split('`').nth(1).unwrap().split(' ').map(str::to_owned).collect()
}

/// What k8or itself calls while `command` runs: from its execve to that of the program.
fn traced(place: &Place, command: &[&str]) -> BTreeSet<String> {
    let log = place.path("trace");
    let status = Command::new("strace")
        .current_dir(&place.0)
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&log)
        .args(command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0), "{command:?}");
    let own = format!("execve(\"{}\"", binary().display());
    let mut forked = false;
    let (mut inside, mut seen, mut calls) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        // k8or forks once, and that child is k8or until it executes the program.
        if seen.insert(pid.to_owned()) && !inside.is_empty() && !forked {
            inside.insert(pid.to_owned());
            forked = true;
        }
        let Some(name) = rest.split('(').next().filter(|name| !name.starts_with(['<', '+'])) else { continue };
        if rest.starts_with(&own) {
            inside.insert(pid.to_owned());
        } else if inside.contains(pid) {
            calls.insert(name.to_owned());
            if name == "execve" {
                inside.remove(pid);
            }
        }
    }
    calls
}

#[test]
fn only_the_documented_calls_are_made() {
    let able = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !able.is_ok_and(|status| status.success()) || !crate::harness::namespaces() {
        assert!(std::env::var_os("K8ORC_REQUIRE").is_none_or(|value| value != "all"), "no strace");
        eprintln!("skipped: strace is not there or may not trace");
        return;
    }
    let place = Place::new("");
    std::fs::create_dir_all(place.path("from/d")).unwrap();
    std::fs::create_dir(place.path("claim")).unwrap();
    std::fs::write(place.path("from/d/f"), "x").unwrap();
    std::fs::hard_link(place.path("from/d/f"), place.path("from/g")).unwrap();
    std::os::unix::fs::symlink("d", place.path("from/l")).unwrap();
    let file = sha256sum(b"x");
    let records = format!("d 0555 d\0\nf 0444 d/f\0{file}\nf 0444 g\0{file}\nl 0555 l\0d\n");
    let digest = sha256sum(records.as_bytes());
    // One instruction that allows everything.
    let filter = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
    std::fs::write(place.path("k8or/filter.bpf"), filter).unwrap();
    place.seal(&format!(
        "filter {} sha256:{} 1\ngeneration {} sha256:{digest}\n",
        place.text("k8or/filter.bpf"),
        sha256sum(&filter),
        place.text("from"),
    ));
    std::fs::write(place.path("from/.k8or-generation"), format!("k8or-generation 1 sha256:{digest}\n")).unwrap();
    let binary = binary().to_str().unwrap();
    let (from, claim) = (place.text("from"), place.text("claim"));
    let running = documented("- run, exec: ");
    let mut all = documented("- migrate, directory, verify also: ");
    all.extend(running.iter().cloned());

    let namespaces = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
    let program = [binary, "run", "--", "sh", "-c", "kill -WINCH 1; (sleep 0.1 &)"];
    let mut seen = traced(&place, &[&namespaces[..], &program[..]].concat());
    seen.extend(traced(&place, &[binary, "exec", "--", "true"]));
    assert!(seen.contains("seccomp") && seen.contains("kill"), "{seen:?}");
    assert_eq!(seen.difference(&running).collect::<Vec<_>>(), Vec::<&String>::new());

    let mut seen = traced(&place, &[binary, "migrate", &from, &claim]);
    seen.extend(traced(&place, &[binary, "verify", &from]));
    seen.extend(traced(&place, &[binary, "directory", &format!("{claim}/data"), "0711"]));
    assert!(seen.contains("syncfs") && seen.contains("linkat"), "{seen:?}");
    assert_eq!(seen.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new());
}
