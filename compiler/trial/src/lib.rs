//! `k8orc test`: runs a built image under runc as its pod would, asks its checks and probes, and
//! names each system call that its profile lacks.
//!
//! [`run`] in order:
//! 1. **layout**: the image of this machine's architecture, from the output directory.
//! 2. **unpack**: its layers into a temporary directory.
//! 3. **volumes**: prepared by the image's own `k8or`, in init containers as the manifests have them.
//! 4. **session**: one container under the real profile: started, asked, stopped.
//! 5. **violations**: where something went wrong, the same again under filters that stop a process at
//!    a forbidden call instead of killing it; that call is what is missing. Once more with it allowed,
//!    until none is left.
//!
//! The image is run here, and nowhere else in k8orc but `trace`. Everything lies in one temporary
//! directory, which is gone afterwards together with the containers, whatever happened in between.

mod bundle;
mod capture;
mod container;
mod layout;
mod report;
mod session;
mod unpack;
mod violations;
mod volumes;
mod wire;
mod workdir;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use diag::{Diagnostic, Diagnostics, codes};
use plan::plan::{ImagePlan, Plan, WorkloadPlan};
use plan::platform::Arch;

pub use report::{CheckReport, ExitReport, Outcome, TrialReport, Violation};

/// What is to be tested.
pub struct Request<'a> {
    /// The plan that the output was built from.
    pub plan: &'a Plan,
    /// `OUT/NAME`: `image/` and `seccomp/` are read.
    pub output: &'a Path,
    /// Which workload; `None` runs the image's default command with all volumes (a spec without workloads).
    pub workload: Option<&'a str>,
    /// Values for secrets, by (object, key); others get a placeholder and a note.
    pub secrets: BTreeMap<(String, String), Vec<u8>>,
    /// How long the program may take until probes and checks pass.
    pub patience: Duration,
}

/// What is run: a workload, or the image's own command.
pub(crate) struct Subject<'a> {
    pub plan: &'a Plan,
    pub image: &'a ImagePlan,
    pub workload: Option<&'a WorkloadPlan>,
}

impl Subject<'_> {
    /// For messages and file names.
    pub fn name(&self) -> &str {
        self.workload.map_or(&self.plan.name, |workload| &workload.name)
    }
}

/// Tests a built image. `interrupted` is asked all the time; once it says yes everything is taken down and
/// E1118 is what is left.
///
/// The report is there when the container could be started. Exit statuses follow from the diagnostics: an
/// image that fails its test is an error of the input, a machine that cannot test is one of the environment.
pub fn run(request: &Request<'_>, interrupted: &dyn Fn() -> bool) -> (Option<TrialReport>, Diagnostics) {
    let mut said = Diagnostics::new();
    let report = match trial(request, interrupted, &mut said) {
        Ok(report) => Some(report),
        Err(error) => {
            said.push(error);
            None
        }
    };
    (report, said)
}

fn trial(
    request: &Request<'_>,
    interrupted: &dyn Fn() -> bool,
    said: &mut Diagnostics,
) -> Result<TrialReport, Diagnostic> {
    let subject = subject(request)?;
    let runc = container::Runc::find()?;
    let image = layout::read(&request.output.join("image"), subject.image.platform.arch)?;
    let work = workdir::WorkDir::new()?;
    let rootfs = work.path().join("rootfs");
    unpack::unpack(&image.layers, &rootfs, interrupted)?;
    let profile = violations::read_profile(request.output, &subject)?;
    let place = session::Place {
        runc: &runc,
        work: &work,
        rootfs: &rootfs,
        image: &image,
        subject: &subject,
        count: Cell::new(0),
    };
    let files = volumes::files(&place, &request.secrets, said)?;
    let mounts = [volumes::prepare(&place, interrupted)?, files.mounts].concat();
    let setup = session::Setup { mounts: &mounts, env: &files.env, seccomp: profile.as_ref() };
    let mut report = session::run(&place, &setup, request.patience, &interrupted)?;
    if report.is_suspicious() && !interrupted() {
        report.violations = violations::find(&place, &setup, request.patience, interrupted)?;
    }
    if interrupted() {
        return Err(interruption());
    }
    report.describe(&subject, said);
    Ok(report)
}

/// The workload that was asked for, and the image that this machine can run.
fn subject<'a>(request: &Request<'a>) -> Result<Subject<'a>, Diagnostic> {
    let plan = request.plan;
    let workload = match request.workload {
        None => None,
        Some(name) => Some(plan.workloads.iter().find(|workload| workload.name == name).ok_or_else(|| {
            let known = plan.workloads.iter().map(|workload| workload.name.as_str()).collect::<Vec<_>>();
            Diagnostic::new(codes::E1106, format!("there is no workload \"{}\"", diag::text::printable(name)))
                .note(format!("the spec has: {}", if known.is_empty() { "none".into() } else { known.join(", ") }))
        })?),
    };
    let machine = Arch::parse(std::env::consts::ARCH);
    let image = plan.images.iter().find(|image| Some(image.platform.arch) == machine).ok_or_else(|| {
        let built = plan.images.iter().map(|image| image.platform.to_string()).collect::<Vec<_>>();
        Diagnostic::new(codes::E1103, format!("no image that this machine ({}) can run", std::env::consts::ARCH))
            .note(format!("built: {}", built.join(", ")))
            .help("test on a machine of one of these platforms, or add this one to `platform`")
    })?;
    Ok(Subject { plan, image, workload })
}

/// E1118.
pub(crate) fn interruption() -> Diagnostic {
    Diagnostic::new(codes::E1118, "interrupted: the container was stopped and removed")
}
