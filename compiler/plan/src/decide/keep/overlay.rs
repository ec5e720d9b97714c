//! The base's tree with what the spec adds: where programs and links are looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use diag::{Diagnostic, codes};
use lang::world::World;

use super::needs::{Inspect, Start};
use crate::kept::Content;
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{Node, NodeKind, ResolveError, Tree};

/// Longest file of the user's that is copied, bytes (4 GiB).
pub(super) const LONGEST_SOURCE: u64 = 4 << 30;

/// A name that the spec adds, or whose header it sets.
pub(super) struct Added {
    /// What it is: also in the overlay's tree.
    pub content: Content,
    /// The line of the spec.
    pub reason: Arc<Reason>,
    /// Only made because something lies below it.
    pub implied: bool,
}

/// The base and the additions.
pub(super) struct Overlay<'a> {
    /// Both.
    pub tree: Tree,
    /// Additions; their headers are in `tree`.
    pub added: BTreeMap<ImagePath, Added>,
    world: &'a dyn World,
}

impl<'a> Overlay<'a> {
    pub fn new(base: &Tree, world: &'a dyn World) -> Self {
        Self { tree: base.clone(), added: BTreeMap::new(), world }
    }

    pub fn insert(&mut self, path: ImagePath, node: Node, added: Added) {
        self.tree.nodes.insert(path.clone(), node);
        self.added.insert(path, added);
    }

    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        self.tree.get(path)
    }

    pub fn resolve(&self, path: &ImagePath) -> Result<(ImagePath, BTreeSet<ImagePath>), ResolveError> {
        self.tree.resolve(path)
    }

    /// Directories and files directly in `directory`.
    pub fn children(&self, directory: &ImagePath) -> Vec<ImagePath> {
        let inside = self.tree.within(directory).map(|(path, _)| path);
        inside.filter(|path| path.parent().as_ref() == Some(directory)).cloned().collect()
    }

    /// How the file at exactly `path` starts.
    pub fn start(&self, path: &ImagePath, inspect: &dyn Inspect) -> Result<Start, Diagnostic> {
        let Some(NodeKind::File(file)) = self.get(path).map(|node| &node.kind) else { return Ok(Start::Other) };
        match self.added.get(path).map(|added| &added.content) {
            None | Some(Content::Base | Content::Rewrite) => inspect.base(file),
            Some(Content::Bytes(bytes)) => inspect.bytes(bytes),
            Some(Content::Source { path: source, .. }) => {
                let bytes = self.world.read(&source.root, &source.path, LONGEST_SOURCE).map_err(|_| {
                    let name = diag::text::printable(&source.path.to_string_lossy());
                    Diagnostic::new(codes::E0630, format!("cannot read {name} a second time"))
                })?;
                inspect.bytes(&bytes)
            }
        }
    }

    /// A program by its bare name, as `execvp` and `env` look for it.
    pub fn in_path(&self, name: &[u8], env: &BTreeMap<String, String>) -> Option<ImagePath> {
        if name.contains(&b'/') {
            return ImagePath::parse(name).ok().filter(|path| self.resolve(path).is_ok());
        }
        let list = env.get("PATH").map_or(super::programs::DEFAULT_PATH, String::as_str);
        list.split(':').filter(|d| d.starts_with('/')).find_map(|directory| {
            let path = ImagePath::parse(directory.as_bytes()).ok()?.join(name).ok()?;
            let (real, _) = self.resolve(&path).ok()?;
            let node = self.get(&real)?;
            (matches!(node.kind, NodeKind::File(_)) && node.mode & 0o111 != 0).then_some(path)
        })
    }
}
