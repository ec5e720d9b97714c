//! Reading words: quoting and expansions (XCU 2.2, 2.6).

use super::parse::{DEEPEST, Parsed, Parser};
use super::syntax::{Parameter, Part, Word};

impl Parser {
    /// One word; none where an operator or the end stands.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let mut out = Vec::new();
        let start = self.at;
        while let Some(c) = self.peek() {
            match c {
                c if c.is_whitespace() || ";&|()<>".contains(c) => break,
                '\\' => {
                    self.at += 1;
                    match self.next() {
                        Some('\n') => {}
                        Some(c) => out.push(Part::Text(c.to_string(), true)),
                        None => return self.refuse(),
                    }
                }
                '\'' => {
                    self.at += 1;
                    let mut text = String::new();
                    loop {
                        match self.next() {
                            Some('\'') => break,
                            Some(c) => text.push(c),
                            None => return self.refuse(),
                        }
                    }
                    out.push(Part::Text(text, true));
                }
                '"' => {
                    self.at += 1;
                    out.push(Part::Text(String::new(), true));
                    self.quoted(&mut out, Some('"'))?;
                }
                '$' | '`' => out.push(self.expansion(false)?),
                _ => {
                    self.at += 1;
                    match out.last_mut() {
                        Some(Part::Text(text, false)) => text.push(c),
                        _ => out.push(Part::Text(c.to_string(), false)),
                    }
                }
            }
        }
        Ok((self.at > start).then_some(out))
    }

    /// Text in double quotes, up to `end`, or all that is left.
    pub(super) fn quoted(&mut self, out: &mut Word, end: Option<char>) -> Parsed<()> {
        let mut text = String::new();
        loop {
            match self.peek() {
                None if end.is_none() => break,
                None => return self.refuse(),
                c if c == end => {
                    self.at += 1;
                    break;
                }
                Some('\\') => {
                    self.at += 1;
                    match self.next() {
                        Some('\n') => {}
                        Some(c) if "$`\\".contains(c) || Some(c) == end => text.push(c),
                        Some(c) => text.extend(['\\', c]),
                        None => text.push('\\'),
                    }
                }
                Some('$' | '`') => {
                    out.push(Part::Text(std::mem::take(&mut text), true));
                    out.push(self.expansion(true)?);
                }
                Some(c) => {
                    self.next();
                    text.push(c);
                }
            }
        }
        out.push(Part::Text(text, true));
        Ok(())
    }

    /// What follows a `$` or a backquote.
    fn expansion(&mut self, quoted: bool) -> Parsed<Part> {
        if self.eat("`") {
            let mut text = String::new();
            loop {
                match self.next() {
                    Some('`') => return Ok(Part::Command(text, quoted)),
                    Some('\\') => text.extend(self.next()),
                    Some(c) => text.push(c),
                    None => return self.refuse(),
                }
            }
        }
        self.at += 1;
        if self.ahead("((") {
            self.balanced()?;
            return Ok(Part::Unknown);
        }
        if self.ahead("(") {
            return Ok(Part::Command(self.balanced()?, quoted));
        }
        if self.eat("{") {
            return self.braces(quoted);
        }
        let name = match self.peek() {
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.at += 1;
                c.to_string()
            }
            _ => return Ok(Part::Text("$".into(), quoted)),
        };
        Ok(Part::Parameter(Parameter { name, change: None }, quoted))
    }

    /// The text between a parenthesis, which stands here, and its partner.
    fn balanced(&mut self) -> Parsed<String> {
        let (mut open, mut quote, mut text) = (0usize, None, String::new());
        while let Some(c) = self.next() {
            match (quote, c) {
                (_, '\\') if quote != Some('\'') => {
                    text.push(c);
                    text.extend(self.next());
                    continue;
                }
                (Some(q), c) if q == c => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (None, '(') => open += 1,
                (None, ')') => {
                    open -= 1;
                    if open == 0 {
                        return Ok(text.get(1..).unwrap_or_default().to_owned());
                    }
                }
                _ => {}
            }
            text.push(c);
        }
        self.refuse()
    }

    fn braces(&mut self, quoted: bool) -> Parsed<Part> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.refuse();
        }
        let mut name = self.name();
        if name.is_empty() {
            match self.next() {
                Some(c) if "@*#?$!-".contains(c) => name.push(c),
                _ => return self.refuse(),
            }
        }
        let operators = [":-", ":=", ":+", ":?", "##", "%%", "-", "=", "+", "?", "#", "%"];
        let operator = operators.into_iter().find(|op| self.ahead(op));
        let mut change = None;
        if let Some(operator) = operator {
            self.eat(operator);
            let mut word = Vec::new();
            loop {
                match self.peek() {
                    Some('}') => break,
                    Some('"') => {
                        self.at += 1;
                        self.quoted(&mut word, Some('"'))?;
                    }
                    Some('\'') if !quoted => {
                        self.at += 1;
                        let mut text = String::new();
                        while let Some(c) = self.next().filter(|c| *c != '\'') {
                            text.push(c);
                        }
                        word.push(Part::Text(text, true));
                    }
                    Some('$' | '`') => word.push(self.expansion(quoted)?),
                    Some('\\') => {
                        self.at += 1;
                        word.extend(self.next().map(|c| Part::Text(c.to_string(), true)));
                    }
                    Some(c) => {
                        self.next();
                        word.push(Part::Text(c.to_string(), quoted && !"#%".contains(operator.get(..1).unwrap_or(""))));
                    }
                    None => return self.refuse(),
                }
            }
            change = Some((operator.to_owned(), word));
        }
        if !self.eat("}") {
            return self.refuse();
        }
        self.depth -= 1;
        Ok(Part::Parameter(Parameter { name, change }, quoted))
    }
}
