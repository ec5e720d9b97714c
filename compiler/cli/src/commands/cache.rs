//! `k8orc cache`.

use diag::SourceMap;

use crate::args::{CacheAction, Global};
use crate::output::Output;

/// Shows or frees the cache.
pub fn run(global: &Global, output: &Output, action: CacheAction) -> u8 {
    let text = match action {
        CacheAction::Info => driver::cache::info(global.cache.as_deref()),
        CacheAction::Gc { max } => driver::cache::gc(global.cache.as_deref(), max),
    };
    match text {
        Ok(text) => {
            output.data(&text);
            0
        }
        Err(problem) => output.diagnostics(&problem.into(), &SourceMap::new()),
    }
}
