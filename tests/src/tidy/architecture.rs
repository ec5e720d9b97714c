//! ARCHITECTURE.md against the workspace: the table of crates, and the paths that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Directory of a crate to the directories of those that it depends on; dev-dependencies included.
pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// Compares the table with the workspace.
#[must_use]
pub fn edges(table: &Edges, cargo: &Edges) -> Vec<String> {
    let mut wrong = Vec::new();
    for (krate, on) in cargo {
        let Some(said) = table.get(krate) else {
            wrong.push(format!("ARCHITECTURE.md does not list the crate {krate}"));
            continue;
        };
        for extra in on.difference(said) {
            wrong.push(format!("{krate} depends on {extra}, which ARCHITECTURE.md does not allow"));
        }
        for gone in said.difference(on) {
            wrong.push(format!("ARCHITECTURE.md says that {krate} depends on {gone}; it does not"));
        }
    }
    for krate in table.keys().filter(|krate| !cargo.contains_key(*krate)) {
        wrong.push(format!("ARCHITECTURE.md lists {krate}, which is no crate of the workspace"));
    }
    wrong
}

/// Reads the table: rows ``| `compiler/diag` | what it does | `formats`, `lang` or nothing |``. The last cell
/// names crates by the last part of their directory.
#[must_use]
pub fn table(text: &str) -> Edges {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", name, _, on, ""] = cells.as_slice() else { continue };
        let ticked = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        if let [krate] = ticked(name).as_slice() {
            rows.push((krate.clone(), ticked(on)));
        }
    }
    let directory = |name: &String| {
        let known = rows.iter().find(|(krate, _)| krate.rsplit('/').next() == Some(name));
        known.map_or_else(|| name.clone(), |(krate, _)| krate.clone())
    };
    rows.iter().map(|(krate, on)| (krate.clone(), on.iter().map(directory).collect())).collect()
}

/// What `cargo metadata` says of the workspace at `root`.
///
/// # Panics
/// When cargo cannot be run.
#[must_use]
pub fn edges_of_cargo(root: &Path) -> Edges {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo starts");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let home = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path")).parent().expect("a directory");
        let root = root.canonicalize().expect("the workspace");
        manifest.strip_prefix(root).expect("in the workspace").to_str().expect("UTF-8").to_owned()
    };
    let homes: BTreeMap<&str, String> =
        packages.iter().map(|package| (package["name"].as_str().expect("a name"), home(package))).collect();
    let on = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().filter_map(|one| homes.get(one["name"].as_str()?).cloned()).collect()
    };
    packages.iter().map(|package| (home(package), on(package))).collect()
}

/// Words in backticks that look like paths of the repository and are none.
#[must_use]
pub fn paths(root: &Path, text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        for word in line.split('`').skip(1).step_by(2) {
            if looks_like_a_path(word) && !root.join(word.trim_end_matches('/')).exists() {
                wrong.push(format!("ARCHITECTURE.md:{}: there is no {word}", at + 1));
            }
        }
    }
    wrong
}

/// `compiler/plan/src/decide`, `clippy.toml`; not `OUT/NAME`, `/usr`, `--locked`, `lang::spec`.
fn looks_like_a_path(word: &str) -> bool {
    const TOPS: [&str; 6] = ["compiler", "editors", "examples", "stdlib", "tests", ".ci"];
    const ENDS: [&str; 5] = [".md", ".rs", ".toml", ".kdl", ".txt"];
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let top = word.split('/').next().unwrap_or(word);
    plain && !word.starts_with('/') && (TOPS.contains(&top) || ENDS.iter().any(|end| word.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "| crate | what | on |\n|---|---|---|\n| `compiler/a` | x | nothing |\n\
        | `compiler/b` | y | `a` |\n| `compiler/c` | z | `a`, `b` |\n";

    fn cargo(all: &[(&str, &[&str])]) -> Edges {
        let set = |on: &[&str]| on.iter().map(|one| (*one).to_owned()).collect();
        all.iter().map(|(krate, on)| ((*krate).to_owned(), set(on))).collect()
    }

    #[test]
    fn differences_are_told() {
        let same = cargo(&[
            ("compiler/a", &[]),
            ("compiler/b", &["compiler/a"]),
            ("compiler/c", &["compiler/a", "compiler/b"]),
        ]);
        assert_eq!(table(TEXT), same);
        assert_eq!(edges(&table(TEXT), &same), [""; 0]);
        let other = cargo(&[("compiler/a", &["compiler/d"]), ("compiler/b", &[]), ("compiler/d", &[])]);
        assert_eq!(
            edges(&table(TEXT), &other),
            [
                "compiler/a depends on compiler/d, which ARCHITECTURE.md does not allow",
                "ARCHITECTURE.md says that compiler/b depends on compiler/a; it does not",
                "ARCHITECTURE.md does not list the crate compiler/d",
                "ARCHITECTURE.md lists compiler/c, which is no crate of the workspace",
            ]
        );
    }

    #[test]
    fn paths_are_told_from_other_words() {
        for path in ["compiler/plan/src", "clippy.toml", "tests/run", "stdlib/schema.kdl"] {
            assert!(looks_like_a_path(path), "{path}");
        }
        for word in ["/usr/lib", "OUT/NAME", "driver::build", "--locked", "compiler/*/src", "a/b"] {
            assert!(!looks_like_a_path(word), "{word}");
        }
        let root = tree_root();
        assert_eq!(paths(&root, "see `Cargo.toml` and `no/such.rs`"), ["ARCHITECTURE.md:1: there is no no/such.rs"]);
    }

    fn tree_root() -> std::path::PathBuf {
        crate::tidy::tree::root()
    }
}
