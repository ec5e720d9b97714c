//! Running another program with a time limit and everything it said kept.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Run {
    /// The command as it would be typed, for messages.
    pub command: String,
    /// How it ended; `None` when its time was up and it was killed.
    pub status: Option<ExitStatus>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Run {
    /// Exit status as a shell tells it: 128 + n for death by signal n (159 for SIGSYS), 124 when time was up.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self.status {
            None => 124,
            Some(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        }
    }

    /// Standard output as text, bytes that are not UTF-8 replaced.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Itself, if it ended with 0.
    ///
    /// # Panics
    /// Otherwise, showing the command and everything it said.
    pub fn ok(self) -> Self {
        self.with_code(0)
    }

    /// Itself, if it ended with `code` (as [`Run::code`] tells it).
    ///
    /// # Panics
    /// Otherwise, showing the command and everything it said.
    pub fn with_code(self, code: i32) -> Self {
        assert!(self.code() == code, "expected exit status {code}\n{self}");
        self
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended = if self.status.is_none() { " (its time was up)" } else { "" };
        writeln!(f, "$ {}\nexit status {}{ended}", self.command, self.code())?;
        writeln!(f, "--- stdout\n{}\n--- stderr\n{}", self.out().trim_end(), self.err().trim_end())
    }
}

/// Runs `command` to its end, at most for `limit`; then it and the processes of its group are killed.
/// Its input is empty.
///
/// # Panics
/// When the program cannot be started.
#[must_use]
pub fn run(command: &mut Command, limit: Duration) -> Run {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(|w| w.to_string_lossy()).collect();
    let shown = words.join(" ");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, limit);
    if status.is_none() {
        kill_group(&mut child);
    }
    Run { command: shown, status, stdout: collect(stdout), stderr: collect(stderr) }
}

/// Waits for `child`, at most for `limit`.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(pause),
            _ => return None,
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Kills the process group that `child` leads, and reaps `child`.
pub(super) fn kill_group(child: &mut Child) {
    // The standard library kills single processes only, and this crate forbids unsafe.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
    let _ = child.kill();
    let _ = child.wait();
}

fn drain<R: Read + Send + 'static>(from: Option<R>) -> Option<JoinHandle<Vec<u8>>> {
    from.map(|mut from| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            bytes
        })
    })
}

fn collect(thread: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    thread.and_then(|t| t.join().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn sh(script: &str, limit: Duration) -> Run {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn both_streams_and_the_status_are_kept() {
        let run = sh("echo out; echo err >&2; exit 3", Duration::from_secs(20)).with_code(3);
        assert_eq!((run.out().as_str(), run.err().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn death_by_signal_reads_as_in_a_shell() {
        assert_eq!(sh("kill -SYS $$", Duration::from_secs(20)).code(), 159);
    }

    #[test]
    fn the_whole_group_dies_when_time_is_up() {
        // The inner sleep holds the pipe: were it left alive, collecting the output would take its minute.
        let began = Instant::now();
        let run = sh("echo begun; sleep 60 & sleep 60", Duration::from_millis(300));
        assert_eq!(run.code(), 124);
        assert_eq!(run.out(), "begun\n");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    #[should_panic(expected = "why it failed")]
    fn a_failure_shows_what_was_said() {
        let _ = sh("echo why it failed >&2; false", Duration::from_secs(20)).ok();
    }
}
