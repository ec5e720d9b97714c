//! Random text of the characters that matter: no parser panics, and what is accepted means what it says.

use crate::reference::Reference;

/// Texts from a fixed seed, made of the pieces that parsers look at.
fn texts(pieces: &[&str], count: usize) -> impl Iterator<Item = String> {
    let mut state = 7u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces: Vec<String> = pieces.iter().map(|p| (*p).to_owned()).collect();
    (0..count).map(move |_| (0..next(9)).map(|_| pieces[next(pieces.len())].as_str()).collect())
}

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn references_are_read_one_way() {
    let pieces = [
        "a",
        "B",
        "9",
        ".",
        "-",
        "_",
        "__",
        "/",
        ":",
        "@",
        "[",
        "]",
        "::1",
        "localhost",
        "..",
        "\u{e9}",
        "\0",
        "%2e",
        "5000",
        "docker.io",
        DIGEST,
        " ",
        "\\",
        "?",
        "#",
    ];
    let mut accepted = 0;
    for text in texts(&pieces, 200_000) {
        match Reference::parse(&text) {
            Ok(reference) => {
                accepted += 1;
                let whole = reference.to_string();
                assert_eq!(Reference::parse(&whole).as_ref(), Ok(&reference), "{text:?} -> {whole:?}");
                let bad =
                    |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['%', '?', '#', '\\']);
                assert!(!reference.repository().split('/').any(bad), "{text:?}");
            }
            Err(error) => {
                assert!(text.get(error.range.clone()).is_some(), "{text:?} {error:?}");
                assert!(!error.diagnostic(&text).message.contains('\0'));
            }
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

#[test]
fn urls_and_challenges_survive_anything() {
    let pieces = [
        "http", "https", "://", "/", "a", ".b", ":", "80", "@", "[", "]", "::1", "?", "#", "\r\n", " ", "%", "\u{e9}",
        "Bearer", "realm", "=", "\"", ",", "\\", "service",
    ];
    let base = crate::registry::parse_url("https://here/a/b?c").unwrap();
    for text in texts(&pieces, 200_000) {
        for url in [crate::registry::parse_url(&text), base.join(&text)].into_iter().flatten() {
            let whole = url.to_string();
            assert_eq!(crate::registry::parse_url(&whole), Some(url), "{text:?} -> {whole:?}");
            assert!(
                !whole.contains(['\r', '\n', ' ', '@', '#']) || whole.contains("/@") || text.contains('@'),
                "{text:?}"
            );
        }
        crate::registry::parse_challenge(&text);
    }
}
