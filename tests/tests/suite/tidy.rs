//! The rules of the repository: CONTRIBUTING says why they are there.

use k8orc_tests::tidy;

use crate::none;

/// Longest Rust file, in lines.
const LONGEST: usize = 500;

/// Files that may be longer, with the reason.
const LONG: &[tidy::Exemption] = &[];

/// Crates that touch nothing but their arguments.
const PURE: &[&str] = &["diag", "formats", "kube", "lang", "plan", "report"];

/// Files of pure crates that name a door, with the reason.
const DOORS: &[tidy::Exemption] =
    &[("compiler/formats/src/codec/block_gzip.rs", "compresses blocks in threads; their number changes no byte")];

/// Packages in Cargo.lock, all platforms; `.ci/run` has the same number.
const PACKAGES: usize = 400;

fn read(path: &str) -> String {
    let path = tidy::tree::root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn crates_depend_as_the_architecture_says() {
    none(tidy::edges(&tidy::table(&read("ARCHITECTURE.md")), &tidy::edges_of_cargo(&tidy::tree::root())));
}

#[test]
fn the_architecture_names_paths_that_exist() {
    none(tidy::paths(&tidy::tree::root(), &read("ARCHITECTURE.md")));
}

#[test]
fn every_file_says_what_it_is() {
    none(tidy::heads(&tidy::tree::all_sources(&tidy::tree::root())));
}

#[test]
fn no_file_is_too_long() {
    none(tidy::lengths(&tidy::tree::all_sources(&tidy::tree::root()), LONGEST, LONG));
}

#[test]
fn nothing_is_left_to_do() {
    none(tidy::stubs(&tidy::tree::product_sources(&tidy::tree::root())));
}

#[test]
fn pure_crates_are_pure() {
    none(tidy::purity(&tidy::tree::product_sources(&tidy::tree::root()), PURE, DOORS));
}

#[test]
fn the_lock_file_is_small() {
    none(tidy::lock(&read("Cargo.lock"), PACKAGES));
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let root = tidy::tree::root();
    none(tidy::spots(&root, &tidy::Machine::here(&root)));
}
