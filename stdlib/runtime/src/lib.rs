//! `k8or`, the runtime inside a k8orized image: it starts the program under the sealed filter,
//! and moves trees of the image onto claims. INTERFACE.md is its contract.
//!
//! Without `std` and without a libc: the binary is static, small, the same whatever C library the
//! image has, and needs nothing but a Rust compiler to be built
//! (compiler/docs/decisions/0001-runtime-binary.md). All logic is in this library, so that its
//! unit tests run under `std` like any other's.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod copy;
pub mod directory;
pub mod failure;
pub mod launch;
pub mod marker;
pub mod migrate;
pub mod run;
pub mod sealed;
pub mod sha256;
pub mod sys;
#[cfg(test)]
mod test_directory;
pub mod text;
pub mod tree;
mod verbs;

pub use verbs::main;

/// One message on standard error, each of its lines marked as ours.
pub fn say(message: &str) {
    let mut text = alloc::string::String::new();
    for line in message.lines() {
        text.push_str("k8or: ");
        text.push_str(line);
        text.push('\n');
    }
    sys::fs::write_stderr(text.as_bytes());
}
