//! The pages of `compiler/diag/codes` as tests: what a page shows is executed, and what it names exists.
//!
//! Each function returns its complaints, one string each; the tests in `tests/tests` want none.

mod page;
mod provoked;
mod run;

use std::collections::BTreeSet;
use std::path::Path;

pub use page::{Files, Page};
pub use provoked::{Tests, Unfound};
pub use run::{Bench, Outcome};

use diag::codes::PAGES;

use crate::tidy::tree::product_sources;

/// Shape: every page either fails and is fixed, or names the test that provokes its code; never both.
#[must_use]
pub fn shapes() -> Vec<String> {
    let mut wrong = Vec::new();
    for page in PAGES {
        let id = page.code.id();
        let parsed = Page::parse(page.text);
        let mut say = |what: &str| wrong.push(format!("{id}: {what}"));
        match (&parsed.provoked_by, &parsed.fails, &parsed.fixed) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            (Some(_), _, _) => say("it says who provokes it, so it has no \"Fails\" and no \"Fixed\""),
            (None, Some(_), None) => say("\"Fails\" without \"Fixed\""),
            (None, None, Some(_)) => say("\"Fixed\" without \"Fails\""),
            (None, None, None) => say("neither \"Fails\" and \"Fixed\" nor \"Provoked by\""),
        }
        for files in parsed.fails.iter().chain(&parsed.fixed) {
            if !files.contains_key("spec.kdl") {
                say("a block without a `spec.kdl`");
            }
        }
        for complaint in parsed.complaints {
            say(&complaint);
        }
        if page.title.ends_with('.') {
            say("the title ends with a full stop");
        }
        if page.title.starts_with(|c: char| c.is_uppercase()) {
            say("the title begins with a capital letter");
        }
        if page.text.lines().any(|line| line.chars().count() > 400 && !line.contains("{ a {")) {
            say("a line of more than 400 characters");
        }
    }
    wrong
}

/// Every page with "Fails" and "Fixed" does what it says, through `driver::check`.
#[must_use]
pub fn executed(pending: &[(&str, &str)]) -> Vec<String> {
    let bench = Bench::new();
    let jobs: Vec<_> = PAGES.iter().filter(|page| Page::parse(page.text).fails.is_some()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let mut wrong: Vec<String> = std::thread::scope(|scope| {
        let (jobs, bench) = (&jobs, &bench);
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    let mine = jobs.iter().skip(first).step_by(threads);
                    mine.flat_map(|page| judge(bench, page, pending)).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a check panicked")).collect()
    });
    for (id, _) in pending {
        if diag::codes::find(id).is_none() {
            wrong.push(format!("{id}: pending, but there is no such page"));
        }
    }
    wrong.sort();
    wrong
}

fn judge(bench: &Bench, page: &diag::codes::Page, pending: &[(&str, &str)]) -> Vec<String> {
    let id = page.code.id();
    let parsed = Page::parse(page.text);
    let mut wrong = Vec::new();
    if let Some(files) = &parsed.fails {
        let outcome = bench.check(files);
        if let Some(complaint) = outcome.must_fail_with(page.code) {
            wrong.push(format!("{id} \"Fails\": {complaint}\n{outcome}"));
        }
    }
    if let Some(files) = &parsed.fixed {
        let outcome = bench.check(files);
        if let Some(complaint) = outcome.must_pass_without(page.code) {
            wrong.push(format!("{id} \"Fixed\": {complaint}\n{outcome}"));
        }
    }
    match pending.iter().any(|(pending, _)| *pending == id) {
        true if wrong.is_empty() => vec![format!("{id}: it passes, take it off the list of pending pages")],
        true => Vec::new(),
        false => wrong,
    }
}

/// Every `Provoked by` names a test that is in the sources.
///
/// # Panics
/// When the sources cannot be read.
#[must_use]
pub fn provoked(root: &Path) -> Vec<String> {
    let tests = Tests::read(root);
    let mut wrong = Vec::new();
    for page in PAGES {
        let Some(name) = Page::parse(page.text).provoked_by else { continue };
        if let Err(unfound) = tests.find(&name) {
            wrong.push(format!("{}: Provoked by: {name}: {unfound}", page.code));
        }
    }
    wrong
}

/// Every code is given by some crate: a page of what cannot happen is a promise nobody keeps.
///
/// # Panics
/// When the sources cannot be read.
#[must_use]
pub fn used(root: &Path) -> Vec<String> {
    let mut given = BTreeSet::new();
    for file in product_sources(root).into_iter().filter(|file| !file.path.starts_with("compiler/diag/")) {
        for (_, line) in file.product_lines() {
            given.extend(codes_in(line));
        }
    }
    let ids = PAGES.iter().map(|page| page.code.id()).filter(|id| !given.contains(*id));
    ids.map(|id| format!("{id}: no crate gives this code; give it, or remove its page")).collect()
}

/// The constants `E0101` in a line of code: words of their own, not in a comment or at an end of a string.
fn codes_in(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"'));
    let is_code = |word: &&str| {
        word.len() == 5 && word.starts_with('E') && word.bytes().skip(1).all(|byte| byte.is_ascii_digit())
    };
    words.filter(is_code).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_in_a_comment_or_text_is_not_given() {
        assert_eq!(codes_in("    Diagnostic::new(codes::E0101, message)"), ["E0101"]);
        assert_eq!(codes_in("use diag::codes::{E0100, E0101};"), ["E0100", "E0101"]);
        for none in ["    // like codes::E0101", "    let page = \"E0101\";", "    codes::E01011", "    codes::E010"] {
            assert_eq!(codes_in(none), [""; 0], "{none}");
        }
    }
}
