//! Operating system and architecture, in the words of OCI, the kernel and Debian.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An architecture that k8orc builds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Arch {
    /// `amd64`.
    X86_64,
    /// `arm64`.
    Aarch64,
}

impl Arch {
    /// Both, in order.
    pub const ALL: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// GOARCH, what OCI says: `amd64`, `arm64`.
    pub fn oci(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
        }
    }

    /// What the kernel and Rust say: `x86_64`, `aarch64`.
    pub fn kernel(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// From any of the usual names.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "amd64" | "x86_64" => Some(Arch::X86_64),
            "arm64" | "aarch64" => Some(Arch::Aarch64),
            _ => None,
        }
    }
}

/// An OCI platform; the operating system is always `linux`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Architecture.
    pub arch: Arch,
    /// `v8` and the like.
    pub variant: Option<String>,
}

impl Platform {
    /// `linux/amd64`, `linux/arm64/v8`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (os, arch, variant) = (parts.next()?, parts.next()?, parts.next());
        if os != "linux" || parts.next().is_some() || variant == Some("") {
            return None;
        }
        Some(Self { arch: Arch::parse(arch)?, variant: variant.map(str::to_owned) })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.arch.oci())?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}
