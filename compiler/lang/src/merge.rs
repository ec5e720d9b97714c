//! The merge: the trees of all files become one, whatever their order.
//!
//! Sets unite, scalars must agree. Where they do not, the value of a file that says `override=#true` and imports
//! all others that disagree wins; else both places are shown. The result is sorted by what it says, not by where
//! it is written.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Diagnostics, FileId, Span, Spanned, codes};

use crate::load::LoadedUnit;
use crate::schema::{Count, Merge, NodeDef, schema};
use crate::tree::{Node, Scalar};

/// What makes occurrences of a node the same one.
type Key = Vec<(String, Scalar)>;

struct Merger<'a> {
    imports: BTreeMap<FileId, &'a BTreeSet<FileId>>,
    entry: Option<FileId>,
    found: &'a mut Diagnostics,
    /// Every `override=#true`, and whether it changed something.
    overrides: BTreeMap<Span, bool>,
}

/// One tree of all files' top-level nodes whose names `wanted` takes.
pub(crate) fn merge(units: &[LoadedUnit], wanted: impl Fn(&str) -> bool, found: &mut Diagnostics) -> Vec<Node> {
    let imports = units.iter().map(|unit| (unit.unit.file, &unit.unit.imports)).collect();
    let entry = units.iter().find(|unit| unit.unit.entry).map(|unit| unit.unit.file);
    let mut merger = Merger { imports, entry, found, overrides: BTreeMap::new() };
    let nodes: Vec<Node> =
        units.iter().flat_map(|unit| &unit.tree).filter(|node| wanted(&node.def.name)).cloned().collect();
    let merged = merger.level(&schema().nodes, nodes);
    let idle: Vec<Span> = merger.overrides.iter().filter(|(_, used)| !**used).map(|(span, _)| *span).collect();
    for span in idle {
        merger.found.push(
            Diagnostic::new(codes::E0211, "`override=#true` overrules nothing")
                .at(span, "no module that this file uses disagrees")
                .help("leave it out"),
        );
    }
    merged
}

/// Requirements of the schema that only the merged tree can meet: nodes that must be there.
pub(crate) fn missing(nodes: &[Node], damaged: &BTreeSet<String>, found: &mut Diagnostics) {
    for top in nodes.iter().filter(|node| !damaged.contains(&node.def.name)) {
        let mut open = vec![top];
        while let Some(node) = open.pop() {
            open.extend(&node.children);
            let needed = node.def.children.iter().filter(|child| matches!(child.count, Count::One | Count::Some));
            for child in needed.filter(|child| node.child(&child.name).is_none()) {
                found.push(
                    Diagnostic::new(codes::E0104, format!("`{}` needs `{}`", node.def.name, child.name))
                        .at(node.span, format!("no `{}` in it", child.name))
                        .help(format!("usage: {}", child.usage())),
                );
            }
        }
    }
}

impl Merger<'_> {
    /// Merges all nodes below one parent.
    fn level(&mut self, defs: &'static [NodeDef], nodes: Vec<Node>) -> Vec<Node> {
        let mut groups: BTreeMap<usize, BTreeMap<Key, Vec<Node>>> = BTreeMap::new();
        for node in nodes {
            let Some(index) = defs.iter().position(|def| std::ptr::eq(def, node.def)) else { continue };
            for single in explode(node) {
                groups.entry(index).or_default().entry(key(&single)).or_default().push(single);
            }
        }
        let mut merged = Vec::new();
        for group in groups.into_values() {
            for occurrences in group.into_values() {
                merged.extend(self.one(occurrences));
            }
        }
        self.rivals(merged)
    }

    /// Merges the occurrences of one thing.
    fn one(&mut self, mut all: Vec<Node>) -> Option<Node> {
        all.sort_by_key(|node| node.span);
        for node in &all {
            // Whether a kept glob overrules a removed one is known only when files are matched.
            let later = node.def.rivals.as_deref() == Some("file");
            self.overrides.extend(
                node.overrides.filter(|span| !later && !self.overrides.contains_key(span)).map(|span| (span, false)),
            );
        }
        let def = all.first()?.def;
        if let Merge::KeyArg | Merge::KeyProp(_) = def.merge {
            self.unique(&all);
        }
        let args = self.args(def, &all);
        let mut names: BTreeSet<&str> = BTreeSet::new();
        names.extend(all.iter().flat_map(|node| &node.props).map(|(name, _)| name.value.as_str()));
        let mut props = Vec::new();
        for name in names {
            let said: Vec<Said<'_, Spanned<Scalar>>> = all
                .iter()
                .flat_map(|node| {
                    node.props.iter().filter(|(key, _)| key.value == name).map(move |(_, value)| (node, value))
                })
                .map(|(node, value)| Said { value, span: value.span, overrides: node.overrides })
                .collect();
            let what = if def.entries.is_some() {
                format!("`{name}` in `{}`", def.name)
            } else {
                format!("`{name}=` of `{}`", def.name)
            };
            if let Some(value) = self.choose(&what, &said, |a, b| a.value == b.value) {
                props.push((Spanned::new(name.to_owned(), value.span), value.clone()));
            }
        }
        // The place that a diagnostic shows is the entry's, where it says so too.
        let shown = all.iter().find(|node| Some(node.span.file) == self.entry).or(all.first())?;
        let (span, overrides) = (shown.span, all.iter().find_map(|node| node.overrides));
        let children = all.into_iter().flat_map(|node| node.children).collect();
        Some(Node { def, span, args, props, children: self.level(&def.children, children), overrides })
    }

    /// The arguments, as one value: `entrypoint "/a" "b"` and `entrypoint "/a"` disagree.
    fn args(&mut self, def: &NodeDef, all: &[Node]) -> Vec<Spanned<Scalar>> {
        let said: Vec<Said<'_, Vec<Spanned<Scalar>>>> = all
            .iter()
            .filter(|node| !node.args.is_empty())
            .map(|node| {
                let span = node.args.first().map_or(node.span, |arg| arg.span);
                let end = node.args.last().map_or(span, |arg| arg.span);
                Said { value: &node.args, span: span.to(end), overrides: node.overrides }
            })
            .collect();
        let same = |a: &Vec<Spanned<Scalar>>, b: &Vec<Spanned<Scalar>>| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value == b.value)
        };
        self.choose(&format!("`{}`", def.name), &said, same).cloned().unwrap_or_default()
    }

    /// The one value of several; `None` when there is none. Where they disagree for good, the first, reported.
    fn choose<'v, T>(&mut self, what: &str, said: &[Said<'v, T>], same: impl Fn(&T, &T) -> bool) -> Option<&'v T> {
        let first = said.first()?;
        if said.iter().all(|other| same(first.value, other.value)) {
            return Some(said.iter().find(|one| Some(one.span.file) == self.entry).unwrap_or(first).value);
        }
        let mut tried = BTreeSet::new();
        for one in said {
            // A file that itself says two things overrules nothing, so one look at each file is enough.
            let Some(overrides) = one.overrides.filter(|_| tried.insert(one.span.file)) else { continue };
            let others = || said.iter().filter(|other| !same(one.value, other.value));
            if others().all(|other| self.is_imported(one.span.file, other.span.file)) {
                self.overrides.insert(overrides, true);
                return Some(one.value);
            }
        }
        let other = said.iter().find(|other| !same(first.value, other.value)).unwrap_or(first);
        self.disagree(what, first.span, other.span);
        Some(first.value)
    }

    fn disagree(&mut self, what: &str, first: Span, other: Span) {
        let diagnostic = Diagnostic::new(codes::E0210, format!("{what} is said in two ways"));
        let diagnostic = diagnostic.at(first, "here").label(other, "and otherwise here");
        let importer = [(first, other), (other, first)].into_iter().find(|(a, b)| self.is_imported(a.file, b.file));
        self.found.push(match importer {
            Some((importer, _)) if importer == first => {
                diagnostic.help("to overrule what the module says, add override=#true to the first")
            }
            Some(_) => diagnostic.help("to overrule what the module says, add override=#true to the second"),
            None if first.file == other.file => diagnostic.help("keep one of them"),
            None => {
                diagnostic.help("neither file uses the other: say it in the file that uses both, with override=#true")
            }
        });
    }

    fn is_imported(&self, importer: FileId, other: FileId) -> bool {
        self.imports.get(&importer).is_some_and(|imports| imports.contains(&other))
    }

    /// Refuses one name twice in one file.
    fn unique(&mut self, all: &[Node]) {
        let mut first: BTreeMap<FileId, Span> = BTreeMap::new();
        for node in all {
            let at = match &node.def.merge {
                Merge::KeyProp(name) => node.prop(name).map(|value| value.span),
                _ => node.args.first().map(|value| value.span),
            };
            let at = at.unwrap_or(node.span);
            let Some(before) = first.insert(at.file, at) else { continue };
            self.found.push(
                Diagnostic::new(codes::E0107, format!("two `{}` of one name", node.def.name))
                    .at(at, "again here")
                    .label(before, "first here")
                    .help("unite them, or give one another name"),
            );
        }
    }

    /// Takes away what an importer overrules, and refuses `keep "x"` beside `remove "x"`.
    fn rivals(&mut self, nodes: Vec<Node>) -> Vec<Node> {
        let mut lost: BTreeSet<usize> = BTreeSet::new();
        let mut by_key: BTreeMap<(&str, Key), Vec<usize>> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            if let (Some(group), false) = (&node.def.rivals, node.args.is_empty()) {
                by_key.entry((group, key(node))).or_default().push(index);
            }
        }
        for indices in by_key.values().filter(|indices| indices.len() > 1) {
            let members: Vec<&Node> = indices.iter().filter_map(|index| nodes.get(*index)).collect();
            let said: Vec<Said<'_, Node>> = members
                .iter()
                .map(|node| Said {
                    value: *node,
                    span: node.args.first().map_or(node.span, |arg| arg.span),
                    overrides: node.overrides,
                })
                .collect();
            let name =
                members.first().and_then(|node| node.args.first()).map(|arg| arg.value.written()).unwrap_or_default();
            let chosen = self.choose(&name, &said, |a, b| std::ptr::eq(a, b));
            lost.extend(
                indices
                    .iter()
                    .copied()
                    .filter(|index| !nodes.get(*index).zip(chosen).is_some_and(|(a, b)| std::ptr::eq(a, b))),
            );
        }
        nodes.into_iter().enumerate().filter(|(index, _)| !lost.contains(index)).map(|(_, node)| node).collect()
    }
}

/// A value, who says it, and whether with `override=#true`.
struct Said<'v, T> {
    value: &'v T,
    span: Span,
    overrides: Option<Span>,
}

/// A node of several entries as one node for each.
fn explode(node: Node) -> Vec<Node> {
    match node.def.merge {
        Merge::Each if node.args.len() > 1 => {
            let one = |arg: &Spanned<Scalar>| Node { args: vec![arg.clone()], ..node.clone() };
            node.args.iter().map(one).collect()
        }
        Merge::Entries => {
            let one = |prop: &(Spanned<String>, Spanned<Scalar>)| Node { props: vec![prop.clone()], ..node.clone() };
            node.props.iter().map(one).collect()
        }
        _ => vec![node],
    }
}

fn key(node: &Node) -> Key {
    let plain = |value: &Spanned<Scalar>| (String::new(), value.value.clone());
    match &node.def.merge {
        Merge::One | Merge::Section => Vec::new(),
        Merge::KeyArg | Merge::Each => node.args.first().map(plain).into_iter().collect(),
        Merge::KeyProp(name) => node.prop(name).map(plain).into_iter().collect(),
        Merge::Entries => {
            node.props.first().map(|(name, _)| (name.value.clone(), Scalar::Flag(true))).into_iter().collect()
        }
        Merge::Whole => {
            let props = node.props.iter().map(|(name, value)| (name.value.clone(), value.value.clone()));
            let mut props: Key = props.collect();
            props.sort();
            node.args.iter().map(plain).chain(props).collect()
        }
    }
}
