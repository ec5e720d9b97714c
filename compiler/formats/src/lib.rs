//! Foreign bytes to values and back: archives, OCI documents, package databases, ELF.
//!
//! No policy lives here and no workspace crate lies below: a reader says what a file holds, never whether
//! that is welcome. Every reader is made for hostile input: typed errors, limits, no panics.

/// apk's database: packages, versions, dependencies, world, triggers, scripts.
pub mod apk;
/// gzip and zstd streams, recognised by their first bytes; the block-parallel gzip writer.
pub mod codec;
/// Debian binary packages: the ar container, its control archive, its data archive.
pub mod deb;
/// Debian control stanzas (`status`, `Packages`, `Release`), raw bytes kept.
pub mod deb822;
/// dpkg's database: packages, versions, relations, `info/*`, diversions, overrides, alternatives.
pub mod dpkg;
/// The few ELF headers that say what a program needs, and `#!` lines.
pub mod elf;
/// Lines of a text file with their place, for errors.
pub mod line;
/// OCI and Docker image documents: digests, manifests, indexes, configurations.
pub mod oci;
/// Account files: passwd, group, shadow, gshadow, subuid, subgid.
pub mod passwd;
/// rpm's database: headers, versions, dependencies; SQLite, NDB, Berkeley DB.
pub mod rpm;
/// Tape archives as image layers use them: a strict streaming reader, a canonical writer.
pub mod tar;
