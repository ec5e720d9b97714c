//! Files beside the spec: read through the World, and checked to be there before anything slow begins.

use std::path::Path;

use diag::{Diagnostic, Diagnostics, Span, codes};

use super::Loaded;
use crate::schema::nearest;
use crate::schema::types::{Base, Type, base, source};
use crate::tree::{Node, Scalar};
use crate::world::{FileKind, World, WorldError};

/// The text of a file of at most `limit` bytes.
pub(super) fn text(
    world: &dyn World,
    root: &Path,
    path: &Path,
    limit: u64,
    at: Option<Span>,
) -> Result<String, Box<Diagnostic>> {
    let bytes = world.read(root, path, limit).map_err(|error| Box::new(refused(world, root, path, at, &error)))?;
    if bytes.len() as u64 > limit {
        return Err(Box::new(refused(world, root, path, at, &WorldError::TooLarge(limit))));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        let diagnostic = Diagnostic::new(codes::E0253, format!("`{}` is not text", path.display()))
            .at_opt(at, "named here")
            .note(format!("line {line} is not UTF-8"))
            .help("save it as UTF-8");
        Box::new(diagnostic)
    })
}

/// What the World said, as a diagnostic.
fn refused(world: &dyn World, root: &Path, path: &Path, at: Option<Span>, error: &WorldError) -> Diagnostic {
    // Nothing names the entry but the command line: there it was relative to where the user is.
    let whole = if at.is_none() && root != Path::new(".") { root.join(path) } else { path.to_owned() };
    let shown = whole.display();
    match error {
        WorldError::NotFound => {
            let diagnostic = Diagnostic::new(codes::E0250, format!("there is no `{shown}`"));
            let beside = world.list(root, path.parent().unwrap_or(Path::new(""))).unwrap_or_default();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match nearest(name, beside.iter().map(String::as_str)) {
                Some(near) => diagnostic
                    .at_opt(at, "not found")
                    .help(format!("did you mean `{}`?", path.with_file_name(near).display())),
                None if at.is_none() => diagnostic.help(
                    "`k8orc init IMAGE` writes a first spec; another place is an argument: k8orc build DIR/spec.kdl",
                ),
                None => diagnostic
                    .at_opt(at, "not found")
                    .note("paths start from the directory of the file that names them"),
            }
        }
        WorldError::Outside => Diagnostic::new(codes::E0251, format!("`{shown}` leads out of the spec's directory"))
            .at_opt(at, "a link on its way leads out, or it is a device")
            .help("put the file itself beside the spec"),
        WorldError::TooLarge(limit) => Diagnostic::new(codes::E0252, format!("`{shown}` is too large"))
            .at_opt(at, format!("more than {limit} bytes")),
        WorldError::Other(why) => Diagnostic::new(codes::E0253, format!("`{shown}` cannot be read"))
            .at_opt(at, "named here")
            .note(why.clone()),
    }
}

/// What a path of the spec must be.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    File,
    Directory,
    Either,
}

/// Stats every file that the trees name.
pub(super) fn check(world: &dyn World, loaded: &mut Loaded, found: &mut Diagnostics) {
    let mut wrong = Vec::new();
    for unit in &loaded.units {
        for top in &unit.tree {
            let mut open = vec![top];
            while let Some(node) = open.pop() {
                open.extend(&node.children);
                for (path, at, wanted, base) in named(node) {
                    let diagnostic = match &unit.unit.root {
                        Some(root) => stat(world, root, Path::new(&path), at, wanted, base),
                        None => Some(rootless(at)),
                    };
                    wrong.extend(diagnostic.map(|diagnostic| (top.def.name.clone(), diagnostic)));
                }
            }
        }
    }
    for (top, diagnostic) in wrong {
        loaded.damaged.insert(top);
        found.push(diagnostic);
    }
}

fn rootless(at: Span) -> Diagnostic {
    Diagnostic::new(codes::E0251, "a standard module names a file").at(at, "it has no directory of its own")
}

/// Paths beside the spec that a node names; the last says whether it is a base.
fn named(node: &Node) -> Vec<(String, Span, Wanted, bool)> {
    let mut found = Vec::new();
    let args = node.args.iter().enumerate().filter_map(|(index, value)| Some((node.def.arg(index)?.shape.ty, value)));
    let props = node.props.iter().filter_map(|(name, value)| Some((node.def.prop(&name.value)?.shape.ty, value)));
    for (ty, value) in args.chain(props) {
        let Scalar::Text(text) = &value.value else { continue };
        if let Some((path, wanted)) = path_of(ty, text) {
            found.push((path, value.span, wanted, ty.name() == "base"));
        }
    }
    found
}

fn path_of(ty: Type, text: &str) -> Option<(String, Wanted)> {
    match ty.name() {
        "source-path" => Some((source(text).ok()?, Wanted::Either)),
        "source-file" => Some((source(text).ok()?, Wanted::File)),
        "base" => match base(text).ok()? {
            Base::Oci(path, _) | Base::Dir(path) => Some((path, Wanted::Directory)),
            Base::DockerArchive(path) | Base::Tar(path) => Some((path, Wanted::File)),
            Base::Registry(_) | Base::Apt(_) | Base::Scratch => None,
        },
        _ => None,
    }
}

/// What to do about a base that is not there.
const BASES: &str = "make one, for instance: mmdebstrap --variant=essential --include=nginx-light trixie base.tar; or name an \
     image of a registry: base \"docker.io/library/debian:trixie-slim\"";

fn stat(world: &dyn World, root: &Path, path: &Path, at: Span, wanted: Wanted, base: bool) -> Option<Diagnostic> {
    let wrong = |is: &str, needs: &str| {
        let message = format!("`{}` is {is}", path.display());
        Some(Diagnostic::new(codes::E0253, message).at(at, format!("{needs} is wanted")))
    };
    match (world.stat(root, path), wanted) {
        (Err(error), _) => {
            let found = refused(world, root, path, Some(at), &error);
            Some(if base && error == WorldError::NotFound { found.help(BASES) } else { found })
        }
        (Ok(FileKind::Other), _) => wrong("neither file nor directory", "a file"),
        (Ok(FileKind::Directory), Wanted::File) => wrong("a directory", "a file"),
        (Ok(FileKind::File { .. }), Wanted::Directory) => wrong("a file", "a directory"),
        // Where a link leads is found by the read, which stays inside.
        (Ok(_), _) => None,
    }
}
