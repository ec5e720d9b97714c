//! The files of the workspace, as text.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours, at whatever depth.
const NOT_OURS: [&str; 6] = [".git", "node_modules", "out", "target", "__pycache__", ".venv"];

/// A text file of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// From the root, with slashes.
    pub path: String,
    /// Its content.
    pub text: String,
    /// Whether it is compiled for tests only: `#[cfg(test)] mod NAME;`, or a file of a `tests` directory.
    pub test: bool,
}

impl SourceFile {
    /// Lines of the product with their numbers from 1: those before the file's `#[cfg(test)] mod … {`, which
    /// stands at the end by the rules of this repository.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = (0..lines.len()).find(|at| lines[*at].trim() == "#[cfg(test)]" && begins_module(&lines[at + 1..]));
        let end = if self.test { 0 } else { end.unwrap_or(lines.len()) };
        lines.into_iter().take(end).enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// Whether the first line that is no attribute opens a module.
fn begins_module(lines: &[&str]) -> bool {
    lines
        .iter()
        .find(|line| !line.trim_start().starts_with("#["))
        .is_some_and(|line| line.trim_start().starts_with("mod ") && line.trim_end().ends_with('{'))
}

/// The root of the workspace that this test was built from.
///
/// # Panics
/// When it is gone.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Every Rust file, sorted by path.
///
/// # Panics
/// When the tree cannot be read.
#[must_use]
pub fn all_sources(root: &Path) -> Vec<SourceFile> {
    let mut all: Vec<SourceFile> = files(root)
        .into_iter()
        .filter(|path| path.ends_with(".rs"))
        .map(|path| {
            let text = std::fs::read_to_string(root.join(&path)).expect("a source is text");
            let test = path.starts_with("tests/") || path.contains("/tests/");
            SourceFile { path, text, test }
        })
        .collect();
    let tests: BTreeSet<String> = all.iter().flat_map(|file| test_modules(&file.path, &file.text)).collect();
    for file in &mut all {
        let stem = file.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let mut parts = stem.match_indices('/').map(|(at, _)| &stem[..at]);
        file.test |= tests.contains(stem) || parts.any(|part| tests.contains(part));
    }
    all
}

/// The Rust files of what users run: `compiler/*/src`, build scripts, `stdlib/runtime`; without test modules.
///
/// # Panics
/// When the tree cannot be read.
#[must_use]
pub fn product_sources(root: &Path) -> Vec<SourceFile> {
    let product = |path: &str| path.starts_with("compiler/") || path.starts_with("stdlib/");
    all_sources(root).into_iter().filter(|file| !file.test && product(&file.path)).collect()
}

/// Paths of the modules that `text` declares under `#[cfg(test)]`, without `.rs`.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let (directory, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let home = if ["lib", "main", "mod"].contains(&name) { directory } else { stem };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]").filter_map(|(at, _)| {
        let line = lines[at + 1..].iter().find(|line| !line.starts_with("#["))?;
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    declared.map(|name| format!("{home}/{name}")).collect()
}

/// Paths of all files from the root, sorted; hidden directories and build products left out.
///
/// # Panics
/// When the tree cannot be read.
#[must_use]
pub fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(directory) = queue.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of the workspace") {
            let entry = entry.expect("a directory of the workspace");
            let kind = entry.file_type().expect("a file of the workspace");
            let name = entry.file_name();
            // In a linked worktree `.git` is a file.
            if NOT_OURS.iter().any(|not| name == **not) {
                continue;
            }
            if kind.is_dir() {
                queue.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let path = path.strip_prefix(root).expect("below the root");
                found.push(path.to_str().expect("our names are UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_from_the_product() {
        let text = "//! head\nfn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() {}\n}\n";
        let mut file = SourceFile { path: "a.rs".into(), text: text.into(), test: false };
        assert_eq!(file.product_lines().count(), 2);
        file.test = true;
        assert_eq!(file.product_lines().count(), 0);
        let declared =
            test_modules("x/src/read/mod.rs", "mod a;\n#[cfg(test)]\nmod peers;\n#[cfg(test)]\nmod t {\n}\n");
        assert_eq!(declared, ["x/src/read/peers"]);
        assert_eq!(test_modules("x/src/read.rs", "#[cfg(test)]\nmod peers;\n"), ["x/src/read/peers"]);
    }
}
