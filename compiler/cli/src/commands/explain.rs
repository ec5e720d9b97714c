//! `k8orc explain`.

use driver::Request;

use super::finish;
use crate::output::Output;

/// A page for a code; a chain of reasons for a thing.
pub fn run(request: &Request, output: &Output, thing: &str) -> u8 {
    if let Some(page) = diag::codes::find(thing) {
        output.data(page.text);
        return 0;
    }
    finish(output, driver::explain::explain(request, thing, output), |answer| {
        output.data(&answer);
        0
    })
}
