//! From the checked trees of all files to one [`Spec`]: merge, conversion to types, then what only the whole
//! spec can show (names that nothing carries, paths made twice, programs that nobody declared).

use std::collections::BTreeSet;

use diag::{Diagnostic, Diagnostics, FileId, Span, Spanned, codes};

use crate::load::Loaded;
use crate::merge;
use crate::schema::{nearest, types};
use crate::spec::*;
use crate::tree::{Node, Scalar};

mod accounts;
mod cluster;
mod files;
mod image;
mod paths;
mod programs;
mod secrets;
mod storage;

/// The Spec of what was loaded, and what is wrong with it besides [`Loaded::diagnostics`]. It is there only when
/// neither of them holds an error.
pub fn read(loaded: &Loaded) -> (Option<Spec>, Diagnostics) {
    let mut found = Diagnostics::new();
    let tree = merge::merge(&loaded.units, |name| name != "param", &mut found);
    merge::missing(&tree, &loaded.damaged, &mut found);
    let top = |name: &str| tree.iter().find(|node| node.def.name == name);
    let reader = Reader { loaded };
    if top("image").is_none() && !loaded.damaged.contains("image") {
        found.push(no_image(loaded));
    }
    let spec = Spec {
        units: loaded.units.iter().map(|unit| unit.unit.clone()).collect(),
        image: image::image(&reader, top("image")),
        users: accounts::users(top("users")),
        packages: files::packages(&reader, top("packages")),
        files: files::files(&reader, top("files")),
        syscalls: files::syscalls(top("syscalls")),
        volumes: top("volumes").map(storage::volumes).unwrap_or_default(),
        workloads: tree
            .iter()
            .filter(|node| node.def.name == "workload")
            .map(|node| cluster::workload(&reader, node))
            .collect(),
        stages: tree.iter().filter(|node| node.def.name == "stage").map(storage::stage).collect(),
        checks: top("checks").map(cluster::checks).unwrap_or_default(),
        overruling: overruling(&tree),
    };
    check(&spec, &tree, &loaded.damaged, &mut found);
    let found = found.sorted();
    let refused = loaded.diagnostics.has_errors() || found.has_errors();
    ((!refused).then_some(spec), found)
}

/// Cross-references and contradictions. What depends on a damaged part is not judged.
fn check(spec: &Spec, tree: &[Node], damaged: &BTreeSet<String>, found: &mut Diagnostics) {
    let sound = |names: &[&str]| names.iter().all(|name| !damaged.contains(*name));
    if sound(&["users"]) {
        accounts::check(&spec.users, found);
    }
    if sound(&["users", "image", "use"]) {
        accounts::known(spec, found);
    }
    if sound(&["image", "checks"]) {
        programs::check(spec, found);
    }
    paths::check(spec, found);
    storage::check(spec, sound(&["volumes"]), sound(&["stage"]), found);
    cluster::check(spec, tree, sound(&["workload"]), sound(&["volumes"]), found);
    secrets::check(spec, found);
}

fn no_image(loaded: &Loaded) -> Diagnostic {
    let entry = loaded.units.iter().find(|unit| unit.unit.entry);
    let at = entry.and_then(|unit| unit.tree.first()).map(|node| node.span);
    Diagnostic::new(codes::E0104, "the spec has no `image`")
        .at_opt(at, "nothing below makes one")
        .help("image \"NAME\" { base \"…\" }")
}

/// Places of kept and removed globs and names that say `override=#true`.
fn overruling(tree: &[Node]) -> BTreeSet<Span> {
    let rivals = tree.iter().flat_map(|node| &node.children).filter(|node| node.def.rivals.is_some());
    rivals.filter(|node| node.overrides.is_some()).flat_map(|node| &node.args).map(|arg| arg.span).collect()
}

/// What conversions need besides the node.
struct Reader<'a> {
    loaded: &'a Loaded,
}

impl Reader<'_> {
    /// A path beside the file that names it.
    fn source(&self, text: &Spanned<String>) -> Option<Spanned<SourcePath>> {
        let path = types::source(&text.value).ok()?;
        Some(Spanned::new(self.beside(path, text.span.file)?, text.span))
    }

    fn beside(&self, path: String, file: FileId) -> Option<SourcePath> {
        let root = self.loaded.units.iter().find(|unit| unit.unit.file == file)?.unit.root.clone()?;
        Some(SourcePath { root, path: path.into() })
    }
}

/// A mode property.
fn mode(node: &Node) -> Option<Spanned<u32>> {
    let text = node.text_prop("mode")?;
    Some(Spanned::new(types::mode(&text.value).ok()?, text.span))
}

fn because(node: &Node) -> Because {
    node.text_prop("because")
}

fn flag(node: &Node, name: &str) -> bool {
    node.flag_prop(name).is_some_and(|flag| flag.value)
}

fn seconds(text: &Spanned<String>) -> Option<Spanned<u32>> {
    Some(Spanned::new(types::duration(&text.value).ok()?, text.span))
}

fn quantity(text: &Spanned<String>) -> Option<Spanned<Quantity>> {
    Some(Spanned::new(types::quantity(&text.value).ok()?, text.span))
}

/// A checked number in the width of its field; what lies outside was refused before.
fn small<T: TryFrom<i64>>(number: Spanned<i64>) -> Option<Spanned<T>> {
    Some(Spanned::new(T::try_from(number.value).ok()?, number.span))
}

/// A port's number or name as it is written.
fn port_ref(node: &Node, name: &str) -> Option<Spanned<String>> {
    let value = node.prop(name)?;
    let text = match &value.value {
        Scalar::Text(text) => text.clone(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Flag(_) => return None,
    };
    Some(Spanned::new(text, value.span))
}

/// The nearest of the spec's own names; no longer looked for when a hostile spec has piled up mistakes.
fn suggest<'a>(found: &Diagnostics, typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.0.len() < 100 { nearest(typed, names) } else { None }
}

/// Two things that do not go together.
fn clash(message: impl Into<String>, at: Span, label: &str, other: Span, because: &str) -> Diagnostic {
    Diagnostic::new(codes::E0128, message).at(at, label).label(other, because)
}
