//! Real images of a small program, run under the real runc. Needs root and runc; says so where they are
//! missing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../../stdlib/runtime/build_step.rs"]
mod build_step;
mod harness;
mod image;
mod machine;
mod run;
mod syscalls;
