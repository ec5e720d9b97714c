//! Text of an input on its way into HTML and into the data of the script: the one place where it is made harmless.

use diag::text::printable;
use plan::reason::Reason;

/// Turns a span of the spec into `spec.kdl:3:5`.
pub(super) type Place<'a> = dyn Fn(diag::Span) -> String + 'a;

/// For element content and for attributes in double quotes. Control and bidirectional characters become escapes, so
/// that a name cannot change how the rest of the page reads.
pub(super) fn escape(text: &str) -> String {
    let text = printable(text);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON for a `<script type=application/json>`: nothing in it can end the element or begin a comment.
pub(super) fn script_json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The longest chain that is shown, in characters; the whole is in `report.json`.
const LONGEST: usize = 400;

/// A chain of reasons in words, and the line of the spec where it ends.
pub(super) fn reason(reason: &Reason, place: &Place<'_>) -> (String, Option<String>) {
    let words = printable(&reason.in_words());
    let words = match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    };
    (words, reason.span().map(|span| printable(&place(span))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(escape("</script>\"'&\u{202e}\u{1b}"), "&lt;/script&gt;&quot;&#39;&amp;\\u{202e}\\u{1b}");
        let json = script_json(&serde_json::json!("</script><!--&\u{2028}"));
        assert!(!json.contains(['<', '>', '&']), "{json}");
        let back: String = serde_json::from_str(&json).unwrap_or_default();
        assert_eq!(back, "</script><!--&\u{2028}");
    }
}
