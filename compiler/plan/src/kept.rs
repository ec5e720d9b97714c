//! What stays of a base and what is added: the result of `keep`, before bytes are rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::{Group, User};
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{Node, Sha256};
use lang::spec::SourcePath;

/// Which of the two layers an entry is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// What comes from the base: changes rarely, so its blob is reused.
    Os,
    /// What the spec adds and what we rewrote.
    App,
}

/// Where an entry's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The base (for files: `Node.kind` says where); also all that is not a file.
    Base,
    /// Ours, in memory.
    Bytes(Arc<[u8]>),
    /// A file of the user's, read again (and its hash compared) when it is written.
    Source {
        /// Which.
        path: SourcePath,
        /// Bytes.
        size: u64,
        /// Of its content.
        sha256: Sha256,
    },
    /// Bytes that `image::rewrite` makes from the base's file after `keep` (package databases, accounts,
    /// caches); replaced by [`Content::Bytes`] before the Plan is made.
    Rewrite,
}

/// One entry of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its header. For a [`Content`] other than `Base`, `kind` of a file holds size and hash of the new bytes
    /// (zero for `Rewrite` until it is done), and `at` is meaningless.
    pub node: Node,
    /// Its bytes.
    pub content: Content,
    /// Its layer.
    pub layer: LayerKind,
    /// Why it stays.
    pub reason: Arc<Reason>,
}

/// One thing of the base that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Bytes of content.
    pub size: u64,
    /// Why it goes.
    pub reason: Arc<Reason>,
}

/// A package and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageDecision {
    /// Name.
    pub name: String,
    /// Architecture.
    pub arch: String,
    /// Version.
    pub version: String,
    /// Source package name, where it differs.
    pub source: Option<String>,
    /// Whether it stays.
    pub kept: bool,
    /// Why it stays or goes.
    pub reason: Arc<Reason>,
    /// Of a kept package: its listed paths that do not stay.
    pub missing: Vec<ImagePath>,
    /// Bytes of the files that it alone owns.
    pub size: u64,
}

/// An account and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDecision<T> {
    /// The account.
    pub account: T,
    /// What becomes of it.
    pub fate: AccountFate,
    /// Why.
    pub reason: Arc<Reason>,
}

/// What becomes of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountFate {
    /// Of the base, stays.
    Kept,
    /// Of the base, goes.
    Removed,
    /// New.
    Created,
}

/// How the family's verify command will differ from a clean result, because the spec wants it so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deviation {
    /// The file.
    pub path: ImagePath,
    /// The verify command's own line for it, `??5?????? c /etc/nginx/nginx.conf` for dpkg.
    pub line: String,
    /// Which line of the spec did it.
    pub why: String,
}

/// What stays of one base, and what is added to it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The result's tree but `/` itself, in byte order.
    pub entries: BTreeMap<ImagePath, Entry>,
    /// Names of the base that go.
    pub removed: BTreeMap<ImagePath, Removed>,
    /// All packages of the base, sorted by name.
    pub packages: Vec<PackageDecision>,
    /// All users of the base in order, then the new ones.
    pub users: Vec<AccountDecision<User>>,
    /// All groups of the base in order, then the new ones. Members are final.
    pub groups: Vec<AccountDecision<Group>>,
    /// Programs (roots of the closure), resolved, each with why it is one.
    pub programs: Vec<(ImagePath, Arc<Reason>)>,
    /// What programs need to start (themselves, links on the way, interpreter, loader, libraries), with the numbers
    /// in `programs` of those that do.
    pub needed: BTreeMap<ImagePath, BTreeSet<usize>>,
    /// Setuid and setgid files: path, old mode, whether the bits were stripped.
    pub setuid: Vec<(ImagePath, u32, bool)>,
    /// Expected deviations of the family's verify command.
    pub deviations: Vec<Deviation>,
}
