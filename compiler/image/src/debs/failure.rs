//! What goes wrong on the way: a diagnostic in the making, before the package at fault is known.

use diag::text::printable_bytes;
use diag::{Code, Diagnostic, codes};

/// A problem, and its place in the tree or in a text.
#[derive(Debug)]
pub(super) struct Failure {
    pub code: Code,
    pub message: String,
    pub notes: Vec<String>,
    pub help: &'static str,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>, help: &'static str) -> Failure {
        Failure { code, message: message.into(), notes: Vec::new(), help }
    }

    pub fn note(mut self, note: impl Into<String>) -> Failure {
        self.notes.push(note.into());
        self
    }

    /// The diagnostic, with the package that it is about.
    pub fn of(self, package: &str) -> Diagnostic {
        let mut out = Diagnostic::new(self.code, format!("{}: {}", diag::text::printable(package), self.message));
        out.notes = self.notes;
        if self.help.is_empty() { out } else { out.help(self.help) }
    }
}

/// A path that cannot be what a package wants it to be.
pub(super) fn fail<T>(what: &str, path: &[u8]) -> Result<T, Failure> {
    let message = format!("{what}: /{}", printable_bytes(path).trim_start_matches('/'));
    Err(Failure::new(codes::E0564, message, "the package contradicts itself or another one; leave it out"))
}
