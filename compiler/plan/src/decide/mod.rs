//! Decisions: from the Spec and what is kept to the Plan.

pub mod profile;
