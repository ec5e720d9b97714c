//! `path-exclude` and `path-include` of a base's dpkg configuration (dpkg(1)): slim images leave documentation out.

use diag::Diagnostic;
use formats::line::lines;

use super::failure::Failure;
use super::seed::Base;
use super::tree::{Kind, Tree};

/// Most rules that are read: each is tried on each path.
const MOST: usize = 1000;

/// The rules in their order.
#[derive(Default)]
pub(super) struct Filter(Vec<Rule>);

struct Rule {
    include: bool,
    pattern: Vec<u8>,
}

impl Filter {
    /// Reads `/etc/dpkg/dpkg.cfg.d/*` and `dpkg.cfg`, as dpkg does.
    pub fn read(base: &Base<'_>) -> Result<Filter, Diagnostic> {
        let mut files: Vec<String> = Vec::new();
        let good = |name: &&String| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        files.extend(
            base.names("/etc/dpkg/dpkg.cfg.d").iter().filter(good).map(|n| format!("/etc/dpkg/dpkg.cfg.d/{n}")),
        );
        files.push("/etc/dpkg/dpkg.cfg".to_owned());
        let mut filter = Filter::default();
        for file in files {
            let bytes = base.read(&file)?.unwrap_or_default();
            lines(&bytes).for_each(|line| filter.line(line.text));
        }
        Ok(filter)
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        let end = line.iter().position(|b| b.is_ascii_whitespace() || *b == b'=').unwrap_or(line.len());
        let (option, value) = line.split_at_checked(end).unwrap_or((line, b""));
        let value = value.trim_ascii();
        let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
        let quoted = |q: &[u8]| value.strip_prefix(q).and_then(|value| value.strip_suffix(q));
        let pattern = quoted(b"\"").or(quoted(b"'")).unwrap_or(value).to_vec();
        let include = match option {
            b"path-include" => true,
            b"path-exclude" => false,
            _ => return,
        };
        if self.0.len() < MOST {
            self.0.push(Rule { include, pattern });
        }
    }

    /// The last rule that matches counts; a directory stays when something below it may be included.
    fn excludes(&self, path: &[u8], directory: bool) -> bool {
        let last = self.0.iter().rev().find(|rule| matches(&rule.pattern, path));
        let out = last.is_some_and(|rule| !rule.include);
        let may_hold = |rule: &Rule| {
            let fixed = rule.pattern.iter().position(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'));
            let fixed = rule.pattern.get(..fixed.unwrap_or(rule.pattern.len())).unwrap_or_default();
            path.starts_with(fixed.strip_suffix(b"/").unwrap_or(fixed))
        };
        out && !(directory && self.0.iter().any(|rule| rule.include && may_hold(rule)))
    }

    /// Takes out of the tree what package number `at` listed and dpkg would not have put there.
    pub fn apply(&self, tree: &mut Tree, list: &[Vec<u8>], at: usize) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        // Contents before their directories.
        for path in list.iter().rev() {
            let place = tree.place(path)?;
            let Some(node) = tree.nodes.get(&place).filter(|node| node.owner == Some(at)) else { continue };
            let directory = !matches!(node.kind, Kind::File(..));
            let below = [place.as_slice(), b"/"].concat();
            let empty = !tree.nodes.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below));
            if empty && self.excludes(path, directory) {
                tree.nodes.remove(&place);
            }
        }
        Ok(())
    }
}

/// fnmatch(3) without flags: `*` and `?` match a slash too.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on when what follows the last star does not fit.
    let (mut p, mut t, mut star): (usize, usize, Option<(usize, usize)>) = (0, 0, None);
    while t < text.len() {
        let one = text.get(t).copied().unwrap_or(0);
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = single(pattern, p, one) {
            (p, t) = (next, t + 1);
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, t) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
}

/// Whether what stands at `p` matches one byte: the place after it.
fn single(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match pattern.get(p)? {
        b'?' => Some(p + 1),
        b'\\' => (pattern.get(p + 1) == Some(&byte)).then_some(p + 2),
        b'[' => {
            let negated = matches!(pattern.get(p + 1), Some(b'!' | b'^'));
            let start = p + 1 + usize::from(negated);
            let length = pattern.get(start + 1..)?.iter().position(|b| *b == b']')? + 1;
            let set = pattern.get(start..start + length)?;
            let mut found = false;
            let mut rest = set;
            while let Some((first, more)) = rest.split_first() {
                rest = more;
                match more {
                    [b'-', last, after @ ..] => {
                        found |= (*first..=*last).contains(&byte);
                        rest = after;
                    }
                    _ => found |= *first == byte,
                }
            }
            (found != negated).then_some(start + length + 1)
        }
        other => (*other == byte).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, yes, no) in [
            ("/usr/share/doc/*", "/usr/share/doc/a/b", "/usr/share/doc"),
            ("/usr/share/doc/*/copyright", "/usr/share/doc/a/b/copyright", "/usr/share/doc/copyright"),
            ("/a?c", "/a/c", "/ac"),
            ("/[a-c]x[!1]", "/bxz", "/bx1"),
            ("/a\\*", "/a*", "/ab"),
            ("**", "", "\u{0}none"),
        ] {
            assert!(matches(pattern.as_bytes(), yes.as_bytes()), "{pattern} {yes}");
            assert!(pattern == "**" || !matches(pattern.as_bytes(), no.as_bytes()), "{pattern} {no}");
        }
    }

    #[test]
    fn the_last_rule_counts() {
        let mut filter = Filter::default();
        for line in
            ["# x", "path-exclude /usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "force-unsafe-io"]
        {
            filter.line(line.as_bytes());
        }
        assert!(filter.excludes(b"/usr/share/doc/a/README", false));
        assert!(!filter.excludes(b"/usr/share/doc/a/copyright", false));
        assert!(!filter.excludes(b"/usr/share/doc/a", true), "it may hold an included file");
        assert!(!filter.excludes(b"/usr/bin/a", false));
    }
}
