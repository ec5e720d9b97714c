//! Step 7: the writers, each from the Plan, into the staging directory. What one needs of another (filter,
//! image digest) is a value that is handed on here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use diag::{Diagnostic, Span};
use image::write::{Input, Options, Sink, Written};
use lang::spec::Spec;
use plan::kept::Content;
use plan::plan::Plan;
use report::human::Outcome;
use serde::Serialize;
use syscalls::write::runtime_spec::{Runtime, runtime_spec};

use crate::request::Run;
use crate::staging::Staging;
use crate::survey::Base;
use crate::{OsWorld, Stage};

/// What was written, for the seal.
pub(crate) struct Artifacts {
    pub image: Written,
    pub outcome: Outcome,
    pub summary: String,
}

/// Everything but the seal.
pub(crate) fn all(run: &Run<'_>, _spec: &Spec, plan: &Plan, bases: &[Base], staging: &Staging) -> Stage<Artifacts> {
    if run.request.archive.is_some() && plan.images.len() > 1 {
        return Err(Diagnostic::new(diag::codes::E1021, "a docker-archive holds one platform, this image has several")
            .help("build one platform, or load image/ with a tool that reads OCI layouts")
            .into());
    }
    profiles(plan, staging)?;
    let image = self::image(run, plan, bases, staging)?;
    let digest = image.top.digest.to_string();
    run.progress.step("writing manifests and reports");
    let manifests = kube::write(plan, &digest).map_err(|error| {
        Diagnostic::new(diag::codes::E1020, format!("{error}")).note("this is a bug of k8orc; nothing was written")
    })?;
    for (path, bytes) in manifests {
        staging.write(&format!("manifests/{path}"), &bytes)?;
    }
    let outcome = Outcome {
        digest: digest.clone(),
        compressed: image.images.iter().map(|image| image.layers.iter().map(|layer| layer.size).sum()).collect(),
        base_compressed: bases.iter().map(|base| base.facts.compressed_size).collect(),
        output: diag::text::printable(&staging.target().display().to_string()),
    };
    let sources = run.sources.borrow();
    // Thousands of entries have few reasons: a place is counted out in its text once.
    let places = RefCell::new(BTreeMap::new());
    let place = |span: Span| {
        let mut places = places.borrow_mut();
        places.entry((span.file.0, span.start)).or_insert_with(|| sources.place(span)).clone()
    };
    let report = report::human::report_json(plan, &outcome, &place);
    staging.write("report.json", pretty(&report)?.as_bytes())?;
    let graph = report::graph::model(plan, &digest);
    staging.write("hgraph.json", pretty(&report::graph::json(&graph))?.as_bytes())?;
    staging.write("hgraph.svg", report::graph::svg(&graph).as_bytes())?;
    let summary = report::human::summary(plan, &outcome);
    Ok(Artifacts { image, outcome, summary })
}

/// `seccomp/WORKLOAD.json`; of an image without workloads `seccomp/NAME.json`.
fn profiles(plan: &Plan, staging: &Staging) -> Stage<()> {
    if plan.workload_profiles.is_empty() {
        let name = format!("seccomp/{}.json", plan.name);
        staging.write(&name, &runtime_spec(&plan.profile, &Runtime::ALL))?;
    }
    for (name, profile) in &plan.workload_profiles {
        staging.write(&format!("seccomp/{name}.json"), &runtime_spec(profile, &Runtime::ALL))?;
    }
    Ok(())
}

fn image(run: &Run<'_>, plan: &Plan, bases: &[Base], staging: &Staging) -> Stage<Written> {
    run.progress.step("writing the image");
    let sources = run.open_sources()?;
    let _in_use = sources.cache().share()?;
    let mut inputs = Vec::new();
    for image in &plan.images {
        if let Some(base) = bases.iter().find(|base| base.facts.platform == image.platform) {
            inputs.push(Input { plan: image, contents: &base.contents });
        }
    }
    let world = &run.world;
    let read_source = |content: &Content, sink: Sink<'_>| read_source(world, content, sink);
    let options = Options {
        cache: Some(sources.cache().dir()),
        threads: run.request.threads(),
        epoch: plan.epoch,
        ref_name: "latest",
        interrupted: None,
    };
    Ok(image::write::write(&staging.dir().join("image"), &inputs, &read_source, &options)?)
}

/// Streams a file of the user's again; it must be what the plan saw.
fn read_source(world: &OsWorld, content: &Content, sink: Sink<'_>) -> Result<(), Diagnostic> {
    let Content::Source { path, size, .. } = content else { return Ok(()) };
    match world.stream(&path.root, &path.path, *size, sink) {
        Ok(()) => Ok(()),
        Err(error) => {
            let shown = diag::text::printable(&path.path.display().to_string());
            Err(Diagnostic::new(diag::codes::E1022, format!("{shown} changed while it was being read: {error}"))
                .help("build again when nothing writes to it"))
        }
    }
}

/// Pretty JSON with a final newline: people read these files.
fn pretty(value: &impl Serialize) -> Result<String, Diagnostic> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Diagnostic::new(diag::codes::E1020, format!("{error}")).note("this is a bug of k8orc; nothing was written")
    })?;
    Ok(text + "\n")
}

/// Writes the docker-archive beside its place and renames it.
pub(crate) fn archive(run: &Run<'_>, plan_name: &str, output: &Path, written: &Written) -> Stage<()> {
    let Some(path) = &run.request.archive else { return Ok(()) };
    run.progress.step("writing the archive");
    // Times in the archive itself are not part of the image: 0 is always the same.
    let options = Options { cache: None, threads: 1, epoch: 0, ref_name: "latest", interrupted: None };
    for image in &written.images {
        let tags = [format!("{plan_name}:latest")];
        crate::staging::stream_atomically(path, |out| {
            image::write::docker_archive(&output.join("image"), image, &tags, out, path, &options)
        })?;
    }
    Ok(())
}
