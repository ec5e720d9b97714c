//! Tokens → tree. The grammar of KDL 2 as a machine with its own stack: linear in the text, no recursion.
//!
//! Why the `kdl` crate's parser is not asked: it needs 1.5 s for 850 KB of ordinary text, doubles its time
//! with each nested `a /- {`, and overflows the stack on nested comments and blocks (6.7.1, measured). Its
//! tree is what we build, and its parser is the oracle of our tests.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, FileId, Span};
use kdl::{KdlDocument, KdlIdentifier, KdlNode};

use super::braces::{Braces, Lines};
use super::lex::{Kind, Token, lex};
use super::mistakes;

/// Blocks within blocks; a spec has five.
pub(super) const MAX_DEPTH: usize = 64;
/// Nodes and values of one text.
pub(super) const MAX_THINGS: usize = 100_000;
/// More is no help to anybody.
const MAX_DIAGNOSTICS: usize = 20;
/// Tokens of a list in brackets that are skipped as one mistake.
const LONGEST_LIST: usize = 1024;

/// What the formatter has to know of a token; blanks have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Stands right after the token before it.
    Inner,
    /// First of a node.
    Node,
    /// First of a value, property or hidden block.
    Entry,
    /// `{`.
    Open,
    /// `}`.
    Close,
    /// `;`.
    End,
}

/// Result of [`read`].
pub(super) struct Reading {
    pub(super) tokens: Vec<Token>,
    /// One for each token.
    pub(super) roles: Vec<Role>,
    /// There exactly when there is no error.
    pub(super) document: Option<KdlDocument>,
    pub(super) diagnostics: Diagnostics,
}

/// Reads a text that was found to be of bearable size and characters.
pub(super) fn read(text: &str, file: FileId) -> Reading {
    let tokens = lex(text);
    let mut parser = Parser {
        text,
        file,
        roles: vec![Role::Inner; tokens.len()],
        tokens,
        at: 0,
        state: State::Nodes,
        frames: vec![Frame::default()],
        node: None,
        braces: Braces::default(),
        lines: Lines::new(text),
        last_name: None,
        things: 0,
        out: Diagnostics::new(),
        quiet_until: 0,
        shaky: false,
    };
    parser.version();
    while parser.step() && parser.out.0.len() < MAX_DIAGNOSTICS {}
    parser.unclosed_comment();
    let mut document = KdlDocument::new();
    if let Some(frame) = parser.frames.first_mut() {
        *document.nodes_mut() = std::mem::take(&mut frame.nodes);
    }
    document.set_span((0, text.len()));
    let document = (!parser.out.has_errors()).then_some(document);
    Reading { tokens: parser.tokens, roles: parser.roles, document, diagnostics: parser.out }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Between nodes.
    Nodes,
    /// After a node's name.
    Entries,
    /// After a mistake: to the end of the line, without complaints.
    Recover,
    /// The end.
    Done,
}

/// An open block; the first one is the document.
#[derive(Default)]
struct Frame {
    nodes: Vec<KdlNode>,
    /// The node of the block; none for the document and after a mistake.
    node: Option<Building>,
    /// The block is hidden by `/-`.
    hidden: bool,
    /// Token of its `{`.
    open: usize,
}

/// A node whose end was not seen yet.
pub(super) struct Building {
    pub(super) node: KdlNode,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) hidden: bool,
    /// A block was seen, perhaps a hidden one: no entries may follow.
    pub(super) blocks: bool,
    /// A block that counts was seen.
    pub(super) block: bool,
    /// Properties so far, with the places of their names.
    pub(super) names: BTreeMap<String, (usize, usize)>,
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) file: FileId,
    pub(super) tokens: Vec<Token>,
    pub(super) roles: Vec<Role>,
    pub(super) at: usize,
    pub(super) state: State,
    frames: Vec<Frame>,
    pub(super) node: Option<Building>,
    braces: Braces,
    lines: Lines,
    /// Name of the node that was read last: whose block a lonely `{` might be.
    last_name: Option<(usize, usize)>,
    things: usize,
    out: Diagnostics,
    /// One mistake, one diagnostic: no further one may begin before this offset.
    quiet_until: usize,
    /// Braces were read on a line with a mistake: their number proves nothing.
    shaky: bool,
}

impl Parser<'_> {
    pub(super) fn token(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        self.token().map(|token| token.kind)
    }

    pub(super) fn text_of(&self, token: Token) -> &str {
        self.text.get(token.start..token.end).unwrap_or("")
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    pub(super) fn role(&mut self, role: Role) {
        if let Some(slot) = self.roles.get_mut(self.at) {
            *slot = role;
        }
    }

    /// Skips what a node ignores; says whether there was any.
    pub(super) fn skip_blanks(&mut self) -> bool {
        let before = self.at;
        while self.kind().is_some_and(Kind::is_blank) {
            self.at += 1;
        }
        self.at > before
    }

    /// Skips what stands between nodes and after `/-`.
    pub(super) fn skip_lines(&mut self) {
        while self.kind().is_some_and(|kind| kind.is_blank() || kind == Kind::Newline) {
            self.at += 1;
        }
    }

    /// Adds a diagnostic about the text at `start` unless its line has one, and goes on at the next line.
    ///
    /// It is made only when it is wanted: a line of a megabyte may hold 100,000 mistakes.
    pub(super) fn fail(&mut self, start: usize, make: impl FnOnce(&Self) -> Diagnostic) {
        if self.report(start, make) {
            self.skip_list();
        }
        self.node = None;
        self.state = State::Recover;
    }

    /// Goes from a `[` to the end of its `]`, which may be lines away: a list is one mistake.
    fn skip_list(&mut self) {
        let is = |token: &Token, text: &str| token.kind == Kind::Bracket && self.text_of(*token) == text;
        if !self.token().is_some_and(|token| is(&token, "[")) {
            return;
        }
        let found = self.tokens.iter().enumerate().skip(self.at).take(LONGEST_LIST).find(|(_, token)| is(token, "]"));
        if let Some((at, end)) = found.map(|(at, token)| (at, token.end)) {
            self.at = at;
            self.quiet_line(end);
        }
    }

    /// Nothing is said of the rest of the line at `end`, nor of its line end.
    fn quiet_line(&mut self, end: usize) {
        let rest = self.text.get(end..).unwrap_or("");
        self.quiet_until = end + super::lex::run(rest, |c| !super::chars::is_newline(c)) + 1;
    }

    /// Adds a diagnostic unless its line has one; says whether it did.
    fn report(&mut self, start: usize, make: impl FnOnce(&Self) -> Diagnostic) -> bool {
        if start < self.quiet_until {
            return false;
        }
        let diagnostic = make(self);
        let end = diagnostic.primary.as_ref().map_or(start, |label| label.span.end as usize);
        self.quiet_line(end);
        self.out.push(diagnostic);
        true
    }

    /// Stops with a diagnostic after which nothing can be said.
    pub(super) fn stop(&mut self, start: usize, make: impl FnOnce(&Self) -> Diagnostic) {
        self.report(start, make);
        self.state = State::Done;
    }

    /// Counts a node or value; stops where there are too many.
    pub(super) fn count(&mut self, token: Token) -> bool {
        self.things += 1;
        if self.things > MAX_THINGS {
            self.stop(token.start, |p| mistakes::too_many(p.span(token.start, token.end)));
            return false;
        }
        true
    }

    /// `/- kdl-version N` at the very beginning.
    fn version(&mut self) {
        let texts: Vec<Token> = self.tokens.iter().filter(|t| t.kind != Kind::Space).take(3).copied().collect();
        if let [dash, name, number] = texts.as_slice()
            && dash.kind == Kind::Slashdash
            && self.text_of(*name) == "kdl-version"
            && number.kind == Kind::Word
            && self.text_of(*number) != "2"
        {
            self.stop(dash.start, |p| mistakes::version(p.span(dash.start, number.end), p.text_of(*number)));
        }
    }

    fn step(&mut self) -> bool {
        match self.state {
            State::Nodes => self.between(),
            State::Entries => self.entry(),
            State::Recover => self.recover(),
            State::Done => return false,
        }
        true
    }

    fn between(&mut self) {
        self.skip_lines();
        let Some(token) = self.token() else { return self.end() };
        match token.kind {
            Kind::CloseBrace => self.close(token),
            Kind::OpenBrace => {
                self.report(token.start, |p| {
                    let name = p.last_name.map(|(s, e)| (p.span(s, e), p.text.get(s..e).unwrap_or("")));
                    mistakes::lonely_block(p.span(token.start, token.end), name)
                });
                self.open(None, false, token);
            }
            Kind::Slashdash => {
                self.role(Role::Node);
                self.at += 1;
                self.skip_lines();
                match self.kind() {
                    None | Some(Kind::CloseBrace | Kind::OpenBrace | Kind::Semicolon | Kind::Slashdash) => {
                        self.fail(token.start, |p| mistakes::hides_nothing(p.span(token.start, token.end)));
                    }
                    Some(_) => self.name(token.start, true),
                }
            }
            _ => {
                self.role(Role::Node);
                self.name(token.start, false);
            }
        }
    }

    fn name(&mut self, start: usize, hidden: bool) {
        let ty = if self.kind() == Some(Kind::OpenParen) {
            let Some(ty) = self.annotation() else { return };
            self.skip_blanks();
            Some(ty)
        } else {
            None
        };
        let Some(token) = self.token() else {
            return self.fail(start, |p| mistakes::unexpected(p.span(start, p.text.len()), "a node's name"));
        };
        let Some(name) = self.node_name(token) else { return };
        if !self.count(token) {
            return;
        }
        self.at += 1;
        let mut node = KdlNode::new(self.identifier(name, token));
        if let Some(ty) = ty {
            node.set_ty(ty);
        }
        self.last_name = Some((token.start, token.end));
        self.node =
            Some(Building { node, start, end: token.end, hidden, blocks: false, block: false, names: BTreeMap::new() });
        self.state = State::Entries;
    }

    /// An identifier with its place and spelling.
    pub(super) fn identifier(&self, value: String, token: Token) -> KdlIdentifier {
        let mut identifier = KdlIdentifier::from(value);
        identifier.set_repr(self.text_of(token));
        identifier.set_span((token.start, token.end - token.start));
        identifier
    }

    /// The node is complete.
    pub(super) fn finish(&mut self) {
        self.state = State::Nodes;
        let Some(mut building) = self.node.take() else { return };
        if building.hidden {
            return;
        }
        building.node.set_span((building.start, building.end - building.start));
        if let Some(frame) = self.frames.last_mut() {
            frame.nodes.push(building.node);
        }
    }

    /// At a `{`: a block of the node, or of nobody after a mistake.
    pub(super) fn open(&mut self, node: Option<Building>, hidden: bool, token: Token) {
        if self.frames.len() > MAX_DEPTH {
            return self.stop(token.start, |p| mistakes::too_deep(p.span(token.start, token.end)));
        }
        self.role(Role::Open);
        self.frames.push(Frame { nodes: Vec::new(), node, hidden, open: self.at });
        self.at += 1;
        self.state = State::Nodes;
    }

    /// At a `}`.
    fn close(&mut self, token: Token) {
        if self.frames.len() < 2 {
            if !self.shaky {
                self.report(token.start, |p| p.braces.too_many(&p.lines, p.file, token));
            }
            self.state = State::Done;
            return;
        }
        let Some(frame) = self.frames.pop() else { return };
        if let Some(open) = self.tokens.get(frame.open) {
            self.braces.pair(&self.lines, *open, token);
        }
        self.role(Role::Close);
        self.at += 1;
        let Some(mut building) = frame.node else {
            self.state = State::Recover;
            return;
        };
        building.end = token.end;
        building.blocks = true;
        if !frame.hidden {
            building.block = true;
            let mut children = KdlDocument::new();
            let (start, end) = self.tokens.get(frame.open).map_or((0, 0), |open| (open.start, token.end));
            children.set_span((start, end - start));
            *children.nodes_mut() = frame.nodes;
            building.node.set_children(children);
        }
        self.node = Some(building);
        self.state = State::Entries;
    }

    fn recover(&mut self) {
        let Some(token) = self.token() else {
            self.state = State::Nodes;
            return;
        };
        match token.kind {
            Kind::Newline | Kind::Semicolon => {
                self.at += 1;
                self.state = State::Nodes;
            }
            Kind::OpenBrace => {
                self.shaky = true;
                self.open(None, false, token);
            }
            Kind::CloseBrace => {
                self.shaky = true;
                self.state = State::Nodes;
            }
            _ => {
                if token.unclosed && token.kind.is_quoted() {
                    self.report(token.start, |p| mistakes::unclosed_string(p.text, p.file, token));
                }
                self.at += 1;
            }
        }
    }

    /// At the end of the tokens.
    fn end(&mut self) {
        self.state = State::Done;
        let all_read = self.tokens.last().is_none_or(|t| !t.unclosed && t.end == self.text.len());
        if self.frames.len() > 1 && all_read && !self.shaky {
            let open: Vec<Token> =
                self.frames.iter().skip(1).filter_map(|frame| self.tokens.get(frame.open).copied()).collect();
            if let Some(diagnostic) = self.braces.unclosed(self.text, &self.lines, self.file, &open) {
                self.quiet_until = 0;
                self.report(0, |_| diagnostic);
            }
        }
    }

    fn unclosed_comment(&mut self) {
        if let Some(last) = self.tokens.last().copied()
            && last.unclosed
            && last.kind == Kind::BlockComment
        {
            self.report(last.start, |p| mistakes::unclosed_comment(p.text, p.file, last));
        }
    }
}
