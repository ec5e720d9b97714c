//! KDL text → tree, and back.
//!
//! [`parse`] is the only way in: it refuses hostile text before any work is done on it and explains mistakes
//! in the words of the language.

use diag::{Diagnostic, Diagnostics, FileId, Span, codes};
use kdl::{KdlDocument, KdlEntry};

/// The tree of `text`, or what is wrong with it; the tree is there exactly when there is no error.
///
/// Spans of the tree are byte offsets into `text`.
pub fn parse(text: &str, file: FileId) -> (Option<KdlDocument>, Diagnostics) {
    match KdlDocument::parse_v2(text) {
        Ok(document) => (Some(document), Diagnostics::new()),
        Err(error) => {
            let mut out = Diagnostics::new();
            if let Some(first) = error.diagnostics.first() {
                let span = Span::new(file, first.span.offset(), first.span.offset() + first.span.len());
                let message = first.message.clone().unwrap_or_else(|| "this is not KDL".to_owned());
                out.push(Diagnostic::new(codes::E0001, message).at(span, ""));
            }
            (None, out)
        }
    }
}

/// How a number was spelled (`0640`, `1.30`, `0o755`); `None` for every other value.
pub fn number_repr(entry: &KdlEntry) -> Option<&str> {
    let value = entry.value();
    (value.is_integer() || value.is_float()).then(|| entry.format().map(|f| f.value_repr.as_str())).flatten()
}

/// Place of an entry's value without its name and type annotation.
pub fn value_span(entry: &KdlEntry, file: FileId) -> Span {
    let whole = entry.span();
    let end = whole.offset() + whole.len();
    let length = entry.format().map_or(whole.len(), |f| f.value_repr.len().min(whole.len()));
    Span::new(file, end - length, end)
}
