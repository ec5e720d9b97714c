//! Facts: what a base holds, read once and never edited. Types here, filled by `image::read` and
//! `image::survey`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::path::ImagePath;
use crate::platform::Platform;
use crate::tree::{FileNode, Tree};

/// A surveyed base, of one platform.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Which platform.
    pub platform: Platform,
    /// What it is called and how it is pinned.
    pub base: BaseIdentity,
    /// The base's OCI image config, whole (unknown fields too); an object. `{}`-like for `tar:`, `dir:`.
    pub config: Value,
    /// All files.
    pub tree: Tree,
    /// Compressed sizes, bytes, of the base's layers.
    pub compressed_size: u64,
    /// The package database.
    pub packages: PackageFacts,
    /// The account files.
    pub accounts: AccountFacts,
    /// Bytes of the small files that the survey read (databases, ld.so.conf, os-release …).
    pub files: BTreeMap<ImagePath, Vec<u8>>,
}

/// How a base is called and pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseIdentity {
    /// As the spec says it: `docker.io/library/debian:trixie-slim`, `tar:base.tar`, `scratch`.
    pub reference: String,
    /// Digest that the lock pins: of the manifest for images, of the file for `tar:`, of the canonical tree
    /// for `dir:`; `None` for `scratch`.
    pub digest: Option<String>,
    /// Seconds since 1970 at which the base was made, where it says so.
    pub created: Option<i64>,
}

/// Package families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Debian, Ubuntu.
    Dpkg,
    /// Alpine.
    Apk,
    /// Fedora, SUSE and their like.
    Rpm,
    /// No database.
    None,
}

/// The package database of a base.
#[derive(Debug, Clone)]
pub struct PackageFacts {
    /// Whose.
    pub family: Family,
    /// Installed packages by name and architecture, sorted.
    pub packages: Vec<Package>,
    /// Files that one package moved aside for another (dpkg-divert(1)).
    pub diversions: Vec<Diversion>,
    /// Why it can only be read, so that every package has to stay whole (Berkeley DB of rpm).
    pub frozen: Option<String>,
}

/// A path that packages other than `package` have elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The path that they list.
    pub from: ImagePath,
    /// Where their file is.
    pub to: ImagePath,
    /// Whose file stays at `from`; `None`: nobody's, the administrator made the diversion.
    pub package: Option<String>,
}

/// An installed package.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name.
    pub name: String,
    /// `amd64`, `all`.
    pub arch: String,
    /// Version.
    pub version: String,
    /// Source package, where it differs.
    pub source: Option<String>,
    /// `Essential: yes`.
    pub essential: bool,
    /// Pre-Depends and Depends together: all must be met.
    pub depends: Vec<Requirement>,
    /// Names that it provides, with a version where one is said.
    pub provides: Vec<(String, Option<String>)>,
    /// Paths that it lists (not normalised through links), sorted.
    pub paths: Vec<ImagePath>,
    /// Configuration files with their recorded MD5.
    pub conffiles: Vec<(ImagePath, String)>,
    /// Recorded MD5 of files, lower hex.
    pub md5sums: BTreeMap<ImagePath, String>,
    /// Kibibytes, as the package says.
    pub installed_size: Option<u64>,
    /// The database's own files of this package: `/var/lib/dpkg/info/NAME.list` … Of apk and rpm there are none.
    pub database_files: Vec<ImagePath>,
}

/// What a package needs: one of these alternatives.
///
/// The survey says which package meets it, as versions compare differently in each family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// In the order of the package.
    pub alternatives: Vec<Dependency>,
    /// Index in [`PackageFacts::packages`] of the first installed package that satisfies an alternative, by its
    /// name or by what it provides.
    pub met_by: Option<usize>,
    /// Only scripts that run at installation need it, as far as the database tells. Whether the files of the package
    /// need it as well only their headers and first lines can say.
    pub scripts_only: bool,
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, one) in self.alternatives.iter().enumerate() {
            let bar = if n == 0 { "" } else { " | " };
            match &one.version {
                Some((op, version)) => write!(f, "{bar}{} ({op} {version})", one.name)?,
                None => write!(f, "{bar}{}", one.name)?,
            }
        }
        Ok(())
    }
}

/// One alternative of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Package or virtual name.
    pub name: String,
    /// `(>= 1.2)`: operator and version.
    pub version: Option<(String, String)>,
}

/// Users and groups of a base.
#[derive(Debug, Clone, Default)]
pub struct AccountFacts {
    /// Lines of `/etc/passwd`, in order.
    pub users: Vec<User>,
    /// Lines of `/etc/group`, in order.
    pub groups: Vec<Group>,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// GECOS field: full name and such.
    pub comment: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Group name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Login names.
    pub members: Vec<String>,
}

/// Access to the contents of a base's files, each block verified as it is read.
pub trait Contents: Sync {
    /// Streams the content of `file` into `sink`, in order.
    fn stream(
        &self,
        file: &FileNode,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), diag::Diagnostic>;

    /// The whole content, at most `limit` bytes of it (longer: an error).
    fn read(&self, file: &FileNode, limit: u64) -> Result<Vec<u8>, diag::Diagnostic>;
}
