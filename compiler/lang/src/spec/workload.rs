//! `volumes { … }` and `workload "web" { … }`: what runs, never part of the image.

use super::{SourcePath, Span, Spanned};

/// `volume "data" class="fast" size="10Gi" { mount "/var/lib/web/data" owner="web:web" mode="0700" }`.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Span of the node's name.
    pub span: Span,
    /// A DNS label.
    pub name: Spanned<String>,
    /// Name of a `class` of every stage; not with `ephemeral`.
    pub class: Option<Spanned<String>>,
    /// Kubernetes quantity as written, and its bytes.
    pub size: Option<Spanned<Quantity>>,
    /// An emptyDir.
    pub ephemeral: bool,
    /// A generic ephemeral claim of each pod.
    pub per_pod: bool,
    /// `ReadWriteOnce` (default), `ReadWriteMany`, `ReadWriteOncePod`, `ReadOnlyMany`.
    pub access: Option<Spanned<String>>,
    /// Where it is mounted, at least one.
    pub mounts: Vec<Mount>,
}

/// `mount "/usr" from-image=#true`.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Absolute normalised path.
    pub path: Spanned<String>,
    /// Content migration from the image.
    pub from_image: bool,
    /// `user:group` of the directory.
    pub owner: Option<Spanned<String>>,
    /// Permission bits.
    pub mode: Option<Spanned<u32>>,
    /// Mounted read-only (always so with `from-image`).
    pub read_only: bool,
}

/// A Kubernetes resource quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    /// As written: `10Gi`, `50m`.
    pub text: String,
    /// Value in thousandths of the unit (bytes or cores), rounded up.
    pub milli: u128,
}

/// `workload "web" kind="Deployment" replicas=1 { … }`.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Span of the node's name.
    pub span: Span,
    /// A DNS label.
    pub name: Spanned<String>,
    /// Only `Deployment` is built yet.
    pub kind: Spanned<String>,
    /// Replicas; 1 where not said.
    pub replicas: Option<Spanned<u32>>,
    /// Command of this workload (program and arguments); the image's where empty.
    pub command: Vec<Spanned<String>>,
    /// Ports.
    pub ports: Vec<Port>,
    /// `request cpu="50m" memory="32Mi"`, by resource name.
    pub requests: Vec<(Spanned<String>, Spanned<Quantity>)>,
    /// `limit …`.
    pub limits: Vec<(Spanned<String>, Spanned<Quantity>)>,
    /// Probes, at most one of each kind.
    pub probes: Vec<Probe>,
    /// Environment of the pod (not of the image).
    pub env: Vec<(Spanned<String>, Spanned<String>)>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Configuration files.
    pub configs: Vec<Config>,
    /// `service port=80`.
    pub services: Vec<Service>,
    /// `patch "./k8s/x.yaml"`: kustomize patches.
    pub patches: Vec<Spanned<SourcePath>>,
    /// Names of the volumes it mounts; `None`: all of the spec.
    pub volumes: Option<Vec<Spanned<String>>>,
    /// `grace "30s"`: seconds for a clean stop.
    pub grace: Option<Spanned<u32>>,
}

/// `port 8080 name="http"`.
#[derive(Debug, Clone)]
pub struct Port {
    /// 1–65535.
    pub number: Spanned<u16>,
    /// IANA_SVC_NAME.
    pub name: Option<Spanned<String>>,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// `probe "readiness" { http "/healthz" port="http" }`.
#[derive(Debug, Clone)]
pub struct Probe {
    /// `readiness`, `liveness`, `startup`.
    pub kind: Spanned<String>,
    /// What is asked.
    pub action: ProbeAction,
    /// Seconds between two, Kubernetes' default where `None`.
    pub period: Option<Spanned<u32>>,
    /// Seconds until it counts as failed.
    pub timeout: Option<Spanned<u32>>,
    /// Seconds before the first.
    pub delay: Option<Spanned<u32>>,
    /// Failures in a row that count.
    pub failures: Option<Spanned<u32>>,
}

/// What a probe asks.
#[derive(Debug, Clone)]
pub enum ProbeAction {
    /// `http "/healthz" port="http"`.
    Http {
        /// Request target.
        path: Spanned<String>,
        /// A port's number or name, as written.
        port: Spanned<String>,
    },
    /// `tcp port="http"`.
    Tcp {
        /// A port's number or name, as written.
        port: Spanned<String>,
    },
    /// `exec "/usr/bin/x" "-y"`: runs through `k8or exec --`.
    Exec {
        /// Program and arguments.
        argv: Vec<Spanned<String>>,
    },
}

/// `secret "DB_PASSWORD" from="k8s:db/password" to="env"`.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Name: of the variable, or of the file.
    pub name: Spanned<String>,
    /// Kubernetes Secret object.
    pub object: Spanned<String>,
    /// Key in it.
    pub key: Spanned<String>,
    /// Where it goes.
    pub to: SecretTarget,
}

/// Where a secret goes.
#[derive(Debug, Clone)]
pub enum SecretTarget {
    /// An environment variable of the secret's name.
    Env,
    /// A file.
    File {
        /// Absolute path.
        path: Spanned<String>,
        /// Permission bits; 0400 where not said.
        mode: Option<Spanned<u32>>,
    },
}

/// `config "./web.toml" to="/etc/web/web.toml"`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The user's file.
    pub from: Spanned<SourcePath>,
    /// Absolute path in the pod.
    pub to: Spanned<String>,
}

/// `service port=80`.
#[derive(Debug, Clone)]
pub struct Service {
    /// Span of the node's name.
    pub span: Span,
    /// Port of the Service.
    pub port: Spanned<u16>,
    /// Name or number of the workload's port; its only one where not said.
    pub target: Option<Spanned<String>>,
}
