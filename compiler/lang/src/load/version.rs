//! `k8orc version=1`: the first node of every file. Another version is one error, before the schema.

use diag::{Diagnostic, FileId, Span, codes};
use kdl::{KdlDocument, KdlNode};

use crate::schema::schema;

/// What is wrong with the version of a file's language.
pub(crate) fn check(document: &KdlDocument, file: FileId) -> Option<Diagnostic> {
    let wanted = schema().language;
    let help = format!("k8orc version={wanted}");
    let named = |node: &&KdlNode| node.name().value() == "k8orc";
    let at = |node: &KdlNode| {
        let at = node.name().span();
        Span::new(file, at.offset(), at.offset().saturating_add(at.len()))
    };
    let wrong = |message: String| Diagnostic::new(codes::E0100, message);
    let Some(first) = document.nodes().first() else {
        return Some(
            wrong("the file says nothing, not even its version".into()).at(Span::new(file, 0, 0), "here").help(help),
        );
    };
    if !named(&first) {
        let diagnostic = wrong("the file does not begin with its version".into()).at(at(first), "the first node");
        return Some(match document.nodes().iter().find(named) {
            Some(later) => diagnostic.label(at(later), "move this up").help(format!("first of all: {help}")),
            None => diagnostic.help(format!("first of all: {help}")),
        });
    }
    let version = first.entries().iter().find(|entry| entry.name().is_some_and(|name| name.value() == "version"));
    let Some(version) = version else {
        return Some(
            wrong("the file does not say its version".into()).at(at(first), "`version=` is missing").help(help),
        );
    };
    let span = version.span();
    let span = Span::new(file, span.offset(), span.offset().saturating_add(span.len()));
    match version.value().as_integer() {
        Some(number) if number == i128::from(wanted) => None,
        Some(number) if number > i128::from(wanted) => Some(
            wrong(format!("the file is written in version {number} of the language"))
                .at(span, format!("this k8orc reads version {wanted}"))
                .help("use a newer k8orc"),
        ),
        _ => Some(wrong("the file's version is none that k8orc knows".into()).at(span, "unknown version").help(help)),
    }
}
