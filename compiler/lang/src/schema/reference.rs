//! The reference page of the language, from the schema alone.

use std::fmt::Write as _;

use super::types::Type;
use super::{Built, Count, Merge, NodeDef, Shape, schema};

/// The reference as Markdown.
pub fn reference_markdown() -> String {
    let mut out = String::from(
        "# The language\n\nMade from `stdlib/schema.kdl`; edit that file, not this one.\n\nEvery file begins with `k8orc version=1`. Every node takes `override=#true`, which overrules what the modules that the file uses say otherwise.\n",
    );
    // A work list instead of recursion, children before the next sibling.
    let mut open: Vec<(Vec<&str>, &NodeDef)> = schema().nodes.iter().rev().map(|node| (Vec::new(), node)).collect();
    while let Some((above, node)) = open.pop() {
        section(&mut out, &above, node);
        let mut path = above.clone();
        path.push(&node.name);
        open.extend(node.children.iter().rev().map(|child| (path.clone(), child)));
    }
    out.push_str("\n## Types\n\n| type | what it is |\n|---|---|\n");
    for ty in Type::all() {
        let _ = writeln!(out, "| `{}` | {} |", ty.name(), ty.what());
    }
    out
}

fn section(out: &mut String, above: &[&str], node: &NodeDef) {
    let marks = "#".repeat(above.len().min(3) + 2);
    let title = if above.is_empty() { node.name.clone() } else { format!("{} → {}", above.join(" → "), node.name) };
    let _ = writeln!(out, "\n{marks} {title}\n\n    {}\n\n{}", node.usage(), node.doc);
    if let Built::No { instead } = &node.built {
        let _ = writeln!(out, "\n**Not built yet.** Write today: {instead}");
    }
    let often = match (node.count, &node.merge) {
        (Count::One, _) => "Exactly once.",
        (Count::Some, _) => "At least once.",
        (_, Merge::Section) => "Any number of times; all are read as one.",
        (Count::Maybe, _) => "At most once.",
        (Count::Any, Merge::KeyArg | Merge::KeyProp(_)) => "Once for each name.",
        (Count::Any, _) => "Any number of times.",
    };
    let _ = writeln!(out, "\n{often}\n");
    for arg in &node.args {
        let required = if arg.required { "" } else { ", optional" };
        item(out, &format!("`{}`", arg.name.to_uppercase()), &arg.shape, required, &arg.doc);
    }
    for prop in &node.props {
        let required = if prop.required { ", required" } else { "" };
        let doc = match &prop.built {
            Built::Yes => prop.doc.clone(),
            Built::No { instead } => format!("{} Not built yet; write today: {instead}", prop.doc),
        };
        item(out, &format!("`{}=`", prop.name), &prop.shape, required, &doc);
    }
    if let Some(entries) = &node.entries {
        item(out, &format!("any {}", entries.key.name()), &entries.shape, "", &entries.doc);
    }
    if let Some(example) = &node.example {
        let _ = writeln!(out, "\n```kdl\n{example}\n```");
    }
}

fn item(out: &mut String, name: &str, shape: &Shape, required: &str, doc: &str) {
    let _ = writeln!(out, "- {name} ({}{required}): {doc}", shape.ty.name());
    for word in &shape.words {
        let doc = match &word.built {
            Built::Yes => word.doc.clone(),
            Built::No { instead } => format!("{} Not built yet; write today: {instead}", word.doc).trim().to_owned(),
        };
        let _ = writeln!(out, "  - `{}`: {doc}", word.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_on_the_page() {
        let page = reference_markdown();
        for heading in [
            "\n## image\n",
            "\n### image → base\n",
            "\n#### workload → probe → http\n",
            "\n#### stage → class → binding\n",
        ] {
            assert!(page.contains(heading), "{heading}");
        }
        assert!(page.contains("**Not built yet.**") && page.contains("`kill-process`"));
    }
}
