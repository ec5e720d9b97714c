//! Small bases, made in memory, and specs made by hand; the cases are in `tests/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod additions;
mod families;
mod files;
mod packages;
mod programs;
mod reach;
mod speed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use diag::{Diagnostic, Diagnostics, FileId, Span, Spanned};
use lang::spec::*;
use lang::world::{FileKind, World, WorldError};

use super::needs::{Dynamic, Inspect, Start};
use super::{Ids, Input, keep};
use crate::facts::*;
use crate::kept::Kept;
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::tree::*;

pub(super) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

/// A value with a place that no other one has.
pub(super) fn said<T>(value: T) -> Spanned<T> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let at = NEXT.fetch_add(2, Ordering::Relaxed) as usize;
    Spanned::new(value, Span::new(FileId(0), at, at + 1))
}

pub(super) fn word(text: &str) -> Spanned<String> {
    said(text.to_string())
}

pub(super) fn removes(what: &str, because: Option<&str>) -> Remove {
    Remove { what: word(what), because: because.map(word) }
}

pub(super) fn elf(needed: &[&str]) -> Start {
    Start::Elf(Dynamic {
        kind: (2, false, 62),
        interpreter: Some(b"/lib64/ld-linux-x86-64.so.2".to_vec()),
        needed: needed.iter().map(|n| n.as_bytes().to_vec()).collect(),
        ..Dynamic::default()
    })
}

pub(super) fn library(needed: &[&str]) -> Start {
    match elf(needed) {
        Start::Elf(elf) => Start::Elf(Dynamic { interpreter: None, ..elf }),
        other => other,
    }
}

pub(super) fn script(interpreter: &str, argument: Option<&str>) -> Start {
    Start::Script { interpreter: interpreter.into(), argument: argument.map(Into::into) }
}

/// A base, its programs and the user's files.
pub(super) struct Base {
    pub facts: Facts,
    starts: Vec<Start>,
    pub world: Files,
    pub ids: Ids,
}

#[derive(Default)]
pub(super) struct Files(pub BTreeMap<PathBuf, Vec<u8>>);

impl World for Files {
    fn stat(&self, _: &Path, path: &Path) -> Result<FileKind, WorldError> {
        match self.0.get(path) {
            Some(bytes) if bytes == b"@link" => Ok(FileKind::Symlink),
            Some(bytes) => Ok(FileKind::File { size: bytes.len() as u64, executable: bytes.starts_with(b"#!") }),
            None if self.0.keys().any(|k| k.starts_with(path)) => Ok(FileKind::Directory),
            None => Err(WorldError::NotFound),
        }
    }

    fn read(&self, _: &Path, path: &Path, limit: u64) -> Result<Vec<u8>, WorldError> {
        let bytes = self.0.get(path).ok_or(WorldError::NotFound)?;
        if bytes.len() as u64 > limit { Err(WorldError::TooLarge(limit)) } else { Ok(bytes.clone()) }
    }

    fn list(&self, _: &Path, path: &Path) -> Result<Vec<String>, WorldError> {
        let inside = self.0.keys().filter_map(|k| k.strip_prefix(path).ok()?.iter().next()?.to_str());
        let names: std::collections::BTreeSet<String> = inside.map(Into::into).collect();
        Ok(names.into_iter().collect())
    }

    fn module(&self, _: &str) -> Option<&str> {
        None
    }

    fn modules(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Inspect for Base {
    fn base(&self, file: &FileNode) -> Result<Start, Diagnostic> {
        Ok(self.starts.get(file.at.offset as usize).cloned().unwrap_or(Start::Other))
    }

    fn bytes(&self, bytes: &[u8]) -> Result<Start, Diagnostic> {
        let script = bytes.strip_prefix(b"#!").map(|rest| rest.split(|b| *b == b'\n').next().unwrap_or_default());
        Ok(script.map_or(Start::Other, |i| Start::Script { interpreter: i.to_vec(), argument: None }))
    }
}

impl Base {
    /// Nothing but root.
    pub fn empty() -> Self {
        let base = BaseIdentity { reference: "tar:base.tar".into(), digest: None, created: None };
        let packages =
            PackageFacts { family: Family::Dpkg, packages: Vec::new(), diversions: Vec::new(), frozen: None };
        let facts = Facts {
            platform: Platform::parse("linux/amd64").unwrap(),
            base,
            config: serde_json::json!({}),
            tree: Tree::default(),
            compressed_size: 0,
            packages,
            accounts: AccountFacts::default(),
            files: BTreeMap::new(),
        };
        let mut base = Self { facts, starts: vec![Start::Other], world: Files::default(), ids: Ids::none() };
        base.account("root", 0);
        base
    }

    /// A usr-merged Debian in small: base-files, libc6, hello (needs libc6), perl-base, doc-only.
    pub fn debian() -> Self {
        let mut base = Self::empty();
        for (link, target) in [("/bin", "usr/bin"), ("/lib", "usr/lib"), ("/lib64", "usr/lib64")] {
            base.link(link, target);
        }
        base.account("nobody", 65534);
        base.account("www-data", 33);
        base.program("/usr/bin/hello", elf(&["libc.so.6"]));
        base.program("/usr/bin/perl", elf(&["libc.so.6"]));
        base.program("/usr/lib/x86_64-linux-gnu/libc.so.6", library(&["ld-linux-x86-64.so.2"]));
        base.program("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", library(&[]));
        base.link("/usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        for file in ["/etc/os-release", "/etc/passwd", "/etc/group", "/etc/passwd-", "/etc/hello.conf"] {
            base.file(file, 0o644);
        }
        for name in ["base-files", "libc6", "hello", "perl-base", "doc-only"] {
            base.file(&format!("/usr/share/doc/{name}/copyright"), 0o644);
        }
        base.file("/usr/share/doc/doc-only/manual.html", 0o644);
        base.file("/usr/share/man/man1/hello.1.gz", 0o644);
        base.file("/usr/share/perl/strict.pm", 0o644);
        base.package("base-files", &[], &["/.", "/etc", "/usr", "/usr/bin", "/usr/share/doc/base-files/copyright"]);
        let libc = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        let libc = [&libc[..], &["/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/usr/share/doc/libc6/copyright"]];
        base.package("libc6", &[], &libc.concat());
        let hello = ["/usr/bin/hello", "/etc/hello.conf", "/usr/share/man/man1/hello.1.gz"];
        base.package("hello", &["libc6"], &[&hello[..], &["/usr/share/doc/hello/copyright"]].concat());
        let perl =
            ["/usr/bin/perl", "/usr/share/perl", "/usr/share/perl/strict.pm", "/usr/share/doc/perl-base/copyright"];
        base.package("perl-base", &["libc6"], &perl);
        base.package("doc-only", &[], &["/usr/share/doc/doc-only/manual.html", "/usr/share/doc/doc-only/copyright"]);
        base.file("/var/lib/dpkg/status", 0o644);
        base.file("/var/lib/dpkg/status-old", 0o644);
        base
    }

    pub fn account(&mut self, name: &str, id: u32) {
        let (home, shell) = ("/".to_string(), "/bin/sh".to_string());
        let comment = String::new();
        self.facts.accounts.users.push(User { name: name.into(), uid: id, gid: id, comment, home, shell });
        self.facts.accounts.groups.push(Group { name: name.into(), gid: id, members: Vec::new() });
    }

    pub fn node(&mut self, at: &str, kind: NodeKind, mode: u32) -> &mut Node {
        let at = path(at);
        let header = |kind, mode| Node { kind, mode, uid: 0, gid: 0, mtime: 1, xattrs: BTreeMap::new() };
        let mut above = at.parent();
        while let Some(directory) = above.filter(|d| !d.is_root()) {
            above = directory.parent();
            self.facts.tree.nodes.entry(directory).or_insert_with(|| header(NodeKind::Directory, 0o755));
        }
        self.facts.tree.nodes.insert(at.clone(), header(kind, mode));
        self.facts.tree.nodes.get_mut(&at).unwrap()
    }

    pub fn file(&mut self, at: &str, mode: u32) -> &mut Node {
        self.inode(at, mode, None)
    }

    pub fn inode(&mut self, at: &str, mode: u32, inode: Option<u32>) -> &mut Node {
        let sha256 = std::array::from_fn(|n| at.as_bytes().get(n).copied().unwrap_or(7));
        let node = FileNode { size: 100, sha256, at: ContentRef { layer: 0, offset: 0 }, inode };
        self.node(at, NodeKind::File(node), mode)
    }

    pub fn directory(&mut self, at: &str) -> &mut Node {
        self.node(at, NodeKind::Directory, 0o755)
    }

    pub fn link(&mut self, at: &str, target: &str) {
        self.node(at, NodeKind::Symlink(target.as_bytes().into()), 0o777);
    }

    pub fn program(&mut self, at: &str, start: Start) {
        self.starts.push(start);
        let offset = self.starts.len() as u64 - 1;
        if let NodeKind::File(file) = &mut self.file(at, 0o755).kind {
            file.at.offset = offset;
        }
    }

    /// A package; what it depends on is looked up by name among those that are there already.
    pub fn package(&mut self, name: &str, depends: &[&str], paths: &[&str]) {
        let all = &mut self.facts.packages.packages;
        let requirement = |name: &&str| Requirement {
            alternatives: vec![Dependency { name: (*name).into(), version: None }],
            met_by: all.iter().position(|p| p.name == *name),
            scripts_only: false,
        };
        let depends = depends.iter().map(requirement).collect();
        let info = path(&format!("/var/lib/dpkg/info/{name}.list"));
        let script = path(&format!("/var/lib/dpkg/info/{name}.postinst"));
        all.push(Package {
            name: name.into(),
            arch: "amd64".into(),
            version: "1".into(),
            source: None,
            essential: false,
            depends,
            provides: Vec::new(),
            paths: paths.iter().map(|p| path(p)).collect(),
            conffiles: paths.iter().filter(|p| p.ends_with(".conf")).map(|p| (path(p), "0".repeat(32))).collect(),
            md5sums: paths.iter().filter(|p| !p.ends_with(".conf")).map(|p| (path(p), "0".repeat(32))).collect(),
            installed_size: None,
            database_files: vec![info.clone(), script.clone()],
        });
        for file in [info, script] {
            self.file(file.to_str().unwrap(), 0o644);
        }
    }

    pub fn keep(&self, spec: &Spec) -> (Kept, Diagnostics) {
        let Self { facts, world, ids, .. } = self;
        keep(&Input { spec, facts, inspect: self, world, ids, epoch: 1000 })
    }

    /// The result of a spec that must give no error.
    pub fn kept(&self, spec: &Spec) -> Kept {
        let (kept, found) = self.keep(spec);
        assert!(!found.has_errors(), "{found:#?}");
        kept
    }

    /// Codes of all diagnostics, sorted.
    pub fn codes(&self, spec: &Spec) -> Vec<&'static str> {
        let mut all: Vec<_> = self.keep(spec).1.iter().map(|d| d.code.id()).collect();
        all.sort_unstable();
        all
    }
}

/// A spec that starts /usr/bin/hello and keeps unowned files.
pub(super) fn spec() -> Spec {
    let unit = |n, entry| Unit {
        file: FileId(n),
        name: "spec.kdl".into(),
        root: None,
        entry,
        sha256: String::new(),
        imports: if entry { [FileId(1)].into() } else { Default::default() },
    };
    let image = Image {
        span: said(()).span,
        name: word("web"),
        publish: None,
        base: said(BaseRef::Scratch),
        platforms: vec![word("linux/amd64")],
        user: None,
        entrypoint: vec![word("/usr/bin/hello")],
        command: None,
        runs: Vec::new(),
        env: Vec::new(),
        workdir: None,
        stop_signal: None,
        labels: Vec::new(),
        expose: Vec::new(),
    };
    Spec {
        units: vec![unit(0, true), unit(1, false)],
        image,
        users: Users { keep: vec![word("root")], ..Users::default() },
        packages: Packages::default(),
        files: Files_ { unowned: Some(said(Unowned::Keep)), ..Files_::default() },
        syscalls: Syscalls::default(),
        volumes: Vec::new(),
        workloads: Vec::new(),
        stages: Vec::new(),
        checks: Vec::new(),
        overruling: Default::default(),
    }
}

type Files_ = lang::spec::Files;

/// Why a path of the result is there, in words.
pub(super) fn why(kept: &Kept, at: &str) -> String {
    kept.entries.get(&path(at)).unwrap_or_else(|| panic!("{at} is gone")).reason.in_words()
}

/// Why a path of the base is gone, in words.
pub(super) fn why_not(kept: &Kept, at: &str) -> String {
    kept.removed.get(&path(at)).unwrap_or_else(|| panic!("{at} is not removed")).reason.in_words()
}

pub(super) fn there(kept: &Kept, at: &str) -> bool {
    assert!(kept.entries.contains_key(&path(at)) != kept.removed.contains_key(&path(at)), "{at}: one of the two");
    kept.entries.contains_key(&path(at))
}
