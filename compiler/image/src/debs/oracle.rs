//! The tree of mmdebstrap.
