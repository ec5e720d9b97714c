//! Tests against a real registry, against servers that misbehave, and on local bases.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apt;
pub(crate) mod apt_archive;
mod apt_choice;
mod apt_peer;
mod auth;
mod faulty;
mod hostile;
mod local;
mod registry;
mod server;
mod support;
