//! `k8orc test`: the built image in an OCI runtime, under its profile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use diag::text::printable;
use diag::{Diagnostic, codes};
use plan::plan::Plan;
use report::human::Outcome;
use serde_json::{Value, json};
use trial::TrialReport;

use crate::request::{Finished, Progress, Request, Run};
use crate::{Stage, cleanup, decide, load, pin, seal, survey};

/// How long a program may take until its probes and checks pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug)]
pub struct Tested {
    /// For people.
    pub text: String,
    /// Whether everything passed.
    pub passed: bool,
}

/// Tests `OUT/NAME`, every workload or only one.
pub fn test(request: &Request, workload: Option<&str>, progress: &dyn Progress) -> Finished<Tested> {
    // Containers must be taken down in order: the first interrupt only asks for that.
    cleanup::on_interrupt_ask();
    Run::new(request, progress).finish(|run| {
        let spec = load::spec(run)?;
        let pinned = pin::pin(run, &spec)?;
        let bases = survey::bases(run, &spec, &pinned)?;
        let plan = decide::plan(run, &spec, &pinned, &bases)?;
        // What it says about the spec was said when it was built.
        run.diagnostics.borrow_mut().0.retain(Diagnostic::is_error);
        let output = request.out.join(&plan.name);
        seal::verify(&output)?;
        same_spec(run, &plan, &output)?;
        let mut names: Vec<Option<&str>> = plan.workloads.iter().map(|w| Some(w.name.as_str())).collect();
        if let Some(wanted) = workload {
            names.retain(|name| *name == Some(wanted));
            if names.is_empty() {
                return Err(
                    Diagnostic::new(codes::E1042, format!("the spec has no workload `{}`", printable(wanted))).into()
                );
            }
        } else if names.is_empty() {
            names.push(None);
        }
        let mut tested = Tested { text: String::new(), passed: true };
        for name in names {
            run.progress.step(&format!("running {}", name.unwrap_or(&plan.name)));
            let trial = trial::Request {
                plan: &plan,
                output: &output,
                workload: name,
                secrets: BTreeMap::new(),
                patience: PATIENCE,
            };
            let (report, found) = trial::run(&trial, &cleanup::interrupted);
            tested.passed &= !found.has_errors();
            run.found(found);
            match report {
                Some(report) => describe(&mut tested.text, &report),
                None => tested.passed = false,
            }
        }
        Ok(tested)
    })
}

/// The output must be what the spec says now, else the test would speak of something else.
fn same_spec(run: &Run<'_>, plan: &Plan, output: &Path) -> Stage<()> {
    let stale = |what: &str| {
        Diagnostic::new(
            codes::E1031,
            format!("{} was not built from this spec as it is now{what}", printable(&output.display().to_string())),
        )
        .help("build it first: k8orc build SPEC")
    };
    let bytes = fs::read(output.join("report.json")).map_err(|error| stale(&format!(" ({error})")))?;
    let built: Value = serde_json::from_slice(&bytes).map_err(|error| stale(&format!(" ({error})")))?;
    let sizes = |key: &str| -> Vec<u64> {
        let images = built.get("images").and_then(Value::as_array);
        let size = |image: &Value| image.get("compressed").and_then(|c| c.get(key)).and_then(Value::as_u64);
        images.into_iter().flatten().map(|image| size(image).unwrap_or(0)).collect()
    };
    let outcome = Outcome {
        digest: built.get("image").and_then(Value::as_str).unwrap_or("").to_owned(),
        compressed: sizes("after"),
        base_compressed: sizes("before"),
        output: String::new(),
    };
    let sources = run.sources.borrow();
    let now = json!(report::human::report_json(plan, &outcome, &|span| sources.place(span)));
    // Places move with an edit that changes nothing else.
    if strip(now) == strip(built) { Ok(()) } else { Err(stale("").into()) }
}

/// Without the places in the spec.
fn strip(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.remove("at");
            for item in map.values_mut() {
                *item = strip(item.take());
            }
        }
        Value::Array(list) => {
            for item in list {
                *item = strip(item.take());
            }
        }
        _ => {}
    }
    value
}

fn describe(out: &mut String, report: &TrialReport) {
    let _ = writeln!(out, "{}: {}", printable(&report.name), printable(&report.command.join(" ")));
    for check in &report.checks {
        let outcome = match &check.outcome {
            trial::Outcome::Passed => "passed".to_owned(),
            trial::Outcome::Failed(why) => format!("FAILED: {}", printable(why)),
            trial::Outcome::LoopbackOnly(port) => format!("FAILED: port {port} answers on 127.0.0.1 alone"),
            trial::Outcome::Killed => "FAILED: killed by SIGSYS".to_owned(),
        };
        let _ = writeln!(out, "  {:<16} {}  {outcome}", printable(&check.kind), printable(&check.what));
    }
    for violation in &report.violations {
        let _ =
            writeln!(out, "  forbidden call   {} by {}", printable(&violation.syscall), printable(&violation.program));
    }
    if let Some(ready) = report.ready_after_ms {
        let _ = writeln!(out, "  {:<16} after {ready} ms", "ready");
    }
    let _ = writeln!(out, "  {:<16} {} ({})", "exit", report.exit.status, printable(&report.exit.stop_signal));
}
