//! Why the runtime gives up: a status for the kubelet and sentences for whoever reads the log.

use alloc::string::String;

/// The exit statuses of `k8or` itself (INTERFACE.md lists them; sysexits.h where it has one).
pub mod status {
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// A tree is not what the image was sealed with.
    pub const DIFFERS: u8 = 65;
    /// The device or the volume refused: full, read-only, broken.
    pub const IO: u8 = 74;
    /// The sealed configuration cannot be used, or the tree it asks for is not there.
    pub const REFUSED: u8 = 78;
    /// The program is there but cannot be started.
    pub const CANNOT_START: u8 = 126;
    /// The program is not there.
    pub const NOT_FOUND: u8 = 127;
}

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit status, one of [`status`].
    pub status: u8,
    /// What is wrong, where, and what to do; lines are separated by a newline.
    pub message: String,
}

impl Failure {
    /// A refusal with its status and message.
    pub fn new(status: u8, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }
}
