//! The part of the grammar within a node: values, properties, annotations, blocks.

use diag::Diagnostic;
use kdl::{KdlEntry, KdlEntryFormat, KdlIdentifier, KdlValue};

use super::grammar::{Building, Parser, Role, State};
use super::lex::{Kind, Token};
use super::quotes::StringFault;
use super::{mistakes, number, quotes, words};

impl Parser<'_> {
    /// One step after a node's name: a value, a property, a block, or the node's end.
    pub(super) fn entry(&mut self) {
        let name_only = self.node.as_ref().is_some_and(|n| n.node.entries().is_empty() && !n.blocks);
        let spaced = self.skip_blanks();
        let Some(token) = self.token() else { return self.finish() };
        let blocks = self.node.as_ref().is_some_and(|node| node.blocks);
        match token.kind {
            Kind::Newline | Kind::CloseBrace => self.finish(),
            Kind::Semicolon => {
                self.role(Role::End);
                self.at += 1;
                self.finish();
            }
            Kind::OpenBrace => self.block(token, false),
            Kind::Equals => self.fail(token.start, |p| mistakes::equals(p, token, name_only)),
            _ if blocks && token.kind != Kind::Slashdash => {
                self.fail(token.start, |p| mistakes::after_block(p.span(token.start, token.end)));
            }
            _ if !spaced && !blocks => self.fail(token.start, |p| mistakes::glued(p, token)),
            Kind::Slashdash => self.hidden(token, blocks),
            _ => {
                self.role(Role::Entry);
                self.value_or_property(false);
            }
        }
    }

    fn block(&mut self, token: Token, hidden: bool) {
        if self.node.as_ref().is_some_and(|node| node.block && !hidden) {
            return self.fail(token.start, |p| mistakes::after_block(p.span(token.start, token.end)));
        }
        let node = self.node.take();
        self.open(node, hidden, token);
    }

    /// At a `/-` within a node.
    fn hidden(&mut self, dash: Token, blocks: bool) {
        self.role(Role::Entry);
        self.at += 1;
        self.skip_lines();
        match self.token() {
            Some(token) if token.kind == Kind::OpenBrace => self.block(token, true),
            Some(token) if blocks => {
                self.fail(dash.start, |p| mistakes::after_block(p.span(dash.start, token.end)));
            }
            None => self.fail(dash.start, |p| mistakes::hides_nothing(p.span(dash.start, dash.end))),
            Some(token) if matches!(token.kind, Kind::CloseBrace | Kind::Semicolon | Kind::Slashdash) => {
                self.fail(dash.start, |p| mistakes::hides_nothing(p.span(dash.start, dash.end)));
            }
            Some(_) => self.value_or_property(true),
        }
    }

    /// At the first token of a value or property.
    fn value_or_property(&mut self, hidden: bool) {
        let Some(first) = self.token() else { return };
        if !self.count(first) {
            return;
        }
        let key = if self.property_follows() {
            let Some(key) = self.property_name(first, hidden) else { return };
            Some(key)
        } else {
            None
        };
        let Some((ty, value, token)) = self.annotated_value(first) else { return };
        if ty.is_some() && key.is_none() && self.property_follows() {
            return self.fail(first.start, |p| mistakes::annotated_name(p, first, token));
        }
        self.at += 1;
        let repr = self.text_of(token).to_owned();
        let Some(node) = self.node.as_mut() else { return };
        node.end = token.end;
        if hidden {
            return;
        }
        let mut entry = match key {
            Some(key) => KdlEntry::new_prop(key, value),
            None => KdlEntry::new(value),
        };
        if let Some(ty) = ty {
            entry.set_ty(ty);
        }
        entry.set_span((first.start, token.end - first.start));
        entry.set_format(KdlEntryFormat { value_repr: repr, leading: " ".to_owned(), ..KdlEntryFormat::default() });
        node.node.entries_mut().push(entry);
    }

    /// Whether a `=` comes after the token here.
    fn property_follows(&self) -> bool {
        let after = self.tokens.iter().skip(self.at + 1);
        after.map(|token| token.kind).find(|kind| !kind.is_blank()) == Some(Kind::Equals)
    }

    /// Reads a property's name and its `=`; stands at the value then.
    fn property_name(&mut self, token: Token, hidden: bool) -> Option<KdlIdentifier> {
        let value = match token.kind {
            Kind::Word if number::begins_like_number(self.text_of(token)) => None,
            Kind::Word => Some(self.bare(token)?),
            kind if kind.is_quoted() => Some(self.string(token)?),
            Kind::OpenParen => None,
            Kind::Keyword => None,
            _ => {
                self.fail(token.start, |p| mistakes::strange(p, token));
                return None;
            }
        };
        let Some(value) = value else {
            self.fail(token.start, |p| mistakes::no_property_name(p, token));
            return None;
        };
        if !hidden && let Some(first) = self.repeated(&value, token) {
            self.fail(token.start, |p| mistakes::duplicate(p, token, first));
            return None;
        }
        self.at += 1;
        self.skip_blanks();
        let equals = self.token()?;
        self.at += 1;
        self.skip_blanks();
        if self.kind().is_none_or(|kind| {
            matches!(kind, Kind::Newline | Kind::Semicolon | Kind::CloseBrace | Kind::OpenBrace | Kind::Equals)
        }) {
            self.fail(token.start, |p| mistakes::no_property_value(p, token, equals));
            return None;
        }
        Some(self.identifier(value, token))
    }

    /// Place of an earlier property of this name.
    fn repeated(&mut self, name: &str, token: Token) -> Option<(usize, usize)> {
        let Building { names, .. } = self.node.as_mut()?;
        if let Some(first) = names.get(name) {
            return Some(*first);
        }
        names.insert(name.to_owned(), (token.start, token.end));
        None
    }

    /// A value with its annotation; stands at the value's token then.
    fn annotated_value(&mut self, first: Token) -> Option<(Option<KdlIdentifier>, KdlValue, Token)> {
        let ty = if self.kind() == Some(Kind::OpenParen) {
            let ty = self.annotation()?;
            self.skip_blanks();
            Some(ty)
        } else {
            None
        };
        let Some(token) = self.token() else {
            self.fail(first.start, |p| mistakes::unexpected(p.span(first.start, first.end), "a value"));
            return None;
        };
        let text = self.text_of(token);
        let value = match token.kind {
            Kind::Word if number::begins_like_number(text) => match number::number(text) {
                Ok(value) => value,
                Err(why) => {
                    self.fail(token.start, |p| mistakes::not_number(p, token, why));
                    return None;
                }
            },
            Kind::Word => KdlValue::String(self.bare(token)?),
            Kind::Keyword => match number::keyword(text) {
                Some(value) => value,
                None => {
                    self.fail(token.start, |p| mistakes::keyword(p.text_of(token), p.span(token.start, token.end)));
                    return None;
                }
            },
            kind if kind.is_quoted() => KdlValue::String(self.string(token)?),
            _ => {
                self.fail(token.start, |p| mistakes::strange(p, token));
                return None;
            }
        };
        Some((ty, value, token))
    }

    /// At a `(`: reads `(name)`; stands after the `)` then.
    pub(super) fn annotation(&mut self) -> Option<KdlIdentifier> {
        let open = self.token()?;
        self.at += 1;
        self.skip_blanks();
        let token = self.token().filter(|t| t.kind == Kind::Word || t.kind.is_quoted());
        let Some(token) = token else {
            self.fail(open.start, |p| mistakes::annotation(p, open));
            return None;
        };
        let name = if token.kind == Kind::Word { self.bare(token)? } else { self.string(token)? };
        self.at += 1;
        self.skip_blanks();
        if self.kind() != Some(Kind::CloseParen) {
            self.fail(open.start, |p| mistakes::annotation(p, open));
            return None;
        }
        self.at += 1;
        Some(self.identifier(name, token))
    }

    /// The name of a node.
    pub(super) fn node_name(&mut self, token: Token) -> Option<String> {
        let next = self.tokens.get(self.at + 1).copied();
        match token.kind {
            Kind::Word if self.text_of(token) == "-" => {
                self.fail(token.start, |p| mistakes::dash_item(p, token));
                None
            }
            Kind::Word if number::begins_like_number(self.text_of(token)) => {
                self.fail(token.start, |p| mistakes::number_as_name(p.text_of(token), p.span(token.start, token.end)));
                None
            }
            Kind::Keyword => {
                self.fail(token.start, |p| mistakes::unexpected(p.span(token.start, token.end), "a node's name"));
                None
            }
            Kind::Word => self.bare(token),
            // A string on its own line is mostly an item of a list that somebody thought of.
            kind if kind.is_quoted() => match next {
                Some(next) if self.text_of(next).starts_with(',') => {
                    self.fail(next.start, |p| words::comma(p, next));
                    None
                }
                _ => self.string(token),
            },
            _ => {
                self.fail(token.start, |p| mistakes::strange(p, token));
                None
            }
        }
    }

    /// A bare word that is what it says.
    fn bare(&mut self, token: Token) -> Option<String> {
        let fault: Option<fn(&Self, Token) -> Diagnostic> = words::fault(self, token);
        if let Some(make) = fault {
            self.fail(token.start, |p| make(p, token));
            return None;
        }
        Some(self.text_of(token).to_owned())
    }

    /// The value of a string token.
    fn string(&mut self, token: Token) -> Option<String> {
        if token.unclosed {
            // After it, text and strings may have changed places: nothing else can be said.
            self.stop(token.start, |p| mistakes::unclosed_string(p.text, p.file, token));
            return None;
        }
        match quotes::decode(token.kind, self.text_of(token)) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fail(token.start, |p| mistakes::string(p, token, &fault));
                // `"""` that opened where none was meant swallowed what follows.
                if matches!(fault, StringFault::Opening(_)) && self.text_of(token).contains('\n') {
                    self.state = State::Done;
                }
                None
            }
        }
    }
}
