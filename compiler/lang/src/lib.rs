//! The language: KDL text → [source tree](tree) → [`spec::Spec`], with every complaint at its span.
//!
//! Pure: everything outside comes through [`world::World`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod glob;
pub mod ignore;
mod load;
mod merge;
mod params;
mod read;
pub mod schema;
pub mod spec;
pub mod tree;
pub mod world;

pub use load::{Loaded, LoadedUnit, load};
pub use read::read;
pub use schema::{reference_markdown, schema_text};

fn parse(text: &str, file: diag::FileId) -> (Option<kdl::KdlDocument>, diag::Diagnostics) {
    match kdl::KdlDocument::parse_v2(text) {
        Ok(document) => (Some(document), diag::Diagnostics::new()),
        Err(error) => {
            let one = error.diagnostics.first();
            let at = one.map_or((0, 0), |one| (one.span.offset(), one.span.len()));
            let message = one.and_then(|one| one.message.clone()).unwrap_or_default();
            let span = diag::Span::new(file, at.0, at.0 + at.1);
            (None, diag::Diagnostic::new(diag::codes::E0101, message).at(span, "").into())
        }
    }
}
