//! Places of the spec that the checks point at.

use std::collections::BTreeMap;

use diag::{Span, Spanned};
use lang::spec::{AddWhat, ProbeAction, SecretTarget, Spec, Workload};

use crate::plan::{ImageSaid, MountSaid, Said, WorkloadSaid};

/// Gathers them.
pub fn said(spec: &Spec) -> Said {
    let mounts = spec.volumes.iter().flat_map(|volume| {
        volume.mounts.iter().map(|mount| {
            let key = (volume.name.value.clone(), mount.path.value.clone());
            (key, MountSaid { span: Some(mount.path.span), mode: mount.mode })
        })
    });
    let options = spec.stages.iter().flat_map(|stage| {
        let of = |class: &lang::spec::Class| (stage.name.value.clone(), class.name.value.clone());
        stage.classes.iter().map(move |class| (of(class), class.mount_options.clone()))
    });
    Said {
        image: image(spec),
        workloads: spec.workloads.iter().map(|one| (one.name.value.clone(), workload(one))).collect(),
        mounts: mounts.collect(),
        mount_options: options.filter(|(_, options)| !options.is_empty()).collect(),
    }
}

fn image(spec: &Spec) -> ImageSaid {
    let image = &spec.image;
    let command = image.command.iter().flatten().next();
    let directories = spec.files.add.iter().filter(|add| matches!(add.what, AddWhat::Directory));
    ImageSaid {
        span: Some(image.span),
        user: image.user.as_ref().map(|user| user.span),
        workdir: image.workdir.as_ref().map(|workdir| workdir.span),
        program: image.entrypoint.first().or(command).map(|word| word.span),
        env: names(&image.env),
        expose: image.expose.clone(),
        directories: directories.map(|add| (add.to.value.clone(), add.to.span)).collect(),
        setuid_keep: spec.files.setuid_keep.clone(),
        adds_files: spec.files.add.iter().any(|add| !matches!(add.what, AddWhat::Directory)),
    }
}

fn workload(one: &Workload) -> WorkloadSaid {
    let probes = one.probes.iter().filter_map(|probe| match &probe.action {
        ProbeAction::Http { port, .. } | ProbeAction::Tcp { port } => Some((probe.kind.value.clone(), port.span)),
        ProbeAction::Exec { argv } => Some((probe.kind.value.clone(), argv.first()?.span)),
    });
    let secrets = one.secrets.iter().filter_map(|secret| match &secret.to {
        SecretTarget::File { path, .. } => Some((path.value.clone(), path.span)),
        SecretTarget::Env => None,
    });
    let configs = one.configs.iter().map(|config| (config.to.value.clone(), config.to.span));
    let services = one.services.iter();
    WorkloadSaid {
        program: one.command.first().map(|word| word.span),
        env: names(&one.env),
        ports: one.ports.iter().map(|port| (port.number.value, port.number.span)).collect(),
        probes: probes.collect(),
        services: services.map(|s| (s.port.value, s.target.as_ref().map_or(s.span, |t| t.span))).collect(),
        files: configs.chain(secrets).collect(),
        patches: one.patches.iter().map(|patch| patch.span).collect(),
    }
}

fn names(pairs: &[(Spanned<String>, Spanned<String>)]) -> BTreeMap<String, Span> {
    pairs.iter().map(|(name, value)| (name.value.clone(), value.span)).collect()
}
