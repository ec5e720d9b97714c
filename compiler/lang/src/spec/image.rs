//! `image "web" { … }`.

use std::path::PathBuf;

use super::{SourcePath, Span, Spanned};

/// The image that is made.
#[derive(Debug, Clone)]
pub struct Image {
    /// Span of the node's name.
    pub span: Span,
    /// Name of the image and of `OUT/NAME`: a DNS label.
    pub name: Spanned<String>,
    /// Repository that manifests name; without it there are no manifests.
    pub publish: Option<Spanned<String>>,
    /// Where it comes from.
    pub base: Spanned<BaseRef>,
    /// `os/architecture[/variant]`, as written; `linux/amd64` where none is said (then without a span of its own).
    pub platforms: Vec<Spanned<String>>,
    /// OCI `User`, as written: a name, an id, `user:group`.
    pub user: Option<Spanned<String>>,
    /// OCI `Entrypoint`; empty list: not said, the base's.
    pub entrypoint: Vec<Spanned<String>>,
    /// OCI `Cmd`; `None`: the base's unless an entrypoint is said.
    pub command: Option<Vec<Spanned<String>>>,
    /// Further programs, absolute paths.
    pub runs: Vec<Spanned<String>>,
    /// Environment, set or replaced by name.
    pub env: Vec<(Spanned<String>, Spanned<String>)>,
    /// OCI `WorkingDir`.
    pub workdir: Option<Spanned<String>>,
    /// OCI `StopSignal`, a name with `SIG`.
    pub stop_signal: Option<Spanned<String>>,
    /// OCI `Labels`, set or replaced by name.
    pub labels: Vec<(Spanned<String>, Spanned<String>)>,
    /// Exposed ports that are added: `8080/tcp`.
    pub expose: Vec<Spanned<String>>,
}

/// `base "…"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseRef {
    /// `docker.io/library/debian:trixie-slim`, `…@sha256:…`; normalised by the sources crate.
    Registry(String),
    /// `oci:DIR[:TAG]`.
    Oci {
        /// The layout's directory.
        dir: SourcePath,
        /// Value of `org.opencontainers.image.ref.name`; may be absent when the layout holds one image.
        tag: Option<String>,
    },
    /// `docker-archive:F`.
    DockerArchive(SourcePath),
    /// `tar:F`: one layer, plain, gzip or zstd.
    Tar(SourcePath),
    /// `dir:D`: a root file system as a directory.
    Dir(SourcePath),
    /// `apt:SUITE`: the essential packages of a Debian or Ubuntu release, and those that the spec adds.
    Apt(String),
    /// `spec:NAME` (not built yet).
    Spec(String),
    /// Nothing.
    Scratch,
}

impl BaseRef {
    /// The user's file or directory, where there is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            BaseRef::Oci { dir: p, .. } | BaseRef::DockerArchive(p) | BaseRef::Tar(p) | BaseRef::Dir(p) => {
                Some(p.root.join(&p.path))
            }
            _ => None,
        }
    }
}
