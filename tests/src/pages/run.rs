//! Running the spec of a page: a directory with its files and the base, and `driver::check` offline.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use diag::{Code, Diagnostics, SourceMap};

use super::Files;
use crate::fixture::{Arch, base_tar};

/// What all runs share: the base and a cache of its layers.
pub struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// Writes the base.
    ///
    /// # Panics
    /// When the temporary directory cannot be written.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Bench {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join(BASE), base_tar(Arch::Amd64)).expect("writable");
        Bench { directory }
    }

    /// Checks the spec among `files`.
    ///
    /// # Panics
    /// When the temporary directory cannot be written.
    #[must_use]
    pub fn check(&self, files: &Files) -> Outcome {
        let directory = tempfile::tempdir_in(self.directory.path()).expect("a temporary directory");
        let root = directory.path();
        std::fs::hard_link(self.directory.path().join(BASE), root.join(BASE)).expect("one file system");
        for (name, bytes) in files {
            write(root, name, bytes);
        }
        let mut request = driver::Request::new(root.join("spec.kdl"));
        request.offline = true;
        request.cache = Some(self.cache());
        request.out = root.join("out");
        let finished = driver::check(&request, &driver::Quiet);
        Outcome { diagnostics: finished.diagnostics, sources: finished.sources }
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }
}

/// Its name in every page.
const BASE: &str = "base.tar";

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap_or(root)).expect("ours");
    std::fs::write(path, bytes).expect("ours");
}

/// What a check had to say.
pub struct Outcome {
    diagnostics: Diagnostics,
    sources: SourceMap,
}

impl Outcome {
    /// Each diagnostic as its severity's first letter and its code: `W E0912`; each once, in order of their text.
    #[must_use]
    pub fn said(&self) -> BTreeSet<String> {
        let letter = |severity| match severity {
            diag::Severity::Error => 'E',
            diag::Severity::Warning => 'W',
            diag::Severity::Note => 'N',
        };
        self.diagnostics.iter().map(|one| format!("{} {}", letter(one.severity), one.code)).collect()
    }

    /// Diagnostics that point at no place in the spec, by code.
    #[must_use]
    pub fn placeless(&self) -> Vec<String> {
        self.diagnostics.iter().filter(|one| one.primary.is_none()).map(|one| one.code.to_string()).collect()
    }

    /// A complaint when the code is missing, of another severity than its page says, or not the only error:
    /// one mistake, one diagnostic.
    #[must_use]
    pub fn must_fail_with(&self, code: Code) -> Option<String> {
        let Some(own) = self.diagnostics.iter().find(|d| d.code == code) else {
            return Some("the code is not given".to_owned());
        };
        if own.severity != code.severity() {
            return Some(format!("it is given as {:?}, the page says {:?}", own.severity, code.severity()));
        }
        if own.primary.is_none() {
            return Some("it points at no place in the spec".to_owned());
        }
        self.diagnostics
            .iter()
            .find(|d| d.is_error() && d.code != code)
            .map(|other| format!("the spec has a second mistake, {}", other.code))
    }

    /// A complaint when there is an error, or the code in any severity.
    #[must_use]
    pub fn must_pass_without(&self, code: Code) -> Option<String> {
        let wrong = self.diagnostics.iter().find(|d| d.is_error() || d.code == code)?;
        Some(format!("it still gets {}", wrong.code))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for d in self.diagnostics.iter() {
            let place = d.primary.as_ref().map(|label| self.sources.place(label.span)).unwrap_or_default();
            writeln!(f, "    {place}: {:?} {}: {}", d.severity, d.code, d.message)?;
            for note in d.notes.iter().take(4) {
                writeln!(f, "        {note}")?;
            }
        }
        Ok(())
    }
}
