//! Volumes, workloads and stages, decided. Nothing here may change the image: only its uid, command and tree
//! digests are read.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{self, Mount, ProbeAction, SecretTarget, Spanned, Spec, Volume, Workload};
use lang::world::World;

use crate::facts::{Group, User};
use crate::kept::AccountDecision;
use crate::plan::*;

/// Longest ConfigMap value that we take, bytes (the API server's limit for a whole object is about 1 MiB).
const CONFIG_LIMIT: u64 = 512 * 1024;

/// What the decisions on a cluster read of the image.
pub struct ImageSide<'a> {
    /// Numeric user.
    pub user: &'a Identity,
    /// Default command.
    pub command: &'a [String],
    /// Migrated trees by mount path.
    pub generations: &'a BTreeMap<String, Generation>,
    /// Accounts of the result.
    pub users: &'a [AccountDecision<User>],
    /// Groups of the result.
    pub groups: &'a [AccountDecision<Group>],
}

/// All volumes.
pub fn volumes(spec: &Spec, image: &ImageSide<'_>, problems: &mut Diagnostics) -> Vec<VolumePlan> {
    let mut out: Vec<VolumePlan> = spec.volumes.iter().filter_map(|v| volume(v, image, problems)).collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn volume(volume: &Volume, image: &ImageSide<'_>, problems: &mut Diagnostics) -> Option<VolumePlan> {
    let kind = if volume.ephemeral {
        VolumeKind::EmptyDir { size: volume.size.as_ref().map(|size| size.text.clone()) }
    } else {
        let (Some(class), Some(size)) = (&volume.class, &volume.size) else {
            problems.push(
                Diagnostic::new(codes::E0865, format!("volume `{}` needs a class and a size", volume.name.value))
                    .at(volume.span, "neither ephemeral nor complete")
                    .help("say both: class=\"fast\" size=\"1Gi\"; or ephemeral=#true for a directory that goes with the pod"),
            );
            return None;
        };
        let claim = ClaimPlan {
            class: class.value.clone(),
            size: size.text.clone(),
            bytes: u64::try_from(size.milli / 1000).unwrap_or(u64::MAX),
            access: volume.access.as_ref().map_or_else(|| "ReadWriteOnce".to_owned(), |a| a.value.clone()),
        };
        if volume.per_pod {
            if let Some(mount) = volume.mounts.iter().find(|mount| !mount.from_image) {
                problems.push(
                    Diagnostic::new(codes::E0866, "a per-pod claim of a Deployment holds only content from the image")
                        .at(mount.path.span, "data here would go with the pod")
                        .help("use ephemeral=#true where that is meant; lasting data per pod needs kind=\"StatefulSet\", which is not built yet"),
                );
            }
            VolumeKind::PerPod(claim)
        } else {
            VolumeKind::Claim(claim)
        }
    };
    let mounts = volume.mounts.iter().filter_map(|m| mount(volume, m, image, problems)).collect();
    Some(VolumePlan { name: volume.name.value.clone(), span: volume.span, kind, mounts })
}

fn mount(volume: &Volume, mount: &Mount, image: &ImageSide<'_>, problems: &mut Diagnostics) -> Option<MountPlan> {
    let path = mount.path.value.clone();
    if mount.from_image {
        if volume.ephemeral {
            problems.push(
                Diagnostic::new(codes::E0866, "content from the image needs a claim, not an ephemeral volume")
                    .at(mount.path.span, "")
                    .help("give the volume a class and a size (and per-pod=#true for one of each pod)"),
            );
            return None;
        }
        // A missing generation was reported where the image was decided.
        let generation = image.generations.get(&path)?;
        let source = MountSource::Generation {
            digest: generation.digest.clone(),
            bytes: generation.bytes,
            entries: generation.entries,
        };
        return Some(MountPlan { path, source, read_only: true });
    }
    if let Some(owner) = &mount.owner {
        let (uid, gid) = owner_ids(owner, image, problems)?;
        if uid != image.user.uid {
            problems.push(
                Diagnostic::new(
                    codes::E0863,
                    format!(
                        "{path} is to belong to uid {uid}, but the pod runs as uid {} and may not chown",
                        image.user.uid
                    ),
                )
                .at(owner.span, "this owner")
                .help("name the image's user here, or leave the owner out"),
            );
        }
        if gid != image.user.gid {
            problems.push(
                Diagnostic::new(
                    codes::E0863,
                    format!("{path} is to belong to gid {gid}, but the pod's group is {}", image.user.gid),
                )
                .at(owner.span, "this group"),
            );
        }
    }
    let source = if volume.ephemeral {
        MountSource::Whole
    } else {
        MountSource::Directory {
            sub_path: path.trim_matches('/').replace('/', "-"),
            mode: mount.mode.as_ref().map_or(0o750, |mode| mode.value),
            uid: image.user.uid,
            gid: image.user.gid,
        }
    };
    Some(MountPlan { path, source, read_only: mount.read_only })
}

/// `user:group`, names or numbers, against the result's accounts.
pub fn owner_ids(owner: &Spanned<String>, image: &ImageSide<'_>, problems: &mut Diagnostics) -> Option<(u32, u32)> {
    match super::identity::identity(&owner.value, Some(owner.span), image.users, image.groups) {
        Ok(identity) => Some((identity.uid, identity.gid)),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// All workloads.
pub fn workloads(
    spec: &Spec,
    image: &ImageSide<'_>,
    volumes: &[VolumePlan],
    world: &dyn World,
    problems: &mut Diagnostics,
) -> Vec<WorkloadPlan> {
    let mut out: Vec<WorkloadPlan> =
        spec.workloads.iter().map(|w| workload(w, image, volumes, world, problems)).collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn workload(
    workload: &Workload,
    image: &ImageSide<'_>,
    volumes: &[VolumePlan],
    world: &dyn World,
    problems: &mut Diagnostics,
) -> WorkloadPlan {
    if image.user.uid == 0 {
        problems.push(
            Diagnostic::new(codes::E0867, format!("workload `{}` would run as root", workload.name.value))
                .at(workload.span, "Pod Security \"restricted\" refuses that")
                .help("name a user in the image: user \"web\", and users { create \"web\" uid=auto gid=auto }"),
        );
    }
    let mounted: Vec<String> = match &workload.volumes {
        Some(names) => names.iter().map(|name| name.value.clone()).collect(),
        None => volumes.iter().map(|volume| volume.name.clone()).collect(),
    };
    let words = |list: &[Spanned<String>]| list.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
    let pairs = |list: &[(Spanned<String>, Spanned<String>)]| {
        list.iter().map(|(k, v)| (k.value.clone(), v.value.clone())).collect::<BTreeMap<_, _>>()
    };
    let quantities = |list: &[(Spanned<String>, Spanned<spec::Quantity>)]| {
        list.iter().map(|(k, v)| (k.value.clone(), v.text.clone())).collect::<BTreeMap<_, _>>()
    };
    let ports: Vec<PortPlan> = workload
        .ports
        .iter()
        .map(|port| PortPlan {
            number: port.number.value,
            name: port.name.as_ref().map(|name| name.value.clone()),
            protocol: port.protocol.clone(),
        })
        .collect();
    let port = |text: &str| resolve_port(text, &ports);
    let probes = workload
        .probes
        .iter()
        .filter_map(|probe| {
            let action = match &probe.action {
                ProbeAction::Http { path, port: p } => {
                    ProbeActionPlan::Http { path: path.value.clone(), port: port(&p.value)? }
                }
                ProbeAction::Tcp { port: p } => ProbeActionPlan::Tcp { port: port(&p.value)? },
                ProbeAction::Exec { argv } => ProbeActionPlan::Exec { argv: words(argv) },
            };
            let value = |n: &Option<Spanned<u32>>| n.as_ref().map(|n| n.value);
            let plan = ProbePlan {
                action,
                period: value(&probe.period),
                timeout: value(&probe.timeout),
                delay: value(&probe.delay),
                failures: value(&probe.failures),
            };
            Some((probe.kind.value.clone(), plan))
        })
        .collect();
    let (mut secret_env, mut secret_files) = (BTreeMap::new(), Vec::new());
    for secret in &workload.secrets {
        let (object, key) = (secret.object.value.clone(), secret.key.value.clone());
        match &secret.to {
            SecretTarget::Env => {
                secret_env.insert(secret.name.value.clone(), (object, key));
            }
            SecretTarget::File { path, mode } => {
                let mode = mode.as_ref().map_or(0o400, |mode| mode.value);
                secret_files.push(SecretFile { object, key, path: path.value.clone(), mode });
            }
        }
    }
    let services = workload
        .services
        .iter()
        .filter_map(|service| {
            let target = match &service.target {
                Some(target) => port(&target.value),
                None => ports.first().map(|port| port.number),
            };
            let Some(target) = target else {
                problems.push(
                    Diagnostic::new(codes::E0868, "a service needs a port of the workload to lead to")
                        .at(service.span, "this service leads nowhere")
                        .help("give the workload one: port 8080 name=\"http\""),
                );
                return None;
            };
            let name = ports.iter().find(|port| port.number == target).and_then(|port| port.name.clone());
            Some(ServicePlan { port: service.port.value, target, name })
        })
        .collect();
    let recreate = volumes.iter().any(|volume| {
        mounted.contains(&volume.name)
            && matches!(&volume.kind, VolumeKind::Claim(claim) if claim.access.starts_with("ReadWriteOnce"))
    });
    WorkloadPlan {
        name: workload.name.value.clone(),
        span: workload.span,
        replicas: workload.replicas.as_ref().map_or(1, |n| n.value),
        command: if workload.command.is_empty() { image.command.to_vec() } else { words(&workload.command) },
        recreate,
        env: pairs(&workload.env),
        ports: ports.clone(),
        requests: quantities(&workload.requests),
        limits: quantities(&workload.limits),
        probes,
        secret_env,
        secret_files,
        configs: configs(workload, world, problems),
        volumes: mounted,
        services,
        patches: patches(workload, world, problems),
        grace: workload.grace.as_ref().map(|n| n.value),
        uid: image.user.uid,
        gid: image.user.gid,
        groups: image.user.groups.clone(),
    }
}

/// A port's number, from a number or a name. Unknown names were reported with the spec.
fn resolve_port(text: &str, ports: &[PortPlan]) -> Option<u16> {
    text.parse().ok().or_else(|| ports.iter().find(|port| port.name.as_deref() == Some(text)).map(|port| port.number))
}

fn configs(workload: &Workload, world: &dyn World, problems: &mut Diagnostics) -> Vec<ConfigFile> {
    let mut out: Vec<ConfigFile> = Vec::new();
    for config in &workload.configs {
        let Some(bytes) = super::read_source(world, &config.from, CONFIG_LIMIT, problems) else { continue };
        let Ok(text) = String::from_utf8(bytes) else {
            problems.push(
                Diagnostic::new(codes::E0869, "a ConfigMap holds text, this file is not UTF-8")
                    .at(config.from.span, "")
                    .help("put it into the image with files { copy … }, or into a secret"),
            );
            continue;
        };
        let path = config.to.value.clone();
        let key = path.trim_matches('/').replace('/', ".");
        out.push(ConfigFile { path, key, text });
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

fn patches(workload: &Workload, world: &dyn World, problems: &mut Diagnostics) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for patch in &workload.patches {
        let Some(bytes) = super::read_source(world, patch, CONFIG_LIMIT, problems) else { continue };
        let name = patch.value.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        out.push((name, bytes));
    }
    out
}

/// All stages.
pub fn stages(spec: &Spec) -> Vec<StagePlan> {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|v| v.value.clone());
    let mut out: Vec<StagePlan> = spec
        .stages
        .iter()
        .map(|stage| {
            let classes = stage.classes.iter().map(|class| {
                let plan = ClassPlan {
                    name: text(&class.as_name).unwrap_or_else(|| class.name.value.clone()),
                    provisioner: if class.existing { None } else { text(&class.provisioner) },
                    parameters: class.parameters.iter().map(|(k, v)| (k.value.clone(), v.value.clone())).collect(),
                    binding: text(&class.binding),
                    reclaim: text(&class.reclaim),
                    expand: class.expand.as_ref().map(|v| v.value),
                    mount_options: class.mount_options.iter().map(|v| v.value.clone()).collect(),
                };
                (class.name.value.clone(), plan)
            });
            StagePlan {
                name: stage.name.value.clone(),
                span: stage.span,
                target: text(&stage.target).unwrap_or_else(|| "plain".to_owned()),
                namespace: stage.namespace.as_ref().map_or_else(|| "default".to_owned(), |n| n.value.name.clone()),
                create_namespace: stage.namespace.as_ref().is_some_and(|n| n.value.create),
                classes: classes.collect(),
                replicas: stage.replicas.iter().map(|(name, n)| (name.value.clone(), n.value)).collect(),
                eks: stage.eks.as_ref().map(|eks| (eks.cluster.value.clone(), text(&eks.region))),
                jump_host: text(&stage.jump_host),
                node_groups: stage.node_groups.iter().map(|v| v.value.clone()).collect(),
                require: stage.require.iter().map(|v| v.value.clone()).collect(),
            }
        })
        .collect();
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}
