//! Packages: those that are kept or that programs need, with their dependencies as declared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{Closure as Far, Remove, Spanned};

use super::globs::unmatched;
use super::near::near;
use super::{Index, Input, reach};
use crate::facts::{Package, Requirement};
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{Node, NodeKind};

use super::needs::Needed;

/// What becomes of one package.
pub(super) struct Verdict {
    /// Whether it stays.
    pub kept: bool,
    /// Why.
    pub reason: Arc<Reason>,
    /// Removed by the spec with a reason, although something needs it.
    pub forced: bool,
    /// All its files stay, not only those that something reaches.
    pub whole: bool,
}

/// Decides all packages of the base, at the same index.
pub(super) fn packages(input: &Input<'_>, index: &Index<'_>, needed: &Needed, out: &mut Diagnostics) -> Vec<Verdict> {
    let all = &input.facts.packages.packages;
    let removes = removes(input, all, out);
    let mut queue: VecDeque<(usize, Arc<Reason>)> = VecDeque::new();
    let packages = &input.spec.packages;
    let by_files = reach::by_files(input.spec);
    let mut whole = BTreeSet::new();
    let kept = packages.keep.iter().map(|name| ("keep", name));
    // What is added is there to be reached: with `closure="files"` that is all.
    for (word, keep) in kept.chain(packages.add.iter().filter(|_| !by_files).map(|name| ("add", name))) {
        let reason = Reason::spec(format!("packages {word} \"{}\"", printable(&keep.value)), keep.span);
        for at in named(input, all, keep, out) {
            queue.push_back((at, Arc::clone(&reason)));
            whole.insert(at);
            if let Some(remove) = removes.get(&at) {
                let message = format!("the package \"{}\" is both kept and removed", printable(&keep.value));
                out.push(
                    Diagnostic::new(codes::E0608, message)
                        .at(remove.what.span, "removed here")
                        .label(keep.span, "kept here")
                        .help("take one of the two lines out"),
                );
            }
        }
    }
    for (path, reason) in needed {
        // `/lib` is a link, but all packages of before the merge of /usr list it as their directory.
        if is_link_to_directory(index, path) {
            continue;
        }
        let owners = index.at(path).and_then(|at| index.owners.get(at));
        for owner in owners.into_iter().flatten() {
            queue.push_back((*owner, Reason::link(format!("it owns {path}"), reason)));
        }
    }
    if by_files {
        queue.extend(reach::owners(input, index));
    }
    let reached = closure(all, queue, reach::far(input.spec), &removes, out);
    let unreached =
        if by_files { "no program and no line reaches a file of it" } else { "nothing that stays depends on it" };
    let verdict = |at: usize, reached: &Option<Arc<Reason>>| match (removes.get(&at), reached) {
        (Some(remove), needed) => {
            let because = remove.because.as_ref().map(|b| format!(", because {}", printable(&b.value)));
            let text = format!("packages remove \"{}\"{}", printable(&remove.what.value), because.unwrap_or_default());
            Verdict {
                kept: false,
                reason: Reason::spec(text, remove.what.span),
                forced: needed.is_some(),
                whole: false,
            }
        }
        (None, Some(reason)) => {
            Verdict { kept: true, reason: Arc::clone(reason), forced: false, whole: !by_files || whole.contains(&at) }
        }
        (None, None) => Verdict { kept: false, reason: Reason::fact(unreached), forced: false, whole: false },
    };
    let verdicts: Vec<Verdict> = reached.iter().enumerate().map(|(at, reached)| verdict(at, reached)).collect();
    if by_files {
        for name in &packages.add {
            added_for_nothing(name, all, &verdicts, out);
        }
    }
    verdicts
}

/// A package that somebody wanted, and of which nothing is reached.
fn added_for_nothing(name: &Spanned<String>, all: &[Package], verdicts: &[Verdict], out: &mut Diagnostics) {
    // A metapackage has nothing that could be reached; its dependencies are what was wanted.
    let documentation = [b"/usr/share/doc/".as_slice(), b"/usr/share/lintian/"];
    let leaf = |package: &Package, path: &ImagePath| {
        !package.paths.iter().any(|other| other != path && other.is_within(path))
            && !documentation.iter().any(|top| path.as_bytes().starts_with(top))
    };
    let real = |package: &Package| package.paths.iter().any(|path| leaf(package, path));
    let named = |package: &Package| package.name == name.value && real(package);
    let mut of_name = all.iter().zip(verdicts).filter(|(package, _)| named(package)).peekable();
    if of_name.peek().is_some() && of_name.all(|(_, verdict)| !verdict.kept) {
        let shown = printable(&name.value);
        let message = format!("nothing of the package \"{shown}\" stays, although it is added");
        out.push(
            Diagnostic::new(codes::E0616, message)
                .at(name.span, "closure=\"files\", and nothing reaches a file of it")
                .help(format!(
                    "keep it whole: packages {{ keep \"{shown}\" }}, or the files that are wanted: files {{ keep … }}"
                ))
                .help("or leave it out"),
        );
    }
}

fn is_link_to_directory(index: &Index<'_>, path: &ImagePath) -> bool {
    let link = index.tree.get(path).is_some_and(|node| matches!(node.kind, NodeKind::Symlink(_)));
    let end = || index.tree.resolve(path).ok().and_then(|(end, _)| index.tree.get(&end));
    link && end().is_some_and(Node::is_directory)
}

/// Follows dependencies; complains of those that a removal breaks and of those that the base breaks.
fn closure(
    all: &[Package],
    mut queue: VecDeque<(usize, Arc<Reason>)>,
    far: Far,
    removes: &BTreeMap<usize, &Remove>,
    out: &mut Diagnostics,
) -> Vec<Option<Arc<Reason>>> {
    let mut reached: Vec<Option<Arc<Reason>>> = vec![None; all.len()];
    let mut unmet: Vec<String> = Vec::new();
    while let Some((at, reason)) = queue.pop_front() {
        let (Some(package), Some(slot)) = (all.get(at), reached.get_mut(at)) else { continue };
        if slot.is_some() {
            continue;
        }
        *slot = Some(Arc::clone(&reason));
        if let Some(remove) = removes.get(&at) {
            if remove.because.is_none() {
                out.push(needed_package(package, remove, &reason));
            }
            // What only this package needs is not needed any more.
            continue;
        }
        let followed = |one: &&Requirement| far == Far::Depends || far == Far::Runtime && !one.scripts_only;
        for requirement in package.depends.iter().filter(followed) {
            match requirement.met_by {
                Some(by) => {
                    let text = format!("{} depends on {requirement}", printable(&package.name));
                    queue.push_back((by, Reason::link(printable(&text), &reason)));
                }
                None => unmet.push(printable(&format!("{} depends on {requirement}", package.name))),
            }
        }
    }
    if let Some(first) = unmet.first() {
        let more = if unmet.len() > 1 { format!(" (and {} more)", unmet.len() - 1) } else { String::new() };
        let mut one = Diagnostic::new(codes::E0607, format!("{first}, which the base does not have{more}"));
        one.notes.extend(unmet.iter().skip(1).take(20).cloned());
        out.push(one.help("the base is broken in this place already; where it matters, repair the base"));
    }
    reached
}

fn needed_package(package: &Package, remove: &Remove, reason: &Arc<Reason>) -> Diagnostic {
    let message = format!("the package \"{}\" is needed", printable(&package.name));
    let mut one = Diagnostic::new(codes::E0606, message).at(remove.what.span, "cannot go");
    if let Some(span) = reason.span() {
        one = one.label(span, "needed from here");
    }
    one.note(reason.in_words())
        .help(format!("if nothing uses it in the image, say so: remove \"{}\" because=\"…\"", printable(&package.name)))
}

/// Packages that the spec removes, by index.
fn removes<'a>(input: &Input<'a>, all: &[Package], out: &mut Diagnostics) -> BTreeMap<usize, &'a Remove> {
    let mut found = BTreeMap::new();
    for remove in &input.spec.packages.remove {
        for at in named(input, all, &remove.what, out) {
            // A line with a reason counts before one without: merges do not depend on order.
            let better = |old: &mut &'a Remove| {
                if old.because.is_none() {
                    *old = remove;
                }
            };
            found.entry(at).and_modify(better).or_insert(remove);
        }
    }
    found
}

/// Packages of a name, or `name:arch`; none is an error in the spec, a note in a module.
fn named(input: &Input<'_>, all: &[Package], name: &Spanned<String>, out: &mut Diagnostics) -> Vec<usize> {
    let (plain, arch) = match name.value.split_once(':') {
        Some((plain, arch)) => (plain, Some(arch)),
        None => (name.value.as_str(), None),
    };
    let fits = |p: &Package| p.name == plain && arch.is_none_or(|a| a == p.arch);
    let found: Vec<usize> = all.iter().enumerate().filter(|(_, p)| fits(p)).map(|(at, _)| at).collect();
    if found.is_empty() {
        let message = format!("the package \"{}\" is not in the base", printable(&name.value));
        let mut one = Diagnostic::new(codes::E0605, message).at(name.span, "not installed");
        if let Some(better) = near(plain, all.iter().map(|p| p.name.as_str())) {
            one = one.help(format!("did you mean \"{}\"?", printable(better)));
        } else {
            one = one.help("take the line out, or use a base that has the package");
        }
        out.push(unmatched(input.spec, name.span, one));
    }
    found
}
