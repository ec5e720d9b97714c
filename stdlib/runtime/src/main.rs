//! The binary `k8or`. Its entry point is `_start` in the library (sys/), for there is no libc
//! that would call a `main`; `build_step.rs` compiles it.
#![no_std]
#![no_main]

extern crate k8or as _;
