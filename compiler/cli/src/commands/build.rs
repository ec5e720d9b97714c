//! `k8orc build`.

use driver::Request;

use super::finish;
use crate::output::Output;

/// Builds and prints the summary.
pub fn run(request: &Request, output: &Output) -> u8 {
    finish(output, driver::build(request, output), |built| {
        output.say(built.summary.trim_end());
        0
    })
}
