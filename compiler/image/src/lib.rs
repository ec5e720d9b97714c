//! (skeleton)

pub mod rewrite;
pub mod survey;
