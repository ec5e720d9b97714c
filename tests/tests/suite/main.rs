//! The tests of the whole, in one binary: a module for each kind.

mod apt;
mod checks;
mod determinism;
mod e2e;
mod faults;
mod lock;
mod output;
mod pages;
mod reports;
mod tidy;
mod verbs;

/// Fails with all complaints at once, so that one run shows what there is to do.
#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
