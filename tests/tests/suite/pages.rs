//! `compiler/diag/codes`: every page is true.

use k8orc_tests::{pages, tidy};

use crate::none;

/// Pages that cannot be true yet, each with what they wait for. Empty is the aim.
const PENDING: &[(&str, &str)] = &[];

#[test]
fn every_page_fails_and_is_fixed_or_names_its_test() {
    none(pages::shapes());
}

#[test]
fn every_page_does_what_it_says() {
    none(pages::executed(PENDING));
}

#[test]
fn every_test_that_a_page_names_exists() {
    none(pages::provoked(&tidy::tree::root()));
}

#[test]
fn every_code_is_given() {
    none(pages::used(&tidy::tree::root()));
}
