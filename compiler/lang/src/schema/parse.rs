//! Reads `stdlib/schema.kdl`. The file is ours, so a mistake in it is one message for its author, without a span.

use kdl::{KdlDocument, KdlNode, KdlValue};

use super::model::*;
use super::types::Type;

/// Reads the schema's text; the error names the first mistake in it.
pub(super) fn parse(text: &str) -> Result<Schema, String> {
    let document = KdlDocument::parse_v2(text).map_err(|error| error.to_string())?;
    let mut schema = Schema::default();
    for node in document.nodes() {
        match node.name().value() {
            "schema" => schema.language = integer(node, "language")?.ok_or("schema needs language=")?,
            "node" => schema.nodes.push(self::node(node)?),
            other => return Err(format!("unknown node `{other}` at the top of the schema")),
        }
    }
    Ok(schema)
}

fn node(from: &KdlNode) -> Result<NodeDef, String> {
    let name = argument(from)?;
    let at = |message: String| format!("node `{name}`: {message}");
    allow(from, &["count", "merge", "key", "rivals", "built"]).map_err(at)?;
    let count = match text(from, "count") {
        Some("one") => Count::One,
        Some("maybe") => Count::Maybe,
        Some("some") => Count::Some,
        Some("any") => Count::Any,
        other => return Err(at(format!("count is {other:?}"))),
    };
    let merge = match (text(from, "merge"), count) {
        (Some("one"), _) | (None, Count::One | Count::Maybe) => Merge::One,
        (Some("section"), _) => Merge::Section,
        (Some("key"), _) => text(from, "key").map_or(Merge::KeyArg, |key| Merge::KeyProp(key.to_owned())),
        (Some("each"), _) => Merge::Each,
        (Some("entries"), _) => Merge::Entries,
        (Some("whole"), _) | (None, _) => Merge::Whole,
        (Some(other), _) => return Err(at(format!("merge is {other:?}"))),
    };
    let mut def = NodeDef {
        name: name.clone(),
        doc: String::new(),
        example: None,
        count,
        merge,
        rivals: text(from, "rivals").map(str::to_owned),
        built: Built::Yes,
        args: Vec::new(),
        props: Vec::new(),
        entries: None,
        children: Vec::new(),
    };
    let mut instead = None;
    for child in from.iter_children() {
        match child.name().value() {
            "doc" => def.doc = argument(child)?,
            "example" => def.example = Some(argument(child)?),
            "instead" => instead = Some(argument(child)?),
            "arg" => def.args.push(arg(child).map_err(at)?),
            "prop" => def.props.push(prop(child).map_err(at)?),
            "entries" => def.entries = Some(entries(child).map_err(at)?),
            "node" => def.children.push(node(child).map_err(at)?),
            other => return Err(at(format!("unknown node `{other}`"))),
        }
    }
    def.built = built(from, instead).map_err(at)?;
    if def.doc.is_empty() {
        return Err(at("has no doc".to_owned()));
    }
    if def.args.iter().rev().skip(1).any(|arg| arg.repeat) {
        return Err(at("only the last argument may repeat".to_owned()));
    }
    Ok(def)
}

fn arg(from: &KdlNode) -> Result<ArgDef, String> {
    allow(from, &["type", "required", "repeat", "module-optional", "min", "max"])?;
    let (shape, doc) = shape(from)?;
    Ok(ArgDef {
        name: argument(from)?,
        doc,
        shape,
        required: flag(from, "required"),
        module_optional: flag(from, "module-optional"),
        repeat: flag(from, "repeat"),
    })
}

fn prop(from: &KdlNode) -> Result<PropDef, String> {
    allow(from, &["type", "required", "min", "max", "built", "instead"])?;
    let (shape, doc) = shape(from)?;
    Ok(PropDef {
        name: argument(from)?,
        doc,
        shape,
        required: flag(from, "required"),
        built: built(from, text(from, "instead").map(str::to_owned))?,
    })
}

fn entries(from: &KdlNode) -> Result<Entries, String> {
    allow(from, &["type", "key"])?;
    let (shape, doc) = shape(from)?;
    Ok(Entries { key: named_type(text(from, "key"))?, shape, doc })
}

fn shape(from: &KdlNode) -> Result<(Shape, String), String> {
    let mut shape = Shape {
        ty: named_type(text(from, "type"))?,
        words: Vec::new(),
        min: integer(from, "min")?.unwrap_or(i64::MIN),
        max: integer(from, "max")?.unwrap_or(i64::MAX),
    };
    let mut doc = String::new();
    for child in from.iter_children() {
        match child.name().value() {
            "doc" => doc = argument(child)?,
            "word" => {
                allow(child, &["doc", "built", "instead"])?;
                shape.words.push(Word {
                    text: argument(child)?,
                    doc: text(child, "doc").unwrap_or_default().to_owned(),
                    built: built(child, text(child, "instead").map(str::to_owned))?,
                });
            }
            other => return Err(format!("unknown node `{other}`")),
        }
    }
    if doc.is_empty() {
        return Err(format!("`{}` has no doc", argument(from).unwrap_or_default()));
    }
    Ok((shape, doc))
}

fn named_type(name: Option<&str>) -> Result<Type, String> {
    let name = name.ok_or("has no type")?;
    Type::named(name).ok_or_else(|| format!("no type is called `{name}`"))
}

fn built(from: &KdlNode, instead: Option<String>) -> Result<Built, String> {
    match (from.get("built").and_then(KdlValue::as_bool), instead) {
        (Some(false), Some(instead)) => Ok(Built::No { instead }),
        (Some(false), None) => Err("what is not built needs `instead`".to_owned()),
        (_, Some(_)) => Err("`instead` without built=#false".to_owned()),
        (_, None) => Ok(Built::Yes),
    }
}

fn argument(from: &KdlNode) -> Result<String, String> {
    let first = from.entries().iter().find(|entry| entry.name().is_none());
    let text = first.and_then(|entry| entry.value().as_string());
    text.map(str::to_owned).ok_or_else(|| format!("`{}` needs a string", from.name().value()))
}

fn text<'a>(from: &'a KdlNode, name: &str) -> Option<&'a str> {
    from.get(name).and_then(KdlValue::as_string)
}

fn flag(from: &KdlNode, name: &str) -> bool {
    from.get(name).and_then(KdlValue::as_bool).unwrap_or(false)
}

fn integer(from: &KdlNode, name: &str) -> Result<Option<i64>, String> {
    let Some(value) = from.get(name) else { return Ok(None) };
    let number = value.as_integer().and_then(|number| i64::try_from(number).ok());
    number.map(Some).ok_or_else(|| format!("{name}= is not a number"))
}

fn allow(from: &KdlNode, names: &[&str]) -> Result<(), String> {
    let unknown = from.entries().iter().filter_map(|entry| entry.name()).find(|name| !names.contains(&name.value()));
    unknown.map_or(Ok(()), |name| Err(format!("unknown property `{}`", name.value())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_embedded_schema_is_sound() {
        let schema = parse(super::super::schema_text()).unwrap();
        assert_eq!(schema.language, 1);
        let mut open: Vec<&NodeDef> = schema.nodes.iter().collect();
        let mut count = 0;
        while let Some(node) = open.pop() {
            count += 1;
            let mut names: Vec<&str> = node.children.iter().map(|child| child.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), node.children.len(), "{}: children of one name", node.name);
            assert!(node.props.iter().all(|prop| prop.name != "override"), "{}: `override` is taken", node.name);
            match &node.merge {
                Merge::KeyArg => assert!(node.args.first().is_some_and(|arg| arg.required), "{}", node.name),
                Merge::KeyProp(key) => assert!(node.prop(key).is_some_and(|prop| prop.required), "{}", node.name),
                Merge::Each => assert!(node.args.len() == 1 && node.children.is_empty(), "{}", node.name),
                Merge::Entries => assert!(node.entries.is_some() && node.args.is_empty(), "{}", node.name),
                Merge::One | Merge::Section | Merge::Whole => {}
            }
            for shape in node.args.iter().map(|a| &a.shape).chain(node.props.iter().map(|p| &p.shape)) {
                let wants = shape.ty == Type::named("words").unwrap();
                assert!(!wants || !shape.words.is_empty(), "{}: no words", node.name);
            }
            open.extend(&node.children);
        }
        assert!(count > 80, "{count}");
    }

    #[test]
    fn a_mistake_in_a_schema_is_named() {
        let wrong = "schema version=1 language=1\nnode \"a\" count=\"any\" { doc \"x\"; arg \"b\" type=\"nonsense\" { doc \"y\" } }";
        assert_eq!(parse(wrong).unwrap_err(), "node `a`: no type is called `nonsense`");
        assert!(parse("node \"a\" count=\"any\"").unwrap_err().contains("has no doc"));
        assert!(parse("node \"a\" count=\"any\" built=#false { doc \"x\" }").unwrap_err().contains("instead"));
    }
}
