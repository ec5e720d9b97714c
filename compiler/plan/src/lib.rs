//! The waist: Facts (what the base holds) → decisions, each with its reason → Plan (what is written).
//!
//! Pure data and functions. Readers fill [`facts::Facts`], writers take [`plan::Plan`]; a writer that wants
//! the Spec shows that a decision is missing here.
//!
//! 1. [`facts`]: a base, surveyed: its tree, packages, accounts, config.
//! 2. [`kept`]: what stays of it and what is added (`keep`), each thing with its [`reason`].
//! 3. [`profile`]: which system calls.
//! 4. [`plan`]: everything decided, for all writers.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod calls;
pub mod checks;
pub mod decide;
pub use lang::spec::{BaseRef, SourcePath};

pub mod facts;
pub mod kept;
pub mod path;
pub mod plan;
pub mod platform;
pub mod profile;
pub mod reason;
pub mod time;
pub mod tree;
