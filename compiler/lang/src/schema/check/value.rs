//! One value against its shape: the form that KDL holds, `(t)`, then the type's own check.

use diag::{Diagnostic, codes};
use kdl::KdlValue;

use super::super::types::{Fault, Form, range, unknown_word};
use super::super::{Built, Shape, Word};
use super::{Checker, Raw, complain};
use crate::tree::Scalar;

type Refused = Box<Diagnostic>;

/// The value, or what is wrong with it. `name` is the property's, for the help.
pub(super) fn check(
    checker: &Checker<'_>,
    shape: &Shape,
    name: Option<&str>,
    raw: &Raw<'_>,
) -> Result<Scalar, Refused> {
    let (value, rendered) = written(checker, raw)?;
    let value = formed(shape, name, raw, value, rendered)?;
    let fault = match &value {
        Scalar::Text(text) => shape.ty.check_text(text),
        Scalar::Integer(number) => {
            shape.ty.check_integer(*number).and_then(|()| range(*number, shape.min, shape.max, shape.ty.what()))
        }
        Scalar::Flag(_) => Ok(()),
    };
    fault.and_then(|()| word(shape, &value, raw, name)).map_err(|fault| {
        // Offsets within the text hold only where the text is written as it is.
        let plain =
            matches!(&value, Scalar::Text(text) if raw.repr.get(1..raw.repr.len().saturating_sub(1)) == Some(text));
        Box::new(complain::fault(fault, raw.span, (plain && !rendered).then_some(1)))
    })?;
    Ok(value)
}

/// The value with its `(t)` rendered, and whether it was.
fn written(checker: &Checker<'_>, raw: &Raw<'_>) -> Result<(KdlValue, bool), Refused> {
    let Some(ty) = raw.entry.ty() else { return Ok((raw.entry.value().clone(), false)) };
    let at = ty.span();
    let at = checker.span(at.offset(), at.len());
    if ty.value() != "t" {
        return Err(Box::new(complain::annotation(ty.value(), at, "a value")));
    }
    let Some(text) = raw.entry.value().as_string() else {
        return Err(Box::new(
            Diagnostic::new(codes::E0120, "`(t)` stands before something that is not text")
                .at(at, "only strings are rendered")
                .help(format!("without it: {}", raw.repr)),
        ));
    };
    let Some(renderer) = checker.renderer else {
        return Err(Box::new(
            Diagnostic::new(codes::E0204, "`(t)` has no place here")
                .at(at, "params are not known yet")
                .help("write the value itself"),
        ));
    };
    match renderer.render(text, raw.repr, raw.span) {
        Ok(text) => Ok((KdlValue::String(text), true)),
        Err(diagnostic) => Err(diagnostic),
    }
}

/// The value in the form that its type takes.
fn formed(
    shape: &Shape,
    name: Option<&str>,
    raw: &Raw<'_>,
    value: KdlValue,
    rendered: bool,
) -> Result<Scalar, Refused> {
    let wrong = || Err(Box::new(complain::wrong_form(shape, name, raw.entry.value(), raw.repr, raw.span)));
    match (shape.ty.form(), value) {
        (Form::Text | Form::IntegerOrText, KdlValue::String(text)) => {
            // A param's value is text; what a number is due takes its digits.
            match text.parse::<i64>() {
                Ok(number) if rendered && shape.ty.form() == Form::IntegerOrText => Ok(Scalar::Integer(number)),
                _ => Ok(Scalar::Text(text)),
            }
        }
        (Form::Integer | Form::IntegerOrText, KdlValue::Integer(number)) => match i64::try_from(number) {
            Ok(number) => Ok(Scalar::Integer(number)),
            Err(_) => Err(Box::new(
                Diagnostic::new(codes::E0115, "a number is too great").at(raw.span, "no number of a spec is that long"),
            )),
        },
        (Form::Flag, KdlValue::Bool(flag)) => Ok(Scalar::Flag(flag)),
        (Form::Integer, KdlValue::String(text)) if rendered => match text.parse::<i64>() {
            Ok(number) => Ok(Scalar::Integer(number)),
            Err(_) => wrong(),
        },
        (Form::Flag, KdlValue::String(text)) if rendered => match text.as_str() {
            "true" => Ok(Scalar::Flag(true)),
            "false" => Ok(Scalar::Flag(false)),
            _ => wrong(),
        },
        _ => wrong(),
    }
}

/// Whether the value is one of the shape's words, and a built one.
fn word(shape: &Shape, value: &Scalar, raw: &Raw<'_>, name: Option<&str>) -> Result<(), Fault> {
    let (Scalar::Text(text), false) = (value, shape.words.is_empty()) else { return Ok(()) };
    let fits = |word: &&Word| word.text == *text || (word.text.ends_with(':') && text.starts_with(&word.text));
    match shape.words.iter().find(fits).map(|word| (&word.built, &word.text)) {
        Some((Built::Yes, _)) => Ok(()),
        Some((Built::No { instead }, word)) => {
            let what = match name {
                Some(name) => format!("`{name}={}`", raw.repr),
                None => format!("`{word}`"),
            };
            Err(complain::unbuilt_fault(&what, instead))
        }
        None if shape.ty.name() == "words" => {
            let known: Vec<&str> =
                shape.words.iter().filter(|word| word.built == Built::Yes).map(|word| word.text.as_str()).collect();
            Err(unknown_word(text, "one of the words that may stand here", &known))
        }
        None => Ok(()),
    }
}
