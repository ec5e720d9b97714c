//! Foreign bytes to values and back: no policy, no workspace crate below it, and no panic on
//! what a hostile file may hold.

/// Debian control stanzas (`status`, `Packages`, `Release`), raw bytes kept.
pub mod deb822;
/// dpkg's database: packages, versions, relations, `info/*`, diversions, overrides, alternatives.
pub mod dpkg;
/// The few ELF headers that say what a program needs, and `#!` lines.
pub mod elf;
/// Lines of a text file with their place, for errors.
pub mod line;
/// Account files: passwd, group, shadow, gshadow, subuid, subgid.
pub mod passwd;
