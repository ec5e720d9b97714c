//! Step 1: the entry file and all it uses → the Spec. Gate one.

use std::path::Path;

use lang::spec::Spec;

use crate::request::Run;
use crate::{Stage, Stop};

/// Loads and reads; stops when anything in it is wrong.
pub(crate) fn spec(run: &Run<'_>) -> Stage<Spec> {
    run.progress.step("reading the spec");
    let request = run.request;
    let entry = request.spec.file_name().map_or_else(|| Path::new(""), Path::new);
    let mut loaded = lang::load(&run.world, request.root(), entry, &request.params);
    // Read even what did not load whole: all that is wrong is said at once.
    let (spec, more) = lang::read(&loaded);
    let found = std::mem::take(&mut loaded.diagnostics);
    if let Some(spec) = &spec {
        *run.units.borrow_mut() = spec.units.iter().map(|unit| (unit.name.clone(), unit.sha256.clone())).collect();
    }
    *run.sources.borrow_mut() = loaded.sources;
    run.found(found);
    run.found(more);
    run.gate()?;
    spec.ok_or(Stop::Gate)
}
