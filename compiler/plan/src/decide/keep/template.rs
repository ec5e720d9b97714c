//! Templates: MiniJinja, strict, with the spec's params and the image's name, uid and gid.

use std::collections::BTreeMap;

use diag::text::printable;
use diag::{Diagnostic, codes};
use lang::spec::{SourcePath, Spanned};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::Input;

/// Longest template, bytes (4 MiB).
pub(super) const LONGEST: u64 = 4 << 20;
/// Longest text that a template may give, bytes (16 MiB).
const LONGEST_RESULT: usize = 16 << 20;
/// Steps of the interpreter, some seconds at most.
const FUEL: u64 = 20_000_000;

/// Renders a template.
pub(super) fn render(
    input: &Input<'_>,
    source: &Spanned<SourcePath>,
    text: &[u8],
    params: &BTreeMap<String, String>,
    user: Option<(u32, u32)>,
) -> Result<String, Box<Diagnostic>> {
    let name = printable(&source.path.to_string_lossy());
    let fail = |what: String| {
        let message = format!("the template \"{name}\" {what}");
        Box::new(Diagnostic::new(codes::E0631, message).at(source.span, ""))
    };
    let text = std::str::from_utf8(text).map_err(|e| fail(format!("is not UTF-8 at byte {}", e.valid_up_to())))?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_recursion_limit(64);
    // Some steps of the interpreter a byte of output are plenty; nested loops would never end without a limit.
    environment.set_fuel(Some(FUEL));
    // The C library and most readers want the last newline that jinja would take away.
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(|e| fail(e.to_string()))?;
    environment.set_syntax(syntax);
    let mut values: BTreeMap<&str, Value> = params.iter().map(|(k, v)| (k.as_str(), Value::from(v.as_str()))).collect();
    values.insert("image", Value::from(input.spec.image.name.value.as_str()));
    if let Some((uid, gid)) = user {
        values.insert("uid", Value::from(uid));
        values.insert("gid", Value::from(gid));
    }
    let explain = |error: minijinja::Error| {
        let detail = error.detail().map(|d| format!(": {}", printable(d))).unwrap_or_default();
        let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
        let known: Vec<String> = values.keys().map(|k| printable(k)).collect();
        let mut one = *fail(format!("cannot be rendered{line}: {}{detail}", error.kind()));
        one.help.push(format!("in scope are {}", known.join(", ")));
        Box::new(one)
    };
    let template = environment.template_from_named_str("template", text).map_err(explain)?;
    let mut out = Limited(Vec::new());
    drop(
        template
            .render_captured_to(Value::from_pairs(values.iter().map(|(k, v)| (*k, v.clone()))), &mut out)
            .map_err(explain)?,
    );
    String::from_utf8(out.0).map_err(|_| fail("gave text that is not UTF-8".into()))
}

/// A sink with an end, so that a loop in a template cannot fill the memory.
struct Limited(Vec<u8>);

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_RESULT {
            return Err(std::io::Error::other("the text grows past 16 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
