//! Globs over the base's paths: which line of the spec speaks of which path.

use diag::{Diagnostic, Diagnostics, Severity, Span, codes};
use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use lang::spec::{Spanned, Spec};

use super::index::Index;
use crate::path::ImagePath;

/// A list of globs, compiled; a bad one is complained of and matches nothing.
pub(super) struct Globs {
    set: GlobSet,
    /// For each glob of the set, its index in the list that was given.
    original: Vec<usize>,
}

impl Globs {
    /// Compiles `globs`: `*` and `?` stop at `/`, `**` does not.
    pub fn new<'a>(globs: impl Iterator<Item = &'a Spanned<String>>, out: &mut Diagnostics) -> Self {
        let mut builder = GlobSetBuilder::new();
        let mut original = Vec::new();
        for (number, glob) in globs.enumerate() {
            if !glob.value.starts_with('/') {
                let message = format!("\"{}\" is not an absolute path", diag::text::printable(&glob.value));
                out.push(Diagnostic::new(codes::E0610, message).at(glob.span, "begins with /"));
                continue;
            }
            match GlobBuilder::new(&glob.value).literal_separator(true).backslash_escape(true).build() {
                Ok(built) => {
                    builder.add(built);
                    original.push(number);
                }
                Err(error) => out.push(bad(glob, error.kind().to_string())),
            }
        }
        let set = builder.build().unwrap_or_else(|error| {
            out.push(Diagnostic::new(codes::E0610, format!("the globs are too large together: {}", error.kind())));
            GlobSet::empty()
        });
        Self { set, original }
    }

    /// For each name of the base the globs (as numbers of the given list, rising) that match it or a directory
    /// above it.
    pub fn over(&self, index: &Index<'_>) -> Vec<Vec<usize>> {
        let mut all: Vec<Vec<usize>> = Vec::with_capacity(index.names.len());
        let mut found = Vec::new();
        for (at, name) in index.names.iter().enumerate() {
            self.set.matches_candidate_into(&Candidate::from_bytes(name.as_bytes()), &mut found);
            let mut matches: Vec<usize> = found.iter().filter_map(|n| self.original.get(*n).copied()).collect();
            // Parents have lower numbers, so theirs is known.
            if let Some(above) = index.parents.get(at).copied().flatten().and_then(|p| all.get(p)) {
                matches.extend_from_slice(above);
            }
            matches.sort_unstable();
            matches.dedup();
            all.push(matches);
        }
        all
    }
}

fn bad(glob: &Spanned<String>, why: String) -> Diagnostic {
    let message = format!("\"{}\" is not a glob: {}", diag::text::printable(&glob.value), diag::text::printable(&why));
    Diagnostic::new(codes::E0610, message)
        .at(glob.span, "")
        .help("`*` is any text within a name, `**` any number of directories, `{a,b}` one of two, `[ab]` one character")
}

/// What to say of a line that speaks of nothing in the base: an error in the spec itself, a note in a module,
/// which is written for many bases.
pub(super) fn unmatched(spec: &Spec, span: Span, diagnostic: Diagnostic) -> Diagnostic {
    let entry = spec.units.iter().find(|unit| unit.file == span.file).is_none_or(|unit| unit.entry);
    diagnostic.severity(if entry { Severity::Error } else { Severity::Note })
}

/// Complains of the globs that match no name; `above` are the matches of [`Globs::over`].
pub(super) fn complain_unmatched<'a>(
    spec: &Spec,
    index: &Index<'_>,
    globs: impl Iterator<Item = &'a Spanned<String>>,
    matches: &[Vec<usize>],
    out: &mut Diagnostics,
) {
    let mut used = std::collections::BTreeSet::new();
    for found in matches {
        used.extend(found.iter().copied());
    }
    for (number, glob) in globs.enumerate() {
        if used.contains(&number) || !glob.value.starts_with('/') {
            continue;
        }
        let message = format!("\"{}\" matches nothing in the base", diag::text::printable(&glob.value));
        let mut one = Diagnostic::new(codes::E0609, message).at(glob.span, "no such path");
        if let Some(better) = through_links(index, &glob.value) {
            one = one.help(format!("a directory on the way is a link; write \"{better}\""));
        }
        out.push(unmatched(spec, glob.span, one));
    }
}

/// The same glob with the links in its literal directories followed, where that makes a difference.
fn through_links(index: &Index<'_>, glob: &str) -> Option<String> {
    let special = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    let cut = glob.get(..special)?.rfind('/')?;
    let (literal, rest) = glob.split_at_checked(cut)?;
    let path = ImagePath::parse(literal.as_bytes()).ok()?;
    let (real, links) = index.tree.resolve(&path).ok()?;
    let real = real.to_str().filter(|_| !links.is_empty())?;
    Some(diag::text::printable(&format!("{}{rest}", real.trim_end_matches('/'))))
}
