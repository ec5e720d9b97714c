//! The standard library, embedded: modules by name and the digest that the lock pins.

use sha2::{Digest as _, Sha256};

// `MODULES: &[(&str, &str)]`, sorted by name; made by the build script from stdlib/modules.
include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// The text of `std/debian/minimal`.
pub fn module(name: &str) -> Option<&'static str> {
    MODULES.binary_search_by(|(module, _)| (*module).cmp(name)).ok().map(|at| MODULES[at].1)
}

/// All names, sorted.
pub fn modules() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

/// Data that decides beside the modules.
fn data() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rules = [("reach.rules", plan::decide::keep::RULES), ("maintainer.txt", image::survey::MAINTAINER)];
    image::debs::BUILT_IN.into_iter().chain(rules)
}

/// `sha256:…` over names and texts of all modules, effects and rules.
pub fn digest() -> String {
    let mut hasher = Sha256::new();
    for (name, text) in MODULES.iter().copied().chain(data()) {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    format!("sha256:{}", plan::decide::generation::hex(&hasher.finalize()))
}
