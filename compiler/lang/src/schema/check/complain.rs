//! The diagnostics of the validator: what is wrong, the smallest token, what to write.

use diag::{Diagnostic, Span, codes};
use kdl::KdlValue;

use super::super::types::{Fault, Form};
use super::super::{ArgDef, Merge, NodeDef, PropDef, Schema, Shape, nearest};

pub(super) fn annotation(ty: &str, at: Span, what: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(codes::E0120, format!("unknown annotation `({ty})` before {what}"));
    diagnostic.at(at, "only `(t)` before a string has a meaning").help("leave it out")
}

/// The diagnostic, and the names of the top-level nodes that were probably meant.
pub(super) fn unknown_node(
    schema: &Schema,
    name: &str,
    at: Span,
    parent: Option<&NodeDef>,
) -> (Diagnostic, Vec<String>) {
    let defs = parent.map_or(&schema.nodes, |parent| &parent.children);
    let top = if schema.is_spec() { "at the top of a spec" } else { "at the top of the user file" };
    let here = parent.map_or(top.to_owned(), |parent| format!("in `{}`", parent.name));
    let near = nearest(name, defs.iter().map(|def| def.name.as_str()));
    let places = schema.places(name);
    if let (false, None) = (places.is_empty(), near) {
        let message = format!("`{name}` does not stand {here}");
        let diagnostic = Diagnostic::new(codes::E0102, message).at(at, "known, but not here");
        let show = |place: &Vec<&str>| match place.as_slice() {
            [] => format!("at the top: {name} …"),
            path => {
                format!("in `{}`: {} {{ {name} … }}", path.join(" "), path.join(" { ")) + &" }".repeat(path.len() - 1)
            }
        };
        let help = places.iter().map(show).collect::<Vec<_>>().join(", or ");
        let meant = places.iter().map(|place| place.first().copied().unwrap_or(name).to_owned()).collect();
        return (diagnostic.help(format!("it belongs {help}")), meant);
    }
    let diagnostic = Diagnostic::new(codes::E0101, format!("unknown node `{name}` {here}"));
    let meant: Vec<String> = near.filter(|_| parent.is_none()).into_iter().map(str::to_owned).collect();
    let diagnostic = match near {
        Some(near) => diagnostic.at(at, format!("did you mean `{near}`?")),
        None => {
            let known: Vec<&str> = defs.iter().map(|def| def.name.as_str()).collect();
            diagnostic.at(at, "not in the language").note(format!("{here} may stand: {}", known.join(", ")))
        }
    };
    let diagnostic = match name.strip_suffix(':') {
        Some(bare) => diagnostic.help(format!("KDL has no colons: {bare}")),
        None => diagnostic,
    };
    (diagnostic, meant)
}

pub(super) fn not_built(what: &str, at: Span, instead: &str) -> Diagnostic {
    fault(unbuilt_fault(what, instead), at, None)
}

pub(super) fn unbuilt_fault(what: &str, instead: &str) -> Fault {
    let mut fault = Fault::new(codes::E0301, format!("{what} is not built yet"), "not built yet");
    fault.help.push(format!("write today: {instead}"));
    fault
}

/// A fault of a value at `at`; `quote` is the length of what stands before the value's first byte there, where
/// its bytes are those of the text.
pub(super) fn fault(fault: Fault, at: Span, quote: Option<usize>) -> Diagnostic {
    let at = match (fault.at, quote) {
        (Some(range), Some(quote)) => {
            let start = (at.start as usize).saturating_add(quote);
            Span::new(at.file, start.saturating_add(range.start), start.saturating_add(range.end))
        }
        _ => at,
    };
    let mut diagnostic = Diagnostic::new(fault.code, fault.message).at(at, fault.label);
    diagnostic.help = fault.help;
    diagnostic
}

pub(super) fn twice(def: &NodeDef, at: Span, first: Span) -> Diagnostic {
    let diagnostic = Diagnostic::new(codes::E0106, format!("`{}` is said twice", def.name))
        .at(at, "again here")
        .label(first, "first here");
    match def.name.as_str() {
        "image" => diagnostic.help("a spec makes one image; write the other one into a file of its own"),
        _ => diagnostic.help("keep one of them"),
    }
}

pub(super) fn no_children(def: &NodeDef, at: Span) -> Diagnostic {
    Diagnostic::new(codes::E0118, format!("`{}` has no nodes in braces", def.name))
        .at(at, "nothing may stand here")
        .help(format!("usage: {}", def.usage()))
}

pub(super) fn too_many(def: &NodeDef, at: Span, repr: &str) -> Diagnostic {
    let message = match def.args.len() {
        0 => format!("`{}` takes no argument", def.name),
        1 => format!("`{}` takes one argument", def.name),
        n => format!("`{}` takes {n} arguments", def.name),
    };
    let diagnostic = Diagnostic::new(codes::E0105, message).at(at, "one too many");
    if def.count == super::super::Count::Any && def.merge != Merge::Entries {
        return diagnostic.help(format!("write another node for it: {} {repr}", def.name));
    }
    diagnostic.help(format!("usage: {}", def.usage()))
}

pub(super) fn override_form(at: Span) -> Diagnostic {
    Diagnostic::new(codes::E0109, "`override=` takes `#true` alone")
        .at(at, "not `#true`")
        .help("override=#true, or leave it out")
}

pub(super) fn unknown_property(def: &NodeDef, name: &str, at: Span, repr: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(codes::E0103, format!("`{}` has no property `{name}`", def.name));
    if def.child(name).is_some() {
        let help = format!("as a node in its braces: {} {{ {name} {repr} }}", def.name);
        return diagnostic.at(at, "a node, not a property").help(help);
    }
    let near = nearest(name, def.props.iter().map(|prop| prop.name.as_str()));
    let diagnostic = match near {
        Some(near) => diagnostic.at(at, format!("did you mean `{near}`?")),
        None => diagnostic.at(at, "unknown"),
    };
    diagnostic.help(format!("usage: {}", def.usage()))
}

pub(super) fn missing_argument(def: &NodeDef, arg: &ArgDef, at: Span) -> Diagnostic {
    Diagnostic::new(codes::E0104, format!("`{}` needs {}", def.name, arg.shape.ty.what()))
        .at(at, format!("{} is missing", arg.name))
        .help(format!("usage: {}", def.usage()))
}

pub(super) fn missing_property(def: &NodeDef, prop: &PropDef, at: Span) -> Diagnostic {
    Diagnostic::new(codes::E0104, format!("`{}` needs `{}=`", def.name, prop.name))
        .at(at, format!("`{}=` is missing", prop.name))
        .help(format!("usage: {}", def.usage()))
}

pub(super) fn no_entries(def: &NodeDef, at: Span) -> Diagnostic {
    Diagnostic::new(codes::E0104, format!("`{}` names nothing", def.name))
        .at(at, "at least one NAME=\"value\" is missing")
        .help(format!("usage: {}", def.usage()))
}

/// A value whose kind in KDL is not the one that its type takes.
pub(super) fn wrong_form(shape: &Shape, name: Option<&str>, value: &KdlValue, repr: &str, at: Span) -> Diagnostic {
    let is = match value {
        KdlValue::String(_) => "text",
        KdlValue::Integer(_) => "a number",
        KdlValue::Float(_) => "a fraction",
        KdlValue::Bool(_) => "true or false",
        KdlValue::Null => "nothing",
    };
    let wants = shape.ty.what();
    let with = |text: String| name.map_or(text.clone(), |name| format!("{name}={text}"));
    if shape.ty.name() == "mode" {
        let digits = repr.trim_start_matches("0o").trim_start_matches('0');
        let diagnostic = Diagnostic::new(codes::E0110, format!("a mode is text, and this is {is}"))
            .at(at, "KDL reads this as a number, not as octal digits");
        return match u32::from_str_radix(digits, 8) {
            Ok(_) => diagnostic.help(with(format!("\"0{digits}\""))),
            Err(_) => diagnostic.help(with("\"0644\"".to_owned())),
        };
    }
    let diagnostic = Diagnostic::new(codes::E0109, format!("{wants} is wanted, and this is {is}"));
    match (shape.ty.form(), value) {
        (Form::Text | Form::IntegerOrText, KdlValue::Float(_)) => diagnostic
            .at(at, "KDL reads this as a fraction and drops its last zeros")
            .help(format!("quote it: {}", with(format!("\"{repr}\"")))),
        (Form::Text, KdlValue::Null) | (_, KdlValue::Null) => diagnostic.at(at, "no value").help("leave it out"),
        (Form::Text, _) => {
            diagnostic.at(at, is).help(format!("quote it: {}", with(format!("\"{}\"", repr.trim_start_matches('#')))))
        }
        (Form::Flag, KdlValue::String(text)) if text == "true" || text == "yes" || text == "on" => {
            diagnostic.at(at, is).help(with("#true".to_owned()))
        }
        (Form::Flag, KdlValue::String(text)) if text == "false" || text == "no" || text == "off" => {
            diagnostic.at(at, is).help(with("#false".to_owned()))
        }
        (Form::Integer, KdlValue::String(text)) if text.parse::<u64>().is_ok() => {
            diagnostic.at(at, is).help(format!("without quotes: {}", with(text.clone())))
        }
        _ => diagnostic.at(at, is),
    }
}
