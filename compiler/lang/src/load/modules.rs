//! The entry file and all that it uses, each read once; cycles, depth and number are bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use diag::{Diagnostic, Diagnostics, FileId, SourceMap, Span, Spanned, codes};
use kdl::KdlDocument;
use sha2::{Digest, Sha256};

use super::{Loaded, LoadedUnit, everything, files, version};
use crate::schema::nearest;
use crate::schema::types::{Type, source};
use crate::spec::Unit;
use crate::world::World;

/// Bytes of one file.
const SIZE: u64 = crate::text::MAX_BYTES as u64;
/// Files of one spec.
const FILES: usize = 256;
/// `use` within `use`.
const DEPTH: usize = 16;

struct Collector<'w> {
    world: &'w dyn World,
    loaded: Loaded,
    /// Files by what identifies them: `std/…`, or root joined with path.
    known: BTreeMap<PathBuf, FileId>,
    /// Files whose `use` lines are still to be followed, with their depth.
    open: VecDeque<(FileId, usize)>,
    /// Who uses whom, with the place.
    edges: BTreeMap<FileId, Vec<Spanned<FileId>>>,
    /// Whether the limit of files was already reported.
    full: bool,
}

/// Reads and parses all files; the trees are still empty.
pub(super) fn collect(world: &dyn World, root: &Path, entry: &Path) -> Loaded {
    let loaded = Loaded {
        sources: SourceMap::new(),
        units: Vec::new(),
        params: BTreeMap::new(),
        diagnostics: Diagnostics::new(),
        damaged: BTreeSet::new(),
    };
    let (known, open, edges) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
    let mut collector = Collector { world, loaded, known, open, edges, full: false };
    let shown = entry.display().to_string();
    match files::text(world, root, entry, SIZE, None) {
        Ok(text) => {
            let home = root.join(entry).parent().map(Path::to_owned).unwrap_or_default();
            let unit = Described { name: entry.display().to_string(), shown, root: Some(home), entry: true };
            let id = collector.add(unit, text);
            collector.known.insert(root.join(entry), id);
            collector.open.push_back((id, 0));
        }
        Err(diagnostic) => {
            collector.loaded.diagnostics.push(*diagnostic);
            collector.loaded.damaged.extend(everything());
        }
    }
    while let Some((id, depth)) = collector.open.pop_front() {
        collector.follow(id, depth);
    }
    collector.close();
    collector.loaded
}

/// A file before it has an id.
struct Described {
    name: String,
    shown: String,
    root: Option<PathBuf>,
    entry: bool,
}

impl Collector<'_> {
    fn add(&mut self, file: Described, text: String) -> FileId {
        let id = self.loaded.sources.add(file.shown, text.as_str());
        let (document, diagnostics) = crate::text::parse(&text, id);
        self.loaded.diagnostics.extend(diagnostics);
        let mut document: Option<KdlDocument> = document;
        if let Some(wrong) = document.as_ref().and_then(|document| version::check(document, id)) {
            self.loaded.diagnostics.push(wrong);
            document = None;
        }
        if document.is_none() {
            self.loaded.damaged.extend(everything());
        }
        let sha256 = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let Described { name, root, entry, .. } = file;
        let unit = Unit { file: id, name, root, entry, sha256, imports: BTreeSet::new() };
        self.loaded.units.push(LoadedUnit { unit, document, tree: Vec::new() });
        id
    }

    /// Reads what the `use` lines of a file name, in an order that does not depend on theirs.
    fn follow(&mut self, id: FileId, depth: usize) {
        let Some(unit) = self.loaded.units.iter().find(|unit| unit.unit.file == id) else { return };
        let root = unit.unit.root.clone();
        let mut uses = unit.document.as_ref().map(|document| uses(document, id)).unwrap_or_default();
        uses.sort();
        for used in uses {
            if depth >= DEPTH {
                let diagnostic = Diagnostic::new(codes::E0222, format!("modules use modules more than {DEPTH} deep"))
                    .at(used.span, "one too many")
                    .help("let the spec use the module itself");
                return self.refuse(diagnostic);
            }
            match self.module(&used, root.as_deref(), depth) {
                Ok(Some(other)) => self.edges.entry(id).or_default().push(Spanned::new(other, used.span)),
                Ok(None) => {}
                Err(diagnostic) => self.refuse(*diagnostic),
            }
        }
    }

    fn refuse(&mut self, diagnostic: Diagnostic) {
        self.loaded.diagnostics.push(diagnostic);
        // What the module would have said is unknown.
        self.loaded.damaged.extend(everything());
    }

    /// The file of a `use`, read if it is new; `None` once there are too many.
    fn module(
        &mut self,
        used: &Spanned<String>,
        root: Option<&Path>,
        depth: usize,
    ) -> Result<Option<FileId>, Box<Diagnostic>> {
        let (key, file, path) = if used.value.starts_with("std/") {
            let file = Described { name: used.value.clone(), shown: used.value.clone(), root: None, entry: false };
            (PathBuf::from(&used.value), file, None)
        } else {
            let Some(root) = root else {
                let diagnostic = Diagnostic::new(codes::E0251, "a standard module uses a file");
                return Err(Box::new(diagnostic.at(used.span, "only standard modules are within its reach")));
            };
            let path = PathBuf::from(source(&used.value).unwrap_or_default());
            let key = root.join(&path);
            let name = self.shown(&key).unwrap_or_else(|| path.display().to_string());
            let home = key.parent().map(Path::to_owned);
            let shown = match self.loaded.sources.get(used.span.file) {
                Some(from) => Path::new(&from.name).with_file_name("").join(&path).display().to_string(),
                None => name.clone(),
            };
            (key, Described { name, shown, root: home, entry: false }, Some((root.to_owned(), path)))
        };
        if let Some(id) = self.known.get(&key) {
            return Ok(Some(*id));
        }
        if self.loaded.units.len() >= FILES {
            if std::mem::replace(&mut self.full, true) {
                return Ok(None);
            }
            let diagnostic = Diagnostic::new(codes::E0222, format!("a spec of more than {FILES} files"));
            return Err(Box::new(diagnostic.at(used.span, "one too many").help("unite some of the modules")));
        }
        let text = match path {
            Some((root, path)) => files::text(self.world, &root, &path, SIZE, Some(used.span))?,
            None => self.world.module(&used.value).map(str::to_owned).ok_or_else(|| Box::new(self.unknown(used)))?,
        };
        let id = self.add(file, text);
        self.known.insert(key, id);
        self.open.push_back((id, depth + 1));
        Ok(Some(id))
    }

    /// `./team/base.kdl`: the path from the entry's directory.
    fn shown(&self, key: &Path) -> Option<String> {
        let top = self.loaded.units.first()?.unit.root.as_deref()?;
        Some(format!("./{}", key.strip_prefix(top).ok()?.display()))
    }

    fn unknown(&self, used: &Spanned<String>) -> Diagnostic {
        let names = self.world.modules();
        let diagnostic = Diagnostic::new(codes::E0220, format!("no standard module is called `{}`", used.value));
        match nearest(&used.value, names.iter().map(String::as_str)) {
            Some(near) => diagnostic.at(used.span, format!("did you mean `{near}`?")),
            None => diagnostic.at(used.span, "unknown").help(format!("there are: {}", names.join(", "))),
        }
    }

    /// Refuses circles and notes for each file all that it imports.
    fn close(&mut self) {
        let ids: Vec<FileId> = self.loaded.units.iter().map(|unit| unit.unit.file).collect();
        let mut reported = BTreeSet::new();
        for id in &ids {
            let reach = self.reach(*id);
            if reach.contains(id) && reported.insert(*id) {
                // Everything on a circle reaches everything on it: one diagnostic for all of them.
                reported.extend(reach.iter().filter(|other| self.reach(**other).contains(id)).copied());
                let back = self.edges.get(id).and_then(|edges| {
                    edges.iter().find(|edge| edge.value == *id || self.reach(edge.value).contains(id))
                });
                let name = self.loaded.sources.get(*id).map_or("", |file| file.name.as_str());
                let diagnostic = Diagnostic::new(codes::E0221, format!("`{name}` uses itself, through its modules"))
                    .at_opt(back.map(|edge| edge.span), "leads back to this file")
                    .help("move what both need into a module of its own");
                self.refuse(diagnostic);
            }
            if let Some(unit) = self.loaded.units.iter_mut().find(|unit| unit.unit.file == *id) {
                unit.unit.imports = reach;
            }
        }
    }

    fn reach(&self, from: FileId) -> BTreeSet<FileId> {
        let mut found = BTreeSet::new();
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            for edge in self.edges.get(&id).into_iter().flatten() {
                if found.insert(edge.value) {
                    open.push(edge.value);
                }
            }
        }
        found
    }
}

/// The modules that a document names, as far as their names are sound; the others are the validator's matter.
fn uses(document: &KdlDocument, file: FileId) -> Vec<Spanned<String>> {
    let Some(module) = Type::named("module") else { return Vec::new() };
    let nodes = document.nodes().iter().filter(|node| node.name().value() == "use");
    let entries = nodes.flat_map(|node| node.entries()).filter(|entry| entry.name().is_none() && entry.ty().is_none());
    let named = entries.filter_map(|entry| {
        let text = entry.value().as_string().filter(|text| module.check_text(text).is_ok())?;
        let at = entry.span();
        Some(Spanned::new(text.to_owned(), Span::new(file, at.offset(), at.offset().saturating_add(at.len()))))
    });
    named.collect()
}
