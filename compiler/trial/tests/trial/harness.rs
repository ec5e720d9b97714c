//! What the tests share: the machine's abilities, the two programs, a run with its findings.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use diag::Diagnostics;
use trial::{Request, TrialReport};

use crate::build_step::{Step, compile};
use crate::image::Image;

/// This test's turn, if a container can be run here. One at a time: what a test leaves behind is then its own.
pub fn able() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let root = rustix::process::geteuid().is_root();
    let runc = Command::new("runc").arg("--version").output().is_ok_and(|answer| answer.status.success());
    let required = std::env::var_os("K8ORC_REQUIRE").is_some_and(|value| value == "all");
    assert!(root && runc || !required, "root and runc are needed");
    if !(root && runc) {
        eprintln!("skipped: root and runc are needed");
    }
    (root && runc).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn rustc() -> PathBuf {
    option_env!("RUSTC").map_or("rustc".into(), PathBuf::from)
}

fn target() -> String {
    let answer = Command::new(rustc()).arg("-vV").output().unwrap();
    let text = String::from_utf8(answer.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// The runtime as the compiler embeds it.
pub fn k8or() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("k8or");
        std::fs::create_dir_all(&out).unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stdlib/runtime/src");
        let (rustc, target) = (rustc(), target());
        let step = Step { rustc: &rustc, sources: &sources, out: &out, target: &target, home_relative: false };
        std::fs::read(compile(&step).unwrap_or_else(|why| panic!("{why}"))).unwrap()
    })
}

/// The program of `program/main.rs`.
pub fn program() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trial/program/main.rs");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
        let made = Command::new(rustc())
            .args(["--edition", "2024", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"])
            .args([&file, &source])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::read(file).unwrap()
    })
}

/// Runs the test of an image's one workload.
pub fn run(image: &Image) -> (Option<TrialReport>, Diagnostics) {
    run_with(image, Duration::from_secs(10), &|| false)
}

pub fn run_with(
    image: &Image,
    patience: Duration,
    interrupted: &dyn Fn() -> bool,
) -> (Option<TrialReport>, Diagnostics) {
    let request = Request {
        plan: &image.plan,
        output: image.output(),
        workload: Some("web"),
        secrets: [(("db".to_owned(), "password".to_owned()), b"given".to_vec())].into(),
        patience,
    };
    let result = trial::run(&request, interrupted);
    for diagnostic in result.1.iter() {
        eprintln!("{} {}\n{:?}", diagnostic.code, diagnostic.message, diagnostic.notes);
    }
    if let Some(report) = &result.0 {
        eprintln!("{report:#?}");
    }
    result
}

/// The codes that were said, in order.
pub fn codes(said: &Diagnostics) -> Vec<&'static str> {
    said.iter().map(|diagnostic| diagnostic.code.id()).collect()
}

/// What is left of the trials of this process: directories, mounts, cgroups, processes.
pub fn left_behind() -> Vec<String> {
    let mark = format!("k8orc-test-{}-", std::process::id());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        found.push(entry.path().display().to_string());
    }
    found.extend(std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().map(str::to_owned));
    let groups = Command::new("find").args(["/sys/fs/cgroup", "-name"]).arg(format!("{mark}*")).output().unwrap();
    found.extend(String::from_utf8_lossy(&groups.stdout).lines().map(str::to_owned));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        found.push(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    found.retain(|text| text.contains(&mark));
    found
}
