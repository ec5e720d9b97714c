//! Builds the real static binary and runs it: as PID 1 of a namespace, under a filter, on claims.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod build;
#[path = "../../build_step.rs"]
mod build_step;
mod calls;
mod harness;
mod migrate;
mod run;
