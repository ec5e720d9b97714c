//! A World in memory for the tests of the language: files, directories, links out, standard modules.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use diag::Diagnostics;
use lang::spec::Spec;
use lang::world::{FileKind, World, WorldError};
use lang::{Loaded, load, read};

/// Files by their path from the root `.`; names that begin with `std/` are standard modules.
#[derive(Default)]
pub struct Memory {
    /// Texts by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Paths that are links out of the root.
    pub outside: Vec<PathBuf>,
    /// Standard modules by name.
    pub std: BTreeMap<String, String>,
}

impl Memory {
    /// A World that holds `spec.kdl` with this text, the page's `base.tar`, and the real standard modules.
    pub fn new(spec: &str) -> Self {
        let mut memory = Memory::default();
        memory.file("spec.kdl", spec);
        memory.file("base.tar", "");
        memory.std.insert(
            "std/debian/minimal".into(),
            include_str!("../../../../stdlib/modules/std/debian/minimal.kdl").into(),
        );
        memory.std.insert("std/app/nginx".into(), include_str!("../../../../stdlib/modules/std/app/nginx.kdl").into());
        memory
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, text: &str) -> &mut Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Loads and reads `spec.kdl` with these params.
    pub fn run_with(&self, params: &[(&str, &str)]) -> Outcome {
        let params = params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let loaded = load(self, Path::new("."), Path::new("spec.kdl"), &params);
        let (spec, found) = read(&loaded);
        let mut all = loaded.diagnostics.clone();
        all.extend(found);
        Outcome { loaded, spec, found: all.sorted() }
    }

    /// Loads and reads `spec.kdl`.
    pub fn run(&self) -> Outcome {
        self.run_with(&[])
    }

    fn at(&self, root: &Path, path: &Path) -> Result<PathBuf, WorldError> {
        let mut whole = PathBuf::new();
        for part in root.join(path).components() {
            match part {
                Component::Normal(name) => whole.push(name),
                Component::CurDir => {}
                _ => return Err(WorldError::Outside),
            }
        }
        if self.outside.iter().any(|link| whole.starts_with(link)) { Err(WorldError::Outside) } else { Ok(whole) }
    }
}

impl World for Memory {
    fn stat(&self, root: &Path, path: &Path) -> Result<FileKind, WorldError> {
        let at = self.at(root, path)?;
        if let Some(bytes) = self.files.get(&at) {
            return Ok(FileKind::File { size: bytes.len() as u64, executable: false });
        }
        let directory = self.files.keys().any(|file| file.starts_with(&at));
        if directory { Ok(FileKind::Directory) } else { Err(WorldError::NotFound) }
    }

    fn read(&self, root: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
        let bytes = self.files.get(&self.at(root, path)?).ok_or(WorldError::NotFound)?;
        if bytes.len() as u64 > limit { Err(WorldError::TooLarge(limit)) } else { Ok(bytes.clone()) }
    }

    fn list(&self, root: &Path, path: &Path) -> Result<Vec<String>, WorldError> {
        let at = self.at(root, path)?;
        let below = self.files.keys().filter_map(|file| file.strip_prefix(&at).ok());
        let mut names: Vec<String> =
            below.filter_map(|rest| Some(rest.iter().next()?.to_string_lossy().into_owned())).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn module(&self, name: &str) -> Option<&str> {
        self.std.get(name).map(String::as_str)
    }

    fn modules(&self) -> Vec<String> {
        self.std.keys().cloned().collect()
    }
}

/// What came out.
pub struct Outcome {
    /// What was loaded.
    pub loaded: Loaded,
    /// The Spec, without errors.
    pub spec: Option<Spec>,
    /// All diagnostics, sorted by place.
    pub found: Diagnostics,
}

/// `line:column code`, or the code alone.
pub fn line(sources: &diag::SourceMap, one: &diag::Diagnostic) -> String {
    match &one.primary {
        Some(label) => {
            let (line, column) = sources.line_column(label.span.file, label.span.start);
            format!("{line}:{column} {}", one.code)
        }
        None => one.code.to_string(),
    }
}

impl Outcome {
    /// `line:column code` of each, as the table has them; without a place the code alone.
    pub fn lines(&self) -> Vec<String> {
        self.found.iter().map(|one| line(&self.loaded.sources, one)).collect()
    }

    /// All of it for a message of a failing test.
    pub fn story(&self) -> String {
        self.found.iter().map(|one| diag::render::one_line(one, &self.loaded.sources)).collect::<Vec<_>>().join("\n")
    }

    /// The Spec.
    pub fn spec(&self) -> &Spec {
        match &self.spec {
            Some(spec) => spec,
            None => panic!("no spec:\n{}", self.story()),
        }
    }
}
