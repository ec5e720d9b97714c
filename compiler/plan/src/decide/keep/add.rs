//! What the spec puts into the image: copies, templates, directories, links.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{AddFile, AddWhat, SourcePath, Spanned};
use lang::world::{FileKind, WorldError};
use sha2::{Digest, Sha256 as Hash};

use super::accounts::Accounts;
use super::ignore::Ignore;
use super::known::{ACCOUNT_FILES, dpkg_directory};
use super::overlay::{Added, LONGEST_SOURCE, Overlay};
use super::{Input, template};
use crate::decide::config::base_config;
use crate::kept::Content;
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{ContentRef, FileNode, Node, NodeKind, ResolveError};

/// Most files of one copied directory.
const MOST_FILES: usize = 100_000;

/// Adds everything that the spec adds to the base's tree.
pub(super) fn additions<'a>(input: &Input<'a>, accounts: &Accounts, out: &mut Diagnostics) -> Overlay<'a> {
    let mut adding = Adding {
        input,
        accounts,
        overlay: Overlay::new(&input.facts.tree, input.world),
        said: BTreeMap::new(),
        dpkg: dpkg_directory(&input.facts.tree),
    };
    // By path, so that a directory comes before what lies in it, whatever the order of the lines.
    let mut all: Vec<(&AddFile, ImagePath)> = Vec::new();
    for add in &input.spec.files.add {
        match ImagePath::parse(add.to.value.as_bytes()) {
            Ok(path) if path.is_root() => out.push(conflict(add, "/", "is the root of the image")),
            Ok(path) => all.push((add, path)),
            Err(error) => out.push(conflict(add, &printable(&add.to.value), &error.to_string())),
        }
    }
    let rank = |add: &AddFile| !matches!(add.what, AddWhat::Directory) as u8;
    all.sort_by(|(a, x), (b, y)| x.cmp(y).then_with(|| rank(a).cmp(&rank(b))));
    for (add, path) in all {
        adding.one(add, &path, out);
    }
    adding.overlay
}

struct Adding<'a, 'b> {
    input: &'b Input<'a>,
    accounts: &'b Accounts,
    overlay: Overlay<'a>,
    /// Places that a line of the spec speaks of, and whether as a directory.
    said: BTreeMap<ImagePath, (diag::Span, bool)>,
    dpkg: Option<ImagePath>,
}

impl Adding<'_, '_> {
    fn one(&mut self, add: &AddFile, to: &ImagePath, out: &mut Diagnostics) {
        let Some(place) = self.place(add, to, out) else { return };
        if self.reserved(&place) {
            let one = conflict(add, &place.to_string(), "is written by k8orc or by the runtime");
            out.push(
                Diagnostic { code: codes::E0633, ..one }.help("choose another place; accounts are said in users { … }"),
            );
            return;
        }
        let owner = self.accounts.owner(add.owner.as_ref(), out);
        let mode = add.mode.as_ref().map(|m| m.value & 0o7777);
        let reason =
            |what: &str| Reason::spec(format!("files {what} to \"{}\"", printable(&add.to.value)), add.to.span);
        match &add.what {
            AddWhat::Directory => self.directory(add, place, mode, owner, out),
            AddWhat::Symlink(target) => {
                let node = header(NodeKind::Symlink(target.value.as_bytes().into()), 0o777, owner, self.input.epoch);
                self.insert(add, place, node, Content::Base, reason("symlink"), out);
            }
            AddWhat::Template(source, params) => {
                let Some(text) = self.read(source, out) else { return };
                let user = self.accounts.identity(&self.user());
                match template::render(self.input, source, &text, params, user) {
                    Ok(text) => {
                        let bytes: Arc<[u8]> = text.into_bytes().into();
                        let node = header(file(&bytes), mode.unwrap_or(0o644), owner, self.input.epoch);
                        self.insert(add, place, node, Content::Bytes(bytes), reason("template"), out);
                    }
                    Err(diagnostic) => out.push(*diagnostic),
                }
            }
            AddWhat::Copy(source) => match self.input.world.stat(&source.root, &source.path) {
                Ok(FileKind::File { executable, .. }) => {
                    let mode = mode.unwrap_or(if executable { 0o755 } else { 0o644 });
                    self.copy(add, source, &source.value, place, mode, owner, out);
                }
                Ok(FileKind::Directory) => self.copy_directory(add, source, &place, mode, owner, out),
                Ok(kind) => out.push(unreadable(source, &source.value.path, kind_word(kind))),
                Err(error) => out.push(unreadable(source, &source.value.path, &world_word(&error))),
            },
        }
    }

    /// The OCI user: the spec's, else the base's.
    fn user(&self) -> String {
        let said = self.input.spec.image.user.as_ref().map(|u| u.value.clone());
        let user = said.unwrap_or_else(|| base_config(self.input.facts).user);
        if user.is_empty() { "0".into() } else { user }
    }

    /// Where `to` really is: directories on the way are followed when they are links, and made when missing.
    fn place(&mut self, add: &AddFile, to: &ImagePath, out: &mut Diagnostics) -> Option<ImagePath> {
        let parent = to.parent()?;
        let mut at = ImagePath::root();
        for part in parent.components() {
            let next = at.join(part).ok()?;
            at = match self.overlay.resolve(&next) {
                Ok((real, _)) if real.is_root() || self.overlay.get(&real).is_some_and(Node::is_directory) => real,
                Ok(_) | Err(ResolveError::NotADirectory(_)) => {
                    out.push(conflict(add, &to.to_string(), &format!("lies below {next}, which is no directory")));
                    return None;
                }
                Err(ResolveError::Missing(missing)) if missing == next => {
                    let node = header(NodeKind::Directory, 0o755, (0, 0), self.input.epoch);
                    let reason = Reason::spec(format!("it is on the way to {to}"), add.to.span);
                    self.overlay.insert(next.clone(), node, Added { content: Content::Base, reason, implied: true });
                    next
                }
                Err(ResolveError::Missing(_) | ResolveError::Loop) => {
                    let text = format!("goes through {next}, a link that leads nowhere");
                    out.push(conflict(add, &to.to_string(), &text));
                    return None;
                }
            };
        }
        at.join(to.name()).ok()
    }

    fn reserved(&self, path: &ImagePath) -> bool {
        let within = |dir: &str| ImagePath::parse(dir.as_bytes()).is_ok_and(|dir| path.is_within(&dir));
        let account = path.to_str().is_some_and(|p| ACCOUNT_FILES.contains(&p));
        account
            || ["/k8or", "/dev", "/proc", "/sys"].into_iter().any(within)
            || self.dpkg.as_ref().is_some_and(|dpkg| path.is_within(dpkg))
    }

    fn directory(
        &mut self,
        add: &AddFile,
        place: ImagePath,
        mode: Option<u32>,
        owner: (u32, u32),
        out: &mut Diagnostics,
    ) {
        let reason = Reason::spec(format!("files directory \"{}\"", printable(&add.to.value)), add.to.span);
        let node = match self.overlay.get(&place) {
            // What is not said is the base's.
            Some(old) if old.is_directory() => {
                let mut node = old.clone();
                node.mode = mode.unwrap_or(old.mode);
                if add.owner.is_some() {
                    (node.uid, node.gid) = owner;
                }
                node
            }
            _ => header(NodeKind::Directory, mode.unwrap_or(0o755), owner, self.input.epoch),
        };
        self.insert(add, place, node, Content::Base, reason, out);
    }

    #[allow(clippy::too_many_arguments)]
    fn copy(
        &mut self,
        add: &AddFile,
        said: &Spanned<SourcePath>,
        source: &SourcePath,
        place: ImagePath,
        mode: u32,
        owner: (u32, u32),
        out: &mut Diagnostics,
    ) {
        let bytes = match self.input.world.read(&source.root, &source.path, LONGEST_SOURCE) {
            Ok(bytes) => bytes,
            Err(error) => return out.push(unreadable(said, &source.path, &world_word(&error))),
        };
        let name = printable(&source.path.to_string_lossy());
        let reason = Reason::spec(format!("files copy \"{name}\" to \"{}\"", printable(&add.to.value)), add.to.span);
        let kind = file(&bytes);
        let NodeKind::File(FileNode { size, sha256, .. }) = kind else { return };
        let content = Content::Source { path: source.clone(), size, sha256 };
        self.insert(add, place, header(kind, mode, owner, self.input.epoch), content, reason, out);
    }

    fn copy_directory(
        &mut self,
        add: &AddFile,
        said: &Spanned<SourcePath>,
        place: &ImagePath,
        mode: Option<u32>,
        owner: (u32, u32),
        out: &mut Diagnostics,
    ) {
        let world = self.input.world;
        let ignore = match Ignore::read(world, &said.value.root) {
            Ok(ignore) => ignore,
            Err(why) => return out.push(unreadable(said, Path::new(".k8orcignore"), &why)),
        };
        let mut stack: Vec<(PathBuf, ImagePath)> = vec![(said.value.path.clone(), place.clone())];
        let mut count = 0_usize;
        while let Some((from, to)) = stack.pop() {
            // Of a directory's mode the r bits bring the x bits; where none is said it is 0755.
            let search = mode.map_or(0o755, |m| m | ((m & 0o444) >> 2));
            self.directory_of_copy(add, to.clone(), search, owner, out);
            let names = match world.list(&said.value.root, &from) {
                Ok(names) => names,
                Err(error) => return out.push(unreadable(said, &from, &world_word(&error))),
            };
            for name in names {
                count += 1;
                if count > MOST_FILES {
                    return out.push(unreadable(said, &from, &format!("has more than {MOST_FILES} files")));
                }
                let inner = from.join(&name);
                let kind = match world.stat(&said.value.root, &inner) {
                    Ok(kind) => kind,
                    Err(error) => return out.push(unreadable(said, &inner, &world_word(&error))),
                };
                if ignore.ignores(&inner, kind == FileKind::Directory) {
                    continue;
                }
                let Ok(target) = to.join(name.as_bytes()) else {
                    out.push(unreadable(said, &inner, "has a name that is too long"));
                    continue;
                };
                match kind {
                    FileKind::Directory => stack.push((inner, target)),
                    FileKind::File { executable, .. } => {
                        let mode = mode.unwrap_or(if executable { 0o755 } else { 0o644 });
                        let source = SourcePath { root: said.value.root.clone(), path: inner };
                        self.copy(add, said, &source, target, mode, owner, out);
                    }
                    kind => out.push(unreadable(said, &inner, kind_word(kind))),
                }
            }
        }
    }

    /// A directory that a copied directory brings: one that is there already stays as it is.
    fn directory_of_copy(
        &mut self,
        add: &AddFile,
        place: ImagePath,
        mode: u32,
        owner: (u32, u32),
        out: &mut Diagnostics,
    ) {
        match self.overlay.get(&place) {
            Some(old) if old.is_directory() => {}
            Some(_) => out.push(conflict(add, &place.to_string(), "is no directory in the base")),
            None => {
                let reason = Reason::spec(format!("files copy to \"{}\"", printable(&add.to.value)), add.to.span);
                let node = header(NodeKind::Directory, mode, owner, self.input.epoch);
                self.overlay.insert(place, node, Added { content: Content::Base, reason, implied: true });
            }
        }
    }

    fn read(&self, source: &Spanned<SourcePath>, out: &mut Diagnostics) -> Option<Vec<u8>> {
        match self.input.world.read(&source.root, &source.path, template::LONGEST) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                out.push(unreadable(source, &source.path, &world_word(&error)));
                None
            }
        }
    }

    fn insert(
        &mut self,
        add: &AddFile,
        place: ImagePath,
        node: Node,
        content: Content,
        reason: Arc<Reason>,
        out: &mut Diagnostics,
    ) {
        let directory = node.is_directory();
        if let Some((other, as_directory)) = self.said.get(&place) {
            // A directory line and a copied directory may speak of one place.
            if !(directory && *as_directory) || matches!(add.what, AddWhat::Directory) {
                let other = *other;
                out.push(conflict(add, &place.to_string(), "is said twice").label(other, "here already"));
                return;
            }
        }
        if let Some(old) = self.overlay.get(&place)
            && old.is_directory() != directory
        {
            let what = if directory { "is no directory in the base" } else { "is a directory" };
            out.push(conflict(add, &place.to_string(), what));
            return;
        }
        self.said.insert(place.clone(), (add.to.span, directory));
        self.overlay.insert(place, node, Added { content, reason, implied: false });
    }
}

/// The kind of a file of ours with these bytes.
pub(super) fn file(bytes: &[u8]) -> NodeKind {
    NodeKind::File(FileNode {
        size: bytes.len() as u64,
        sha256: Hash::digest(bytes).into(),
        at: ContentRef { layer: 0, offset: 0 },
        inode: None,
    })
}

fn header(kind: NodeKind, mode: u32, (uid, gid): (u32, u32), mtime: i64) -> Node {
    Node { kind, mode, uid, gid, mtime, xattrs: BTreeMap::new() }
}

fn conflict(add: &AddFile, path: &str, what: &str) -> Diagnostic {
    Diagnostic::new(codes::E0632, format!("{path} {what}")).at(add.to.span, "")
}

fn unreadable(source: &Spanned<SourcePath>, path: &Path, what: &str) -> Diagnostic {
    let name = printable(&path.to_string_lossy());
    Diagnostic::new(codes::E0630, format!("\"{name}\" {what}"))
        .at(source.span, "")
        .help("sources are plain files and directories inside the directory of the spec that names them")
}

fn kind_word(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Symlink => "is a symbolic link, which is not followed: name its target",
        _ => "is neither a file nor a directory",
    }
}

fn world_word(error: &WorldError) -> String {
    match error {
        WorldError::NotFound => "does not exist".into(),
        WorldError::Outside => "leads out of the directory of the spec".into(),
        WorldError::TooLarge(limit) => format!("is larger than {limit} bytes"),
        WorldError::Other(text) => format!("cannot be read: {}", printable(text)),
    }
}
