//! KDL text → tree, and back: [`parse`] and [`format()`].
//!
//! One way in for every spec, module and lock. A text goes through `lex` (tokens that cover every byte) and
//! `grammar` (a machine with its own stack), so that neither depth nor length of a hostile text costs more
//! than one pass; where the grammar stumbles, `mistakes` and `words` say in the words of the language what
//! to type instead. `layout` prints the same tokens with our spaces and line ends.

use diag::{Diagnostic, Diagnostics, FileId, Span, codes};
use kdl::{KdlDocument, KdlEntry, KdlIdentifier};

mod braces;
mod chars;
mod entry;
mod grammar;
mod layout;
mod lex;
mod mistakes;
mod number;
mod quotes;
mod words;

pub use number::number_repr;

/// Longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The tree of `text`, or what is wrong with it: the tree is there exactly when there is no diagnostic.
///
/// Spans of the tree are byte offsets into `text`: of a document and block `{` to `}`, of a node from its
/// annotation or name to its end, of an entry from its name or annotation to its value. Each entry's format
/// holds the spelling of its value.
///
/// Refuses, with one diagnostic each: text of more than [`MAX_BYTES`], characters that deceive, blocks deeper
/// than 64, what is not KDL 2, and what KDL accepts and nobody means (`root,`, `'root'`, `env:`, `- item`,
/// a property given twice).
pub fn parse(text: &str, file: FileId) -> (Option<KdlDocument>, Diagnostics) {
    match read(text, file) {
        Ok(reading) => (reading.document, reading.diagnostics),
        Err(diagnostics) => (None, diagnostics),
    }
}

fn read(text: &str, file: FileId) -> Result<grammar::Reading, Diagnostics> {
    if text.len() > MAX_BYTES {
        return Err(Diagnostic::new(codes::E0002, format!("this file has more than {MAX_BYTES} bytes"))
            .at(Span::new(file, 0, 0), "")
            .help("split it into modules, or keep data in files that the spec names")
            .into());
    }
    if let Some((at, c, count)) = chars::forbidden(text) {
        let name = chars::name_of(c);
        let code = u32::from(c);
        let diagnostic = Diagnostic::new(codes::E0004, format!("{name} (U+{code:04X}) may not stand in a spec"))
            .at(Span::new(file, at, at + c.len_utf8()), "here")
            .help(format!("delete it; in a string it can be written `\\u{{{code:x}}}`"));
        let diagnostic = match count {
            1 => diagnostic,
            _ => diagnostic.note(format!("the file has {count} such characters")),
        };
        return Err(diagnostic.into());
    }
    Ok(grammar::read(text, file))
}

/// `text` in the one layout (`k8orc fmt`), or what is wrong with it; spans are of file 0.
///
/// Nothing is lost: comments, hidden nodes, the spelling of numbers and strings stay. Formatting twice is
/// formatting once, and the tree of the result is the tree of `text`.
pub fn format(text: &str) -> Result<String, Diagnostics> {
    let reading = read(text, FileId(0))?;
    let Some(document) = &reading.document else { return Err(reading.diagnostics) };
    let printed = layout::print(text, &reading);
    // A bug of ours must not cost the user a line: what does not read back the same is left as it is.
    let same = parse(&printed, FileId(0)).0.is_some_and(|again| same_tree(document, &again));
    debug_assert!(same, "formatting changed the tree of {text:?}: {printed:?}");
    Ok(if same { printed } else { text.to_owned() })
}

/// Whether two documents say the same; places and layout do not count, the spelling of numbers does.
///
/// Goes as deep as the blocks do, which is no deeper than [`parse`] reads.
fn same_tree(one: &KdlDocument, other: &KdlDocument) -> bool {
    let word = |a: Option<&KdlIdentifier>, b: Option<&KdlIdentifier>| a.map(|w| w.value()) == b.map(|w| w.value());
    let entries = |a: &KdlEntry, b: &KdlEntry| {
        let number = number_repr(a);
        word(a.name(), b.name())
            && word(a.ty(), b.ty())
            && number == number_repr(b)
            && (number.is_some() || a.value() == b.value())
    };
    one.nodes().len() == other.nodes().len()
        && one.nodes().iter().zip(other.nodes()).all(|(a, b)| {
            a.name().value() == b.name().value()
                && word(a.ty(), b.ty())
                && a.entries().len() == b.entries().len()
                && a.entries().iter().zip(b.entries()).all(|(a, b)| entries(a, b))
                && match (a.children(), b.children()) {
                    (Some(a), Some(b)) => same_tree(a, b),
                    (a, b) => a.is_none() && b.is_none(),
                }
        })
}

/// Place of an entry's value, without its name and annotation.
pub fn value_span(entry: &KdlEntry, file: FileId) -> Span {
    let whole = entry.span();
    let end = whole.offset() + whole.len();
    let length = entry.format().map_or(whole.len(), |f| f.value_repr.len().min(whole.len()));
    Span::new(file, end - length, end)
}
