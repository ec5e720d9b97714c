//! `k8orc graph`.

use driver::Request;

use super::finish;
use crate::output::Output;

/// Prints the graph of the plan.
pub fn run(request: &Request, output: &Output, json: bool) -> u8 {
    finish(output, driver::graph(request, json, output), |text| {
        output.data(&text);
        0
    })
}
