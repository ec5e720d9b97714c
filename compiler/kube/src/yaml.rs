//! The one place that writes YAML. Strings that a YAML 1.1 reader (kubectl's among them) would take for
//! something else (`yes`, `1e3`, dates) are quoted; keys are sorted.

use std::fmt;

use serde::Serialize;

/// A value that could not be written.
#[derive(Debug)]
pub struct Unwritable(String);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a manifest cannot be written as YAML: {}", self.0)
    }
}

impl std::error::Error for Unwritable {}

/// The document, with a final newline. By way of a JSON value, whose maps are sorted.
pub fn text<T: Serialize>(value: &T) -> Result<String, Unwritable> {
    let value = serde_json::to_value(value).map_err(|error| Unwritable(error.to_string()))?;
    // Long strings stay on their line: a folded scalar is another string to a careless reader.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 1_000_000 };
    let mut out = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut out, &value, options)
        .map_err(|error| Unwritable(error.to_string()))?;
    if !out.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}
