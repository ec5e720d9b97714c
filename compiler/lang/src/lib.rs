//! The language: KDL text → [`SourceTree`](tree) → [`spec::Spec`], with every complaint at its span.
//!
//! Pure: everything outside comes through [`world::World`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod lock;
pub mod spec;
pub mod text;
pub mod world;
