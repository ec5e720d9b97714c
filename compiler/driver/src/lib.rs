//! The driver: what happens in which order, and nothing else.
//!
//! [`build()`] is the whole pipeline on one screen; where nothing changed since the last build it is one stat
//! pass (`unchanged`):
//! 1. load sources → read the Spec (*gate one*),
//! 2. pin digests, from the lock or by asking for names,
//! 3. survey bases into Facts,
//! 4. keep: what stays, each thing with its reason,
//! 5. which calls: the profiles,
//! 6. decide the Plan and run the whole-system checks (*gate two: the last place where the user can be
//!    refused; [`check()`], [`explain`] and the editor stop here*),
//! 7. write into staging: profile, image, manifests, reports,
//! 8. seal (hash, read back, compare) and publish.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod cache;
pub mod cleanup;
mod decide;
pub mod diff;
pub mod explain;
pub mod init;
mod load;
mod look;
mod packages;
mod pin;
mod request;
pub mod runtime;
mod seal;
mod second_opinion;
mod staging;
pub mod stdlib;
mod survey;
pub mod test;
mod unchanged;
mod user;
mod world;
mod write;

use std::path::{Path, PathBuf};

use diag::{Diagnostic, Diagnostics, SourceMap};

pub use request::{Finished, Progress, Quiet, Request};
pub use staging::SEAL;
pub use world::OsWorld;

use request::Run;

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// `OUT/NAME`.
    pub output: PathBuf,
    /// Digest of the image.
    pub digest: String,
    /// Text for people.
    pub summary: String,
}

/// Builds a spec into `OUT/NAME`, which appears whole or not at all.
pub fn build(request: &Request, progress: &dyn Progress) -> Finished<Built> {
    Run::new(request, progress).finish(|run| {
        if let Some(built) = unchanged::find(run) {
            return Ok(built);
        }
        let spec = load::spec(run)?;
        let staging = staging::Staging::open(&request.out, &spec.image.name.value)?;
        let pinned = pin::pin(run, &spec)?;
        let bases = survey::bases(run, &spec, &pinned)?;
        let plan = decide::plan(run, &spec, &pinned, &bases)?;
        pin::write_back(run, &pinned)?;
        let written = write::all(run, &spec, &plan, &bases, &staging)?;
        let name = plan.name.clone();
        // Hundreds of thousands of small pieces, which nobody waits for.
        std::thread::spawn(move || drop((plan, bases)));
        seal::seal(run, &staging, &written)?;
        let built = seal::publish(run, &name, staging, written)?;
        unchanged::remember(run, &spec, &pinned, &built);
        Ok(built)
    })
}

/// Everything of [`build()`] up to gate two: no output is written, the lock is not changed.
pub fn check(request: &Request, progress: &dyn Progress) -> Finished<()> {
    Run::new(request, progress).finish(|run| {
        let spec = load::spec(run)?;
        let pinned = pin::pin(run, &spec)?;
        let bases = survey::bases(run, &spec, &pinned)?;
        decide::plan(run, &spec, &pinned, &bases).map(drop)
    })
}

/// Gate one alone: the spec and its modules, no base.
pub fn check_syntax(request: &Request) -> Finished<()> {
    Run::new(request, &Quiet).finish(|run| load::spec(run).map(drop))
}

/// Completes the lock, or with `update` asks anew what every name means now; whether the lock changed.
pub fn lock(request: &Request, update: bool, progress: &dyn Progress) -> Finished<bool> {
    Run::new(request, progress).finish(|run| {
        let spec = load::spec(run)?;
        let pinned = if update { pin::renew(run, &spec)? } else { pin::pin(run, &spec)? };
        pin::write_back(run, &pinned)
    })
}

/// Brings all that the lock names into the cache.
pub fn fetch(request: &Request, progress: &dyn Progress) -> Finished<()> {
    Run::new(request, progress).finish(|run| {
        let spec = load::spec(run)?;
        let pinned = pin::pin(run, &spec)?;
        survey::fetch(run, &spec, &pinned)
    })
}

/// The deployment graph of a spec's plan, as SVG or JSON.
pub fn graph(request: &Request, json: bool, progress: &dyn Progress) -> Finished<String> {
    Run::new(request, progress).finish(|run| {
        let spec = load::spec(run)?;
        let pinned = pin::pin(run, &spec)?;
        let bases = survey::bases(run, &spec, &pinned)?;
        let plan = decide::plan(run, &spec, &pinned, &bases)?;
        let model = report::graph::model(&plan, "not built");
        Ok(if json { format!("{:#}\n", report::graph::json(&model)) } else { report::graph::svg(&model) })
    })
}

/// Pushes the image of an output; `repository@digest` comes back.
pub fn push(output: &Path, reference: &str, cache: Option<&Path>) -> Finished<String> {
    let mut request = Request::new(output);
    request.cache = cache.map(Path::to_owned);
    Run::new(&request, &Quiet).finish(|run| {
        seal::verify(output)?;
        let digest = run.open_sources()?.push(&output.join("image"), reference)?;
        let name = sources::Reference::parse(reference).map(|r| r.name()).unwrap_or_else(|_| reference.to_owned());
        Ok(format!("{name}@{digest}"))
    })
}

/// Writes a file beside its place and renames it: never half.
///
/// # Errors
/// E1002, E1003.
pub fn write_atomically(path: &std::path::Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    staging::write_atomically(path, bytes)
}

/// What stops a stage: its diagnostics are among the run's already, or come with it.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Errors were collected; the gate is closed.
    Gate,
    /// One more, that ends it.
    With(Box<Diagnostic>),
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Self {
        Stop::With(Box::new(diagnostic))
    }
}

pub(crate) type Stage<T> = Result<T, Stop>;

/// Joins a run's diagnostics with what stopped it.
pub(crate) fn close<T>(result: Stage<T>, mut diagnostics: Diagnostics, sources: SourceMap) -> Finished<T> {
    let value = match result {
        Ok(value) => Some(value),
        Err(Stop::Gate) => None,
        Err(Stop::With(diagnostic)) => {
            diagnostics.push(*diagnostic);
            None
        }
    };
    Finished { value, diagnostics: diagnostics.sorted(), sources }
}
