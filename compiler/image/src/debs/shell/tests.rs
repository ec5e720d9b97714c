//! The shell's grammar and its branches; what is not known must never be passed over.
#![allow(clippy::unwrap_used, clippy::expect_used)]
