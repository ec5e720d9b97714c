//! The pod: Pod Security "restricted", the migration as init containers, mounts by subPath.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    EphemeralVolumeSource, ExecAction, HTTPGetAction, KeyToPath, PersistentVolumeClaimTemplate,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, Probe, ResourceRequirements, SeccompProfile,
    SecretKeySelector, SecretVolumeSource, SecurityContext, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plan::plan::{MountSource, Plan, ProbeActionPlan, ProbePlan, StagePlan, VolumeKind, VolumePlan, WorkloadPlan};

use crate::objects::{claim_name, claim_spec, config_name};

/// The in-image runtime.
const K8OR: &str = "/k8or/k8or";
/// Where init containers see a whole volume.
const STAGING_MOUNT: &str = "/mnt";

/// The pod of a workload in a stage.
pub fn spec(plan: &Plan, stage: &StagePlan, workload: &WorkloadPlan, image: &str) -> PodSpec {
    let volumes: Vec<&VolumePlan> =
        plan.volumes.iter().filter(|volume| workload.volumes.contains(&volume.name)).collect();
    let mut mounts = Vec::new();
    let mut init = Vec::new();
    for volume in &volumes {
        mounts.extend(volume.mounts.iter().map(|mount| volume_mount(&volume.name, mount)));
        init.extend(prepare(volume, image));
    }
    let mut pod_volumes: Vec<Volume> = volumes.iter().map(|volume| pod_volume(plan, stage, volume)).collect();
    files(workload, &mut pod_volumes, &mut mounts);
    PodSpec {
        automount_service_account_token: Some(false),
        // Service links would put an environment of every other service into this one.
        enable_service_links: Some(false),
        service_account_name: Some(workload.name.clone()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(i64::from(workload.uid)),
            run_as_group: Some(i64::from(workload.gid)),
            fs_group: Some(i64::from(workload.gid)),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            supplemental_groups: (!workload.groups.is_empty())
                .then(|| workload.groups.iter().map(|gid| i64::from(*gid)).collect()),
            // Init containers make other calls than the program: its own profile is the container's alone.
            seccomp_profile: Some(runtime_default()),
            ..Default::default()
        }),
        termination_grace_period_seconds: workload.grace.map(i64::from),
        init_containers: (!init.is_empty()).then_some(init),
        containers: vec![main_container(plan, workload, image, mounts)],
        volumes: (!pod_volumes.is_empty()).then_some(pod_volumes),
        ..Default::default()
    }
}

fn main_container(plan: &Plan, workload: &WorkloadPlan, image: &str, mounts: Vec<VolumeMount>) -> Container {
    let default = plan.images.first().is_some_and(|image| image.command == workload.command);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut env: Vec<EnvVar> = workload
        .env
        .iter()
        .map(|(name, value)| EnvVar { name: name.clone(), value: Some(value.clone()), value_from: None })
        .collect();
    env.extend(workload.secret_env.iter().map(|(name, (object, key))| EnvVar {
        name: name.clone(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector { name: object.clone(), key: key.clone(), optional: Some(false) }),
            ..Default::default()
        }),
    }));
    let probe = |kind: &str| workload.probes.get(kind).map(self::probe);
    let ports: Vec<ContainerPort> = workload
        .ports
        .iter()
        .map(|port| ContainerPort {
            container_port: i32::from(port.number),
            name: port.name.clone(),
            protocol: Some(port.protocol.clone()),
            ..Default::default()
        })
        .collect();
    Container {
        name: workload.name.clone(),
        image: Some(image.to_owned()),
        // The image's own entrypoint is the same wrapper: only another command needs saying.
        command: (!default).then(|| words(&[K8OR, "run", "--"])),
        args: (!default).then(|| workload.command.clone()),
        env: (!env.is_empty()).then_some(env),
        ports: (!ports.is_empty()).then_some(ports),
        resources: resources(workload),
        readiness_probe: probe("readiness"),
        liveness_probe: probe("liveness"),
        startup_probe: probe("startup"),
        security_context: Some(restricted(seccomp(plan, workload))),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        ..Default::default()
    }
}

fn resources(workload: &WorkloadPlan) -> Option<ResourceRequirements> {
    let map = |values: &BTreeMap<String, String>| {
        (!values.is_empty()).then(|| values.iter().map(|(k, v)| (k.clone(), Quantity(v.clone()))).collect())
    };
    let (requests, limits) = (map(&workload.requests), map(&workload.limits));
    (requests.is_some() || limits.is_some()).then(|| ResourceRequirements { requests, limits, ..Default::default() })
}

fn restricted(profile: SeccompProfile) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        seccomp_profile: Some(profile),
        ..Default::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

fn seccomp(plan: &Plan, workload: &WorkloadPlan) -> SeccompProfile {
    if plan.profile_in_image() {
        return runtime_default();
    }
    SeccompProfile {
        type_: "Localhost".to_owned(),
        localhost_profile: Some(format!("k8orc/{}-{}.json", plan.name, workload.name)),
    }
}

fn probe(plan: &ProbePlan) -> Probe {
    let number = |n: Option<u32>| n.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
    let mut probe = Probe {
        period_seconds: number(plan.period),
        timeout_seconds: number(plan.timeout),
        initial_delay_seconds: number(plan.delay),
        failure_threshold: number(plan.failures),
        ..Default::default()
    };
    match &plan.action {
        ProbeActionPlan::Http { path, port } => {
            probe.http_get = Some(HTTPGetAction {
                path: Some(path.clone()),
                port: IntOrString::Int(i32::from(*port)),
                ..Default::default()
            });
        }
        ProbeActionPlan::Tcp { port } => {
            probe.tcp_socket = Some(TCPSocketAction { port: IntOrString::Int(i32::from(*port)), ..Default::default() });
        }
        // The same environment and the same filter as the main process.
        ProbeActionPlan::Exec { argv } => {
            let mut command = vec![K8OR.to_owned(), "exec".to_owned(), "--".to_owned()];
            command.extend(argv.iter().cloned());
            probe.exec = Some(ExecAction { command: Some(command) });
        }
    }
    probe
}

fn volume_mount(volume: &str, mount: &plan::plan::MountPlan) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: mount.path.clone(),
        sub_path: match &mount.source {
            MountSource::Whole => None,
            MountSource::Directory { sub_path, .. } => Some(sub_path.clone()),
            MountSource::Generation { digest, .. } => Some(format!("sha256-{digest}")),
        },
        read_only: mount.read_only.then_some(true),
        ..Default::default()
    }
}

/// Init containers that fill a volume or make directories in it, as the pod's own user.
fn prepare(volume: &VolumePlan, image: &str) -> Vec<Container> {
    let jobs = volume.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Whole => None,
        MountSource::Directory { sub_path, mode, .. } => {
            Some(("directory", vec![format!("{STAGING_MOUNT}/{sub_path}"), format!("{mode:04o}")]))
        }
        MountSource::Generation { .. } => Some(("migrate", vec![mount.path.clone(), STAGING_MOUNT.to_owned()])),
    });
    jobs.enumerate()
        .map(|(n, (verb, arguments))| {
            let mut args = vec![verb.to_owned()];
            args.extend(arguments);
            let suffix = if n == 0 { String::new() } else { format!("-{}", n + 1) };
            Container {
                name: format!("{verb}-{}{suffix}", volume.name),
                image: Some(image.to_owned()),
                command: Some(vec![K8OR.to_owned()]),
                args: Some(args),
                security_context: Some(restricted(runtime_default())),
                volume_mounts: Some(vec![VolumeMount {
                    name: volume.name.clone(),
                    mount_path: STAGING_MOUNT.to_owned(),
                    ..Default::default()
                }]),
                ..Default::default()
            }
        })
        .collect()
}

fn pod_volume(plan: &Plan, stage: &StagePlan, volume: &VolumePlan) -> Volume {
    let mut out = Volume { name: volume.name.clone(), ..Default::default() };
    match &volume.kind {
        VolumeKind::Claim(_) => {
            out.persistent_volume_claim =
                Some(PersistentVolumeClaimVolumeSource { claim_name: claim_name(plan, volume), read_only: None });
        }
        VolumeKind::PerPod(claim) => {
            out.ephemeral = Some(EphemeralVolumeSource {
                volume_claim_template: Some(PersistentVolumeClaimTemplate {
                    metadata: None,
                    spec: claim_spec(stage, claim),
                }),
            });
        }
        VolumeKind::EmptyDir { size } => {
            out.empty_dir = Some(EmptyDirVolumeSource { size_limit: size.clone().map(Quantity), ..Default::default() });
        }
    }
    out
}

/// Configuration and secret files, each mounted by its own path so that nothing beside it is covered.
fn files(workload: &WorkloadPlan, volumes: &mut Vec<Volume>, mounts: &mut Vec<VolumeMount>) {
    let mount = |name: &str, path: &str, key: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        sub_path: Some(key.to_owned()),
        read_only: Some(true),
        ..Default::default()
    };
    if !workload.configs.is_empty() {
        volumes.push(Volume {
            name: "k8or-config".to_owned(),
            config_map: Some(ConfigMapVolumeSource { name: config_name(workload), ..Default::default() }),
            ..Default::default()
        });
        mounts.extend(workload.configs.iter().map(|config| mount("k8or-config", &config.path, &config.key)));
    }
    let mut by_object: BTreeMap<&str, Vec<&plan::plan::SecretFile>> = BTreeMap::new();
    for file in &workload.secret_files {
        by_object.entry(&file.object).or_default().push(file);
    }
    for (object, files) in by_object {
        let name = format!("k8or-secret-{object}");
        let items = files.iter().map(|file| KeyToPath {
            key: file.key.clone(),
            path: file.key.clone(),
            // The kubelet adds the group bits of fsGroup, so the pod's user can read 0400 too.
            mode: i32::try_from(file.mode).ok(),
            ..Default::default()
        });
        volumes.push(Volume {
            name: name.clone(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(object.to_owned()),
                items: Some(items.collect()),
                ..Default::default()
            }),
            ..Default::default()
        });
        mounts.extend(files.iter().map(|file| mount(&name, &file.path, &file.key)));
    }
}
