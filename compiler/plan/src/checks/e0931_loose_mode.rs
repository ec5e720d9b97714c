//! Mistake 31: fsGroup makes the root of a volume group-writable and setgid, where the spec or the program wants a
//! private directory (kubeblocks #6471: postgres refuses such a data directory). A claim is safe: its mounts are
//! directories in it that an init container makes with the mode that is said.

use diag::{Diagnostic, Diagnostics, codes};

use super::view::{View, ephemeral};
use crate::plan::{MountSource, Plan};

/// Modes that postgres takes for its data: 0700 and, since 11, 0750.
const POSTGRES: u32 = 0o750;

/// Modes of ephemeral mounts, and PGDATA at a mount that others may write.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for volume in plan.volumes.iter().filter(|volume| ephemeral(volume)) {
        for mount in &volume.mounts {
            let said = plan.said.mounts.get(&(volume.name.clone(), mount.path.clone()));
            let Some(mode) = said.and_then(|said| said.mode).filter(|mode| mode.value & 0o777 != 0o777) else {
                continue;
            };
            found.push(
                Diagnostic::new(
                    codes::E0931,
                    format!(
                        "{} cannot have the mode {:04o}: an ephemeral volume gets 2777 from fsGroup",
                        mount.path, mode.value
                    ),
                )
                .at(mode.span, "not kept")
                .label(volume.span, "ephemeral: the root of the volume is mounted itself")
                .help("leave the mode out and let the program make a directory of its own below it")
                .help("or use a claim, class= and size=: there the mount is a directory with this mode"),
            );
        }
    }
    for (view, workload) in View::pods(plan) {
        let environment = view.environment();
        let Some(data) = environment.get("PGDATA") else { continue };
        let Some(path) = view.at(&data.value) else { continue };
        for (volume, mount) in view.mounts().filter(|(_, mount)| view.at(&mount.path).as_ref() == Some(&path)) {
            let mode = match &mount.source {
                MountSource::Whole => 0o2777,
                MountSource::Directory { mode, .. } => *mode,
                MountSource::Generation { .. } => continue,
            };
            let said = plan.said.mounts.get(&(volume.name.clone(), mount.path.clone()));
            if mode & !POSTGRES == 0 || (ephemeral(volume) && said.is_some_and(|said| said.mode.is_some())) {
                continue;
            }
            let mut one = Diagnostic::new(
                codes::E0931,
                format!(
                    "PGDATA of workload `{}` has the mode {mode:04o}, and postgres refuses to start on it",
                    workload.name
                ),
            )
            .at(view.mount_span(volume, mount), "the root of the data directory");
            if let Some(span) = data.span {
                one = one.label(span, "PGDATA");
            }
            found.push(one.note("it wants 0700 or 0750: \"data directory has invalid permissions\"").help(
                match &mount.source {
                    MountSource::Whole => {
                        format!("PGDATA=\"{}/data\", which postgres makes itself", mount.path.trim_end_matches('/'))
                    }
                    _ => "mode=\"0700\"".to_owned(),
                },
            ));
        }
    }
}
