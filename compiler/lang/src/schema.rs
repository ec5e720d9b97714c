//! The one schema of the language, as data: `stdlib/schema.kdl`, read once, and what is done with it.
//!
//! Validation ([`check`]), the reference page ([`reference_markdown`]) and the editor's queries all read the
//! same [`Schema`], so that none of them can know a node that the others do not.

use std::sync::OnceLock;

pub mod check;
mod model;
mod parse;
mod reference;
mod suggest;
pub mod types;

pub use model::{ArgDef, Built, Count, Entries, Merge, NodeDef, PropDef, Schema, Shape, Word};
pub use reference::reference_markdown;
pub use suggest::nearest;

static USER_TEXT: &str = include_str!("../../../stdlib/user.kdl");
static TEXT: &str = include_str!("../../../stdlib/schema.kdl");

/// The file itself, for `k8orc schema`.
pub fn schema_text() -> &'static str {
    TEXT
}

/// The schema. The embedded file is read on first use; that it can be read is a test of this crate, and if it
/// could not, every node would be unknown rather than unchecked.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| parse::parse(TEXT).unwrap_or_default())
}

/// The schema of the user file, as [`schema`].
pub fn user_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| parse::parse(USER_TEXT).unwrap_or_default())
}
