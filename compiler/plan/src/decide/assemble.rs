//! From what is kept to the Plan: user, config, generations, the sealed layer, totals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{Check, Mount, Spec};
use lang::world::World;

use super::cluster::{self, ImageSide};
use super::{config, generation, identity, sealed};
use crate::facts::Facts;
use crate::kept::{AccountFate, Content, Entry, Kept};
use crate::path::{ImagePath, PathError};
use crate::plan::*;
use crate::profile::Profile;
use crate::tree::NodeKind;

/// One platform's part of the input.
pub struct Part<'a> {
    /// The base.
    pub facts: &'a Facts,
    /// What stays; rewritten entries hold their bytes.
    pub kept: Kept,
    /// The runtime's bytes.
    pub runtime: Arc<[u8]>,
    /// The filter program for this architecture, when the image delivers it.
    pub filter: Option<Vec<u8>>,
}

/// Profiles of the image and of each workload.
pub struct Profiles {
    /// All programs.
    pub image: Profile,
    /// By workload.
    pub workloads: BTreeMap<String, Profile>,
}

/// A claim that is filled from the image holds the programs of one platform.
pub(super) fn one_architecture(spec: &Spec, platforms: usize, problems: &mut Diagnostics) {
    if let (true, Some(mount)) = (platforms > 1, from_image(spec).next()) {
        problems.push(
            Diagnostic::new(
                codes::E0864,
                "a claim holds the content of one architecture, but the image has several platforms",
            )
            .at(mount.path.span, "this mount is filled from the image")
            .help("build one platform, or leave from-image out"),
        );
    }
}

/// Decides the Plan. Errors are collected; a Plan comes out even then, for the editor and `explain`.
pub fn assemble(
    spec: &Spec,
    parts: Vec<Part<'_>>,
    profiles: Profiles,
    epoch: i64,
    world: &dyn World,
) -> (Option<Plan>, Diagnostics) {
    let mut problems = Diagnostics::new();
    one_architecture(spec, parts.len(), &mut problems);
    let mut images = Vec::new();
    for part in parts {
        match image_plan(spec, part, &profiles.image, epoch, &mut problems) {
            Some(image) => images.push(image),
            None => return (None, problems),
        }
    }
    images.sort_by(|a, b| a.platform.cmp(&b.platform));
    let Some(first) = images.first() else { return (None, problems) };
    if images.iter().any(|image| image.user != first.user) {
        problems.push(
            Diagnostic::new(codes::E0690, "the user has different ids on the platforms of the base")
                .at_opt(spec.image.user.as_ref().map(|user| user.span), "")
                .help("name the ids: user \"10001:10001\", or create a user"),
        );
    }
    let side = ImageSide {
        user: &first.user,
        command: &first.command,
        generations: &first.generations,
        users: &first.kept.users,
        groups: &first.kept.groups,
    };
    let volumes = cluster::volumes(spec, &side, &mut problems);
    let workloads = cluster::workloads(spec, &side, &volumes, world, &mut problems);
    let plan = Plan {
        name: spec.image.name.value.clone(),
        epoch,
        publish: spec.image.publish.as_ref().map(|publish| publish.value.clone()),
        profile: profiles.image,
        deliver: spec.syscalls.deliver.as_ref().map_or_else(Default::default, |d| d.value),
        workload_profiles: profiles.workloads,
        volumes,
        workloads,
        stages: cluster::stages(spec),
        checks: spec.checks.iter().map(check).collect(),
        said: super::said::said(spec),
        images,
    };
    problems.extend(crate::checks::run(&plan));
    (Some(plan), problems)
}

fn check(check: &Check) -> CheckPlan {
    match check {
        Check::Exec { span, argv } => {
            CheckPlan::Exec { span: *span, argv: argv.iter().map(|word| word.value.clone()).collect() }
        }
        Check::Http { span, port, path, status } => CheckPlan::Http {
            span: *span,
            port: port.value,
            path: path.value.clone(),
            status: status.as_ref().map(|status| status.value),
        },
    }
}

fn image_plan(
    spec: &Spec,
    part: Part<'_>,
    profile: &Profile,
    epoch: i64,
    problems: &mut Diagnostics,
) -> Option<ImagePlan> {
    let Part { facts, mut kept, runtime, filter } = part;
    let base = config::base_config(facts);
    let (user_text, user_span) = match &spec.image.user {
        Some(user) => (user.value.as_str(), Some(user.span)),
        None => (base.user.as_str(), Some(spec.image.span)),
    };
    let user = match identity::identity(user_text, user_span, &kept.users, &kept.groups) {
        Ok(user) => user,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let (config, more) = config::final_config(facts, &spec.image, &user, epoch);
    problems.extend(more);
    let (entrypoint, cmd) = config::command(&spec.image, &base);
    let command: Vec<String> = entrypoint.into_iter().chain(cmd).collect();

    let mut generations = BTreeMap::new();
    for mount in from_image(spec) {
        let path = match ImagePath::parse(mount.path.value.as_bytes()) {
            Ok(path) => path,
            Err(error) => {
                problems.push(
                    Diagnostic::new(codes::E0860, format!("nothing can be migrated here: {error}"))
                        .at(mount.path.span, "this mount"),
                );
                continue;
            }
        };
        match generation::generation(&path, mount.path.span, &kept.entries, &user) {
            Ok(generation) => {
                generations.insert(mount.path.value.clone(), generation);
            }
            Err(more) => problems.extend(more),
        }
    }
    reserve_runtime_paths(&kept, problems);
    let sealed = sealed::Sealed {
        arch: facts.platform.arch,
        user: &user,
        runtime: &runtime,
        filter: filter.as_deref(),
        profile,
        generations: &generations,
        command: &command,
        epoch,
    };
    lay_runtime(&mut kept, sealed::entries(&sealed), spec, problems);
    let mut annotations = BTreeMap::new();
    if facts.base.reference != "scratch" {
        annotations.insert("org.opencontainers.image.base.name".to_owned(), facts.base.reference.clone());
        if let Some(digest) = &facts.base.digest {
            annotations.insert("org.opencontainers.image.base.digest".to_owned(), digest.clone());
        }
    }
    annotations.insert("org.opencontainers.image.created".to_owned(), crate::time::rfc3339(epoch));
    let (before, after) = (before(facts), after(&kept));
    let base_history = facts.config.get("history").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    Some(ImagePlan {
        platform: facts.platform.clone(),
        base: facts.base.clone(),
        kept,
        config,
        base_history,
        annotations,
        user,
        command,
        generations,
        before,
        after,
    })
}

/// Puts the runtime layer over what is kept. Without it the image would have no filter, so it is never left out.
pub(super) fn lay_runtime(
    kept: &mut Kept,
    entries: Result<Vec<(ImagePath, Entry)>, PathError>,
    spec: &Spec,
    problems: &mut Diagnostics,
) {
    match entries {
        Ok(entries) => {
            for (path, entry) in entries {
                kept.removed.remove(&path);
                kept.entries.insert(path, entry);
            }
        }
        // Of its paths only a mount's marker can be one that Linux does not take.
        Err(error) => problems.push(
            Diagnostic::new(codes::E0860, format!("a migrated mount has no room for its marker: {error}"))
                .at_opt(from_image(spec).next().map(|mount| mount.path.span), "content is migrated here"),
        ),
    }
}

/// Mounts that are filled from the image.
fn from_image(spec: &Spec) -> impl Iterator<Item = &Mount> {
    spec.volumes.iter().flat_map(|volume| &volume.mounts).filter(|mount| mount.from_image)
}

/// `/k8or` is ours; a base that has one was made by k8orc, anything else there is refused.
pub(super) fn reserve_runtime_paths(kept: &Kept, problems: &mut Diagnostics) {
    let Ok(ours) = ImagePath::parse(b"/k8or") else { return };
    for (path, entry) in kept.entries.range(ours.clone()..).take_while(|(path, _)| path.is_within(&ours)) {
        let known = matches!(path.as_bytes(), b"/k8or" | b"/k8or/k8or" | b"/k8or/sealed.conf" | b"/k8or/filter.bpf");
        if !known {
            problems.push(
                Diagnostic::new(codes::E0693, format!("{path} stands where the runtime layer goes"))
                    .at_opt(entry.reason.span(), "it comes from here")
                    .help("remove it or put it elsewhere: /k8or belongs to the runtime layer"),
            );
        }
    }
}

fn before(facts: &Facts) -> Totals {
    let nodes = facts.tree.nodes.values();
    let mut totals = Totals {
        packages: facts.packages.packages.len() as u64,
        users: facts.accounts.users.len() as u64,
        groups: facts.accounts.groups.len() as u64,
        ..Totals::default()
    };
    let mut inodes = BTreeSet::new();
    for node in nodes {
        count(&mut totals, node, &mut inodes, false);
    }
    totals
}

fn after(kept: &Kept) -> Totals {
    let mut totals = Totals {
        packages: kept.packages.iter().filter(|p| p.kept).count() as u64,
        users: kept.users.iter().filter(|u| u.fate != AccountFate::Removed).count() as u64,
        groups: kept.groups.iter().filter(|g| g.fate != AccountFate::Removed).count() as u64,
        ..Totals::default()
    };
    let mut inodes = BTreeSet::new();
    for entry in kept.entries.values() {
        count(&mut totals, &entry.node, &mut inodes, entry.content != Content::Base);
    }
    totals
}

fn count(totals: &mut Totals, node: &crate::tree::Node, inodes: &mut BTreeSet<u32>, ours: bool) {
    totals.entries += 1;
    if node.is_directory() {
        return;
    }
    totals.files += 1;
    if let NodeKind::File(file) = &node.kind {
        let seen_before = !ours && file.inode.is_some_and(|inode| !inodes.insert(inode));
        if !seen_before {
            totals.bytes += file.size;
        }
        if node.mode & 0o6000 != 0 {
            totals.setuid += 1;
        }
    }
}
