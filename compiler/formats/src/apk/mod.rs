//! apk's database (`/lib/apk/db`, apk-tools 2 and 3), one file of it a module.
//!
//! Version 3 changed the package format (ADB), not the installed database: it is the same text with a few more fields
//! (apk-tools, `src/database.c`), which are kept as they stand.

mod admin;
mod dependency;
mod installed;
mod version;

pub use admin::{ScriptsError, WorldError, filter_scripts, filter_triggers, script_of, world};
pub use dependency::{Atom, Op, Provide, atom, atoms, provides};
pub use installed::{Error, Installed, Listed, Owner, Package, Problem, installed, rewrite_installed};
pub use version::{is_version, order, same_prefix};
