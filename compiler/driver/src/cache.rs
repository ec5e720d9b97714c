//! `k8orc cache`.

use std::path::Path;

use diag::Diagnostic;
use report::human::bytes;

use crate::request;

/// Where the cache is and what it holds, as text.
///
/// # Errors
/// It cannot be read.
pub fn info(dir: Option<&Path>) -> Result<String, Diagnostic> {
    let cache = request::cache(dir)?;
    let stats = cache.stats()?;
    let row = |name: &str, tally: &sources::cache::Tally| {
        format!("{name:<10} {:>6}  {}\n", tally.entries, bytes(tally.bytes))
    };
    Ok(format!(
        "{:<10} {}\n{}{}{}",
        "directory",
        diag::text::printable(&cache.dir().display().to_string()),
        row("documents", &stats.blobs),
        row("layers", &stats.layers),
        row("outputs", &stats.outputs),
    ))
}

/// Removes what was used longest ago until at most `max` bytes are left.
///
/// # Errors
/// It cannot be read or written.
pub fn gc(dir: Option<&Path>, max: Option<u64>) -> Result<String, Diagnostic> {
    let report = request::cache(dir)?.gc(max.unwrap_or(sources::cache::DEFAULT_LIMIT))?;
    Ok(if report.busy {
        "a build is using the cache; nothing was removed\n".to_owned()
    } else {
        format!("{} removed, {} left\n", bytes(report.removed.bytes), bytes(report.left.bytes))
    })
}
