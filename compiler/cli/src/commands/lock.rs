//! `k8orc lock` and `k8orc fetch`.

use driver::Request;

use super::finish;
use crate::output::Output;

/// Completes or renews the lock.
pub fn run(request: &Request, output: &Output, update: bool) -> u8 {
    finish(output, driver::lock(request, update, output), |changed| {
        output.say(if changed { "k8orc.lock written" } else { "k8orc.lock is up to date" });
        0
    })
}

/// Brings the content into the cache.
pub fn fetch(request: &Request, output: &Output) -> u8 {
    finish(output, driver::fetch(request, output), |()| {
        output.say("all that the lock names is in the cache");
        0
    })
}
