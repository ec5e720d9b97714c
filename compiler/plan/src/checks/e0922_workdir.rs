//! Mistake 22: the directory that programs start in is absent, a link, or the kernel's (CVE-2024-21626,
//! CVE-2026-55686).

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Severity, Span, codes};

use super::view::{Cover, View, entry, permits, real, workdir};
use crate::path::ImagePath;
use crate::plan::{MountSource, Plan};
use crate::tree::NodeKind;

/// Every pod, or the bare image.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let span = plan.said.image.workdir.or(plan.said.image.span);
    for view in View::all(plan) {
        let text = workdir(view.image);
        let path = match ImagePath::parse(text.as_bytes()) {
            Ok(path) if text.starts_with('/') => path,
            _ => {
                let message =
                    format!("programs are to start in {}, which is no absolute path without `..`", printable(text));
                found.push(refuse(message, span).help("workdir \"/\""));
                continue;
            }
        };
        if !path.is_root() {
            found.extend(one(&view, &path, span));
        }
    }
}

fn complain(message: String, span: Option<Span>) -> Diagnostic {
    Diagnostic::new(codes::E0922, message).at_opt(span, "the directory to start in")
}

fn refuse(message: String, span: Option<Span>) -> Diagnostic {
    complain(message, span).severity(Severity::Error)
}

fn one(view: &View<'_>, path: &ImagePath, span: Option<Span>) -> Option<Diagnostic> {
    let at = real(view.image, path);
    let kernel = ["/proc", "/sys", "/dev"].iter().find(|dir| view.at(dir).is_some_and(|dir| at.is_within(&dir)));
    if let Some(dir) = kernel {
        let message =
            format!("programs are to start in {path}, which the kernel makes at {dir}: a way out of the container");
        return Some(refuse(message, span).note("CVE-2024-21626").help("name a directory of the image"));
    }
    // What a volume holds is not known, but it has its own root; content of the image is as in the image.
    match view.cover(path) {
        Some(Cover::Volume(mount)) if !matches!(mount.source, MountSource::Generation { .. }) => return None,
        Some(Cover::Patch { .. }) => return None,
        _ => {}
    }
    let image = view.image;
    let link = image.kept.entries.get(path).filter(|entry| matches!(entry.node.kind, NodeKind::Symlink(_)));
    let removed = image.kept.removed.get(path);
    let user = &image.user;
    match entry(image, path) {
        None if at.is_root() => None,
        None => {
            let message = match link {
                Some(_) => format!("programs are to start in {path}, a link that leads nowhere{}", view.place()),
                None => format!("programs are to start in {path}, which is not in the image{}", view.place()),
            };
            let mut one = complain(message, span).note("the runtime makes an empty one that belongs to root");
            if let Some(removed) = removed {
                one = one.note(format!("the base has it, and it goes: {}", removed.reason.in_words()));
                one = one.help(format!("keep it: files {{ keep \"{path}\" }}"));
            }
            Some(
                one.help(format!("make it: files {{ directory \"{path}\" }}"))
                    .help("or start elsewhere: workdir \"/\""),
            )
        }
        Some((_, entry)) if !entry.node.is_directory() => {
            Some(refuse(format!("programs are to start in {path}, which is no directory"), span).help("workdir \"/\""))
        }
        Some((real, _)) if link.is_some() => Some(
            complain(format!("programs are to start in {path}, which is a link to {real}"), span)
                .note("runtimes differ on links here: CVE-2026-55686")
                .help(format!("workdir \"{real}\"")),
        ),
        Some((real, entry)) if !permits(entry, user, 0o1) => Some(
            complain(format!("programs are to start in {real}, which uid {} may not enter", user.uid), span)
                .note(format!("its mode is {:04o}, owner {}:{}", entry.node.mode, entry.node.uid, entry.node.gid))
                .help("workdir \"/\", or a directory of that user"),
        ),
        Some(_) => None,
    }
}
