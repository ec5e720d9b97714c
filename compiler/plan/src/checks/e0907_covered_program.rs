//! Mistake 7: what is mounted hides the program, its loader or a library (docker-podsync #96).

use diag::{Diagnostic, Diagnostics, Span, codes};

use super::view::View;
use crate::path::ImagePath;
use crate::plan::{MountSource, Plan, VolumeKind};

/// Every mount of every pod against what the pod's own programs need.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan) {
        let Some(workload) = view.workload else { continue };
        let programs = view.programs();
        let below = |at: &ImagePath| -> Vec<&ImagePath> {
            let near = view.image.kept.needed.range(at.clone()..);
            let near = near.take_while(|(path, _)| path.as_bytes().starts_with(at.as_bytes()));
            near.filter(|(path, by)| path.is_within(at) && !by.is_disjoint(&programs)).map(|(path, _)| path).collect()
        };
        for (volume, mount) in view.mounts() {
            let Some(at) = view.at(&mount.path) else { continue };
            if matches!(mount.source, MountSource::Generation { .. }) {
                continue;
            }
            let hidden = below(&at);
            let span = view.mount_span(volume, mount);
            let complaint = complain(&view, hidden, &mount.path, span);
            found.extend(complaint.map(|one| {
                match volume.kind {
                    VolumeKind::EmptyDir { .. } => {
                        one.help("mount it at a directory of its own, below this one or elsewhere")
                    }
                    _ => one
                        .help(format!("fill the claim from the image: mount \"{}\" from-image=#true", mount.path))
                        .help("or mount it at a directory of its own, below this one or elsewhere"),
                }
            }));
        }
        for path in workload.configs.iter().map(|c| &c.path).chain(workload.secret_files.iter().map(|f| &f.path)) {
            let Some(at) = view.at(path) else { continue };
            let span = view.said().and_then(|said| said.files.get(path)).copied().unwrap_or(workload.span);
            let hidden = below(&at).into_iter().filter(|path| **path == at).collect();
            found.extend(complain(&view, hidden, path, span).map(|one| {
                one.note("a file of a ConfigMap or Secret is no program: it has no x bit")
                    .help("put it into the image, files { copy … }, or give it another path")
            }));
        }
    }
}

fn complain(view: &View<'_>, hidden: Vec<&ImagePath>, path: &str, span: Span) -> Option<Diagnostic> {
    let programs = view.programs();
    let kept = &view.image.kept;
    // The program itself says most.
    let program = hidden.iter().find(|path| kept.programs.iter().any(|(program, _)| program == **path));
    let first = program.or(hidden.first())?;
    let more = if hidden.len() > 1 { format!(" and {} more", hidden.len() - 1) } else { String::new() };
    let message = format!("what is mounted at {path} hides {first}{more}, which the program needs{}", view.place());
    let mut one = Diagnostic::new(codes::E0907, message).at(span, "mounted here");
    if let Some(entry) = kept.entries.get(*first) {
        one = one.note(format!("{first} is in the image: {}", entry.reason.in_words()));
        let by = kept.needed.get(*first).into_iter().flatten().filter(|number| programs.contains(number));
        if let Some(span) = by.filter_map(|number| kept.programs.get(*number)?.1.span()).next() {
            one = one.label(span, "this program starts from there");
        }
    }
    Some(one)
}
