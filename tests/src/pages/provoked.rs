//! Finding the test that a page names as `crate::module::function`.

use std::fmt;
use std::path::Path;

use crate::tidy::tree::{SourceFile, all_sources};

/// All tests of the workspace.
pub struct Tests(Vec<(String, SourceFile)>);

/// Why a test was not found.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfound {
    /// No function of this name with `#[test]` in the crate.
    Function,
    /// It is there, in these files, which are other modules.
    Module(Vec<String>),
}

impl fmt::Display for Unfound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfound::Function => f.write_str("the crate has no such test"),
            Unfound::Module(files) => write!(f, "the test is in another module: {}", files.join(", ")),
        }
    }
}

impl Tests {
    /// Reads the sources of the workspace at `root`.
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn read(root: &Path) -> Tests {
        let files = all_sources(root).into_iter();
        Tests(files.filter_map(|file| Some((module_of(&file.path)?, file))).collect())
    }

    /// Looks for a test by its full name.
    ///
    /// # Errors
    /// See [`Unfound`].
    pub fn find(&self, name: &str) -> Result<(), Unfound> {
        let Some((module, function)) = name.rsplit_once("::") else { return Err(Unfound::Function) };
        // `lang::tests::params` and `lang::params` both name `compiler/lang/tests/params.rs`.
        let krate = module.split("::").next().unwrap_or(module);
        let short = module.replacen("::tests::", "::", 1);
        let mut elsewhere = Vec::new();
        for (at, file) in self.0.iter().filter(|(at, _)| at.split("::").next() == Some(krate)) {
            if !has_test(&file.text, function) {
                continue;
            }
            let integration = file.path.contains("/tests/");
            let module = if integration && !module.starts_with(at.as_str()) { &short } else { module };
            let rest = module.strip_prefix(at.as_str());
            let inline = |part: &str| file.text.lines().any(|line| line.trim() == format!("mod {part} {{"));
            match rest {
                Some(rest) if rest.split("::").skip(1).all(inline) && (rest.is_empty() || rest.starts_with("::")) => {
                    return Ok(());
                }
                _ => elsewhere.push(file.path.clone()),
            }
        }
        Err(if elsewhere.is_empty() { Unfound::Function } else { Unfound::Module(elsewhere) })
    }
}

/// `compiler/plan/src/decide/keep.rs` is `plan::decide::keep`; `compiler/lang/tests/params.rs` is
/// `lang::params`; files of `tests/tests/suite` are `tests::…`.
fn module_of(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    let parts: Vec<&str> = path.split('/').collect();
    let (krate, rest) = match parts.as_slice() {
        ["compiler" | "stdlib", krate, "src", rest @ ..] => (*krate, rest),
        // A directory below `tests` is one binary, and its name says nothing more.
        ["compiler" | "stdlib", krate, "tests", _, rest @ ..] if !rest.is_empty() => (*krate, rest),
        ["compiler" | "stdlib", krate, "tests", rest @ ..] => (*krate, rest),
        ["tests", "src", rest @ ..] | ["tests", "tests", "suite", rest @ ..] => ("tests", rest),
        _ => return None,
    };
    let rest = match rest {
        [rest @ .., "mod" | "lib" | "main"] => rest,
        rest => rest,
    };
    Some([krate].iter().chain(rest).copied().collect::<Vec<_>>().join("::"))
}

/// Whether `text` has `fn name()` under `#[test]`, perhaps with other attributes between.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    (0..lines.len()).any(|at| {
        lines[at].starts_with(&head)
            && lines[..at].iter().rev().take_while(|line| line.starts_with('#')).any(|line| *line == "#[test]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(path: &str, text: &str) -> Tests {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned(), test: true };
        Tests(vec![(module_of(path).expect("a module"), file)])
    }

    #[test]
    fn the_module_counts() {
        let text = "mod tests {\n    #[test]\n    #[cfg(unix)]\n    fn it_breaks() {}\n    fn helper() {}\n}\n";
        let all = tests("compiler/image/src/read/mod.rs", text);
        assert_eq!(all.find("image::read::tests::it_breaks"), Ok(()));
        let elsewhere = Err(Unfound::Module(vec!["compiler/image/src/read/mod.rs".to_owned()]));
        assert_eq!(all.find("image::write::tests::it_breaks"), elsewhere);
        assert_eq!(all.find("image::read::other::it_breaks"), elsewhere);
        assert_eq!(all.find("image::read::tests::helper"), Err(Unfound::Function));
        assert_eq!(all.find("plan::read::tests::it_breaks"), Err(Unfound::Function));
        assert_eq!(
            tests("compiler/lang/tests/params.rs", "#[test]\nfn a() {}\n").find("lang::tests::params::a"),
            Ok(())
        );
        assert_eq!(tests("tests/tests/suite/faults.rs", text).find("tests::faults::tests::it_breaks"), Ok(()));
    }
}
