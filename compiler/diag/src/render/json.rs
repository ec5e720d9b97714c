//! One JSON object a diagnostic (`--format json`: one a line).

use serde_json::{Value, json as object};

use crate::{Diagnostic, SourceMap, Span};

/// `{code, severity, message, span, label, labels, notes, help}`; lines and columns count from 1.
pub fn json(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    object!({
        "code": diagnostic.code.id(),
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "span": diagnostic.primary.as_ref().map(|label| span(label.span, sources)),
        "label": diagnostic.primary.as_ref().map(|label| &label.message),
        "labels": diagnostic.labels.iter()
            .map(|label| object!({ "span": span(label.span, sources), "message": label.message }))
            .collect::<Vec<_>>(),
        "notes": diagnostic.notes,
        "help": diagnostic.help,
    })
}

fn span(span: Span, sources: &SourceMap) -> Value {
    let (line, column) = sources.line_column(span.file, span.start);
    let (end_line, end_column) = sources.line_column(span.file, span.end);
    object!({
        "file": sources.get(span.file).map(|file| &file.name),
        "start": span.start, "end": span.end,
        "line": line, "column": column, "end_line": end_line, "end_column": end_column,
    })
}
