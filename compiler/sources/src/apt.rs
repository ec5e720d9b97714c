//! Debian and Ubuntu archives: from a suite and names of packages to `.deb` files, verified all the way.
//!
//! ```text
//! suite → archive    which signed Release files, and where
//!       → release    fetched, its signature, names and dates checked; SHA-256 of every file   (signature)
//!       → lists      Packages by hash, read into an index of the newest versions              (index, candidate)
//!       → select     the essential packages and those asked for, with what they need          (check)
//!       → pin        names, versions and hashes, for the lock
//! pin   → fetch      .debs by hash into the cache
//! ```

use std::path::PathBuf;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::Digest;

use crate::Sources;

mod archive;
mod candidate;
mod check;
mod download;
mod fetch;
mod index;
mod lists;
mod near;
mod release;
mod select;
mod signature;

/// What is wanted of a suite.
#[derive(Debug, Clone)]
pub struct AptRequest<'a> {
    /// Code name: `trixie`.
    pub suite: &'a str,
    /// As Debian says: `amd64`, `arm64`.
    pub architecture: &'a str,
    /// Names of packages, in any order.
    pub roots: &'a [String],
    /// dpkg's `status` of a base that the packages are added to (`status.d` files one after the other, a blank line
    /// between); `None` for a base from nothing, which gets the essential packages too.
    pub installed: Option<&'a [u8]>,
    /// The archives of the lock as it was: what is served now must not be older.
    pub since: &'a [PinnedArchive],
    /// Seconds since 1970.
    pub now: i64,
    /// A Release past its Valid-Until is accepted: a snapshot.
    pub accept_expired: bool,
}

/// A selection as the lock holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptPin {
    /// Code name of the suite.
    pub suite: String,
    /// As Debian says: `amd64`.
    pub architecture: String,
    /// What was asked for, sorted.
    pub roots: Vec<String>,
    /// The signed Release files that it was chosen from.
    pub archives: Vec<PinnedArchive>,
    /// What was chosen and is not in the base already, by name.
    pub packages: Vec<PinnedPackage>,
}

/// A signed Release of an archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedArchive {
    /// The archive's name, as [`crate::Settings::mirrors`] has it: `debian`, `debian-security`.
    pub archive: String,
    /// The directory below `dists/`: `trixie-updates`.
    pub suite: String,
    /// `sha256:…` of the InRelease file.
    pub sha256: String,
    /// Its Date, in seconds since 1970.
    pub date: i64,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedPackage {
    /// Its name.
    pub name: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// Its version.
    pub version: String,
    /// `sha256:…` of the `.deb`.
    pub sha256: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// Path below the archive: `pool/main/…`.
    pub filename: String,
    /// The archive's name.
    pub archive: String,
}

/// A package in the cache, its hash verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebFile {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `all`.
    pub architecture: String,
    /// `sha256:…` of the file.
    pub sha256: String,
    /// Where it is; it stays there while the cache is held ([`crate::Cache::share`]).
    pub path: PathBuf,
}

/// The archives, behind the sources' cache and transport.
pub struct Apt<'s> {
    sources: &'s Sources,
}

impl Sources {
    /// The side that knows Debian archives.
    pub fn apt(&self) -> Apt<'_> {
        Apt { sources: self }
    }
}

impl Apt<'_> {
    /// Asks the archives what a suite has now and chooses packages as apt would.
    ///
    /// # Errors
    /// E0402 offline, E0405 under `--locked`; E0450 to E0462, E0465 to E0467. None has a span: the caller knows it.
    pub fn resolve(&self, request: &AptRequest<'_>) -> Result<AptPin, Diagnostic> {
        self.catalogue(request)?.select(request)
    }

    /// The package lists of a suite, for several selections with one suite and architecture.
    ///
    /// # Errors
    /// E0402, E0405, E0450 to E0459, E0465.
    pub fn catalogue(&self, request: &AptRequest<'_>) -> Result<Catalogue, Diagnostic> {
        let suite = archive::suite(request.suite)?;
        let policy = self.sources.settings.policy;
        if policy.locked {
            let message =
                format!("k8orc.lock does not pin these packages of {}, and --locked forbids to change it", suite.name);
            return Err(Diagnostic::new(codes::E0405, message).help("run `k8orc lock` and commit the changed lock"));
        }
        if policy.offline {
            let message =
                format!("the package lists of {} would have to be asked for, and --offline forbids it", suite.name);
            return Err(Diagnostic::new(codes::E0402, message).help("run `k8orc lock` once with a network"));
        }
        let pockets = suite.pockets(request.architecture);
        let mut index = index::Index::new(request.architecture);
        let mut archives = Vec::new();
        for (number, pocket) in pockets.iter().enumerate() {
            let release = release::fetch(&self.sources.http, &self.sources.settings, pocket, request)?;
            for (name, text) in lists::fetch(self.sources, pocket, &release, request.architecture)? {
                index.add(text, number, &name)?;
            }
            archives.push(release.pinned);
        }
        let (suite, architecture) = (suite.name, request.architecture.to_owned());
        Ok(Catalogue { suite, architecture, index, pockets, archives })
    }

    /// The packages of a pin, from the cache where they are there, in the pin's order.
    ///
    /// # Errors
    /// E0402 offline, E0430 for a pin that cannot be read, E0451 for the way there, E0463 for a file that is not
    /// the one that is pinned, E0464 for one that is gone.
    pub fn open(&self, pin: &AptPin) -> Result<Vec<DebFile>, Diagnostic> {
        fetch::debs(self.sources, &pin.packages)
    }
}

/// What a suite has at one moment.
pub struct Catalogue {
    suite: &'static str,
    architecture: String,
    index: index::Index,
    pockets: Vec<archive::Pocket>,
    archives: Vec<PinnedArchive>,
}

impl Catalogue {
    /// Chooses packages as apt would; of the request, `roots` and `installed` count.
    ///
    /// # Errors
    /// E0459 to E0462, E0466, E0467.
    pub fn select(&self, request: &AptRequest<'_>) -> Result<AptPin, Diagnostic> {
        let mut selection = select::Selection::new(&self.index, &self.architecture);
        match request.installed {
            Some(status) => selection.installed(status)?,
            None => selection.essential()?,
        }
        selection.roots(request.roots)?;
        check::check(&selection)?;
        let packages = selection.all().filter_map(|(c, _)| {
            let file = c.file.as_ref()?;
            Some(PinnedPackage {
                name: c.name.clone(),
                architecture: c.architecture.clone(),
                version: c.version.as_str().to_owned(),
                sha256: file.digest.to_string(),
                size: file.size,
                filename: file.path.clone(),
                archive: self.pockets.get(file.pocket)?.archive.to_owned(),
            })
        });
        let mut roots = request.roots.to_vec();
        roots.sort();
        roots.dedup();
        Ok(AptPin {
            suite: self.suite.to_owned(),
            architecture: self.architecture.clone(),
            roots,
            packages: packages.collect(),
            archives: self.archives.clone(),
        })
    }
}

impl AptPin {
    /// `sha256:…` over everything that the result depends on: the packages with their hashes, not where they were
    /// found nor when.
    pub fn digest(&self) -> String {
        let mut text = format!("apt {}\n", self.architecture);
        for package in &self.packages {
            text.push_str(&format!(
                "{} {} {} {}\n",
                package.name, package.version, package.architecture, package.sha256
            ));
        }
        Digest::of(text.as_bytes()).to_string()
    }
}

/// A digest that a lock says.
fn pinned(package: &PinnedPackage) -> Result<Digest, Diagnostic> {
    Digest::parse(&package.sha256).map_err(|e| {
        let message = format!("the lock's hash of `{}` is none: {e}", printable(&package.name));
        Diagnostic::new(codes::E0430, message).help("run `k8orc lock`")
    })
}
