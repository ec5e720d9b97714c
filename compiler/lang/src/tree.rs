//! The source tree: checked nodes of one file, every value with its place, `(t)` strings rendered.
//!
//! It stands between KDL and the [`Spec`](crate::spec::Spec): the schema made sure that names, kinds and forms
//! of values are right, nothing is merged or cross-referenced yet.

use diag::{Span, Spanned};

use crate::schema::NodeDef;

/// A value that passed its type's check. The language has no fractions and no null.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `#true` or `#false`.
    Flag(bool),
}

impl Scalar {
    /// As it would be written in a spec.
    pub fn written(&self) -> String {
        match self {
            Scalar::Text(text) => format!("\"{text}\""),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Flag(flag) => format!("#{flag}"),
        }
    }
}

/// One node of a file, or (after the merge) of all files together.
#[derive(Debug, Clone)]
pub struct Node {
    /// What the schema says about it.
    pub def: &'static NodeDef,
    /// Place of its name.
    pub span: Span,
    /// Arguments in order.
    pub args: Vec<Spanned<Scalar>>,
    /// Properties in the order written; names are unique within one node.
    pub props: Vec<(Spanned<String>, Spanned<Scalar>)>,
    /// Nodes within its braces.
    pub children: Vec<Node>,
    /// Place of `override=#true`, where it is written.
    pub overrides: Option<Span>,
}

impl Node {
    /// The argument at `index` as text.
    pub fn text(&self, index: usize) -> Option<Spanned<String>> {
        text(self.args.get(index)?)
    }

    /// The argument at `index` as a number.
    pub fn number(&self, index: usize) -> Option<Spanned<i64>> {
        number(self.args.get(index)?)
    }

    /// All arguments that are text.
    pub fn texts(&self) -> Vec<Spanned<String>> {
        self.args.iter().filter_map(text).collect()
    }

    /// A property.
    pub fn prop(&self, name: &str) -> Option<&Spanned<Scalar>> {
        self.props.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
    }

    /// A property as text.
    pub fn text_prop(&self, name: &str) -> Option<Spanned<String>> {
        text(self.prop(name)?)
    }

    /// A property as a number.
    pub fn number_prop(&self, name: &str) -> Option<Spanned<i64>> {
        number(self.prop(name)?)
    }

    /// A property that is true or false.
    pub fn flag_prop(&self, name: &str) -> Option<Spanned<bool>> {
        match self.prop(name)? {
            Spanned { value: Scalar::Flag(flag), span } => Some(Spanned::new(*flag, *span)),
            _ => None,
        }
    }

    /// The first child of that name; after the merge the only one where the schema allows one.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.def.name == name)
    }

    /// All children of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.def.name == name)
    }

    /// The texts of all arguments of all children of that name.
    pub fn each(&self, name: &str) -> Vec<Spanned<String>> {
        self.all(name).flat_map(|child| child.texts()).collect()
    }

    /// The properties of all children of that name: `env A="1"`.
    pub fn entries(&self, name: &str) -> Vec<(Spanned<String>, Spanned<String>)> {
        let pairs = self.all(name).flat_map(|child| &child.props);
        pairs.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
    }
}

fn text(value: &Spanned<Scalar>) -> Option<Spanned<String>> {
    match &value.value {
        Scalar::Text(text) => Some(Spanned::new(text.clone(), value.span)),
        _ => None,
    }
}

fn number(value: &Spanned<Scalar>) -> Option<Spanned<i64>> {
    match value.value {
        Scalar::Integer(number) => Some(Spanned::new(number, value.span)),
        _ => None,
    }
}
