//! `.k8orcignore`: what a copied directory leaves out, in the words of `.gitignore`.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use lang::world::{World, WorldError};

/// The rules of a spec's directory.
pub(super) struct Ignore(Vec<Rule>);

struct Rule {
    glob: GlobMatcher,
    /// `!`: brings back what a line above left out.
    back: bool,
    /// `x/`: directories only.
    directory: bool,
}

impl Ignore {
    /// Reads `.k8orcignore` in the directory of the spec; no such file: nothing is left out.
    pub fn read(world: &dyn World, root: &Path) -> Result<Self, String> {
        match world.read(root, Path::new(".k8orcignore"), 1 << 20) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes)),
            Err(WorldError::NotFound) => Ok(Self(Vec::new())),
            Err(error) => Err(format!("cannot be read: {error:?}")),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (line, back) = line.strip_prefix('!').map_or((line, false), |rest| (rest, true));
            let (line, directory) = line.strip_suffix('/').map_or((line, false), |rest| (rest, true));
            // A slash ties a pattern to the directory of the spec; without one it matches at any depth.
            let anchored = line.strip_prefix('/').unwrap_or(line);
            let glob = if line.contains('/') { anchored.to_string() } else { format!("**/{line}") };
            let built = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
            let glob =
                built.map_err(|e| format!("line {}: {}", number + 1, diag::text::printable(&e.kind().to_string())))?;
            rules.push(Rule { glob: glob.compile_matcher(), back, directory });
        }
        Ok(Self(rules))
    }

    /// Whether `path`, relative to the directory of the spec, is left out. What lies in a directory that is left
    /// out is never asked for.
    pub fn ignores(&self, path: &Path, directory: bool) -> bool {
        let fits = |rule: &&Rule| (directory || !rule.directory) && rule.glob.is_match(path);
        path == Path::new(".k8orcignore") || self.0.iter().rev().find(fits).is_some_and(|rule| !rule.back)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_of_gitignore() {
        let ignore = Ignore::parse("# note\n*.tmp\n!keep.tmp\nbuild/\n/site/secret.txt\n").unwrap();
        let ignores = |path: &str, directory| ignore.ignores(Path::new(path), directory);
        assert!(ignores("site/a/x.tmp", false));
        assert!(!ignores("site/keep.tmp", false));
        assert!(ignores("site/build", true));
        assert!(!ignores("site/build", false));
        assert!(ignores("site/secret.txt", false));
        assert!(!ignores("site/a/secret.txt", false));
        assert!(Ignore::parse("[").is_err());
    }
}
