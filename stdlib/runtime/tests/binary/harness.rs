//! One build of the runtime for all tests, and directories in which it finds its `k8or/`.

use crate::build_step::{Step, compile};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub fn rustc() -> PathBuf {
    option_env!("RUSTC").map_or("rustc".into(), PathBuf::from)
}

/// The machine's own target triple.
pub fn host() -> String {
    let answer = Command::new(rustc()).arg("-vV").output().unwrap();
    let text = String::from_utf8(answer.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The binary, in the variant that looks for `k8or/` in its working directory.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("binary");
        std::fs::create_dir_all(&out).unwrap();
        let (rustc, sources, target) = (rustc(), sources(), host());
        let step = Step { rustc: &rustc, sources: &sources, out: &out, target: &target, home_relative: true };
        compile(&step).unwrap_or_else(|why| panic!("{why}"))
    })
}

/// Whether namespaces can be made here; without them a test says that it was skipped.
pub fn namespaces() -> bool {
    let able = Command::new("unshare")
        .args(["--user", "--map-root-user", "--pid", "--mount", "--fork", "--mount-proc", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let required = std::env::var_os("K8ORC_REQUIRE").is_some_and(|value| value == "all");
    assert!(able || !required, "user and pid namespaces cannot be made here (unshare of util-linux)");
    if !able {
        eprintln!("skipped: user and pid namespaces cannot be made here (unshare of util-linux)");
    }
    able
}

/// A working directory with a sealed configuration.
pub struct Place(pub PathBuf);

impl Place {
    /// `lines` come after version, arch, uid, gid and on-violation.
    pub fn new(lines: &str) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("k8or-binary-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("k8or")).unwrap();
        let place = Place(path);
        place.seal(lines);
        place
    }

    pub fn seal(&self, lines: &str) {
        let arch = std::env::consts::ARCH;
        let text = format!("k8or 1\narch {arch}\nuid 0\ngid 0\non-violation kill-process\n{lines}");
        std::fs::write(self.0.join("k8or/sealed.conf"), text).unwrap();
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    /// A path below as text, for the sealed configuration.
    pub fn text(&self, below: &str) -> String {
        self.path(below).to_str().unwrap().to_owned()
    }

    /// The command as an ordinary process.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.current_dir(&self.0).args(arguments);
        command
    }

    /// The command as PID 1 of its own namespace, with its own /proc.
    pub fn as_init(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .current_dir(&self.0)
            .args(["--user", "--map-root-user", "--pid", "--mount", "--fork", "--mount-proc"])
            .args(["--kill-child", "--"])
            .arg(binary())
            .args(arguments);
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&self.0).status();
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// SHA-256 by another program than ours.
pub fn sha256sum(bytes: &[u8]) -> String {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

/// Waits until `ready` holds; a test that waits in vain fails.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The process that `unshare` started: k8or, seen from outside its namespace.
pub fn init_of(unshare: &Child) -> u32 {
    let list = format!("/proc/{0}/task/{0}/children", unshare.id());
    let mut pid = None;
    wait_until("unshare starts its child", || {
        pid = std::fs::read_to_string(&list).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.unwrap()
}
