//! Handmade packages.
