//! Step 3: bases → Facts. Layers are read once, verified, indexed into the cache.

use std::io;
use std::sync::Arc;

use diag::Diagnostic;
use image::read::{LayerInput, LayerStore, Options};
use lang::spec::{BaseRef, Spec};
use plan::facts::Facts;
use sources::{LayerSource, OpenedBase, Sources};

use crate::ground::Ground;
use crate::layer::{self, Layer, Made};
use crate::pin::{Pinned, PinnedBase};
use crate::request::Run;
use crate::{Stage, Stop, ground, packages};

/// A surveyed base of one platform.
pub(crate) struct Base {
    pub facts: Facts,
    pub contents: LayerStore,
}

/// All platforms, in the order of the pins.
pub(crate) fn bases(run: &Run<'_>, spec: &Spec, pinned: &Pinned) -> Stage<Vec<Base>> {
    let sources = run.open_sources()?;
    let base = &spec.image.base.value;
    // Held while layers are read and written: a `cache gc` beside us waits.
    let _in_use = sources.cache().share()?;
    let mut out = Vec::new();
    for pin in &pinned.bases {
        let read = read(run, sources, Some(spec), base, pin, pinned.lock.epoch)?;
        out.push(survey(run, pin, read).map_err(|problem| located(problem, spec))?);
    }
    if run.diagnostics.borrow().has_errors() { Err(Stop::Gate) } else { Ok(out) }
}

/// One platform of a base that no spec names.
pub(crate) fn one(run: &Run<'_>, sources: &Arc<Sources>, base: &BaseRef, pin: &PinnedBase) -> Stage<Base> {
    let read = read(run, sources, None, base, pin, pin.pin.created.unwrap_or(0))?;
    Ok(survey(run, pin, read)?)
}

fn survey(run: &Run<'_>, pin: &PinnedBase, read: Read) -> Result<Base, Diagnostic> {
    let Read { opened, base } = read;
    let (survey, found) = image::survey::survey(&base.tree, &pin.platform, &base.contents)?;
    run.found(found);
    let facts = Facts {
        platform: pin.platform.clone(),
        base: opened.identity,
        config: opened.config,
        tree: base.tree,
        compressed_size: opened.compressed_size + pin.packages.as_ref().map_or(0, packages::size),
        packages: survey.packages,
        accounts: survey.accounts,
        files: survey.files,
    };
    Ok(Base { facts, contents: base.contents })
}

/// Reads every layer into the cache and nothing more.
pub(crate) fn fetch(run: &Run<'_>, spec: &Spec, pinned: &Pinned) -> Stage<()> {
    let sources = run.open_sources()?;
    let _in_use = sources.cache().share()?;
    for pin in &pinned.bases {
        read(run, sources, Some(spec), &spec.image.base.value, pin, pinned.lock.epoch)?;
    }
    Ok(())
}

/// What a base says of itself, as far as adding packages to it needs it; the text says why that cannot be.
pub(crate) fn ground(run: &Run<'_>, spec: &Spec, pin: &PinnedBase) -> Stage<Result<Ground, String>> {
    let sources = run.open_sources()?;
    let _in_use = sources.cache().share()?;
    let plain = PinnedBase { platform: pin.platform.clone(), pin: pin.pin.clone(), packages: None };
    let Read { base, .. } = read(run, sources, Some(spec), &spec.image.base.value, &plain, 0)?;
    Ok(ground::of(&base.tree, &base.contents)?)
}

/// A base whose layers are in the cache.
struct Read {
    opened: OpenedBase,
    base: image::read::Base,
}

fn read(
    run: &Run<'_>,
    sources: &Arc<Sources>,
    spec: Option<&Spec>,
    base: &BaseRef,
    pin: &PinnedBase,
    epoch: i64,
) -> Stage<Read> {
    run.progress.step(&format!("reading {} for {}", pin.pin.reference, pin.platform));
    let at = |problem| match spec {
        Some(spec) => located(problem, spec),
        None => problem,
    };
    let opened = sources.open(base, &pin.pin).map_err(at)?;
    let mut layers = layers(&opened, pin);
    // What the base has already needs no layer.
    let chosen = pin.packages.as_ref().filter(|chosen| !chosen.packages.is_empty());
    if chosen.is_none() && pin.packages.is_some() {
        run.progress.note(&format!("{} holds all packages that are to be added", pin.pin.reference));
    }
    let effects = match spec {
        Some(spec) => packages::effects(run, spec)?,
        None => Vec::new(),
    };
    let name = format!("the packages of {}", pin.pin.reference);
    let onto = match base {
        BaseRef::Apt(_) => None,
        _ => Some((layers.as_slice(), pin.pin.digest.as_deref().unwrap_or_default())),
    };
    let how = Made { name: &name, arch: pin.platform.arch, epoch, onto };
    let made = chosen.map(|chosen| Layer::new(run, sources, chosen, &effects, &how));
    layers.extend(made.iter().map(|made| made.input.clone()));
    let read = image::read::read(&layers, &Options::new(sources.cache().dir()));
    if let Some(made) = &made {
        let found = layer::problems(made, spec);
        if found.has_errors() {
            run.found(found);
            return Err(Stop::Gate);
        }
    }
    // The stream's own diagnostic says more than the words of its io::Error.
    let base = read.map_err(|problem| at(opened.failure.take().unwrap_or(problem)))?;
    if let Some(made) = &made {
        made.remember(sources, base.diff_ids.last());
        made.notes().iter().for_each(|note| run.progress.note(note));
    }
    run.found(base.notes.clone());
    Ok(Read { opened, base })
}

fn layers(opened: &OpenedBase, pin: &PinnedBase) -> Vec<LayerInput> {
    let count = opened.layers.len();
    let input = |(n, layer): (usize, &LayerSource)| {
        let name =
            if count == 1 { pin.pin.reference.clone() } else { format!("layer {} of {}", n + 1, pin.pin.reference) };
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
    };
    opened.layers.iter().enumerate().map(input).collect()
}

/// Points at the base in the spec where nothing else is pointed at.
fn located(problem: Diagnostic, spec: &Spec) -> Diagnostic {
    if problem.primary.is_some() { problem } else { problem.at(spec.image.base.span, "this base") }
}
