//! `.k8orcignore`: which files of a copied directory stay behind. The rules are those of gitignore(5): a line is a
//! pattern, `#` a comment, `!` takes back, `/` at the end means directories, any other `/` binds the pattern to the
//! directory of the file.

use diag::{Diagnostic, Diagnostics, FileId, Span, codes};
use globset::{GlobBuilder, GlobMatcher};

/// Lines of one file that count.
const LINES: usize = 1000;

/// A parsed `.k8orcignore`.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    matcher: GlobMatcher,
    negated: bool,
    directories: bool,
}

impl Ignore {
    /// Reads the text of a `.k8orcignore`; `file` is its id in the source map.
    pub fn parse(text: &str, file: FileId) -> (Ignore, Diagnostics) {
        let (mut rules, mut found) = (Vec::new(), Diagnostics::new());
        let mut start = 0_usize;
        for line in text.split('\n') {
            let span = Span::new(file, start, start + line.len());
            start += line.len() + 1;
            let line = line.trim_end_matches('\r');
            let pattern = if line.ends_with("\\ ") { line } else { line.trim_end() };
            if pattern.is_empty() || pattern.starts_with('#') {
                continue;
            }
            if rules.len() >= LINES {
                found.push(
                    Diagnostic::new(codes::E0254, "a .k8orcignore is too long")
                        .at(span, format!("more than {LINES} patterns")),
                );
                break;
            }
            match rule(pattern) {
                Ok(rule) => rules.push(rule),
                Err(why) => found.push(
                    Diagnostic::new(codes::E0254, format!("`{pattern}` is not a pattern: {why}"))
                        .at(span, "cannot be matched"),
                ),
            }
        }
        (Ignore { rules }, found)
    }

    /// Whether `path` (relative to the directory of the file, `/` between names) stays behind. Like git, callers
    /// do not look into a directory that does; the file itself always stays behind.
    pub fn ignores(&self, path: &str, directory: bool) -> bool {
        if path == ".k8orcignore" {
            return true;
        }
        let hit = self.rules.iter().rev().find(|rule| (directory || !rule.directories) && rule.matcher.is_match(path));
        hit.is_some_and(|rule| !rule.negated)
    }
}

fn rule(line: &str) -> Result<Rule, String> {
    let (negated, pattern) = match line.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    // `\#` and `\!` are the characters themselves.
    let pattern =
        if pattern.starts_with("\\#") || pattern.starts_with("\\!") { pattern.get(1..).unwrap_or("") } else { pattern };
    let (directories, pattern) = match pattern.strip_suffix('/') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let bound = pattern.contains('/');
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    if pattern.is_empty() || pattern.split('/').any(|part| part == "..") {
        return Err("it names nothing below this directory".to_owned());
    }
    // gitignore has no braces: here they are plain characters.
    let plain = pattern.replace('{', "[{]").replace('}', "[}]");
    let full = if bound { plain } else { format!("**/{plain}") };
    let glob = GlobBuilder::new(&full).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| Rule { matcher: glob.compile_matcher(), negated, directories })
        .map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignore(text: &str) -> Ignore {
        let (ignore, found) = Ignore::parse(text, FileId(0));
        assert!(found.0.is_empty(), "{found:?}");
        ignore
    }

    #[test]
    fn the_rules_of_gitignore() {
        let rules = ignore("# comment\n\n*.log\n!keep.log\n/top\nbuild/\na/**/z\ndoc/*.txt\n\\#odd\nx{y}\ntrail  \r\n");
        let left = |path: &str| rules.ignores(path, false);
        assert!(left("x.log") && left("deep/er/x.log") && !left("deep/keep.log"));
        assert!(left("top") && !left("deep/top"));
        assert!(rules.ignores("deep/build", true) && !left("deep/build"));
        assert!(left("a/z") && left("a/b/c/z") && !left("b/a/z"));
        assert!(left("doc/a.txt") && !left("doc/b/a.txt"));
        assert!(left("#odd") && left("x{y}") && left("trail") && left(".k8orcignore") && !left("other"));
    }

    #[test]
    fn a_bad_pattern_has_its_line() {
        let (_, found) = Ignore::parse("ok\n[z-a]\n../x\n", FileId(0));
        let starts: Vec<u32> = found.iter().filter_map(|one| Some(one.primary.as_ref()?.span.start)).collect();
        assert_eq!(starts, [3, 9]);
    }
}
