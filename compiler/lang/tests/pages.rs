//! Every page of the language's codes: its failing spec gets the code, its fixed spec gets no error and not the code.

mod common;

use common::Memory;
use diag::codes::{PAGES, Page};

/// A fenced block: its file's name and its text.
type Block = (String, String);

/// Blocks of a page above "Fails", under it, and under "Fixed".
fn blocks(page: &Page) -> [Vec<Block>; 3] {
    let mut found: [Vec<Block>; 3] = Default::default();
    let (mut part, mut open): (usize, Option<Block>) = (0, None);
    for line in page.text.lines() {
        match (&mut open, line) {
            (None, "## Fails") => part = 1,
            (None, "## Fixed") => part = 2,
            (None, _) => {
                if let Some((_, name)) = line.strip_prefix("```").and_then(|info| info.split_once(' ')) {
                    open = Some((name.to_owned(), String::new()));
                }
            }
            (Some(_), "```") => found[part].extend(open.take()),
            (Some((_, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

fn world(common: &[Block], own: &[Block]) -> Memory {
    let mut memory = Memory::new("");
    for (name, text) in common.iter().chain(own) {
        memory.file(name, text);
    }
    memory
}

#[test]
fn failing_and_fixed_specs_of_every_page() {
    let mut ran = 0;
    for page in PAGES.iter().filter(|page| ("E0100".."E0310").contains(&page.code.id())) {
        let [common, fails, fixed] = blocks(page);
        let id = page.code.id();
        if fails.is_empty() {
            assert!(page.text.contains("\nProvoked by: lang::"), "{id} has no failing spec and names no test");
            continue;
        }
        ran += 1;
        let outcome = world(&common, &fails).run();
        assert!(outcome.found.iter().any(|one| one.code == page.code), "{id} fails with:\n{}", outcome.story());
        assert_eq!(outcome.found.0.len(), 1, "{id}: one mistake is one diagnostic:\n{}", outcome.story());
        for one in outcome.found.iter() {
            assert!(one.primary.is_some(), "{id} has no place");
            assert!(!one.message.ends_with('.'), "{id}: {}", one.message);
        }
        let outcome = world(&common, &fixed).run();
        assert!(!outcome.found.has_errors(), "{id} fixed:\n{}", outcome.story());
        assert!(outcome.found.iter().all(|one| one.code != page.code), "{id} fixed:\n{}", outcome.story());
    }
    assert!(ran > 35, "{ran}");
}
