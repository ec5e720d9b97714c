//! runc: one running container, its output, its end; deleted whatever happens.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use diag::{Diagnostic, codes};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::capture::Capture;
use crate::workdir::{WorkDir, disk};

/// Between two looks at something that is waited for.
pub const TICK: Duration = Duration::from_millis(20);

/// The container runtime.
pub struct Runc;

impl Runc {
    /// Checks that this machine can run containers: runc is there, and we are root.
    pub fn find() -> Result<Runc, Diagnostic> {
        let answer = Command::new("runc").arg("--version").stdin(Stdio::null()).output();
        if !answer.is_ok_and(|answer| answer.status.success()) {
            return Err(Diagnostic::new(codes::E1100, "runc is not on the PATH: k8orc test runs images with it")
                .help("install it (Debian: apt-get install runc)"));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(Diagnostic::new(codes::E1101, "k8orc test must be run by root")
                .note("an image with files of several users can be unpacked truly by root alone")
                .help("sudo k8orc test …"));
        }
        Ok(Runc)
    }

    fn command(&self, work: &WorkDir) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(work.path().join("runc"));
        // A Ctrl-C of the terminal is for us: the container is stopped in order.
        command.process_group(0).stdin(Stdio::null());
        command
    }
}

/// A container that was started.
pub struct Container<'a> {
    runc: &'a Runc,
    work: &'a WorkDir,
    id: String,
    child: Child,
    /// Its main process as this machine numbers it.
    pub pid: Pid,
    /// What it wrote so far.
    pub stdout: Capture,
    /// What it wrote so far.
    pub stderr: Capture,
    ended: Option<ExitStatus>,
}

impl<'a> Container<'a> {
    /// Starts a container of this runtime configuration; `name` is unique within the work directory.
    pub fn start(runc: &'a Runc, work: &'a WorkDir, name: &str, config: &Value) -> Result<Container<'a>, Diagnostic> {
        let id = format!("{}-{name}", work.id());
        let bundle = work.directory(name)?;
        work.file(&format!("{name}/config.json"), config.to_string().as_bytes())?;
        let (pid_file, log) = (bundle.join("pid"), bundle.join("log"));
        let mut command = runc.command(work);
        command.arg("--log").arg(&log).args(["--log-format", "json", "run", "--bundle"]).arg(&bundle);
        command.arg("--pid-file").arg(&pid_file).arg(&id).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| disk(Path::new("runc"), &error))?;
        let stdout = child.stdout.take().map(Capture::of).unwrap_or_default();
        let stderr = child.stderr.take().map(Capture::of).unwrap_or_default();
        let mut starting = Starting { runc, work, id: &id, child: Some(child) };
        let pid = starting.wait(&pid_file, &log, &stderr)?;
        let Some(child) = starting.child.take() else { return Err(not_started(&log, &stderr)) };
        Ok(Container { runc, work, id: id.clone(), child, pid, stdout, stderr, ended: None })
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for its end at most this long.
    pub fn wait(&mut self, patience: Duration, interrupted: &dyn Fn() -> bool) -> Option<ExitStatus> {
        let start = Instant::now();
        while self.ended().is_none() && start.elapsed() < patience && !interrupted() {
            std::thread::sleep(TICK);
        }
        self.ended
    }

    /// Sends a signal (`TERM`, `SIGQUIT`, `15`) to its main process.
    pub fn kill(&self, signal: &str) {
        let mut command = self.runc.command(self.work);
        let _ = command.args(["kill", &self.id, signal]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Runs a program beside the main one; its status and output, or `None` after the time-out.
    pub fn exec(
        &self,
        args: &[String],
        patience: Duration,
        interrupted: &dyn Fn() -> bool,
    ) -> io::Result<Option<(u8, String)>> {
        let mut command = self.runc.command(self.work);
        command.args(["exec", &self.id]).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().map(Capture::of).unwrap_or_default();
        let stderr = child.stderr.take().map(Capture::of).unwrap_or_default();
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                // The readers are threads: let them have the last words.
                std::thread::sleep(TICK);
                return Ok(Some((code(status), stderr.text() + &stdout.text())));
            }
            if start.elapsed() > patience || interrupted() {
                end_group(&mut child);
                return Ok(None);
            }
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        delete(self.runc, self.work, &self.id);
        end_group(&mut self.child);
    }
}

/// A `runc run` that has not told its process yet.
struct Starting<'a> {
    runc: &'a Runc,
    work: &'a WorkDir,
    id: &'a str,
    child: Option<Child>,
}

impl Starting<'_> {
    fn wait(&mut self, pid_file: &Path, log: &Path, stderr: &Capture) -> Result<Pid, Diagnostic> {
        let start = Instant::now();
        let Some(child) = self.child.as_mut() else { return Err(not_started(log, stderr)) };
        loop {
            let over = matches!(child.try_wait(), Ok(Some(_)) | Err(_));
            let text = std::fs::read_to_string(pid_file).unwrap_or_default();
            if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) {
                return Ok(pid);
            }
            if over || start.elapsed() > Duration::from_secs(30) {
                std::thread::sleep(TICK);
                return Err(not_started(log, stderr));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            delete(self.runc, self.work, self.id);
            end_group(&mut child);
        }
    }
}

/// Kills what is left of a container and forgets it; mounts go with its namespace.
fn delete(runc: &Runc, work: &WorkDir, id: &str) {
    let mut command = runc.command(work);
    let _ = command.args(["delete", "--force", id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Ends a runc of ours and takes its status; the group is its own.
fn end_group(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}

/// 0–255 as a shell has it.
pub fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
}

/// E1105, with runc's own words.
fn not_started(log: &Path, stderr: &Capture) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(codes::E1105, "runc could not start the container");
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let said = text.lines().filter_map(|line| {
        let entry = serde_json::from_str::<Value>(line).ok()?;
        (entry.get("level")?.as_str()? == "error").then(|| entry.get("msg")?.as_str().map(str::to_owned))?
    });
    for message in said.take(3) {
        diagnostic = diagnostic.note(diag::text::printable(&message));
    }
    let words = stderr.text();
    if !words.is_empty() {
        diagnostic = diagnostic.note(words);
    }
    diagnostic
}

/// The path of a file as runc's configuration takes it.
pub fn text(path: PathBuf) -> Result<String, Diagnostic> {
    path.into_os_string().into_string().map_err(|path| {
        disk(
            Path::new(&path),
            &io::Error::new(io::ErrorKind::InvalidInput, "the temporary directory's name is no UTF-8"),
        )
    })
}
