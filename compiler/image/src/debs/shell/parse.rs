//! Reading the shell's grammar. What is not known is refused with its line, never passed over.

use super::syntax::{Command, List, Part, Pipeline, Program, Redirect, RedirectKind, Refused, Statement, What, Word};

/// Deepest nesting of commands and of expansions; maintainer scripts stay below ten.
pub(super) const DEEPEST: usize = 40;
/// Largest script that is read, in characters.
const LARGEST: usize = 256 << 10;

/// Parses a script; lines are counted from `line`, here-documents from `first`. Where `counts` is not set, everything
/// stands at that line: it is another text than the one that is quoted.
pub(super) fn parse(text: &str, line: usize, first: usize, counts: bool) -> Result<Program, Refused> {
    let chars: Vec<char> = text.chars().collect();
    let mut parser = Parser { chars, at: 0, line, counts, depth: 0, documents: Vec::new(), first, pending: Vec::new() };
    if parser.chars.len() > LARGEST {
        return parser.refuse();
    }
    let list = parser.list(&[])?;
    if parser.peek().is_some() || !parser.pending.is_empty() {
        return parser.refuse();
    }
    Ok(Program { list, documents: parser.documents })
}

pub(super) struct Parser {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) counts: bool,
    pub(super) depth: usize,
    pub(super) documents: Vec<Word>,
    /// Number of the first of them.
    pub(super) first: usize,
    /// Here-documents whose text starts at the next line: number, end, `<<-`, quoted.
    pub(super) pending: Vec<(usize, String, bool, bool)>,
}

pub(super) type Parsed<T> = Result<T, Refused>;

impl Parser {
    pub(super) fn refuse<T>(&self) -> Parsed<T> {
        Err(Refused { line: self.line })
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn ahead(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        if c == '\n' {
            self.line += usize::from(self.counts);
        }
        Some(c)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let ahead = self.ahead(text);
        if ahead {
            self.at += text.chars().count();
        }
        ahead
    }

    /// Blanks, continued lines, a comment.
    fn blanks(&mut self) {
        loop {
            if self.ahead("\\\n") {
                self.at += 2;
                self.line += usize::from(self.counts);
            } else if self.peek().is_some_and(|c| c == ' ' || c == '\t' || c == '\r') {
                self.at += 1;
            } else if self.peek() == Some('#') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    /// The end of a line, with the here-documents that start there.
    fn newline(&mut self) -> Parsed<bool> {
        self.blanks();
        if self.peek() != Some('\n') {
            return Ok(false);
        }
        self.next();
        for (number, end, tabs, quoted) in std::mem::take(&mut self.pending) {
            let mut text = String::new();
            loop {
                let mut line = String::new();
                let mut ended = false;
                while let Some(c) = self.next() {
                    if c == '\n' {
                        ended = true;
                        break;
                    }
                    line.push(c);
                }
                let line = if tabs { line.trim_start_matches('\t') } else { &line };
                if line == end {
                    break;
                }
                if !ended {
                    return self.refuse();
                }
                text.push_str(line);
                text.push('\n');
            }
            let word = if quoted { vec![Part::Text(text, true)] } else { self.inside(&text)? };
            if let Some(place) = self.documents.get_mut(number - self.first) {
                *place = word;
            }
        }
        Ok(true)
    }

    /// A here-document's text with its expansions.
    fn inside(&self, text: &str) -> Parsed<Word> {
        let chars = text.chars().collect();
        let mut inner = Parser {
            chars,
            at: 0,
            line: self.line,
            counts: false,
            depth: self.depth + 1,
            documents: Vec::new(),
            first: 0,
            pending: Vec::new(),
        };
        let mut word = Vec::new();
        inner.quoted(&mut word, None)?;
        Ok(word)
    }

    fn newlines(&mut self) -> Parsed<()> {
        while self.newline()? {}
        Ok(())
    }

    /// A reserved word that stands here, where a command may start.
    fn reserved(&mut self) -> Option<&'static str> {
        const RESERVED: [&str; 16] = [
            "then", "elif", "else", "fi", "do", "done", "esac", "if", "case", "for", "while", "until", "{", "}", "!",
            "function",
        ];
        RESERVED.into_iter().find(|word| {
            self.ahead(word)
                && self.chars.get(self.at + word.len()).is_none_or(|c| c.is_whitespace() || ";&|()<>".contains(*c))
        })
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        self.newlines()?;
        if self.reserved() == Some(word) && self.eat(word) { Ok(()) } else { self.refuse() }
    }

    /// Commands up to one of `ends` (reserved words, `)` or `;;`), which is left.
    fn list(&mut self, ends: &[&str]) -> Parsed<List> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.refuse();
        }
        let mut out = Vec::new();
        loop {
            self.newlines()?;
            let symbol = ends.iter().any(|end| !end.starts_with(|c: char| c.is_ascii_alphabetic()) && self.ahead(end));
            if self.peek().is_none() || symbol || self.reserved().is_some_and(|word| ends.contains(&word)) {
                break;
            }
            let mut statement = self.statement()?;
            self.blanks();
            if self.ahead(";;") {
                // The case around sees it.
            } else if self.peek() == Some('&') {
                self.at += 1;
                statement.background = true;
            } else if !self.eat(";") && !self.newline()? && self.peek().is_some_and(|c| c != ')') {
                return self.refuse();
            }
            out.push(statement);
        }
        self.depth -= 1;
        Ok(out)
    }

    fn statement(&mut self) -> Parsed<Statement> {
        self.blanks();
        let line = self.line;
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = self.ahead("&&");
            if !and && !self.ahead("||") {
                return Ok(Statement { line, first, rest, background: false });
            }
            self.at += 2;
            self.newlines()?;
            rest.push((and, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        self.blanks();
        let not = self.reserved() == Some("!") && self.eat("!");
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.ahead("||") {
                return Ok(Pipeline { not, commands });
            }
            self.at += 1;
            self.newlines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.blanks();
        let line = self.line;
        let what = match self.reserved() {
            Some("if") => self.branches()?,
            Some("case") => self.case()?,
            Some("for") => self.for_each()?,
            Some("while") => {
                self.eat("while");
                let condition = self.list(&["do"])?;
                self.expect("do")?;
                let body = self.list(&["done"])?;
                self.expect("done")?;
                What::Loop(condition, body)
            }
            Some("{") => {
                self.eat("{");
                let list = self.list(&["}"])?;
                self.expect("}")?;
                What::Group(list)
            }
            Some(_) => return self.refuse(),
            None if self.peek() == Some('(') => {
                self.at += 1;
                let list = self.list(&[")"])?;
                if !self.eat(")") {
                    return self.refuse();
                }
                What::Subshell(list)
            }
            None => return self.simple(line),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(Command { line, what, redirects })
    }

    fn branches(&mut self) -> Parsed<What> {
        self.eat("if");
        let mut out = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            out.push((condition, self.list(&["elif", "else", "fi"])?));
            match self.reserved() {
                Some("elif") => self.eat("elif"),
                Some("else") => {
                    self.eat("else");
                    out.push((Vec::new(), self.list(&["fi"])?));
                    self.expect("fi")?;
                    return Ok(What::If(out));
                }
                _ => {
                    self.expect("fi")?;
                    return Ok(What::If(out));
                }
            };
        }
    }

    fn case(&mut self) -> Parsed<What> {
        self.eat("case");
        self.blanks();
        let Some(word) = self.word()? else { return self.refuse() };
        self.newlines()?;
        if !self.eat("in") {
            return self.refuse();
        }
        let mut out = Vec::new();
        loop {
            self.newlines()?;
            if self.reserved() == Some("esac") {
                self.eat("esac");
                return Ok(What::Case(word, out));
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                let Some(pattern) = self.word()? else { return self.refuse() };
                patterns.push(pattern);
                self.blanks();
                if self.eat(")") {
                    break;
                }
                if !self.eat("|") {
                    return self.refuse();
                }
            }
            let list = self.list(&[";;", "esac"])?;
            self.eat(";;");
            out.push((patterns, list));
        }
    }

    fn for_each(&mut self) -> Parsed<What> {
        self.eat("for");
        self.blanks();
        let name = self.name();
        self.newlines()?;
        let mut words = None;
        if self.ahead("in") {
            self.at += 2;
            let mut all = Vec::new();
            self.blanks();
            while let Some(word) = self.word()? {
                all.push(word);
                self.blanks();
            }
            words = Some(all);
        }
        self.blanks();
        self.eat(";");
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        if name.is_empty() { self.refuse() } else { Ok(What::For(name, words, body)) }
    }

    pub(super) fn name(&mut self) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            out.push(c);
            self.at += 1;
        }
        out
    }

    fn simple(&mut self, line: usize) -> Parsed<Command> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some((name, value)) = self.assignment()?
            {
                assigns.push((name, value));
                continue;
            }
            let Some(word) = self.word()? else { break };
            words.push(word);
            self.blanks();
            if self.peek() == Some('(') {
                self.at += 1;
                self.blanks();
                let name = match words.as_slice() {
                    [word] => literal(word),
                    _ => None,
                };
                let (Some(name), true) = (name, self.eat(")")) else { return self.refuse() };
                self.newlines()?;
                let body = self.command()?;
                return Ok(Command { line, what: What::Function(name, wrap(body)), redirects });
            }
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return self.refuse();
        }
        Ok(Command { line, what: What::Simple(assigns, words), redirects })
    }

    fn assignment(&mut self) -> Parsed<Option<(String, Word)>> {
        let start = self.at;
        let name = self.name();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !self.eat("=") {
            self.at = start;
            return Ok(None);
        }
        Ok(Some((name, self.word()?.unwrap_or_default())))
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        self.blanks();
        let start = self.at;
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.at += 1;
        }
        let operator = ["<<-", "<<", ">>", ">&", "<&", ">|", "<", ">"].into_iter().find(|op| self.ahead(op));
        let Some(operator) = operator else {
            self.at = start;
            return Ok(None);
        };
        self.eat(operator);
        self.blanks();
        let Some(word) = self.word()? else { return self.refuse() };
        let kind = match operator {
            "<<" | "<<-" => {
                let mut end = String::new();
                let mut quoted = false;
                for part in word {
                    let Part::Text(text, quote) = part else { return self.refuse() };
                    end.push_str(&text);
                    quoted |= quote;
                }
                self.documents.push(Vec::new());
                let number = self.first + self.documents.len() - 1;
                self.pending.push((number, end, operator == "<<-", quoted));
                RedirectKind::Here(number)
            }
            ">>" => RedirectKind::Append(word),
            ">&" | "<&" => RedirectKind::Dup(word),
            "<" => RedirectKind::From(word),
            _ => RedirectKind::To(word),
        };
        Ok(Some(Redirect { fd: digits.parse().ok(), kind }))
    }
}

/// A command as a list of its own.
fn wrap(command: Command) -> List {
    let line = command.line;
    let first = Pipeline { not: false, commands: vec![command] };
    vec![Statement { line, first, rest: Vec::new(), background: false }]
}

/// The text of a word that expands nothing.
fn literal(word: &Word) -> Option<String> {
    word.iter().map(|part| if let Part::Text(text, _) = part { Some(text.as_str()) } else { None }).collect()
}
