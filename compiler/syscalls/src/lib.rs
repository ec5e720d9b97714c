//! System calls: which ones a profile allows, in the forms that the kernel and container runtimes take.
//!
//! [`mod@write`] turns a decided [`plan::profile::Profile`] into the JSON that a node's runtime loads and into
//! the filter that the runtime layer installs. Pure: bytes out, nothing touched.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod derive;
pub mod write;
