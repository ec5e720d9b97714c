//! Paths that are made or mounted twice.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, Span, codes};

use crate::spec::*;

pub(super) fn check(spec: &Spec, found: &mut Diagnostics) {
    once(spec.files.add.iter().map(|file| (file.to.value.as_str(), file.to.span)), found);
    if spec.workloads.is_empty() {
        mounts(spec.volumes.iter(), found);
    }
    for workload in &spec.workloads {
        let uses = |volume: &&Volume| {
            workload.volumes.as_ref().is_none_or(|names| names.iter().any(|name| name.value == volume.name.value))
        };
        mounts(spec.volumes.iter().filter(uses), found);
        let secrets = workload.secrets.iter().filter_map(|secret| match &secret.to {
            SecretTarget::File { path, .. } => Some((path.value.as_str(), path.span)),
            SecretTarget::Env => None,
        });
        let configs = workload.configs.iter().map(|config| (config.to.value.as_str(), config.to.span));
        once(secrets.chain(configs), found);
    }
}

/// Refuses one path twice.
fn once<'a>(paths: impl Iterator<Item = (&'a str, Span)>, found: &mut Diagnostics) {
    let mut paths: Vec<(&str, Span)> = paths.collect();
    paths.sort_by_key(|(_, span)| *span);
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for (path, span) in paths {
        let Some(first) = seen.get(path) else {
            seen.insert(path, span);
            continue;
        };
        found.push(
            Diagnostic::new(codes::E0127, format!("`{path}` is made twice"))
                .at(span, "again here")
                .label(*first, "first here")
                .help("keep one of them"),
        );
    }
}

/// Mounts of one pod neither equal nor contain each other.
fn mounts<'a>(volumes: impl Iterator<Item = &'a Volume>, found: &mut Diagnostics) {
    let mut all: Vec<(&str, Span)> =
        volumes.flat_map(|volume| &volume.mounts).map(|mount| (mount.path.value.as_str(), mount.path.span)).collect();
    all.sort();
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for (path, span) in all {
        let slashes = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        let around = slashes.filter_map(|end| seen.get_key_value(path.get(..end)?)).next();
        let Some((outer, first)) = around else {
            seen.insert(path, span);
            continue;
        };
        let same = *outer == path;
        let message =
            if same { format!("`{path}` is mounted twice") } else { format!("`{path}` is mounted within `{outer}`") };
        found.push(
            Diagnostic::new(codes::E0126, message)
                .at(span, "this mount")
                .label(*first, if same { "the same" } else { "would cover it, or be covered" })
                .help("mount one of them elsewhere, or let `volumes` of the workloads choose"),
        );
    }
}
