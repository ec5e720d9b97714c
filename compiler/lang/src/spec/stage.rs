//! `stage "prod" { … }`: where it runs; touches only what is not in the image.

use super::{Span, Spanned};

/// One stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Span of the node's name.
    pub span: Span,
    /// A DNS label.
    pub name: Spanned<String>,
    /// `eks`, `k3s`, `plain` …; data of the standard library.
    pub target: Option<Spanned<String>>,
    /// Kubernetes namespace.
    pub namespace: Option<Spanned<Namespace>>,
    /// Storage classes by the name that volumes use.
    pub classes: Vec<Class>,
    /// `replicas "web" 3`.
    pub replicas: Vec<(Spanned<String>, Spanned<u32>)>,
    /// `eks "prod" region="eu-west-1"`.
    pub eks: Option<Eks>,
    /// `jump-host "ec2-user@bastion"`.
    pub jump_host: Option<Spanned<String>>,
    /// `node-group "web"`.
    pub node_groups: Vec<Spanned<String>>,
    /// `require "aws" "github"`: credential providers.
    pub require: Vec<Spanned<String>>,
}

/// `namespace "shop" create=#true`.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// A DNS label.
    pub name: String,
    /// Whether we emit the object.
    pub create: bool,
}

/// `class "fast" provisioner="ebs.csi.aws.com" { … }` or `class "fast" existing=#true as="local-path"`.
#[derive(Debug, Clone)]
pub struct Class {
    /// Name that volumes use.
    pub name: Spanned<String>,
    /// The cluster's own class: nothing is emitted.
    pub existing: bool,
    /// Name in the cluster; `NAME` where not said.
    pub as_name: Option<Spanned<String>>,
    /// CSI driver; required unless existing.
    pub provisioner: Option<Spanned<String>>,
    /// Parameters of the driver.
    pub parameters: Vec<(Spanned<String>, Spanned<String>)>,
    /// `WaitForFirstConsumer` or `Immediate`.
    pub binding: Option<Spanned<String>>,
    /// `Delete` or `Retain`.
    pub reclaim: Option<Spanned<String>>,
    /// `allowVolumeExpansion`.
    pub expand: Option<Spanned<bool>>,
    /// Mount options.
    pub mount_options: Vec<Spanned<String>>,
}

/// `eks "prod" region="eu-west-1"`.
#[derive(Debug, Clone)]
pub struct Eks {
    /// Cluster name.
    pub cluster: Spanned<String>,
    /// AWS region.
    pub region: Option<Spanned<String>>,
}
