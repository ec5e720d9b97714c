//! `k8orc diff`.

use std::path::Path;

use diag::SourceMap;

use crate::output::Output;

/// Compares two outputs.
pub fn run(output: &Output, old: &Path, new: &Path, json: bool) -> u8 {
    match driver::diff::diff(old, new) {
        Ok(diff) => {
            output.data(&if json { format!("{:#}\n", diff.json()) } else { diff.text() });
            0
        }
        Err(problem) => output.diagnostics(&problem.into(), &SourceMap::new()),
    }
}
