//! Braces that do not pair: indentation tells which one is meant.

use diag::{Diagnostic, FileId, Span, codes};

use super::chars::is_newline;
use super::lex::{Token, run};

/// The first pair whose lines are indented differently.
#[derive(Debug, Default)]
pub(super) struct Braces {
    odd: Option<Pair>,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    open: Token,
    close: Token,
    /// The `}` stands further left than the line of its `{`.
    left: bool,
}

impl Braces {
    /// Notes a pair.
    pub(super) fn pair(&mut self, lines: &Lines, open: Token, close: Token) {
        if self.odd.is_some() {
            return;
        }
        let (opening, closing) = (lines.of(open.start), lines.of(close.start));
        // Within one line there is nothing to see, nor where something stands before the `}`.
        if opening.start == closing.start || closing.start + closing.indent != close.start {
            return;
        }
        if opening.indent != closing.indent {
            self.odd = Some(Pair { open, close, left: closing.indent < opening.indent });
        }
    }

    /// The text ends while the blocks of `open` (outermost first) are open.
    pub(super) fn unclosed(&self, text: &str, lines: &Lines, file: FileId, open: &[Token]) -> Option<Diagnostic> {
        // A `}` that stands too far left closed the wrong block: the one inside lacks its own.
        let inner = self.odd.filter(|pair| pair.left).map(|pair| (pair.open, Some(lines.of(pair.close.start))));
        let found = inner.or_else(|| {
            let evidence = |token: &Token| Some((*token, Some(lines.outdented(text, *token)?)));
            let with_evidence = open.iter().rev().find_map(evidence);
            with_evidence.or_else(|| open.last().map(|token| (*token, None)))
        })?;
        let (token, before) = found;
        let diagnostic = Diagnostic::new(codes::E0016, "this `{` is never closed")
            .at(Span::new(file, token.start, token.end), "opened here");
        Some(match before {
            Some(line) => {
                let start = line.start + line.indent;
                let word = text.get(start..).map_or(0, |rest| run(rest, |c| !c.is_whitespace()));
                diagnostic
                    .label(Span::new(file, start, start + word), "this line is indented as if the block had ended")
                    .help("put a `}` on a line before this one")
            }
            None => diagnostic.help("put a `}` where its block ends"),
        })
    }

    /// A `}` without a block.
    pub(super) fn too_many(&self, lines: &Lines, file: FileId, close: Token) -> Diagnostic {
        let diagnostic = Diagnostic::new(codes::E0016, "this `}` closes nothing")
            .at(Span::new(file, close.start, close.end), "no block is open here");
        match self.odd.filter(|pair| !pair.left) {
            Some(pair) => diagnostic
                .label(Span::new(file, pair.close.start, pair.close.end), "this `}` ends a block further out")
                .label(Span::new(file, pair.open.start, pair.open.end), "namely the one that begins here")
                .help("take one of the two away"),
            None if lines.of(close.start).start == 0 => diagnostic.help("take it away"),
            None => diagnostic.help("take it away, or open its block with `{` on the line of a node"),
        }
    }
}

/// Where each line begins and how far it is indented.
#[derive(Debug)]
pub(super) struct Lines(Vec<Line>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Line {
    start: usize,
    /// Bytes of blanks at its beginning.
    indent: usize,
}

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let mut start = 0;
        let line = |part: &str| {
            let indent = run(part, |c| c == ' ' || c == '\t');
            let line = Line { start, indent };
            start += part.len();
            line
        };
        Self(text.split_inclusive(is_newline).map(line).collect())
    }

    /// The line of the byte at `at`.
    fn of(&self, at: usize) -> Line {
        let after = self.0.partition_point(|line| line.start <= at);
        after.checked_sub(1).and_then(|n| self.0.get(n)).copied().unwrap_or_default()
    }

    /// First line after that of `open` that holds something other than `}` and is indented no deeper than it.
    fn outdented(&self, text: &str, open: Token) -> Option<Line> {
        let own = self.of(open.start);
        let after = self.0.partition_point(|line| line.start <= open.start);
        self.0.get(after..)?.iter().copied().find(|line| {
            let first = text.get(line.start + line.indent..).and_then(|rest| rest.chars().next());
            line.indent <= own.indent && first.is_some_and(|c| c != '}' && !is_newline(c))
        })
    }
}
