//! The Spec: what the user wrote, checked for shape and merged from all modules, nothing decided yet.
//!
//! Every value keeps its [`Span`], because every later refusal points at it. Lists are sorted by what they
//! say, so that neither the order of nodes nor that of `use` lines can be seen; only within a program's
//! arguments the order is the written one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use diag::{FileId, Span, Spanned};

mod image;
mod stage;
mod workload;

pub use image::*;
pub use stage::*;
pub use workload::*;

/// A whole spec: one image with its users, packages, files, calls, volumes, workloads, stages and checks.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Files read, in the order of their [`FileId`]s: spec, modules.
    pub units: Vec<Unit>,
    /// The image.
    pub image: Image,
    /// Accounts.
    pub users: Users,
    /// Packages.
    pub packages: Packages,
    /// Files.
    pub files: Files,
    /// System calls.
    pub syscalls: Syscalls,
    /// Volumes; names are unique.
    pub volumes: Vec<Volume>,
    /// Workloads; names are unique.
    pub workloads: Vec<Workload>,
    /// Stages; names are unique.
    pub stages: Vec<Stage>,
    /// Checks of `k8orc test`.
    pub checks: Vec<Check>,
    /// Values of `keep` and `remove` that were written with `override=#true`: see [`Spec::overrules`].
    pub overruling: BTreeSet<Span>,
}

impl Spec {
    /// Whether the `keep` or `remove` glob at `winner` may overrule the other one at `loser`: it says
    /// `override=#true`, and its file imports the other's. (Equal globs are settled by the merge already.)
    pub fn overrules(&self, winner: Span, loser: Span) -> bool {
        let unit = self.units.iter().find(|unit| unit.file == winner.file);
        self.overruling.contains(&winner) && unit.is_some_and(|unit| unit.imports.contains(&loser.file))
    }
}

/// A file of the spec: the entry or a module.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its id in the source map.
    pub file: FileId,
    /// `spec.kdl`, `./team/base.kdl`, `std/debian/minimal`.
    pub name: String,
    /// Directory that its relative paths start from and may not leave; `None` for standard modules.
    pub root: Option<PathBuf>,
    /// Whether it is the entry file (a glob without a match is an error there, a note in a module).
    pub entry: bool,
    /// SHA-256 of the text, lower hex, for the provenance.
    pub sha256: String,
    /// All files that it uses, through others too.
    pub imports: BTreeSet<FileId>,
}

/// A file of the user's, named in a spec or module: relative, normalised, without `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePath {
    /// Directory of the spec or module that names it.
    pub root: PathBuf,
    /// Path below it.
    pub path: PathBuf,
}

/// `because="…"`.
pub type Because = Option<Spanned<String>>;

/// `users { … }`.
#[derive(Debug, Clone, Default)]
pub struct Users {
    /// Span of the first `users` node.
    pub span: Option<Span>,
    /// Accounts (users and groups of these names) of the base that stay.
    pub keep: Vec<Spanned<String>>,
    /// New users.
    pub create: Vec<CreateUser>,
    /// New groups, or members for groups of the base.
    pub groups: Vec<CreateGroup>,
}

/// An id of a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdChoice {
    /// `auto`: unique in the workspace, pinned in the lock.
    Auto,
    /// As said; 1 to 2³¹−1.
    Fixed(u32),
}

/// `create "web" uid=auto gid=auto home="/…" shell="/…"`.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// Login name, POSIX portable (checked by the schema).
    pub name: Spanned<String>,
    /// User id.
    pub uid: Spanned<IdChoice>,
    /// Group id of the group of the same name.
    pub gid: Spanned<IdChoice>,
    /// Home directory; `/nonexistent` where not said.
    pub home: Option<Spanned<String>>,
    /// Login shell; `/usr/sbin/nologin` where not said.
    pub shell: Option<Spanned<String>>,
    /// GECOS comment.
    pub comment: Option<Spanned<String>>,
}

/// `group "certs" gid=20001 { member "web" }`.
#[derive(Debug, Clone)]
pub struct CreateGroup {
    /// Group name.
    pub name: Spanned<String>,
    /// Group id; `Auto` where not said.
    pub gid: Spanned<IdChoice>,
    /// Members' login names.
    pub members: Vec<Spanned<String>>,
}

/// How far dependencies are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Closure {
    /// As the packages declare.
    #[default]
    Depends,
    /// As declared, but for what only maintainer scripts need.
    Runtime,
    /// Only files that programs and keeps reach.
    Files,
}

/// `packages closure="depends" { … }`.
#[derive(Debug, Clone, Default)]
pub struct Packages {
    /// Span of the first `packages` node.
    pub span: Option<Span>,
    /// How far.
    pub closure: Option<Spanned<Closure>>,
    /// Packages that are installed first, from the base's own distribution; they stay.
    pub add: Vec<Spanned<String>>,
    /// Files that declare what scripts of added packages do.
    pub effects: Vec<Spanned<SourcePath>>,
    /// Packages to keep.
    pub keep: Vec<Spanned<String>>,
    /// Packages to remove.
    pub remove: Vec<Remove>,
}

/// `remove "perl-base" because="…"`: a package or a glob of paths.
#[derive(Debug, Clone)]
pub struct Remove {
    /// Name or glob.
    pub what: Spanned<String>,
    /// Why it may go although something needs it.
    pub because: Because,
}

/// `unowned "keep"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unowned {
    /// Files of no package stay.
    Keep,
    /// Only those that something reaches stay.
    Closure,
}

/// `files { … }`.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Span of the first `files` node.
    pub span: Option<Span>,
    /// Globs that stay.
    pub keep: Vec<Spanned<String>>,
    /// Globs that go.
    pub remove: Vec<Remove>,
    /// What happens to files of no package.
    pub unowned: Option<Spanned<Unowned>>,
    /// Files, directories and links that we make.
    pub add: Vec<AddFile>,
    /// Setuid files that keep their bits; all others are stripped.
    pub setuid_keep: Vec<Spanned<String>>,
}

/// A thing that the spec puts into the image.
#[derive(Debug, Clone)]
pub struct AddFile {
    /// Absolute normalised path in the image.
    pub to: Spanned<String>,
    /// Span of the whole node's name.
    pub span: Span,
    /// `user:group` names or numbers; `root:root` where not said.
    pub owner: Option<Spanned<String>>,
    /// Permission bits (0o0000–0o7777), from a string of octal digits.
    pub mode: Option<Spanned<u32>>,
    /// What it is.
    pub what: AddWhat,
}

/// Kinds of [`AddFile`].
#[derive(Debug, Clone)]
pub enum AddWhat {
    /// A file or a whole directory of the user's.
    Copy(Spanned<SourcePath>),
    /// A MiniJinja template with the spec's params and `image`, `uid`, `gid` in scope.
    Template(Spanned<SourcePath>, BTreeMap<String, String>),
    /// An empty directory.
    Directory,
    /// A symbolic link; the target is literal.
    Symlink(Spanned<String>),
}

/// `deliver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deliver {
    /// `k8or` installs it.
    #[default]
    InImage,
    /// A file on the node.
    Node,
    /// A SeccompProfile object (not built yet).
    Operator,
}

/// `syscalls { … }`. A name that begins with `@` is a group.
#[derive(Debug, Clone, Default)]
pub struct Syscalls {
    /// Span of the first `syscalls` node.
    pub span: Option<Span>,
    /// Calls and groups that are allowed.
    pub allow: Vec<CallRule>,
    /// Calls and groups that must not be reachable, or (with a reason) are taken away.
    pub deny: Vec<CallRule>,
    /// Calls answered with an error number.
    pub refuse: Vec<CallRule>,
    /// `kill-process` (default), `kill-thread`, `errno:NAME`, `log`.
    pub otherwise: Option<Spanned<String>>,
    /// Who installs the filter.
    pub deliver: Option<Spanned<Deliver>>,
}

/// One `allow`, `deny` or `refuse` argument.
#[derive(Debug, Clone)]
pub struct CallRule {
    /// Call or `@group`.
    pub name: Spanned<String>,
    /// `errno="ENOSYS"`, of `refuse` only.
    pub errno: Option<Spanned<String>>,
    /// Why.
    pub because: Because,
}

/// One line of `checks { … }`.
#[derive(Debug, Clone)]
pub enum Check {
    /// `exec "/usr/sbin/nginx" "-t"`: a program of the image; exit status 0 is wanted.
    Exec {
        /// Span of the node's name.
        span: Span,
        /// Program and arguments, at least the program.
        argv: Vec<Spanned<String>>,
    },
    /// `http 8080 "/healthz" status=200`.
    Http {
        /// Span of the node's name.
        span: Span,
        /// TCP port, 1–65535.
        port: Spanned<u16>,
        /// Request target, begins with `/`.
        path: Spanned<String>,
        /// Status that is wanted; any of 200–399 where not said.
        status: Option<Spanned<u16>>,
    },
}
