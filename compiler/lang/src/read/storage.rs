//! `volumes` and `stage`, and whether they fit each other.

use std::collections::BTreeSet;

use diag::{Diagnostic, Diagnostics, Spanned, codes};

use super::{clash, flag, mode, quantity, small, suggest};
use crate::spec::*;
use crate::tree::{Node, Scalar};

pub(super) fn volumes(node: &Node) -> Vec<Volume> {
    node.all("volume").filter_map(volume).collect()
}

fn volume(node: &Node) -> Option<Volume> {
    Some(Volume {
        span: node.span,
        name: node.text(0)?,
        class: node.text_prop("class"),
        size: node.text_prop("size").and_then(|text| quantity(&text)),
        ephemeral: flag(node, "ephemeral"),
        per_pod: flag(node, "per-pod"),
        access: node.text_prop("access"),
        mounts: node.all("mount").filter_map(mount).collect(),
    })
}

fn mount(node: &Node) -> Option<Mount> {
    Some(Mount {
        path: node.text(0)?,
        from_image: flag(node, "from-image"),
        owner: node.text_prop("owner"),
        mode: mode(node),
        read_only: flag(node, "read-only") || flag(node, "from-image"),
    })
}

/// `stage`; a name that was refused left no node.
pub(super) fn stage(node: &Node) -> Stage {
    let one = |name: &str| node.child(name).and_then(|child| child.text(0));
    Stage {
        span: node.span,
        name: node.text(0).unwrap_or(Spanned::new(String::new(), node.span)),
        target: one("target"),
        namespace: node.child("namespace").and_then(|child| {
            let name = child.text(0)?;
            Some(name.map(|name| Namespace { name, create: flag(child, "create") }))
        }),
        classes: node.all("class").filter_map(class).collect(),
        replicas: node
            .all("replicas")
            .filter_map(|child| Some((child.text(0)?, child.number(1).and_then(small)?)))
            .collect(),
        eks: node
            .child("eks")
            .and_then(|child| Some(Eks { cluster: child.text(0)?, region: child.text_prop("region") })),
        jump_host: one("jump-host"),
        node_groups: node.each("node-group"),
        require: node.each("require"),
    }
}

fn class(node: &Node) -> Option<Class> {
    let one = |name: &str| node.child(name).and_then(|child| child.text(0));
    Some(Class {
        name: node.text(0)?,
        existing: flag(node, "existing"),
        as_name: node.text_prop("as"),
        provisioner: node.text_prop("provisioner"),
        parameters: node.entries("parameter"),
        binding: one("binding"),
        reclaim: one("reclaim"),
        expand: node.child("expand").and_then(|child| child.args.first()).and_then(|value| match value.value {
            Scalar::Flag(flag) => Some(Spanned::new(flag, value.span)),
            _ => None,
        }),
        mount_options: node.each("mount-option"),
    })
}

/// Contradictions of volumes and classes, and whether every stage has the classes.
pub(super) fn check(spec: &Spec, volumes_sound: bool, stages_sound: bool, found: &mut Diagnostics) {
    for volume in spec.volumes.iter().filter(|_| volumes_sound) {
        kind(volume, found);
        for mount in &volume.mounts {
            seeded(spec, volume, mount, found);
        }
    }
    for stage in spec.stages.iter().filter(|_| stages_sound) {
        for class in &stage.classes {
            provisioned(class, found);
        }
        classes(spec, stage, found);
    }
}

/// A volume is a claim (class and size) or ephemeral.
fn kind(volume: &Volume, found: &mut Diagnostics) {
    let name = &volume.name;
    if volume.ephemeral {
        let claim = [
            volume.class.as_ref().map(|class| ("class", class.span)),
            volume.access.as_ref().map(|access| ("access", access.span)),
        ];
        if let Some((what, span)) = claim.into_iter().flatten().next() {
            let message = format!("volume `{}` is ephemeral and has `{what}=`", name.value);
            found.push(
                clash(message, span, "of a claim", name.span, "this one lives as long as the pod")
                    .help(format!("leave out {what}= or ephemeral=")),
            );
        } else if volume.per_pod {
            let message = format!("volume `{}` is both ephemeral and per-pod", name.value);
            found.push(
                clash(message, volume.span, "one of them", name.span, "ephemeral=#true is per pod already")
                    .help("leave out per-pod="),
            );
        }
        return;
    }
    let lacks = |what: &str, help: &str| {
        Diagnostic::new(codes::E0104, format!("volume `{}` needs `{what}=`", name.value))
            .at(name.span, format!("`{what}=` is missing"))
            .help(help.to_owned())
    };
    if volume.class.is_none() {
        found.push(lacks("class", "class=\"NAME\" with a class of that name in each stage, or ephemeral=#true"));
    } else if volume.size.is_none() {
        found.push(lacks("size", "size=\"10Gi\""));
    }
    let seeded = volume.mounts.iter().any(|mount| mount.from_image);
    if volume.per_pod && !seeded && !volume.mounts.is_empty() {
        found.push(
            Diagnostic::new(codes::E0301, "lasting data of each pod is not built yet")
                .at(name.span, "`per-pod=` without `from-image`")
                .help("write today: one claim for one pod (leave out per-pod=), or ephemeral=#true"),
        );
    }
}

/// What a mount filled from the image cannot have.
fn seeded(spec: &Spec, volume: &Volume, mount: &Mount, found: &mut Diagnostics) {
    if !mount.from_image {
        return;
    }
    let own = mount.owner.as_ref().map(|owner| ("owner", owner.span)).or(mount.mode.map(|mode| ("mode", mode.span)));
    if volume.ephemeral {
        let message = format!("volume `{}` is ephemeral and filled from the image", volume.name.value);
        found.push(
            clash(
                message,
                mount.path.span,
                "a read-only copy of what the image has here",
                volume.name.span,
                "of each pod anew",
            )
            .help("use a claim (class= and size=), or leave out from-image="),
        );
    } else if let Some((what, span)) = own {
        let message = format!("`{what}=` at a mount that is filled from the image");
        found.push(
            clash(message, span, "not wanted", mount.path.span, "owner and mode are the image's")
                .help(format!("leave out {what}=")),
        );
    } else if let Some(second) = spec.image.platforms.get(1) {
        let message = format!("`{}` is filled from an image of several platforms", mount.path.value);
        found.push(
            clash(message, mount.path.span, "content of one architecture", second.span, "another platform")
                .help("make one spec for each platform"),
        );
    }
}

fn provisioned(class: &Class, found: &mut Diagnostics) {
    match (&class.provisioner, class.existing) {
        (None, false) => found.push(
            Diagnostic::new(codes::E0104, format!("class `{}` needs `provisioner=`", class.name.value))
                .at(class.name.span, "`provisioner=` is missing")
                .help("provisioner=\"ebs.csi.aws.com\", or existing=#true when the cluster has it"),
        ),
        (Some(provisioner), true) => {
            let message = format!("class `{}` exists and has a provisioner", class.name.value);
            found.push(
                clash(
                    message,
                    provisioner.span,
                    "of a class that is made",
                    class.name.span,
                    "existing=#true: nothing is made",
                )
                .help("leave out one of them"),
            );
        }
        (None, true) => {
            let first = class.parameters.first().map(|(name, _)| name.span);
            let settings = [
                first,
                class.binding.as_ref().map(|text| text.span),
                class.reclaim.as_ref().map(|text| text.span),
                class.expand.map(|flag| flag.span),
                class.mount_options.first().map(|text| text.span),
            ];
            if let Some(span) = settings.into_iter().flatten().next() {
                let message = format!("class `{}` exists and has settings", class.name.value);
                found.push(
                    clash(message, span, "of a class that is made", class.name.span, "existing=#true: nothing is made")
                        .help("leave them out"),
                );
            }
        }
        (Some(_), false) => {}
    }
}

/// The stage has the classes that volumes use.
fn classes(spec: &Spec, stage: &Stage, found: &mut Diagnostics) {
    let known: BTreeSet<&str> = stage.classes.iter().map(|class| class.name.value.as_str()).collect();
    for volume in &spec.volumes {
        let Some(class) = volume.class.as_ref().filter(|_| !volume.ephemeral) else { continue };
        if known.contains(class.value.as_str()) {
            continue;
        }
        let message = format!("stage `{}` has no class `{}`", stage.name.value, class.value);
        let diagnostic = Diagnostic::new(codes::E0125, message)
            .at(stage.name.span, "lacks it")
            .label(class.span, format!("volume `{}` needs it", volume.name.value));
        let near = suggest(found, &class.value, known.iter().copied());
        found.push(match near {
            Some(near) => diagnostic.help(format!("did you mean class `{near}`, which the stage has?")),
            None => diagnostic.help(format!("class \"{}\" existing=#true, or with provisioner=\"…\"", class.value)),
        });
    }
}
