//! `k8orc init`.

use std::path::Path;

use super::finish;
use crate::args::Global;
use crate::output::Output;

/// Writes a starter spec.
pub fn run(global: &Global, output: &Output, image: &str, to: &Path, platform: &str) -> u8 {
    let finished = driver::init::init(image, platform, to, global.cache.as_deref(), output);
    finish(output, finished, |()| {
        let name = diag::text::printable(&to.display().to_string());
        output.say(&format!("{name} written; read it, then: k8orc build {name}"));
        0
    })
}
