//! Step 3: bases → Facts. Layers are read once, verified, indexed into the cache.

use std::io;
use std::sync::Arc;

use diag::Diagnostic;
use image::read::{LayerInput, LayerStore, Options};
use lang::spec::{BaseRef, Spec};
use plan::facts::Facts;
use sources::{OpenedBase, Sources};

use crate::pin::{Pinned, PinnedBase};
use crate::request::Run;
use crate::{Stage, Stop};

/// A surveyed base of one platform.
pub(crate) struct Base {
    pub facts: Facts,
    pub contents: LayerStore,
}

/// All platforms, in the order of the pins.
pub(crate) fn bases(run: &Run<'_>, spec: &Spec, pinned: &Pinned) -> Stage<Vec<Base>> {
    let sources = run.open_sources()?;
    // Held while layers are read and written: a `cache gc` beside us waits.
    let _in_use = sources.cache().share()?;
    let mut out = Vec::new();
    for pin in &pinned.bases {
        let base = one(run, &sources, &spec.image.base.value, pin).map_err(|problem| located(problem, spec))?;
        out.push(base);
    }
    if run.diagnostics.borrow().has_errors() { Err(Stop::Gate) } else { Ok(out) }
}

/// One platform of one base.
pub(crate) fn one(run: &Run<'_>, sources: &Sources, base: &BaseRef, pin: &PinnedBase) -> Result<Base, Diagnostic> {
    run.progress.step(&format!("reading {} for {}", pin.pin.reference, pin.platform));
    let opened = sources.open(base, &pin.pin)?;
    let read = read(sources, &opened, pin)?;
    run.found(read.notes.clone());
    let (survey, found) = image::survey::survey(&read.tree, &pin.platform, &read.contents)?;
    run.found(found);
    let facts = Facts {
        platform: pin.platform.clone(),
        base: opened.identity.clone(),
        config: opened.config.clone(),
        tree: read.tree,
        compressed_size: opened.compressed_size,
        packages: survey.packages,
        accounts: survey.accounts,
        files: survey.files,
    };
    Ok(Base { facts, contents: read.contents })
}

/// Reads every layer into the cache and nothing more.
pub(crate) fn fetch(run: &Run<'_>, spec: &Spec, pinned: &Pinned) -> Stage<()> {
    let sources = run.open_sources()?;
    let _in_use = sources.cache().share()?;
    for pin in &pinned.bases {
        run.progress.step(&format!("fetching {} for {}", pin.pin.reference, pin.platform));
        let opened = sources.open(&spec.image.base.value, &pin.pin).map_err(|problem| located(problem, spec))?;
        let read = read(&sources, &opened, pin).map_err(|problem| located(problem, spec))?;
        run.found(read.notes);
    }
    Ok(())
}

fn read(sources: &Sources, opened: &OpenedBase, pin: &PinnedBase) -> Result<image::read::Base, Diagnostic> {
    let count = opened.layers.len();
    let layers: Vec<LayerInput> = opened
        .layers
        .iter()
        .enumerate()
        .map(|(n, layer)| {
            let name = if count == 1 {
                pin.pin.reference.clone()
            } else {
                format!("layer {} of {}", n + 1, pin.pin.reference)
            };
            let source = layer.clone();
            let failure = opened.failure.clone();
            LayerInput {
                name,
                digest: layer.digest,
                size: layer.digest.map(|_| layer.size),
                diff_id: layer.diff_id,
                open: Arc::new(move || {
                    source.open().map_err(|problem| {
                        let error = io::Error::other(problem.message.clone());
                        failure.keep(problem);
                        error
                    })
                }),
            }
        })
        .collect();
    let options = Options::new(sources.cache().dir());
    // The stream's own diagnostic says more than the words of its io::Error.
    image::read::read(&layers, &options).map_err(|problem| opened.failure.take().unwrap_or(problem))
}

/// Points at the base in the spec where nothing else is pointed at.
fn located(problem: Diagnostic, spec: &Spec) -> Diagnostic {
    if problem.primary.is_some() { problem } else { problem.at(spec.image.base.span, "this base") }
}
