//! One run of the program: started as its pod would start it, asked, stopped.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use diag::{Diagnostic, Span};
use plan::plan::{CheckPlan, ProbeActionPlan};
use rustix::process::Pid;
use serde_json::Value;

use crate::Subject;
use crate::bundle::{self, Mount};
use crate::container::{self, Container, Runc, TICK};
use crate::layout::Image;
use crate::report::{CheckReport, ExitReport, Outcome, SIGSYS_STATUS, TrialReport};
use crate::wire::{self, Answer};
use crate::workdir::WorkDir;

/// Between two tries of a question.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a program without any question is watched.
const WATCHED: Duration = Duration::from_secs(1);
/// What containerd and Docker give an image that says none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Seconds that a pod has to stop when its manifest does not say.
const GRACE: u32 = 30;

/// What all containers of a trial share.
pub struct Place<'a> {
    pub runc: &'a Runc,
    pub work: &'a WorkDir,
    pub rootfs: &'a Path,
    pub image: &'a Image,
    pub subject: &'a Subject<'a>,
    /// Containers made so far: names are numbered.
    pub count: Cell<u32>,
}

impl Place<'_> {
    /// User and group of the pod.
    pub fn user(&self) -> (u32, u32) {
        match self.subject.workload {
            Some(workload) => (workload.uid, workload.gid),
            None => (self.subject.image.user.uid, self.subject.image.user.gid),
        }
    }

    /// A name that no container had yet.
    pub fn next_name(&self, kind: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{kind}-{}", self.count.get())
    }

    /// The runtime configuration of a container of this image.
    pub fn config(
        &self,
        args: &[String],
        more_env: &[String],
        mounts: &[Mount],
        seccomp: Option<&Value>,
    ) -> Result<Value, Diagnostic> {
        let (uid, gid) = self.user();
        let groups = match self.subject.workload {
            // fsGroup is a group of every process of the pod.
            Some(workload) => [workload.groups.as_slice(), &[gid]].concat(),
            None => self.subject.image.user.groups.clone(),
        };
        let mut env = self.image.list("Env");
        if !env.iter().any(|line| line.starts_with("PATH=")) {
            env.push(DEFAULT_PATH.to_owned());
        }
        let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
        env.retain(|line| !more_env.iter().any(|other| name(other) == name(line)));
        env.extend_from_slice(more_env);
        let rootfs = container::text(self.rootfs.to_owned())?;
        Ok(bundle::config(&bundle::Container {
            rootfs: &rootfs,
            args,
            env: &env,
            cwd: self.image.text("WorkingDir").unwrap_or("/"),
            user: (uid, gid, &groups),
            mounts,
            seccomp,
        }))
    }

    /// What the manifest would start: the image's own command, or another one behind `k8or run`.
    fn command(&self) -> Vec<String> {
        match self.subject.workload {
            Some(workload) if workload.command != self.subject.image.command => {
                let wrapper = ["/k8or/k8or", "run", "--"].map(str::to_owned);
                [&wrapper[..], &workload.command].concat()
            }
            _ => [self.image.list("Entrypoint"), self.image.list("Cmd")].concat(),
        }
    }
}

/// Whoever wants to know of the run while it lasts.
pub trait Observer {
    /// The container runs; this is its main process.
    fn started(&self, _: Pid) {}
    /// Whether to stop now.
    fn enough(&self) -> bool;
}

impl<F: Fn() -> bool> Observer for F {
    fn enough(&self) -> bool {
        self()
    }
}

/// The volumes, the files and the environment of a run, and the filter around it.
pub struct Setup<'a> {
    /// Mounts.
    pub mounts: &'a [Mount],
    /// `KEY=VALUE` beside the image's.
    pub env: &'a [String],
    /// The node's filter.
    pub seccomp: Option<&'a Value>,
}

/// Runs the program once.
pub fn run(
    place: &Place<'_>,
    setup: &Setup<'_>,
    patience: Duration,
    observer: &dyn Observer,
) -> Result<TrialReport, Diagnostic> {
    let command = place.command();
    let config = place.config(&command, setup.env, setup.mounts, setup.seccomp)?;
    let start = Instant::now();
    let mut container = Container::start(place.runc, place.work, &place.next_name("main"), &config)?;
    observer.started(container.pid);
    let mut checks = Vec::new();
    let mut ready_after = None;
    for question in questions(place.subject) {
        if observer.enough() {
            break;
        }
        let outcome = settle(&mut container, &question, start + patience, observer);
        if outcome == Outcome::Passed && ready_after.is_none() {
            ready_after = u64::try_from(start.elapsed().as_millis()).ok();
        }
        checks.push(CheckReport { kind: question.kind, what: question.ask.to_string(), outcome, span: question.span });
    }
    if checks.is_empty() {
        container.wait(WATCHED, &|| observer.enough());
    }
    let exit = stop(place, &mut container, observer);
    // The readers are threads: let them have the last words.
    std::thread::sleep(TICK);
    Ok(TrialReport {
        name: place.subject.name().to_owned(),
        command,
        checks,
        violations: Vec::new(),
        exit,
        ready_after_ms: ready_after,
        stdout: container.stdout.text(),
        stderr: container.stderr.text(),
    })
}

/// Asks for the end as the kubelet does: the stop signal, the grace period, SIGKILL.
fn stop(place: &Place<'_>, container: &mut Container<'_>, observer: &dyn Observer) -> ExitReport {
    let signal = place.image.text("StopSignal").unwrap_or("SIGTERM").to_owned();
    let early = container.ended().is_some();
    let mut killed = false;
    if !early {
        container.kill(&signal);
        let grace = place.subject.workload.and_then(|workload| workload.grace).unwrap_or(GRACE);
        let grace = Duration::from_secs(u64::from(grace.min(GRACE)));
        if container.wait(grace, &|| observer.enough()).is_none() {
            killed = !observer.enough();
            container.kill("SIGKILL");
            container.wait(Duration::from_secs(10), &|| false);
        }
    }
    let status = container.ended().map_or(255, container::code);
    ExitReport { status, early, killed, stop_signal: signal }
}

/// Something to ask.
struct Question {
    kind: String,
    ask: Ask,
    span: Option<Span>,
    /// How long one try may take.
    timeout: Duration,
    /// Whether an answer may be wrong at first.
    patient: bool,
}

enum Ask {
    Http { port: u16, path: String, status: Option<u16> },
    Tcp { port: u16 },
    Exec { argv: Vec<String> },
}

impl std::fmt::Display for Ask {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = wire::ADDRESS;
        match self {
            Ask::Http { port, path, .. } => {
                write!(out, "http GET {address}:{port}{}", diag::text::printable(path))
            }
            Ask::Tcp { port } => write!(out, "tcp {address}:{port}"),
            Ask::Exec { argv } => write!(out, "exec {}", diag::text::printable(&argv.join(" "))),
        }
    }
}

/// Probes in the order in which the kubelet begins with them, then the checks of the spec.
fn questions(subject: &Subject<'_>) -> Vec<Question> {
    let mut questions = Vec::new();
    for kind in ["startup", "readiness", "liveness"] {
        let Some((workload, probe)) = subject.workload.and_then(|w| Some((w, w.probes.get(kind)?))) else { continue };
        let ask = match &probe.action {
            ProbeActionPlan::Http { path, port } => Ask::Http { port: *port, path: path.clone(), status: None },
            ProbeActionPlan::Tcp { port } => Ask::Tcp { port: *port },
            ProbeActionPlan::Exec { argv } => Ask::Exec { argv: argv.clone() },
        };
        let timeout = Duration::from_secs(u64::from(probe.timeout.unwrap_or(1).max(1)));
        let span = Some(workload.span);
        questions.push(Question { kind: format!("{kind} probe"), ask, span, timeout, patient: true });
    }
    for check in &subject.plan.checks {
        let timeout = Duration::from_secs(5);
        let kind = "check".to_owned();
        questions.push(match check {
            CheckPlan::Http { span, port, path, status } => {
                // A port of another workload is not asked of this one.
                if elsewhere(subject, *port) {
                    continue;
                }
                let ask = Ask::Http { port: *port, path: path.clone(), status: *status };
                Question { kind, ask, span: Some(*span), timeout, patient: true }
            }
            CheckPlan::Exec { span, argv } => Question {
                kind,
                ask: Ask::Exec { argv: argv.clone() },
                span: Some(*span),
                timeout: Duration::from_secs(30),
                patient: false,
            },
        });
    }
    questions
}

fn elsewhere(subject: &Subject<'_>, port: u16) -> bool {
    let has = |workload: &plan::plan::WorkloadPlan| workload.ports.iter().any(|known| known.number == port);
    subject.workload.is_some_and(|workload| !has(workload) && subject.plan.workloads.iter().any(has))
}

/// Asks until the answer is right, the program has ended, or the time is over.
fn settle(container: &mut Container<'_>, question: &Question, deadline: Instant, observer: &dyn Observer) -> Outcome {
    loop {
        let ended = container.ended();
        if let Some(status) = ended {
            let status = container::code(status);
            if status == SIGSYS_STATUS {
                return Outcome::Failed("the program had been killed by SIGSYS".to_owned());
            }
            return Outcome::Failed(format!("the program had ended with status {status}"));
        }
        let outcome = once(container, question, observer);
        let again = question.patient && outcome != Outcome::Passed && outcome != Outcome::Killed;
        if !again || Instant::now() >= deadline || observer.enough() {
            return outcome;
        }
        std::thread::sleep(PAUSE);
    }
}

fn once(container: &Container<'_>, question: &Question, observer: &dyn Observer) -> Outcome {
    match &question.ask {
        Ask::Http { port, path, status } => match wire::http(container.pid, *port, path, question.timeout) {
            Answer::Status(got) if status.map_or((200..400).contains(&got), |wanted| wanted == got) => Outcome::Passed,
            Answer::Status(got) => {
                let wanted = status.map_or("200 to 399".to_owned(), |wanted| wanted.to_string());
                Outcome::Failed(format!("status {got}, wanted {wanted}"))
            }
            Answer::None(why) => Outcome::Failed(why),
            Answer::LoopbackOnly => Outcome::LoopbackOnly(*port),
        },
        Ask::Tcp { port } => match wire::tcp(container.pid, *port, question.timeout) {
            Answer::Status(_) => Outcome::Passed,
            Answer::None(why) => Outcome::Failed(why),
            Answer::LoopbackOnly => Outcome::LoopbackOnly(*port),
        },
        Ask::Exec { argv } => {
            let args = [&["/k8or/k8or", "exec", "--"].map(str::to_owned)[..], argv].concat();
            match container.exec(&args, question.timeout, &|| observer.enough()) {
                Ok(Some((0, _))) => Outcome::Passed,
                Ok(Some((SIGSYS_STATUS, _))) => Outcome::Killed,
                Ok(Some((status, said))) => {
                    Outcome::Failed(format!("it ended with status {status}\n{}", said.trim_end()))
                }
                Ok(None) => Outcome::Failed(format!("it did not end within {} s", question.timeout.as_secs())),
                Err(error) => Outcome::Failed(format!("runc exec: {error}")),
            }
        }
    }
}
