//! Where the spec says what the checks compare, and the few settings that nothing but a check reads.
//!
//! A map lacks what the spec does not say: then the base says it, or nobody.

use std::collections::BTreeMap;

use diag::{Span, Spanned};

/// All places.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// `image { … }` and `files { … }`.
    pub image: ImageSaid,
    /// Workloads by name.
    pub workloads: BTreeMap<String, WorkloadSaid>,
    /// Mounts by volume and path.
    pub mounts: BTreeMap<(String, String), MountSaid>,
    /// `mount-option` lines by stage and class.
    pub mount_options: BTreeMap<(String, String), Vec<Spanned<String>>>,
}

/// Places of the image.
#[derive(Debug, Clone, Default)]
pub struct ImageSaid {
    /// The node `image`.
    pub span: Option<Span>,
    /// `user`.
    pub user: Option<Span>,
    /// `workdir`.
    pub workdir: Option<Span>,
    /// The first word of `entrypoint`, else of `command`.
    pub program: Option<Span>,
    /// Variables of `env`.
    pub env: BTreeMap<String, Span>,
    /// Ports of `expose`: number and protocol.
    pub expose: Vec<Spanned<String>>,
    /// Paths of `files { directory … }`.
    pub directories: BTreeMap<String, Span>,
    /// Paths of `files { setuid { keep … } }`.
    pub setuid_keep: Vec<Spanned<String>>,
    /// Whether the spec puts any file into the image, which may configure the program.
    pub adds_files: bool,
}

/// Places of a workload.
#[derive(Debug, Clone, Default)]
pub struct WorkloadSaid {
    /// The first word of `command`.
    pub program: Option<Span>,
    /// Variables of `env`.
    pub env: BTreeMap<String, Span>,
    /// `port` lines by number.
    pub ports: BTreeMap<u16, Span>,
    /// Ports of probes by kind of probe.
    pub probes: BTreeMap<String, Span>,
    /// Targets of services (else the service) by the service's port.
    pub services: BTreeMap<u16, Span>,
    /// Paths of `config` and of secret files.
    pub files: BTreeMap<String, Span>,
    /// `patch` lines, in the order of the workload's patches.
    pub patches: Vec<Span>,
}

/// Places of a mount.
#[derive(Debug, Clone, Default)]
pub struct MountSaid {
    /// The path.
    pub span: Option<Span>,
    /// `mode=`, which an ephemeral volume cannot have.
    pub mode: Option<Spanned<u32>>,
}
