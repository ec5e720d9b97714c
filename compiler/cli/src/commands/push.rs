//! `k8orc push`.

use std::path::Path;

use super::finish;
use crate::args::Global;
use crate::output::Output;

/// Pushes an output's image and prints `repository@digest`.
pub fn run(global: &Global, output: &Output, built: &Path, reference: &str) -> u8 {
    finish(output, driver::push(built, reference, global.cache.as_deref()), |pushed| {
        output.data(&format!("{pushed}\n"));
        0
    })
}
