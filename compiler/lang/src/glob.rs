//! Globs of paths in the image: `*` and `?` within a component, `**` as a whole component, `[…]`, `{…,…}`.
//! A path without any of these is a glob that matches itself. Here their form is checked; who matches them
//! (the plan) does so with the same rules (`globset`, `literal_separator`).

use std::ops::Range;

/// What is wrong with a glob, and at which bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobError {
    /// Bytes to blame.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// Word at the place.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Whether the text has no special character, so that it names one path.
pub fn is_literal(text: &str) -> bool {
    !text.contains(['*', '?', '[', '{', '\\'])
}

/// Checks the form of a glob.
pub fn check(text: &str) -> Result<(), GlobError> {
    let fail = |at: Range<usize>, message: &str, label: &str, help: Option<String>| {
        Err(GlobError { at, message: message.to_owned(), label: label.to_owned(), help })
    };
    let all = 0..text.len();
    if !text.starts_with('/') {
        let help = text.starts_with("**").then(|| format!("\"/{text}\""));
        return fail(all, "it does not begin with `/`", "paths in the image are absolute", help);
    }
    if text.len() > 4095 {
        return fail(all, "it is too long", "at most 4095 bytes", None);
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control() || *c == '\\') {
        return fail(at..at + c.len_utf8(), "it holds a backslash or control character", "not taken in globs", None);
    }
    let mut start = 0;
    for part in text.split('/') {
        let span = start..start + part.len();
        start = span.end + 1;
        if part == ".." || part == "." {
            return fail(span, "it has a `.` or `..`", "write the path as it is in the image", None);
        }
        if part.contains("**") && part != "**" && !part.contains(['{', '}']) {
            let help = Some("`**` stands alone between slashes; within a name use `*`".to_owned());
            return fail(span, "`**` is joined to other characters", "neither a component nor a `*`", help);
        }
    }
    if text.len() > 1 && (text.contains("//") || text.ends_with('/')) {
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let clean = format!("/{}", parts.join("/"));
        let help = if text.ends_with('/') {
            format!("\"{clean}\" for the directory itself, \"{clean}/**\" for all below it")
        } else {
            format!("\"{clean}\"")
        };
        return fail(all, "it has an empty component", "no `//`, no `/` at the end", Some(help));
    }
    brackets(text)?;
    // The matcher has the last word: `[z-a]`, for instance.
    match globset::GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build() {
        Ok(_) => Ok(()),
        Err(error) => fail(0..text.len(), &error.kind().to_string(), "cannot be matched", None),
    }
}

/// Braces and brackets are closed, not nested and not empty.
fn brackets(text: &str) -> Result<(), GlobError> {
    let fail = |at: Range<usize>, message: &str, label: &str| {
        Err(GlobError { at, message: message.to_owned(), label: label.to_owned(), help: None })
    };
    let (mut brace, mut class): (Option<usize>, Option<usize>) = (None, None);
    for (at, c) in text.char_indices() {
        match (c, class, brace) {
            (']', Some(open), _) if at > open + 1 && text.get(open + 1..at) != Some("!") => class = None,
            ('/', Some(open), _) => return fail(open..open + 1, "`[` is not closed in its component", "opened here"),
            (_, Some(_), _) => {}
            ('[', None, _) => class = Some(at),
            (']', None, _) => return fail(at..at + 1, "`]` without `[`", "closes nothing"),
            ('{', None, None) => brace = Some(at),
            ('{', None, Some(_)) => {
                return fail(at..at + 1, "braces within braces", "write the alternatives side by side");
            }
            ('}', None, Some(open)) => {
                let inner = text.get(open + 1..at).unwrap_or("");
                if inner.split(',').any(str::is_empty) {
                    return fail(open..at + 1, "an alternative is empty", "`{a,b}`");
                }
                brace = None;
            }
            ('}', None, None) => return fail(at..at + 1, "`}` without `{`", "closes nothing"),
            _ => {}
        }
    }
    match (class, brace) {
        (Some(open), _) => fail(open..open + 1, "`[` is not closed", "opened here"),
        (_, Some(open)) => fail(open..open + 1, "`{` is not closed", "opened here"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_globs_are_taken_by_the_matcher_too() {
        for good in [
            "/",
            "/etc/nginx/**",
            "/usr/share/{man,locale}/**",
            "/a/[!b-d]*.so",
            "/**/x",
            "/a/?b",
            "/a b/é",
            "/x[]]y",
            "/{usr/,}bin/x",
        ] {
            let empty = good.contains(",}");
            assert_eq!(check(good).is_ok(), !empty, "{good}");
            if !empty {
                assert!(globset::GlobBuilder::new(good).literal_separator(true).build().is_ok(), "{good}");
            }
        }
        for bad in [
            "",
            "etc",
            "**",
            "/a/",
            "/a//b",
            "/a/../b",
            "/a/b**",
            "/a/[b",
            "/a/{b",
            "/a/b}",
            "/a/b]",
            "/{a,{b,c}}",
            "/a\\b",
            "/[a/b]",
            "/./a",
            "/[z-a]",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(is_literal("/etc/passwd") && !is_literal("/etc/*"));
    }
}
