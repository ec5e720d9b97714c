//! Loading: the entry file, every module that it uses, the params, and the checked tree of each file.
//!
//! Files are numbered in an order that `use` lines cannot change: breadth first, sorted by name within a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diag::{Diagnostic, Diagnostics, SourceMap, codes};
use kdl::KdlDocument;

use crate::merge::merge;
use crate::params::Renderer;
use crate::schema::check::Checker;
use crate::schema::{nearest, schema};
use crate::spec::Unit;
use crate::tree::Node;
use crate::world::World;

mod files;
mod modules;
pub(crate) mod version;

/// Everything that was read, each file checked against the schema.
#[derive(Debug)]
pub struct Loaded {
    /// Texts, for diagnostics. Names are `root` joined with the path, without a `root` of `.` or an absolute one.
    pub sources: SourceMap,
    /// Files in the order of their ids, the entry first.
    pub units: Vec<LoadedUnit>,
    /// Params with their values.
    pub params: BTreeMap<String, String>,
    /// What was found so far.
    pub diagnostics: Diagnostics,
    /// Top-level nodes of which something was refused: what is missing from them proves nothing.
    pub(crate) damaged: BTreeSet<String>,
}

/// A file and what it says.
#[derive(Debug)]
pub struct LoadedUnit {
    /// Name, place and digest.
    pub unit: Unit,
    /// As parsed, with comments and layout; `None` when it is no KDL or of another language version.
    pub document: Option<KdlDocument>,
    /// Its checked nodes.
    pub tree: Vec<Node>,
}

/// Nodes that are read before params are known.
const EARLY: &[&str] = &["k8orc", "use", "param"];

/// Reads `entry` (relative to `root`) and all modules, and checks each file. `params` are those of the command
/// line. Errors are in [`Loaded::diagnostics`]; a file that cannot be read leaves its place empty.
pub fn load(world: &dyn World, root: &Path, entry: &Path, params: &BTreeMap<String, String>) -> Loaded {
    let mut loaded = modules::collect(world, root, entry);
    let mut found = Diagnostics::new();
    for index in 0..loaded.units.len() {
        check(&mut loaded, &mut found, index, None, |name| EARLY.contains(&name));
    }
    let values = resolve(&loaded, params, &mut found);
    let renderer = Renderer::new(values);
    for index in 0..loaded.units.len() {
        check(&mut loaded, &mut found, index, Some(&renderer), |name| !EARLY.contains(&name));
    }
    unused(&loaded, params, &renderer.used(), &mut found);
    loaded.params = renderer.into_params();
    files::check(world, &mut loaded, &mut found);
    loaded.diagnostics.extend(found);
    loaded.diagnostics = std::mem::take(&mut loaded.diagnostics).sorted();
    loaded
}

/// Checks a part of one file's document and adds it to the file's tree.
fn check(
    loaded: &mut Loaded,
    found: &mut Diagnostics,
    index: usize,
    renderer: Option<&Renderer>,
    wanted: impl Fn(&str) -> bool,
) {
    let Some(unit) = loaded.units.get_mut(index) else { return };
    let (Some(document), Some(source)) = (&unit.document, loaded.sources.get(unit.unit.file)) else { return };
    let mut checker = Checker::new(unit.unit.file, &source.text, unit.unit.entry, renderer);
    unit.tree.extend(checker.document(document, wanted));
    loaded.damaged.append(&mut checker.damaged);
    found.extend(checker.diagnostics);
}

/// Values of all params: the command line's, else the default.
fn resolve(loaded: &Loaded, given: &BTreeMap<String, String>, found: &mut Diagnostics) -> BTreeMap<String, String> {
    let merged = merge(&loaded.units, |name| name == "param", found);
    let mut values = BTreeMap::new();
    for param in &merged {
        let Some(name) = param.text(0) else { continue };
        match given.get(&name.value).cloned().or_else(|| Some(param.text_prop("default")?.value)) {
            Some(value) => {
                values.insert(name.value, value);
            }
            None => {
                // A default that was refused is not a missing one.
                if !loaded.damaged.contains("param") {
                    found.push(
                        Diagnostic::new(codes::E0202, format!("param `{}` has no value", name.value))
                            .at(name.span, "no default, and not given")
                            .help(format!(
                                "give it: -p {}=…, or a default: param \"{}\" default=\"…\"",
                                name.value, name.value
                            )),
                    );
                }
                // A place-holder, so that each use of it is not another mistake.
                values.insert(name.value, String::new());
            }
        }
    }
    if loaded.damaged.contains("param") || loaded.damaged.contains("use") {
        return values;
    }
    for name in given.keys().filter(|name| !values.contains_key(*name)) {
        let diagnostic = Diagnostic::new(codes::E0200, format!("the spec has no param `{name}`"));
        found.push(match nearest(name, values.keys().map(String::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean -p {near}=…?")),
            None if values.is_empty() => {
                diagnostic.help(format!("it has no params: declare one (param \"{name}\"), or leave out -p {name}=…"))
            }
            None => diagnostic.help(format!("it has: {}", values.keys().cloned().collect::<Vec<_>>().join(", "))),
        });
    }
    values
}

/// Refuses params of the command line that change nothing.
fn unused(loaded: &Loaded, given: &BTreeMap<String, String>, used: &BTreeSet<String>, found: &mut Diagnostics) {
    // What a template's file uses is seen when it is rendered, not here.
    let templates = loaded.units.iter().flat_map(|unit| &unit.tree).any(|node| node.child("template").is_some());
    if templates || !loaded.damaged.is_empty() {
        return;
    }
    for node in loaded.units.iter().flat_map(|unit| &unit.tree).filter(|node| node.def.name == "param") {
        let Some(name) = node.text(0) else { continue };
        if given.contains_key(&name.value) && !used.contains(&name.value) {
            found.push(
                Diagnostic::new(codes::E0201, format!("-p {}=… changes nothing", name.value))
                    .at(name.span, "no `(t)` string uses it")
                    .help(format!("use it, as in (t)\"v{{{{ {} }}}}\", or leave out -p {}=…", name.value, name.value)),
            );
        }
    }
}

/// The names of all top-level nodes: everything may be missing.
fn everything() -> impl Iterator<Item = String> {
    schema().nodes.iter().map(|node| node.name.clone())
}
