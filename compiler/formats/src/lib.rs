//! Foreign bytes to values and back: archives, OCI documents, package databases, ELF.
//!
//! No policy lives here: a reader says what a file holds, never whether that is welcome.
//! Every reader is made for hostile input: typed errors, limits, no panics.

/// gzip and zstd streams, recognised by their first bytes; the block-parallel gzip writer.
pub mod codec;
/// OCI and Docker image documents: digests, manifests, indexes, configurations.
pub mod oci;
/// Tape archives as image layers use them: a strict streaming reader, a canonical writer.
pub mod tar;
