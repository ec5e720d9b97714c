//! Why a thing stays or goes: a chain that ends at a line of the spec or at a fact of the base.

use std::sync::Arc;

use diag::Span;

/// One link of the chain, the thing itself first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A clause that completes "…, because": `it is a file of nginx-light`.
    pub text: String,
    /// The line of the spec, where the chain ends there.
    pub span: Option<Span>,
    /// What that rests on.
    pub from: Option<Arc<Reason>>,
}

impl Reason {
    /// The end of a chain: a line of the spec.
    pub fn spec(text: impl Into<String>, span: Span) -> Arc<Self> {
        Arc::new(Self { text: text.into(), span: Some(span), from: None })
    }

    /// The end of a chain: a fact of the base or a rule of ours.
    pub fn fact(text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { text: text.into(), span: None, from: None })
    }

    /// A link that rests on another.
    pub fn link(text: impl Into<String>, from: &Arc<Reason>) -> Arc<Self> {
        Arc::new(Self { text: text.into(), span: None, from: Some(Arc::clone(from)) })
    }

    /// All links, the nearest first.
    pub fn chain(&self) -> impl Iterator<Item = &Reason> {
        std::iter::successors(Some(self), |reason| reason.from.as_deref())
    }

    /// The span where the chain ends, if it ends in the spec.
    pub fn span(&self) -> Option<Span> {
        self.chain().find_map(|reason| reason.span)
    }

    /// `it is a file of nginx-light ← nginx-light owns the entrypoint`.
    pub fn in_words(&self) -> String {
        self.chain().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join(" ← ")
    }
}
