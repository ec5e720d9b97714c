//! Annotated source for a terminal.

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::text::{printable, printable_lines};
use crate::{Diagnostic, FileId, Severity, SourceMap, Span};

/// The whole diagnostic with the lines of source that it speaks of.
pub fn human(diagnostic: &Diagnostic, sources: &SourceMap, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level
        .primary_title(printable_lines(&diagnostic.message))
        .id(diagnostic.code.id())
        .elements(std::iter::empty::<Snippet<'_, annotate_snippets::Annotation<'_>>>());
    // The file of the primary span comes first.
    #[allow(clippy::type_complexity)]
    let mut by_file: BTreeMap<(bool, FileId), Vec<(AnnotationKind, Range<usize>, String)>> = BTreeMap::new();
    let first = diagnostic.primary.as_ref().map(|label| label.span.file);
    let mut add = |kind, span: Span, message: &str| {
        if let Some(range) = range(sources, span) {
            by_file.entry((Some(span.file) != first, span.file)).or_default().push((kind, range, printable(message)));
        }
    };
    if let Some(label) = &diagnostic.primary {
        add(AnnotationKind::Primary, label.span, &label.message);
    }
    for label in &diagnostic.labels {
        add(AnnotationKind::Context, label.span, &label.message);
    }
    for ((_, file), annotations) in by_file {
        let Some(source) = sources.get(file) else { continue };
        let mut snippet = Snippet::source(safe_source(&source.text)).path(printable(&source.name));
        for (kind, range, message) in annotations {
            let annotation = kind.span(range);
            snippet = snippet.annotation(if message.is_empty() { annotation } else { annotation.label(message) });
        }
        group = group.element(snippet);
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(printable_lines(note)));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(printable_lines(help)));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// `spec.kdl:3:5: error[E0101]: message`.
pub fn one_line(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let place = diagnostic.primary.as_ref().map(|label| format!("{}: ", sources.place(label.span)));
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    format!("{}{severity}[{}]: {}", place.unwrap_or_default(), diagnostic.code, printable(&diagnostic.message))
}

/// The span as a range that lies in its text on character borders (an editor may be a step ahead of us).
fn range(sources: &SourceMap, span: Span) -> Option<Range<usize>> {
    let text = &sources.get(span.file)?.text;
    let border = |at: u32| {
        let mut at = (at as usize).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    Some(border(span.start)..border(span.end))
}

/// Control characters (but tab and the ends of lines) as one-character stand-ins, so that ranges stay true.
fn safe_source(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kept = matches!(c, '\n' | '\t') || (c == '\r' && chars.peek() == Some(&'\n'));
        if !kept && printable(c.encode_utf8(&mut [0; 4])) != *c.encode_utf8(&mut [0; 4]) {
            // As many bytes as the character had: the spans behind it must not move.
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}
