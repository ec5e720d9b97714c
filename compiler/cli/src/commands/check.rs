//! `k8orc check`.

use driver::Request;

use super::finish;
use crate::output::Output;

/// Checks up to gate two, or only the spec itself.
pub fn run(request: &Request, output: &Output, syntax: bool) -> u8 {
    let finished = if syntax { driver::check_syntax(request) } else { driver::check(request, output) };
    finish(output, finished, |()| {
        output.say("ok");
        0
    })
}
