//! `k8orc push`.

use std::path::Path;

use diag::SourceMap;

use crate::args::Global;
use crate::output::Output;

/// Pushes an output's image and prints `repository@digest`.
pub fn run(global: &Global, output: &Output, built: &Path, reference: &str) -> u8 {
    match driver::push(built, reference, global.cache.as_deref()) {
        Ok(pushed) => {
            output.data(&format!("{pushed}\n"));
            0
        }
        Err(problem) => output.diagnostics(&problem.into(), &SourceMap::new()),
    }
}
