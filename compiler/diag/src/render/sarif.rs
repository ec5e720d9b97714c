//! SARIF 2.1.0 (OASIS), what code hosts read.

use serde_json::{Value, json};

use crate::{Diagnostics, Severity, SourceMap, Span};

/// One run with all diagnostics.
pub fn sarif(diagnostics: &Diagnostics, sources: &SourceMap, version: &str) -> Value {
    let mut codes: Vec<_> = diagnostics.iter().map(|d| d.code).collect();
    codes.sort();
    codes.dedup();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| {
            json!({
                "id": code.id(),
                "shortDescription": { "text": code.page().title },
                "fullDescription": { "text": code.page().text },
            })
        })
        .collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|d| {
            let mut text = d.message.clone();
            for line in d.notes.iter().chain(&d.help) {
                text.push('\n');
                text.push_str(line);
            }
            json!({
                "ruleId": d.code.id(),
                "level": match d.severity { Severity::Error => "error", Severity::Warning => "warning", Severity::Note => "note" },
                "message": { "text": text },
                "locations": d.primary.iter().map(|l| location(l.span, sources, &l.message)).collect::<Vec<_>>(),
                "relatedLocations": d.labels.iter().map(|l| location(l.span, sources, &l.message)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "k8orc", "version": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path as a relative reference (RFC 3986): what is not unreserved or a slash is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn location(span: Span, sources: &SourceMap, message: &str) -> Value {
    let (line, column) = sources.line_column(span.file, span.start);
    let (end_line, end_column) = sources.line_column(span.file, span.end);
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": sources.get(span.file).map_or_else(String::new, |file| uri(&file.name)) },
            "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
        },
    });
    if !message.is_empty() {
        location["message"] = json!({ "text": message });
    }
    location
}
