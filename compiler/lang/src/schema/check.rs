//! Validation: a KDL document against the schema, giving the checked tree and one diagnostic for each mistake.
//!
//! Recursion follows the schema's depth, never the document's: below an unknown node nothing is looked at.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Diagnostics, FileId, Span, Spanned};
use kdl::{KdlDocument, KdlEntry, KdlNode};

use super::{ArgDef, Built, Merge, NodeDef, Schema, schema};
use crate::params::Renderer;
use crate::tree::{Node, Scalar};

/// Place of something of the parser's (whose span type has no name outside its own crate).
macro_rules! span {
    ($self:ident, $thing:expr) => {{
        let at = $thing.span();
        $self.span(at.offset(), at.len())
    }};
}

mod complain;
mod value;

/// Checks the nodes of one file.
pub struct Checker<'a> {
    /// What may stand where.
    pub schema: &'static Schema,
    /// The file.
    pub file: FileId,
    /// Its text, which the document was parsed from.
    pub text: &'a str,
    /// Whether it is the entry file; modules may leave out the image's name.
    pub entry: bool,
    /// Renders `(t)` strings; `None` where they have no place.
    pub renderer: Option<&'a Renderer>,
    /// What was found.
    pub diagnostics: Diagnostics,
    /// Names of top-level nodes of which something was refused: what is missing from them proves nothing.
    pub damaged: BTreeSet<String>,
    top: String,
}

/// An argument, property or key as it stands in the text.
struct Raw<'k> {
    entry: &'k KdlEntry,
    /// Place of the value alone.
    span: Span,
    /// The value as written.
    repr: &'k str,
}

impl<'a> Checker<'a> {
    /// A checker of specs and modules, without findings.
    pub fn new(file: FileId, text: &'a str, entry: bool, renderer: Option<&'a Renderer>) -> Self {
        let (diagnostics, damaged, top) = (Diagnostics::new(), BTreeSet::new(), String::new());
        Self { schema: schema(), file, text, entry, renderer, diagnostics, damaged, top }
    }

    /// The checked tree of the top-level nodes whose names `wanted` takes.
    pub fn document(&mut self, document: &KdlDocument, wanted: impl Fn(&str) -> bool) -> Vec<Node> {
        let mut found = Vec::new();
        let mut seen = BTreeMap::new();
        for node in document.nodes().iter().filter(|node| wanted(node.name().value())) {
            self.top = node.name().value().to_owned();
            found.extend(self.node(None, &self.schema.nodes, node, &mut seen));
        }
        found
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.damaged.insert(self.top.clone());
        }
        self.diagnostics.push(diagnostic);
    }

    fn span(&self, start: usize, length: usize) -> Span {
        Span::new(self.file, start, start.saturating_add(length))
    }

    /// Checks one node below `parent`; `None` when nothing of it can be used.
    fn node(
        &mut self,
        parent: Option<&NodeDef>,
        defs: &'static [NodeDef],
        node: &KdlNode,
        seen: &mut BTreeMap<String, Span>,
    ) -> Option<Node> {
        let span = span!(self, node.name());
        if let Some(ty) = node.ty() {
            let at = span!(self, ty);
            self.report(complain::annotation(ty.value(), at, "a node"));
        }
        let Some(def) = defs.iter().find(|def| def.name == node.name().value()) else {
            let (diagnostic, meant) = complain::unknown_node(self.schema, node.name().value(), span, parent);
            // What was probably meant is then missing elsewhere: that is not a second mistake.
            self.damaged.extend(meant);
            self.report(diagnostic);
            return None;
        };
        if let Built::No { instead } = &def.built {
            self.report(complain::not_built(&format!("`{}`", def.name), span, instead));
            return None;
        }
        if def.merge == Merge::One {
            if let Some(first) = seen.get(&def.name) {
                let first = *first;
                self.report(complain::twice(def, span, first));
                return None;
            }
            seen.insert(def.name.clone(), span);
        }
        let mut checked =
            Node { def, span, args: Vec::new(), props: Vec::new(), children: Vec::new(), overrides: None };
        let whole = self.entries(def, node, &mut checked);
        if let Some(children) = node.children() {
            let mut below = BTreeMap::new();
            if def.children.is_empty() && !children.nodes().is_empty() {
                let at = children.nodes().first().map_or(span, |first| span!(self, first.name()));
                self.report(complain::no_children(def, at));
            } else {
                for child in children.nodes() {
                    checked.children.extend(self.node(Some(def), &def.children, child, &mut below));
                }
            }
        }
        whole.then_some(checked)
    }

    /// Arguments and properties; `false` when one that is required is missing or refused.
    fn entries(&mut self, def: &'static NodeDef, node: &KdlNode, into: &mut Node) -> bool {
        let mut whole = true;
        let mut names: BTreeSet<String> = BTreeSet::new();
        let (mut index, mut excess) = (0_usize, None);
        for entry in node.entries() {
            let raw = self.raw(entry);
            let Some(name) = entry.name() else {
                match def.arg(index) {
                    Some(arg) => match self.value(&arg.shape, None, &raw) {
                        Some(value) => into.args.push(Spanned::new(value, raw.span)),
                        // A list that lost one of its values is not that list: `entrypoint`.
                        None => whole &= def.merge == Merge::Each,
                    },
                    None => excess = excess.or(Some((raw.span, raw.repr))),
                }
                index = index.saturating_add(1);
                continue;
            };
            let at = span!(self, name);
            let name = name.value();
            // Of two properties of one name the text's reader has already made an error.
            names.insert(name.to_owned());
            whole &= self.property(def, Spanned::new(name.to_owned(), at), &raw, into);
        }
        if let Some((span, repr)) = excess {
            self.report(complain::too_many(def, span, repr));
            // `tcp 8080` is one mistake: the value stands without the property's name.
            if def.args.is_empty() && def.props.iter().any(|prop| prop.required && !names.contains(&prop.name)) {
                return false;
            }
        }
        whole & self.missing(def, into.span, index, &names)
    }

    /// One property; `false` when it is required and was refused.
    fn property(&mut self, def: &'static NodeDef, name: Spanned<String>, raw: &Raw<'_>, into: &mut Node) -> bool {
        // A label or variable may be called `override`; it is text then.
        if name.value == "override" && (def.entries.is_none() || raw.entry.value().is_bool()) {
            match raw.entry.value().as_bool() {
                Some(true) => into.overrides = Some(name.span),
                _ => self.report(complain::override_form(raw.span)),
            }
            return true;
        }
        if let Some(prop) = def.prop(&name.value) {
            if let Built::No { instead } = &prop.built {
                self.report(complain::not_built(&format!("`{}=`", prop.name), name.span, instead));
                return true;
            }
            match self.value(&prop.shape, Some(&name.value), raw) {
                Some(value) => into.props.push((name, Spanned::new(value, raw.span))),
                None => return !prop.required,
            }
            return true;
        }
        let Some(entries) = &def.entries else {
            self.report(complain::unknown_property(def, &name.value, name.span, raw.repr));
            return true;
        };
        if let Err(fault) = entries.key.check_text(&name.value) {
            self.report(complain::fault(fault, name.span, None));
        } else if let Some(value) = self.value(&entries.shape, Some(&name.value), raw) {
            into.props.push((name, Spanned::new(value, raw.span)));
        }
        true
    }

    fn missing(&mut self, def: &'static NodeDef, at: Span, args: usize, props: &BTreeSet<String>) -> bool {
        let wanted = |arg: &&ArgDef| arg.required && (self.entry || !arg.module_optional);
        if let Some(arg) = def.args.iter().skip(args).find(wanted) {
            self.report(complain::missing_argument(def, arg, at));
            return false;
        }
        if let Some(prop) = def.props.iter().find(|prop| prop.required && !props.contains(&prop.name)) {
            self.report(complain::missing_property(def, prop, at));
            return false;
        }
        if def.merge == Merge::Entries && props.is_empty() {
            self.report(complain::no_entries(def, at));
            return false;
        }
        true
    }

    fn raw<'k>(&self, entry: &'k KdlEntry) -> Raw<'k> {
        let whole = span!(self, entry);
        let repr = entry.format().map_or("", |format| format.value_repr.as_str());
        // The entry ends with its value; `name=(t)` stands before it.
        let start = (whole.end as usize).saturating_sub(repr.len()).max(whole.start as usize);
        Raw { entry, span: Span::new(self.file, start, whole.end as usize), repr }
    }

    fn value(&mut self, shape: &super::Shape, name: Option<&str>, raw: &Raw<'_>) -> Option<Scalar> {
        match value::check(self, shape, name, raw) {
            Ok(value) => Some(value),
            Err(diagnostic) => {
                self.report(*diagnostic);
                None
            }
        }
    }
}
