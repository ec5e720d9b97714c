//! A cache that somebody changed, and builds that find nothing to do.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use driver::{Built, Quiet, build};
use k8orc_tests::fixture::{Arch, Desk, HELLO, archive, base_tree, codes};

use super::{another_port, k8orc, leftovers, names, run, sealed};

/// The only entry of a kind.
fn entry(desk: &Desk, kind: &str) -> PathBuf {
    let found: Vec<_> = names(&desk.path("cache").join(kind)).into_iter().filter(|name| name.len() == 64).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:?}");
    desk.path("cache").join(kind).join(&found[0])
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).expect("ours");
    bytes[at] ^= 0x20;
    fs::write(path, bytes).expect("ours");
}

#[test]
fn a_poisoned_block_stops_the_build_that_reads_it() {
    let desk = Desk::new(HELLO);
    desk.build();
    let before = sealed(&desk.path("out/hello"));
    let data = entry(&desk, "layers").join("data");
    // Every build reads the package database, whatever else it has no need to read.
    let database = b"Package: hello";
    let bytes = fs::read(&data).expect("ours");
    flip(&data, bytes.windows(database.len()).position(|part| part == database).expect("a Debian base"));
    another_port(&desk, 9000);
    let finished = build(&desk.request(), &Quiet);
    assert!(finished.value.is_none());
    assert_eq!(codes(&finished), ["E E0510"]);
    let error = finished.diagnostics.iter().next().expect("one");
    assert!(error.message.contains("tar:base.tar"), "the layer is named: {}", error.message);
    let help = error.help.join("\n");
    let hex = entry(&desk, "layers").file_name().expect("a name").to_string_lossy().into_owned();
    assert!(help.contains(&format!("layers/{hex}")), "what to delete is named: {help}");
    assert_eq!(sealed(&desk.path("out/hello")), before, "the previous output is intact");
    assert_eq!(leftovers(&desk), [""; 0]);
    // What the help says helps.
    fs::remove_dir_all(entry(&desk, "layers")).expect("ours");
    desk.build();
}

#[test]
fn a_broken_index_is_made_again() {
    let desk = Desk::new(HELLO);
    desk.build();
    let seal = sealed(&desk.path("out/hello"));
    #[allow(clippy::type_complexity)]
    let spoil: [(&str, fn(&std::path::Path)); 5] = [
        ("cut off", |index| {
            let bytes = fs::read(index).expect("ours");
            fs::write(index, &bytes[..bytes.len() / 2]).expect("ours");
        }),
        ("empty", |index| fs::write(index, b"").expect("ours")),
        ("flipped", |index| flip(index, 200)),
        ("garbage", |index| fs::write(index, [0xff; 5000]).expect("ours")),
        ("gone", |index| fs::remove_file(index).expect("ours")),
    ];
    for (how, spoil) in spoil {
        spoil(&entry(&desk, "layers").join("index"));
        fs::remove_dir_all(desk.path("cache/builds")).expect("ours");
        desk.build();
        assert_eq!(sealed(&desk.path("out/hello")), seal, "{how}");
    }
}

#[test]
fn a_poisoned_result_is_made_again() {
    let desk = Desk::new(HELLO);
    desk.build();
    let seal = sealed(&desk.path("out/hello"));
    for output in names(&desk.path("cache/outputs")) {
        for file in names(&desk.path("cache/outputs").join(&output)) {
            let path = desk.path("cache/outputs").join(&output).join(file);
            flip(&path, usize::try_from(fs::metadata(&path).expect("ours").len() / 2).expect("small"));
        }
    }
    fs::remove_dir_all(desk.path("cache/builds")).expect("ours");
    desk.build();
    assert_eq!(sealed(&desk.path("out/hello")), seal);
}

/// Old enough that a change would show.
fn settle() {
    std::thread::sleep(Duration::from_millis(250));
}

fn is_unchanged(built: &Built) -> bool {
    built.summary.contains("unchanged")
}

const WITH_FILES: &str = "files { copy \"./html\" to=\"/srv/html\"; template \"./a.j2\" to=\"/etc/a.conf\" }\nsyscalls";

#[test]
fn what_did_not_change_is_not_built_again() {
    let desk = Desk::new(&HELLO.replace("syscalls", WITH_FILES).replace("image \"", "use \"./team.kdl\"\nimage \""));
    desk.write("html/index.html", b"hello\n");
    desk.write("a.j2", b"x = 1\n");
    desk.write("team.kdl", b"k8orc version=1\nusers { keep \"www-data\" }\n");
    settle();
    let first = desk.build();
    let seal = sealed(&desk.path("out/hello"));
    // Not one block of the base is read, nor its file: both are poisoned now.
    let data = entry(&desk, "layers").join("data");
    fs::write(&data, b"").expect("ours");
    let again = desk.build();
    assert!(is_unchanged(&again) && !is_unchanged(&first), "{}", again.summary);
    assert_eq!((again.digest, again.output), (first.digest, first.output));
    assert!(again.summary.starts_with(&first.summary), "it still says what is there");
    fs::remove_dir_all(entry(&desk, "layers")).expect("ours");

    // Each of these is a reason to build.
    type Change = fn(&Desk);
    let changes: [(&str, Change); 14] = [
        ("the spec", |desk| another_port(desk, 9000)),
        ("the spec, back", |desk| another_port(desk, 8080)),
        ("a module", |desk| desk.write("team.kdl", b"k8orc version=1\nusers { keep \"www-data\" }\n// why\n")),
        ("a template", |desk| desk.write("a.j2", b"x = 2\n")),
        ("a copied file", |desk| desk.write("html/index.html", b"hullo\n")),
        ("one more file", |desk| desk.write("html/more.html", b"more\n")),
        ("one file less", |desk| fs::remove_file(desk.path("html/more.html")).expect("ours")),
        ("an ignore file", |desk| desk.write(".k8orcignore", b"nothing\n")),
        ("the base's time", |desk| {
            let base = fs::File::options().write(true).open(desk.path("base.tar")).expect("ours");
            base.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("ours");
        }),
        ("the lock", |desk| fs::remove_file(desk.path("k8orc.lock")).expect("ours")),
        ("a manifest", |desk| desk.write("out/hello/manifests/prod/service.yaml", b"mine\n")),
        ("a layer", |desk| {
            let blobs = desk.path("out/hello/image/blobs/sha256");
            flip(&blobs.join(&names(&blobs)[0]), 5);
        }),
        ("a file of the output", |desk| fs::remove_file(desk.path("out/hello/report.json")).expect("ours")),
        ("one too many", |desk| desk.write("out/hello/image/mine", b"mine\n")),
    ];
    for (what, change) in changes {
        change(&desk);
        settle();
        let built = desk.build();
        assert!(!is_unchanged(&built), "{what} was changed");
        sealed(&desk.path("out/hello"));
        let again = desk.build();
        assert!(is_unchanged(&again), "{what} is as it was");
    }
    assert_ne!(sealed(&desk.path("out/hello")), seal, "it has another page now");

    // Another place and other params are other builds; a cut or forged record is none.
    let mut other = desk.request();
    other.out = desk.path("other");
    assert!(!is_unchanged(&build(&other, &Quiet).value.expect("it builds")));
    for name in names(&desk.path("cache/builds")) {
        flip(&desk.path("cache/builds").join(name), 100);
    }
    assert!(!is_unchanged(&desk.build()));
}

/// A warning must be seen again.
#[test]
fn a_build_that_warned_is_built_again() {
    let desk = Desk::new(
        &HELLO.replace("web\"\n    entry", "web\"\n    env TOKEN=\"dDf8s7fKx0Qm2LpV9aTzR4yWbN6hJ1cE\"\n    entry"),
    );
    settle();
    for _ in 0..2 {
        let finished = build(&desk.request(), &Quiet);
        assert!(codes(&finished).iter().any(|code| code.starts_with("W ")), "{:?}", codes(&finished));
        assert!(!is_unchanged(&finished.value.expect("it builds")));
    }
}

/// A base that changes while or just before it is read makes no record.
#[test]
fn a_moment_is_not_trusted() {
    let desk = Desk::new(HELLO);
    desk.build();
    let mut tree = base_tree(Arch::Amd64);
    tree.file("etc/hello.conf", 0o644, "greeting = hullo\n").of("hello");
    desk.write("base.tar", &archive(&tree));
    fs::remove_file(desk.path("k8orc.lock")).expect("ours");
    let built = desk.build();
    assert!(!is_unchanged(&built));
    assert!(!is_unchanged(&desk.build()), "the base was written a moment before it was read");
}

#[test]
fn an_unchanged_build_says_so() {
    let desk = Desk::new(HELLO);
    let Some(mut cold) = k8orc(&desk, "build") else { return };
    settle();
    let began = Instant::now();
    run(&mut cold).ok();
    let cold = began.elapsed();
    let began = Instant::now();
    let again = run(&mut k8orc(&desk, "build").expect("it was there")).ok();
    println!("cold {cold:?}, unchanged {:?}", began.elapsed());
    assert!(again.err().contains("unchanged"), "{again}");
    // In another process, from another directory.
    let mut elsewhere = k8orc_tests::peers::k8orc(&desk.path("home")).expect("it was there");
    elsewhere.current_dir("/").arg("build").arg(desk.path("spec.kdl")).arg("-o").arg(desk.path("out"));
    elsewhere.arg("--cache").arg(desk.path("cache"));
    run(&mut elsewhere).ok();
}
