//! What a maintainer script is made of: the part of the shell's grammar (POSIX.1-2024, XCU 2.10) that such scripts use.

/// Commands one after the other.
pub(super) type List = Vec<Statement>;

/// Pipelines joined by `&&` and `||`.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Where it starts, counted from one.
    pub line: usize,
    pub first: Pipeline,
    /// True: `&&`.
    pub rest: Vec<(bool, Pipeline)>,
    /// Ended by `&`.
    pub background: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    /// `!` before it.
    pub not: bool,
    pub commands: Vec<Command>,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub line: usize,
    pub what: What,
    pub redirects: Vec<Redirect>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// Assignments, and the words of a command.
    Simple(Vec<(String, Word)>, Vec<Word>),
    /// Condition and commands of each branch, the last condition empty for `else`.
    If(Vec<(List, List)>),
    /// The word, and the patterns and commands of each branch.
    Case(Word, Vec<(Vec<Word>, List)>),
    /// Variable, words (none: the arguments), body.
    For(String, Option<Vec<Word>>, List),
    /// `while`: condition and body.
    Loop(List, List),
    Function(String, List),
    Group(List),
    Subshell(List),
}

#[derive(Debug, Clone)]
pub(super) struct Redirect {
    pub fd: Option<u32>,
    pub kind: RedirectKind,
}

#[derive(Debug, Clone)]
pub(super) enum RedirectKind {
    From(Word),
    To(Word),
    Append(Word),
    /// `>&2`, `<&3`, `2>&-`
    Dup(Word),
    /// Number of the here-document.
    Here(usize),
}

/// Pieces that stand together.
pub(super) type Word = Vec<Part>;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// Text, and whether it was quoted.
    Text(String, bool),
    /// A parameter, and whether it was quoted.
    Parameter(Parameter, bool),
    /// `$(…)`: the source, parsed when it is needed.
    Command(String, bool),
    /// Arithmetic and whatever else has a value that is not worked out.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub name: String,
    /// The operator after the name (`:-`, `#`, `%%` …) and its word.
    pub change: Option<(String, Word)>,
}

/// A script, parsed.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    pub list: List,
    /// Here-documents: their text.
    pub documents: Vec<Word>,
}

/// Where parsing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub line: usize,
}
