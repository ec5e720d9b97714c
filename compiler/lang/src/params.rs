//! Params and `(t)`: the only interpolation. MiniJinja with nothing but the params in scope, no loader, a few
//! filters, undefined names refused, and fuel, so that a hostile string ends soon.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Span, codes};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, filters};

use crate::schema::nearest;

/// Steps that one string may take.
const FUEL: u64 = 20_000;
/// Bytes that one string may become.
const LIMIT: usize = 64 << 10;

/// Renders `(t)` strings with the params of a run.
pub struct Renderer {
    environment: Environment<'static>,
    params: BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

impl Renderer {
    /// A renderer for these params.
    pub fn new(params: BTreeMap<String, String>) -> Self {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("lower", filters::lower);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("replace", filters::replace);
        Self { environment, params, used: RefCell::default() }
    }

    /// The params that it was made of.
    pub fn into_params(self) -> BTreeMap<String, String> {
        self.params
    }

    /// Names that rendered strings have mentioned.
    pub fn used(&self) -> BTreeSet<String> {
        self.used.borrow().clone()
    }

    /// `text` with its params; `repr` is how it is written at `at`, so that a complaint finds its place in it.
    pub fn render(&self, text: &str, repr: &str, at: Span) -> Result<String, Box<Diagnostic>> {
        let complain = |error: &Error| Box::new(self.complain(error, text, repr, at));
        let template = self.environment.template_from_str(text).map_err(|error| complain(&error))?;
        self.used.borrow_mut().extend(template.undeclared_variables(false));
        let out = template.render(&self.params).map_err(|error| complain(&error))?;
        if out.len() > LIMIT {
            let diagnostic = Diagnostic::new(codes::E0203, "a `(t)` string becomes too long");
            return Err(Box::new(diagnostic.at(at, "more than 64 KiB")));
        }
        Ok(out)
    }

    fn complain(&self, error: &Error, text: &str, repr: &str, at: Span) -> Diagnostic {
        let range = error.range().filter(|range| text.get(range.clone()).is_some());
        let place = range.clone().and_then(|range| within(repr, text, at, range)).unwrap_or(at);
        let word = range.and_then(|range| text.get(range)).unwrap_or_default().trim();
        let known: Vec<&str> = self.params.keys().map(String::as_str).collect();
        match error.kind() {
            ErrorKind::UndefinedError if !word.is_empty() => {
                let diagnostic = Diagnostic::new(codes::E0203, format!("no param is called `{word}`"));
                match nearest(word, known.iter().copied()) {
                    Some(near) => diagnostic.at(place, format!("did you mean `{near}`?")),
                    None => diagnostic.at(place, "unknown").help(format!("declare it: param \"{word}\" default=\"…\"")),
                }
            }
            ErrorKind::UnknownFilter => Diagnostic::new(codes::E0203, "unknown filter in a `(t)` string")
                .at(place, "unknown")
                .help("known are: lower, upper, trim, replace"),
            ErrorKind::OutOfFuel => {
                Diagnostic::new(codes::E0203, "a `(t)` string takes too long").at(place, "stopped here")
            }
            _ => {
                let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
                Diagnostic::new(codes::E0203, format!("a `(t)` string cannot be read: {why}"))
                    .at(place, "here")
                    .help("a param stands between double braces: (t)\"v{{ tag }}\"")
            }
        }
    }
}

/// Where `range` of the text stands in the file: only where the text is written as it is, in quotes or raw.
fn within(repr: &str, text: &str, at: Span, range: std::ops::Range<usize>) -> Option<Span> {
    let start = repr.find(text).filter(|start| repr.len() == text.len() + 2 * start)?;
    let first = (at.start as usize).checked_add(start)?;
    Some(Span::new(at.file, first.checked_add(range.start)?, first.checked_add(range.end)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use diag::FileId;

    fn renderer() -> Renderer {
        Renderer::new(BTreeMap::from([("tag".to_owned(), "1.1".to_owned())]))
    }

    fn at(length: usize) -> Span {
        Span::new(FileId(0), 10, 10 + length)
    }

    #[test]
    fn params_are_rendered_and_noted() {
        let renderer = renderer();
        assert_eq!(renderer.render("v{{ tag|replace('.', '-') }}", "", at(0)).unwrap(), "v1-1");
        assert_eq!(renderer.used(), BTreeSet::from(["tag".to_owned()]));
    }

    #[test]
    fn a_mistake_is_found_within_its_string() {
        let wrong = renderer().render("é{{ tga }}", "#\"é{{ tga }}\"#", at(15)).unwrap_err();
        let place = wrong.primary.unwrap();
        assert_eq!((place.span.start, place.span.end), (17, 20), "{place:?}");
        assert_eq!(place.message, "did you mean `tag`?");
        // Escapes move the bytes: then it is the whole string.
        let whole = renderer().render("\"{{ tga }}", "\"\\\"{{ tga }}\"", at(13)).unwrap_err();
        assert_eq!(whole.primary.unwrap().span, at(13));
    }

    #[test]
    fn hostile_strings_end() {
        let many = format!(
            "{{% for a in '{}' %}}{{% for b in '{}' %}}{{% for c in '{}' %}}x{{% endfor %}}{{% endfor %}}{{% endfor %}}",
            "a".repeat(999),
            "a".repeat(999),
            "a".repeat(999)
        );
        for text in [
            many.as_str(),
            "{{ 'a' * 1000000000 }}",
            "{{ [1] * 1000000000 }}",
            "{% include '/etc/passwd' %}",
            "{{ tag.__class__ }}",
        ] {
            assert!(renderer().render(text, "", at(0)).is_err(), "{text}");
        }
        let deep = format!("{{{{ {}tag{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(renderer().render(&deep, "", at(0)).is_err());
    }
}
