//! One value for everything that k8orc has to say about an input: [`Diagnostic`].
//!
//! It is collected by the stages, stopped at by the driver's two gates and rendered by [`render`] for
//! people, machines (JSON, SARIF) and editors. Codes are pages: see `codes/README.md`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod codes;
mod diagnostic;
pub mod render;
mod source;
pub mod text;

pub use codes::{Code, Severity};
pub use diagnostic::{Diagnostic, Diagnostics, Label};
pub use source::{FileId, SourceFile, SourceMap, Span, Spanned};
