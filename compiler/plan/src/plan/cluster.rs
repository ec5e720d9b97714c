//! Volumes, workloads and stages, decided: what `kube` writes, `trial` mounts and the graph draws.

use std::collections::BTreeMap;

use diag::Span;

/// A volume.
#[derive(Debug, Clone)]
pub struct VolumePlan {
    /// A DNS label.
    pub name: String,
    /// Its place in the spec.
    pub span: Span,
    /// What it is.
    pub kind: VolumeKind,
    /// Where it is mounted.
    pub mounts: Vec<MountPlan>,
}

/// Kinds of volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeKind {
    /// A PersistentVolumeClaim of the stage.
    Claim(ClaimPlan),
    /// A generic ephemeral claim of each pod.
    PerPod(ClaimPlan),
    /// An emptyDir with a limit.
    EmptyDir {
        /// Kubernetes quantity.
        size: Option<String>,
    },
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPlan {
    /// Class by the spec's name; a stage maps it.
    pub class: String,
    /// Kubernetes quantity as written.
    pub size: String,
    /// The same in bytes.
    pub bytes: u64,
    /// `ReadWriteOnce` …
    pub access: String,
}

/// One mount of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPlan {
    /// Absolute path in the container.
    pub path: String,
    /// What of the volume is mounted.
    pub source: MountSource,
    /// Mounted read-only.
    pub read_only: bool,
}

/// What of a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// All of it (emptyDir).
    Whole,
    /// A directory that the init container makes with this mode, as the pod's user.
    Directory {
        /// subPath: a single component.
        sub_path: String,
        /// Permission bits.
        mode: u32,
        /// Owner: always the pod's user and group.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// The generation directory of a tree of the image: subPath `sha256-<hex>`.
    Generation {
        /// Lower hex tree digest.
        digest: String,
        /// Bytes of content.
        bytes: u64,
        /// Entries.
        entries: u64,
    },
}

/// A workload.
#[derive(Debug, Clone)]
pub struct WorkloadPlan {
    /// A DNS label.
    pub name: String,
    /// Its place in the spec.
    pub span: Span,
    /// Replicas.
    pub replicas: u32,
    /// Program and arguments, without `k8or`; as the container's args after `/k8or/k8or run --`.
    pub command: Vec<String>,
    /// `Recreate` (claims that one node can hold) or `RollingUpdate`.
    pub recreate: bool,
    /// Environment of the pod.
    pub env: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<PortPlan>,
    /// Requests by resource name.
    pub requests: BTreeMap<String, String>,
    /// Limits by resource name.
    pub limits: BTreeMap<String, String>,
    /// Probes: `readiness`, `liveness`, `startup`.
    pub probes: BTreeMap<String, ProbePlan>,
    /// Secrets as environment: variable → (object, key).
    pub secret_env: BTreeMap<String, (String, String)>,
    /// Secrets as files.
    pub secret_files: Vec<SecretFile>,
    /// Configuration files.
    pub configs: Vec<ConfigFile>,
    /// Names of its volumes.
    pub volumes: Vec<String>,
    /// Services.
    pub services: Vec<ServicePlan>,
    /// Kustomize patches: name of the file, its bytes.
    pub patches: Vec<(String, Vec<u8>)>,
    /// Seconds for a clean stop.
    pub grace: Option<u32>,
    /// Numeric user.
    pub uid: u32,
    /// Numeric group, also fsGroup.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPlan {
    /// 1–65535.
    pub number: u16,
    /// Name.
    pub name: Option<String>,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// A probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    /// What is asked.
    pub action: ProbeActionPlan,
    /// Seconds between two.
    pub period: Option<u32>,
    /// Seconds until it counts as failed.
    pub timeout: Option<u32>,
    /// Seconds before the first.
    pub delay: Option<u32>,
    /// Failures in a row that count.
    pub failures: Option<u32>,
}

/// What a probe asks; ports are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeActionPlan {
    /// GET.
    Http {
        /// Request target.
        path: String,
        /// TCP port.
        port: u16,
    },
    /// Connect.
    Tcp {
        /// TCP port.
        port: u16,
    },
    /// Program and arguments, without `k8or exec --`.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// A secret as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Kubernetes Secret.
    pub object: String,
    /// Key in it.
    pub key: String,
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
}

/// A configuration file of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Absolute path.
    pub path: String,
    /// Key in the ConfigMap.
    pub key: String,
    /// Its text (a ConfigMap's `data` is UTF-8; other bytes are refused).
    pub text: String,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    /// Its port.
    pub port: u16,
    /// The container's port.
    pub target: u16,
    /// Name of the target port.
    pub name: Option<String>,
}

/// A stage.
#[derive(Debug, Clone)]
pub struct StagePlan {
    /// A DNS label.
    pub name: String,
    /// Its place in the spec.
    pub span: Span,
    /// `eks`, `k3s`, `plain`.
    pub target: String,
    /// Namespace; `default` where not said.
    pub namespace: String,
    /// Whether the object is emitted.
    pub create_namespace: bool,
    /// Classes by the spec's name.
    pub classes: BTreeMap<String, ClassPlan>,
    /// Replicas by workload.
    pub replicas: BTreeMap<String, u32>,
    /// EKS cluster and region.
    pub eks: Option<(String, Option<String>)>,
    /// `user@host`.
    pub jump_host: Option<String>,
    /// Node groups.
    pub node_groups: Vec<String>,
    /// Credential providers.
    pub require: Vec<String>,
}

/// A storage class of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassPlan {
    /// Name in the cluster.
    pub name: String,
    /// `None`: the cluster's own, nothing is emitted.
    pub provisioner: Option<String>,
    /// Parameters.
    pub parameters: BTreeMap<String, String>,
    /// `volumeBindingMode`.
    pub binding: Option<String>,
    /// `reclaimPolicy`.
    pub reclaim: Option<String>,
    /// `allowVolumeExpansion`.
    pub expand: Option<bool>,
    /// `mountOptions`.
    pub mount_options: Vec<String>,
}
