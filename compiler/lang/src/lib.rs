//! The language: KDL text → [source tree](tree) → [`spec::Spec`], with every complaint at its span.
//!
//! Pure: everything outside comes through [`world::World`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod glob;
pub mod ignore;
mod load;
pub mod lock;
mod merge;
mod params;
mod read;
pub mod schema;
pub mod spec;
pub mod text;
pub mod tree;
pub mod user;
pub mod world;

pub use load::{Loaded, LoadedUnit, load};
pub use read::read;
pub use schema::{reference_markdown, schema_text};
