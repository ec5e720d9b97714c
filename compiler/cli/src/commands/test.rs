//! `k8orc test`.

use driver::Request;

use super::finish;
use crate::output::Output;

/// Runs the built image under its profile.
pub fn run(request: &Request, output: &Output, workload: Option<&str>) -> u8 {
    finish(output, driver::test::test(request, workload, output), |report| {
        output.data(&report.text);
        u8::from(!report.passed)
    })
}
