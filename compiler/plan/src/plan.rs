//! The Plan: every decision, for all writers.

use std::collections::BTreeMap;
use std::sync::Arc;

use diag::Span;
use serde_json::Value;

use crate::facts::BaseIdentity;
use crate::kept::Kept;
use crate::platform::Platform;
use crate::profile::Profile;
use crate::reason::Reason;

mod cluster;
mod said;

pub use cluster::*;
pub use said::*;

/// Everything decided about one spec.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the image and of `OUT/NAME`.
    pub name: String,
    /// Seconds since 1970 for everything that we write.
    pub epoch: i64,
    /// One image a platform, sorted.
    pub images: Vec<ImagePlan>,
    /// Repository (no tag) that manifests name; `None`: no manifests.
    pub publish: Option<String>,
    /// The filter in the image: all programs.
    pub profile: Profile,
    /// Who installs filters.
    pub deliver: lang::spec::Deliver,
    /// A profile for each workload: the programs that it starts.
    pub workload_profiles: BTreeMap<String, Profile>,
    /// Volumes by name.
    pub volumes: Vec<VolumePlan>,
    /// Workloads by name.
    pub workloads: Vec<WorkloadPlan>,
    /// Stages by name.
    pub stages: Vec<StagePlan>,
    /// Checks of `k8orc test`.
    pub checks: Vec<CheckPlan>,
    /// Where the spec says things, for whole-system checks.
    pub said: Said,
}

impl Plan {
    /// Whether the filter travels in the image (and `k8or` installs it).
    pub fn profile_in_image(&self) -> bool {
        self.deliver == lang::spec::Deliver::InImage
    }
}

/// One platform's image.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// Which.
    pub platform: Platform,
    /// From what.
    pub base: BaseIdentity,
    /// Files, packages, accounts; no entry is [`crate::kept::Content::Rewrite`] any more. `/k8or` is part of it.
    pub kept: Kept,
    /// The final OCI image config without `rootfs` and `history` (the writer adds them): base's unknown fields kept.
    pub config: Value,
    /// The base's `history`, for the record.
    pub base_history: Vec<Value>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Numeric user that programs run as.
    pub user: Identity,
    /// Default command: program and arguments, without `k8or`.
    pub command: Vec<String>,
    /// Generations sealed in the image: mount path → tree digest (lower hex).
    pub generations: BTreeMap<String, Generation>,
    /// Before and after.
    pub before: Totals,
    /// Before and after.
    pub after: Totals,
}

/// A numeric user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, sorted.
    pub groups: Vec<u32>,
    /// Login name, where it has one.
    pub name: Option<String>,
    /// Home directory, where it has one.
    pub home: Option<String>,
}

/// A tree that is migrated to a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Lower hex SHA-256 (stdlib/runtime/INTERFACE.md says of what).
    pub digest: String,
    /// Entries.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Sums for the summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of content (a hard-linked file once).
    pub bytes: u64,
    /// Regular files and links.
    pub files: u64,
    /// All names.
    pub entries: u64,
    /// Packages.
    pub packages: u64,
    /// Users.
    pub users: u64,
    /// Groups.
    pub groups: u64,
    /// Setuid or setgid files.
    pub setuid: u64,
}

/// A check of `k8orc test`.
#[derive(Debug, Clone)]
pub enum CheckPlan {
    /// A program that must exit with 0.
    Exec {
        /// Its place in the spec.
        span: Span,
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// A request that must be answered.
    Http {
        /// Its place in the spec.
        span: Span,
        /// TCP port.
        port: u16,
        /// Request target.
        path: String,
        /// Status that is wanted; `None`: 200–399.
        status: Option<u16>,
    },
}

/// A chain of reasons, shared.
pub type Why = Arc<Reason>;
