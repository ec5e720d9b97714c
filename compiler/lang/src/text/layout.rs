//! Tokens → text with our spaces and line ends (`k8orc fmt`); no token but `;` and `\` is lost or changed.
//!
//! The writer's lines are kept: nodes on lines of their own stay so, nodes joined by `;` stay joined while
//! the line fits, and a block within one line stays there. Indentation is four spaces a level.

use super::grammar::{Reading, Role};
use super::lex::{Kind, Token};

/// Nodes joined by `;` go to lines of their own beyond this many characters.
const WIDTH: usize = 100;

/// The text of a reading without errors.
pub(super) fn print(text: &str, reading: &Reading) -> String {
    let mut printer = Printer {
        text,
        tokens: &reading.tokens,
        blocks: vec![Block { fresh: true, ..Block::default() }],
        pending: Vec::new(),
        last: None,
    };
    for (at, token) in reading.tokens.iter().enumerate() {
        printer.token(at, *token, reading.roles.get(at).copied().unwrap_or(Role::Inner));
    }
    printer.end_node();
    let mut root = printer.blocks.pop().unwrap_or_default();
    root.end_line();
    root.lines
}

/// A block, or the document, while it is printed.
#[derive(Default)]
struct Block {
    /// Levels of its lines.
    indent: usize,
    /// Stands within one line.
    inline: bool,
    /// Finished lines.
    lines: String,
    /// The line at work.
    pieces: Vec<Piece>,
    /// The node at work.
    node: Option<String>,
    /// A comment on the line of `{`.
    head: Option<String>,
    /// Nothing on this line so far.
    fresh: bool,
    /// A blank line comes before the next line.
    blank: bool,
}

enum Piece {
    Node(String),
    Comment(String),
}

struct Printer<'a> {
    text: &'a str,
    tokens: &'a [Token],
    blocks: Vec<Block>,
    /// Blanks and comments since the last other token of the node.
    pending: Vec<Token>,
    /// The last token of the node that is no blank.
    last: Option<Kind>,
}

impl Printer<'_> {
    fn token(&mut self, at: usize, token: Token, role: Role) {
        let Some(block) = self.blocks.last_mut() else { return };
        let in_node = block.node.is_some();
        match token.kind {
            Kind::Newline if in_node && self.last == Some(Kind::Slashdash) => self.pending.push(token),
            Kind::Newline => {
                self.end_node();
                self.newline();
            }
            kind if kind.is_blank() && in_node => self.pending.push(token),
            kind if kind.is_blank() => self.between(token),
            Kind::Semicolon => self.end_node(),
            Kind::CloseBrace => self.close(),
            Kind::OpenBrace => {
                self.word(token, role);
                self.open(at);
            }
            _ => {
                if role == Role::Node {
                    block.node = Some(String::new());
                    block.fresh = false;
                    self.last = None;
                }
                self.word(token, role);
            }
        }
    }

    /// The token's text with line ends of our kind.
    fn text_of(&self, token: Token) -> String {
        let text = self.text.get(token.start..token.end).unwrap_or("");
        match token.kind {
            Kind::LineComment => text.trim_end().to_owned(),
            // A lone CR too: before a CR LF that became LF it would make one line end of two.
            _ if text.contains('\r') => text.replace("\r\n", "\n").replace('\r', "\n"),
            _ => text.to_owned(),
        }
    }

    /// A token of a node, after the comments before it.
    fn word(&mut self, token: Token, role: Role) {
        let indent = self.blocks.last().map_or(0, |block| block.indent) + 1;
        let pending = std::mem::take(&mut self.pending);
        let commented = pending.iter().any(|t| t.kind == Kind::LineComment);
        // A `\` before a `{` or within a property has no use, unless a comment stands after it.
        let joins = commented || role == Role::Entry && self.last != Some(Kind::Slashdash);
        let mut before = String::new();
        let mut at_start = self.last.is_none();
        let mut space = matches!(role, Role::Entry | Role::Open) || self.last == Some(Kind::Slashdash);
        for blank in pending {
            match blank.kind {
                Kind::BlockComment | Kind::LineComment | Kind::Continue => {
                    if blank.kind == Kind::Continue && !joins {
                        continue;
                    }
                    if !at_start {
                        before.push(' ');
                    }
                    before.push_str(&self.text_of(blank));
                    (at_start, space) = (false, true);
                }
                Kind::JoinedNewline if joins => at_start = line_end(&mut before, indent),
                Kind::Newline if commented && !at_start => at_start = line_end(&mut before, indent),
                _ => {}
            }
        }
        if space && !at_start {
            before.push(' ');
        }
        let text = if token.kind == Kind::OpenBrace { String::new() } else { self.text_of(token) };
        if let Some(node) = self.blocks.last_mut().and_then(|block| block.node.as_mut()) {
            node.push_str(&before);
            node.push_str(&text);
        }
        self.last = Some(token.kind);
    }

    fn open(&mut self, at: usize) {
        let (parent, inline) = self.blocks.last().map_or((0, false), |block| (block.indent, block.inline));
        let inline = inline || self.stands_in_line(at);
        let indent = if inline { parent } else { parent + 1 };
        self.blocks.push(Block { indent, inline, ..Block::default() });
    }

    /// Whether the block whose `{` is at `at` ends on the same line.
    fn stands_in_line(&self, at: usize) -> bool {
        let mut depth = 0_usize;
        for token in self.tokens.iter().skip(at) {
            match token.kind {
                Kind::Newline | Kind::JoinedNewline | Kind::LineComment => return false,
                Kind::OpenBrace => depth += 1,
                Kind::CloseBrace => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return true;
            }
        }
        false
    }

    fn close(&mut self) {
        self.end_node();
        let Some(mut block) = self.blocks.pop() else { return };
        block.end_line();
        let Some(parent) = self.blocks.last_mut() else { return };
        let outer = parent.indent;
        let Some(node) = parent.node.as_mut() else { return };
        let head = block.head.map(|comment| format!(" {comment}")).unwrap_or_default();
        if block.lines.is_empty() && head.is_empty() {
            node.push_str("{}");
        } else if block.inline {
            node.push_str("{ ");
            node.push_str(block.lines.trim_end_matches('\n'));
            node.push_str(" }");
        } else {
            node.push('{');
            node.push_str(&head);
            node.push('\n');
            node.push_str(&block.lines);
            push_indent(node, outer);
            node.push('}');
        }
        self.last = Some(Kind::CloseBrace);
    }

    /// A comment or blank between nodes.
    fn between(&mut self, token: Token) {
        let text = self.text_of(token);
        let Some(block) = self.blocks.last_mut() else { return };
        match token.kind {
            Kind::BlockComment => {
                block.pieces.push(Piece::Comment(text));
                block.fresh = false;
            }
            Kind::LineComment => {
                let after_brace = self.blocks.len() > 1;
                if let Some(block) = self.blocks.last_mut() {
                    block.comment(text, after_brace);
                }
            }
            Kind::JoinedNewline => self.newline(),
            _ => {}
        }
    }

    /// A line end between nodes.
    fn newline(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.end_line();
            block.blank |= block.fresh;
            block.fresh = true;
        }
    }

    /// The node is complete; comments after it stay on its line.
    fn end_node(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let texts: Vec<(Kind, String)> = pending.iter().map(|t| (t.kind, self.text_of(*t))).collect();
        self.last = None;
        let Some(block) = self.blocks.last_mut() else { return };
        let Some(mut node) = block.node.take() else { return };
        let mut comments = texts.into_iter().filter(|(kind, _)| matches!(kind, Kind::BlockComment | Kind::LineComment));
        let mut line = None;
        for (kind, text) in comments.by_ref() {
            if kind == Kind::LineComment {
                line = Some(text);
                break;
            }
            node.push(' ');
            node.push_str(&text);
        }
        block.pieces.push(Piece::Node(node));
        block.fresh = false;
        let Some(line) = line else { return };
        block.comment(line, false);
        // After a `\` at the node's end there may be more: each on a line of its own.
        for (kind, text) in comments {
            match kind {
                Kind::LineComment => block.comment(text, false),
                _ => block.pieces.push(Piece::Comment(text)),
            }
        }
    }
}

impl Block {
    /// A `// …`: the end of the line at work.
    fn comment(&mut self, text: String, in_block: bool) {
        if in_block && self.pieces.is_empty() && self.lines.is_empty() && !self.fresh && self.head.is_none() {
            self.head = Some(text);
            return;
        }
        self.fresh = false;
        self.put_line(Some(text));
    }

    fn end_line(&mut self) {
        if !self.pieces.is_empty() {
            self.put_line(None);
        }
    }

    /// Writes the line at work.
    fn put_line(&mut self, comment: Option<String>) {
        let pieces = std::mem::take(&mut self.pieces);
        if std::mem::take(&mut self.blank) && !self.lines.is_empty() {
            self.lines.push('\n');
        }
        let fits = self.inline || fits(&pieces, self.indent);
        let mut line = String::new();
        let mut after_node = false;
        for piece in pieces {
            let (text, is_node) = match piece {
                Piece::Node(text) => (text, true),
                Piece::Comment(text) => (text, false),
            };
            match (line.is_empty(), after_node) {
                (true, _) => {}
                (false, true) if fits => line.push_str("; "),
                (false, true) => {
                    line.push('\n');
                    push_indent(&mut line, self.indent);
                }
                (false, false) => line.push(' '),
            }
            line.push_str(&text);
            after_node = is_node;
        }
        if let Some(comment) = comment {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&comment);
        }
        if !self.inline {
            push_indent(&mut self.lines, self.indent);
        }
        self.lines.push_str(&line);
        self.lines.push('\n');
    }
}

fn fits(pieces: &[Piece], indent: usize) -> bool {
    let mut width = indent * 4;
    for piece in pieces {
        let (Piece::Node(text) | Piece::Comment(text)) = piece;
        if text.contains('\n') {
            return false;
        }
        width += text.chars().count() + 2;
    }
    width <= WIDTH + 2
}

fn push_indent(out: &mut String, levels: usize) {
    for _ in 0..levels {
        out.push_str("    ");
    }
}

fn line_end(out: &mut String, indent: usize) -> bool {
    out.push('\n');
    push_indent(out, indent);
    true
}
