//! `k8orc.lock`: what a build may use, by hash, and the ids that were allotted. KDL v2, written by
//! [`Lock::print`] alone, so that equal locks are equal files and a change is a few lines in a review.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, codes};

mod apt;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use apt::{LockedArchive, LockedPackage};

/// The version of the format that is written; also the oldest that is read.
pub const VERSION: u32 = 1;
/// Ids that `auto` may become: above those of systems and people, below 60000 (Debian policy 9.2.2), and within
/// what a user namespace of 65536 ids maps.
pub const IDS: std::ops::RangeInclusive<u32> = 10_000..=59_999;

/// A whole lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// Version of the compiler that wrote it.
    pub compiler: String,
    /// `sha256:…` of the standard library.
    pub stdlib: String,
    /// `sha256:…` of `k8or` by architecture (`x86_64`, `aarch64`).
    pub runtime: BTreeMap<String, String>,
    /// Seconds since 1970 that what we write is dated with.
    pub epoch: i64,
    /// Bases.
    pub bases: Vec<LockedBase>,
    /// Packages of archives that were chosen for bases.
    pub selections: Vec<LockedSelection>,
    /// Ids in use.
    pub ids: Vec<LockedId>,
    /// Ids of declarations that are gone; given to nobody else, because volumes may hold files of theirs.
    pub retired: Vec<LockedId>,
}

/// A base for one platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedBase {
    /// The spec that uses it, as [`LockedId::site`] begins: several specs may share a lock.
    pub spec: String,
    /// As it is called: `docker.io/library/debian:trixie`, `tar:base.tar`.
    pub reference: String,
    /// `linux/amd64`.
    pub platform: String,
    /// `sha256:…` of what is pinned.
    pub digest: String,
    /// `sha256:…` of the index that a manifest was chosen from.
    pub index: Option<String>,
    /// `sha256:…` of a `tar:` base decompressed.
    pub diff_id: Option<String>,
    /// Seconds since 1970 at which the base was made, where it says so.
    pub created: Option<i64>,
}

/// The packages of an archive's suite that were chosen for one base, platform and list of names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedSelection {
    /// The spec that uses it, as [`LockedBase::spec`].
    pub spec: String,
    /// The base: `apt:trixie`, or the image that packages are added to.
    pub reference: String,
    /// `linux/amd64`.
    pub platform: String,
    /// Code name of the suite.
    pub suite: String,
    /// What was asked for, sorted.
    pub roots: Vec<String>,
    /// The Release files that it was chosen from.
    pub archives: Vec<LockedArchive>,
    /// What was chosen, by name.
    pub packages: Vec<LockedPackage>,
}

/// What an id belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdKind {
    /// A uid.
    User,
    /// A gid.
    Group,
}

impl IdKind {
    /// The word in the lock.
    pub fn word(self) -> &'static str {
        match self {
            IdKind::User => "user",
            IdKind::Group => "group",
        }
    }
}

/// An allotted id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedId {
    /// Uid or gid.
    pub kind: IdKind,
    /// Name of the account.
    pub name: String,
    /// Where it is declared: `SCOPE#PLACE`, the spec's or module's name and a place in it that edits elsewhere do
    /// not move (`spec.kdl#users/web`).
    pub site: String,
    /// The id.
    pub id: u32,
}

/// An account that wants an id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declaration {
    /// Uid or gid.
    pub kind: IdKind,
    /// Name of the account.
    pub name: String,
    /// As [`LockedId::site`]. A user and the group of the same name have the same site, and so the same number
    /// where both are free.
    pub site: String,
}

/// An id for a declaration site: from a hash of workspace and site, so that two branches do not take the same one;
/// past those that are taken.
///
/// # Errors
/// E0433 when all are taken.
pub fn allot(workspace: &str, site: &str, taken: &BTreeSet<u32>) -> Result<u32, Diagnostic> {
    let count = IDS.end() - IDS.start() + 1;
    let first = u32::try_from(hash(workspace, site) % u64::from(count)).unwrap_or(0);
    (0..count).map(|step| IDS.start() + (first + step) % count).find(|id| !taken.contains(id)).ok_or_else(|| {
        Diagnostic::new(codes::E0433, format!("no id from {} to {} is left", IDS.start(), IDS.end()))
            .help("say a number instead of `auto`")
    })
}

/// FNV-1a of 64 bits, its halves folded: the lock's ids hang on it, so it never changes.
fn hash(workspace: &str, site: &str) -> u64 {
    let bytes = workspace.bytes().chain([0]).chain(site.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash ^ (hash >> 32)
}

impl Lock {
    /// The pin of a base for a spec, when there is one: its own, else the one of another spec beside it.
    pub fn base(&self, spec: &str, reference: &str, platform: &str) -> Option<&LockedBase> {
        let all = || self.bases.iter().filter(|base| base.reference == reference && base.platform == platform);
        all().find(|base| base.spec == spec).or_else(|| all().next())
    }

    /// The lock without what `spec` uses: what it uses now is put in its place.
    pub fn without(mut self, spec: &str) -> Lock {
        self.bases.retain(|base| base.spec != spec);
        self.selections.retain(|selection| selection.spec != spec);
        self
    }

    /// The id of a declaration, when it has one.
    pub fn id(&self, declaration: &Declaration) -> Option<u32> {
        self.ids.iter().find(|id| id.is_of(declaration)).map(|id| id.id)
    }

    /// The lock with an id for each of `declared`: the one that it has or had, else a new one outside `taken` (ids
    /// that the base and fixed declarations use) and outside all that this lock ever gave. Ids of `scope` (sites
    /// `SCOPE#…`) that are no longer declared are retired; those of other scopes stay.
    ///
    /// # Errors
    /// E0433.
    pub fn assign(
        &self,
        workspace: &str,
        scope: &str,
        declared: &[Declaration],
        taken: &BTreeSet<u32>,
    ) -> Result<Lock, Diagnostic> {
        let mut lock = self.clone();
        let ours = |id: &LockedId| id.site.split_once('#').is_some_and(|(of, _)| of == scope);
        let (gone, ids) = lock.ids.into_iter().partition(|id| ours(id) && !declared.iter().any(|d| id.is_of(d)));
        lock.ids = ids;
        lock.retired.extend::<Vec<LockedId>>(gone);
        let mut wanted: Vec<&Declaration> = declared.iter().filter(|d| lock.id(d).is_none()).collect();
        wanted.sort();
        wanted.dedup();
        for declaration in wanted {
            if let Some(at) = lock.retired.iter().position(|id| id.is_of(declaration)) {
                let back = lock.retired.remove(at);
                lock.ids.push(back);
                continue;
            }
            let given = lock.ids.iter().chain(&lock.retired).filter(|id| id.kind == declaration.kind);
            let taken: BTreeSet<u32> = given.map(|id| id.id).chain(taken.iter().copied()).collect();
            let id = allot(workspace, &declaration.site, &taken)?;
            let Declaration { kind, name, site } = declaration.clone();
            lock.ids.push(LockedId { kind, name, site, id });
        }
        Ok(lock)
    }
}

impl LockedId {
    fn is_of(&self, declaration: &Declaration) -> bool {
        (self.kind, &self.name, &self.site) == (declaration.kind, &declaration.name, &declaration.site)
    }
}
