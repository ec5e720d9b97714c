//! The same bytes, whatever the directory, time zone, umask, language, user, number of threads and cache.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use k8orc_tests::fixture::{Desk, HELLO};
use k8orc_tests::peers::{self, Need, Run};

use crate::faults::{LONG, files, sealed};

/// The current directory.
#[derive(Default, PartialEq)]
enum From {
    #[default]
    Beside,
    /// The directory above, with a path that begins there.
    Above,
    /// `/`, with whole paths.
    Root,
}

/// How one build differs from another.
#[derive(Default)]
struct How {
    /// Variables.
    env: &'static [(&'static str, &'static str)],
    /// For the shell's `umask`.
    umask: Option<&'static str>,
    /// Further arguments.
    arguments: &'static [&'static str],
    /// From where, instead of from the spec's directory.
    from: From,
    /// As user 65534.
    nobody: bool,
    /// With what an earlier build left in the cache.
    warm: bool,
    /// With the lock of the first build.
    locked: bool,
}

/// What came of it: every file of the output with its mode, and the lock.
#[derive(PartialEq)]
struct Outcome {
    files: BTreeMap<String, (u32, Vec<u8>)>,
    seal: String,
    lock: String,
}

/// A place with a program that anybody may run.
struct Bench {
    desk: Desk,
    name: &'static str,
    setpriv: Option<PathBuf>,
}

impl Bench {
    /// `fill` writes the spec and what it names into a directory.
    fn new(name: &'static str) -> Option<Bench> {
        let desk = Desk::new("");
        let found = peers::k8orc(&desk.path("home"))?;
        fs::copy(found.get_program(), desk.path("k8orc")).expect("ours");
        fs::set_permissions(desk.path(""), fs::Permissions::from_mode(0o777)).expect("ours");
        let root = fs::metadata("/proc/self").map(|about| std::os::unix::fs::MetadataExt::uid(&about)).ok() == Some(0);
        let setpriv = if root { Need::tool("setpriv") } else { None };
        Some(Bench { desk, name, setpriv })
    }

    fn build(&self, n: usize, how: &How, fill: &dyn Fn(&Path), lock: Option<&str>) -> (Run, Outcome) {
        let dir = self.desk.path(&format!("place{n}/{}spec", "deeper/".repeat(n % 3)));
        let cache = if how.warm { self.desk.path("cache0") } else { self.desk.path(&format!("cache{n}")) };
        fs::create_dir_all(&dir).expect("ours");
        fill(&dir);
        if let Some(lock) = lock.filter(|_| how.locked) {
            fs::write(dir.join("k8orc.lock"), lock).expect("ours");
        }
        // Records of builds that changed nothing are not what is tried here.
        let _ = fs::remove_dir_all(cache.join("builds"));
        let umask = how.umask.unwrap_or("022");
        let mut command = match (&self.setpriv, how.nobody) {
            (Some(setpriv), true) => {
                let own = Command::new("chown")
                    .args(["-R", "65534:65534"])
                    .arg(self.desk.path(&format!("place{n}")))
                    .status();
                assert!(own.expect("chown starts").success());
                let mut command = Command::new(setpriv);
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
                command
            }
            _ => Command::new("sh"),
        };
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(self.desk.path("k8orc")).arg("build");
        match how.from {
            From::Beside => command.current_dir(&dir),
            From::Above => command.current_dir(dir.join("..")).args(["spec/spec.kdl", "-o", "spec/out"]),
            From::Root => command.current_dir("/").arg(dir.join("spec.kdl")).arg("-o").arg(dir.join("out")),
        };
        command.arg("--cache").arg(&cache).args(how.arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.desk.path("home"));
        command.envs(how.env.iter().copied());
        let run = peers::run(&mut command, LONG).ok();
        let output = dir.join("out").join(self.name);
        let seal = sealed(&output);
        let mode = |path: &str| fs::metadata(output.join(path)).expect("there").permissions().mode() & 0o7777;
        let files = files(&output).into_iter().map(|(path, bytes)| (path.clone(), (mode(&path), bytes))).collect();
        let lock = fs::read_to_string(dir.join("k8orc.lock")).expect("a lock");
        (run, Outcome { files, seal, lock })
    }

    /// Builds in each way and wants one outcome.
    #[track_caller]
    fn same(&self, hows: &[How], fill: &dyn Fn(&Path)) {
        let (_, first) = self.build(0, &How::default(), fill, None);
        for (n, how) in hows.iter().enumerate() {
            let (run, other) = self.build(n + 1, how, fill, Some(&first.lock));
            assert_eq!(other.lock, first.lock, "{run}");
            let differing: Vec<&String> = first
                .files
                .iter()
                .filter(|(path, one)| other.files.get(*path) != Some(one))
                .map(|(path, _)| path)
                .collect();
            assert!(other == first, "files that differ: {differing:?}\n{run}");
        }
    }
}

const HOWS: [How; 10] = [
    How { from: From::Root, ..BASE },
    How { from: From::Above, ..BASE },
    How { env: &[("TZ", "Asia/Kathmandu"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8")], ..BASE },
    How { env: &[("LC_ALL", "C"), ("HOME", "/nonexistent"), ("USER", "somebody"), ("COLUMNS", "20")], ..BASE },
    How { umask: Some("077"), arguments: &["--jobs", "1"], ..BASE },
    How { umask: Some("000"), arguments: &["--jobs", "4"], ..BASE },
    How { nobody: true, umask: Some("027"), ..BASE },
    How { warm: true, arguments: &["--jobs", "3"], ..BASE },
    How { locked: true, env: &[("SOURCE_DATE_EPOCH", "1234567890")], ..BASE },
    How { locked: true, arguments: &["--locked", "--jobs", "2"], from: From::Above, ..BASE },
];

const BASE: How =
    How { env: &[], umask: None, arguments: &[], from: From::Beside, nobody: false, warm: false, locked: false };

#[test]
fn one_spec_one_result() {
    let Some(bench) = Bench::new("hello") else { return };
    let spec = HELLO.replace(
        "syscalls {",
        "files {\n    copy \"./html\" to=\"/srv/html\"\n    template \"./a.j2\" to=\"/etc/a.conf\"\n}\nsyscalls {",
    );
    let base = bench.desk.path("base.tar");
    bench.same(&HOWS, &|dir| {
        fs::copy(&base, dir.join("base.tar")).expect("ours");
        fs::write(dir.join("spec.kdl"), &spec).expect("ours");
        fs::write(dir.join("a.j2"), "a = 1\n").expect("ours");
        fs::create_dir_all(dir.join("html/sub")).expect("ours");
        // In another order each time is what a directory may give; modes and times are the user's affair.
        for name in ["ä", "z", "a", "Z", "sub/ı", "sub/I"] {
            fs::write(dir.join("html").join(name), name).expect("ours");
        }
    });
}

/// `SOURCE_DATE_EPOCH` is read where the lock is made, and nowhere else.
#[test]
fn the_epoch_is_in_the_lock() {
    let Some(bench) = Bench::new("hello") else { return };
    let base = bench.desk.path("base.tar");
    let fill = |dir: &Path| {
        fs::copy(&base, dir.join("base.tar")).expect("ours");
        fs::write(dir.join("spec.kdl"), HELLO).expect("ours");
    };
    let (_, plain) = bench.build(0, &How::default(), &fill, None);
    let said = How { env: &[("SOURCE_DATE_EPOCH", "1234567890")], ..How::default() };
    let (_, other) = bench.build(1, &said, &fill, None);
    assert!(other.lock.contains("1234567890") && !plain.lock.contains("1234567890"), "{}", other.lock);
    assert!(other.seal != plain.seal, "it is the time of what is written");
    let (_, again) = bench.build(2, &How { locked: true, ..How::default() }, &fill, Some(&other.lock));
    assert!(again == other, "from now on the lock says it");
}

#[test]
fn one_real_base_one_result() {
    let Some(real) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let Some(bench) = Bench::new("web") else { return };
    let example = k8orc_tests::tidy::tree::root().join("examples/stages");
    let fill = |dir: &Path| {
        fs::create_dir_all(dir.join("html")).expect("ours");
        fs::copy(example.join("nginx.conf"), dir.join("nginx.conf")).expect("ours");
        let spec = fs::read_to_string(example.join("spec.kdl")).expect("ours");
        let spec = spec.replace("default=\"apt:bookworm\"", "default=\"tar:base.tar\"");
        fs::write(dir.join("spec.kdl"), spec.replace("    add \"nginx-light\"", "    keep")).expect("ours");
        for (name, bytes) in files(&example.join("html")) {
            fs::write(dir.join("html").join(name), bytes).expect("ours");
        }
        let base = dir.join("base.tar");
        if fs::hard_link(&real, &base).is_err() {
            fs::copy(&real, &base).expect("room for a base");
        }
    };
    let began = Instant::now();
    bench.same(
        &[
            How {
                nobody: true,
                umask: Some("077"),
                from: From::Above,
                arguments: &["--jobs", "1"],
                env: &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8")],
                ..BASE
            },
            How { warm: true, arguments: &["--jobs", "4"], locked: true, env: &[("SOURCE_DATE_EPOCH", "1")], ..BASE },
        ],
        &fill,
    );
    println!("three builds of the real base: {:?}", began.elapsed());
}
