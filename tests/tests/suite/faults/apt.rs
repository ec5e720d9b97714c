//! Builds from an archive that somebody ends, and disks that fill while packages come.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8orc_tests::fixture::Desk;
use k8orc_tests::peers::Need;

use super::disk::Mount;
use super::{Chance, k8orc, leftovers, names, run, sealed};

const SPEC: &str = r#"k8orc version=1
image "hello" {
    base "apt:trixie"
    user "nobody"
    entrypoint "/usr/bin/cat"
}
users { keep "root" "nobody" }
packages closure="depends"
files { unowned "keep"; remove "/usr/share/{doc,man,locale}/**" }
syscalls { allow "@runtime-default" }
workload "hello" kind="Deployment" replicas=1 { port 8080 name="http" }
"#;

/// Forgets what was made of packages, and some of the packages.
fn forget(desk: &Desk, chance: &mut Chance) {
    for folder in ["layers", "outputs", "builds"] {
        let _ = fs::remove_dir_all(desk.path("cache").join(folder));
    }
    let debs = desk.path("cache/debs");
    for name in names(&debs) {
        if chance.below(4) == 0 {
            fs::remove_file(debs.join(name)).expect("ours");
        }
    }
}

#[test]
fn kills_while_packages_come() {
    let desk = Desk::new(SPEC);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    run(&mut build).ok();
    let (seal, lock) = (sealed(&desk.path("out/hello")), desk.read("k8orc.lock"));
    let mut chance = Chance::new();
    forget(&desk, &mut chance);
    let began = Instant::now();
    run(&mut k8orc(&desk, "build").expect("it was there")).ok();
    let whole = began.elapsed();
    for n in 0..6 {
        forget(&desk, &mut chance);
        let mut build = k8orc(&desk, "build").expect("it was there");
        let mut child =
            build.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(5) + chance.part(whole));
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("ours");
        assert_eq!(sealed(&desk.path("out/hello")), seal, "kill {n}: the previous output is intact");
        run(k8orc(&desk, "build").expect("it was there").arg("--locked")).ok();
        assert_eq!(
            (sealed(&desk.path("out/hello")), desk.read("k8orc.lock")),
            (seal.clone(), lock.clone()),
            "kill {n}"
        );
        assert_eq!(leftovers(&desk), [""; 0], "kill {n}: the next build cleans up");
        assert_eq!(names(&desk.path("cache/tmp")), [""; 0], "kill {n}: and the cache");
        let parts = names(&desk.path("cache/debs")).into_iter().filter(|name| name.contains('.'));
        assert_eq!(parts.collect::<Vec<_>>(), [""; 0], "kill {n}: what was begun is whole");
    }
}

#[test]
fn a_disk_that_fills_while_packages_come() {
    let desk = Desk::new(SPEC);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    run(&mut build).ok();
    let seal = sealed(&desk.path("out/hello"));
    let Some(()) = Need::root() else { return };
    let mut chance = Chance::new();
    for _ in 0..4 {
        // Packages, lists and the indexed layer take some 200 MB.
        let Some(small) = Mount::new(desk.path("tiny"), 1000 + chance.below(120_000)) else { return };
        let copied = Command::new("cp").arg("-r").arg(desk.path("cache/blobs")).arg(desk.path("tiny")).status();
        copied.expect("cp starts");
        let mut command = k8orc_tests::peers::k8orc(&desk.path("home")).expect("it was there");
        command.current_dir(desk.path("")).args(["build", "spec.kdl", "--locked", "--cache", "tiny"]);
        let failed = run(&mut command).with_code(3);
        let said = failed.err();
        assert!(said.contains("cache") && said.contains("No space left"), "{said}");
        assert_eq!(sealed(&desk.path("out/hello")), seal, "the previous output is intact");
        assert_eq!(leftovers(&desk), [""; 0]);
        assert_eq!(names(&desk.path("tiny/tmp")), [""; 0], "nothing half-written fills it");
        drop(small);
    }
}
