//! Renderers: annotated source for people, JSON lines and SARIF for machines.

mod human;
mod json;
mod sarif;

pub use human::{human, one_line};
pub use json::json;
pub use sarif::sarif;
