//! Mistake 13: file capabilities and setuid bits have no effect in a pod that forbids privilege escalation and drops
//! all capabilities; with effective capabilities execve(2) itself fails with EPERM (wazuh-docker #1618, talos #4331).

use diag::{Diagnostic, Diagnostics, Severity, codes};

use crate::kept::Content;
use crate::plan::{ImagePlan, Plan};
use crate::tree::NodeKind;

/// Programs with capabilities, files with setuid bits, programs that lost theirs; where there are pods.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    let Some(workload) = plan.workloads.first() else { return };
    for image in &plan.images {
        let mut own = Diagnostics::new();
        capabilities(image, &mut own);
        setuid(plan, image, &mut own);
        for one in own {
            found.push(one.label(workload.span, "a pod: no privilege escalation, all capabilities dropped"));
        }
    }
}

fn capabilities(image: &ImagePlan, found: &mut Diagnostics) {
    for (path, reason) in &image.kept.programs {
        let Some(entry) = image.kept.entries.get(path) else { continue };
        let Some(value) = entry.node.xattrs.get(b"security.capability".as_slice()) else { continue };
        // VFS_CAP_FLAGS_EFFECTIVE, the lowest bit of a little-endian word.
        let effective = value.first().is_some_and(|byte| byte & 1 != 0);
        let message = if effective {
            format!("{path} has file capabilities, so a pod without them cannot execute it (EPERM)")
        } else {
            format!("{path} has file capabilities that a pod does not give it")
        };
        found.push(
            Diagnostic::new(codes::E0913, message)
                .severity(if effective { Severity::Error } else { Severity::Warning })
                .at_opt(reason.span(), "this program")
                .note("security.capability of the file in the base")
                .help("copy a program without capabilities over it, files { copy … }, and let it listen above 1024"),
        );
    }
}

fn setuid(plan: &Plan, image: &ImagePlan, found: &mut Diagnostics) {
    let keep = &plan.said.image.setuid_keep;
    for (path, mode, stripped) in &image.kept.setuid {
        if !stripped {
            let line = keep.iter().find(|line| path.to_str() == Some(line.value.as_str())).or(keep.first());
            found.push(
                Diagnostic::new(
                    codes::E0913,
                    format!("{path} keeps its bits {mode:04o}, which have no effect in a pod"),
                )
                .at_opt(line.map(|line| line.span), "kept here")
                .help("leave the line out, and start the program with the rights that it has"),
            );
        } else if let Some((_, reason)) = image.kept.programs.iter().find(|(program, _)| program == path) {
            found.push(
                Diagnostic::new(
                    codes::E0913,
                    format!("{path} is a program that needs its bits {mode:04o} to change who it is"),
                )
                .severity(Severity::Warning)
                .at_opt(reason.span(), "in a pod it stays who it was")
                .note("the bits are stripped, and a pod would not honour them")
                .help("start a program that needs no other user"),
            );
        }
    }
    for (path, entry) in &image.kept.entries {
        let ours = entry.content != Content::Base && matches!(entry.node.kind, NodeKind::File(_));
        if ours && entry.node.mode & 0o6000 != 0 {
            let mode = entry.node.mode;
            found.push(
                Diagnostic::new(codes::E0913, format!("{path} has the bits {mode:04o}, which have no effect in a pod"))
                    .at_opt(entry.reason.span(), "set here")
                    .help(format!("mode=\"{:04o}\"", mode & 0o777)),
            );
        }
    }
}
