//! What people and other tools read about a build: summary, `report.json`, the deployment graph.
//!
//! Pure functions of the Plan and of the digests that the driver hands over.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod graph;
pub mod human;
