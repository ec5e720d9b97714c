//! The base's tree by number: parents, owners and canonical places, worked out once.

use std::collections::{BTreeMap, HashMap};

use crate::facts::{Facts, Package};
use crate::path::ImagePath;
use crate::tree::{Node, Tree};

/// A base's names in byte order, so that a directory's number is below those of what it holds.
pub(super) struct Index<'a> {
    /// The tree itself.
    pub tree: &'a Tree,
    /// Names.
    pub names: Vec<&'a ImagePath>,
    /// Headers, at the same index.
    pub nodes: Vec<&'a Node>,
    /// Directory that holds it; `None` below the root.
    pub parents: Vec<Option<usize>>,
    /// Packages that list it, rising.
    pub owners: Vec<Vec<usize>>,
    /// For each package and each path that it lists, in order: where that is in the tree.
    pub listed: Vec<Vec<Option<usize>>>,
}

impl<'a> Index<'a> {
    /// Numbers the tree of `facts`.
    pub fn new(facts: &'a Facts) -> Self {
        let tree = &facts.tree;
        let names: Vec<&ImagePath> = tree.nodes.keys().collect();
        let nodes: Vec<&Node> = tree.nodes.values().collect();
        let mut index = Self { tree, names, nodes, parents: Vec::new(), owners: Vec::new(), listed: Vec::new() };
        index.parents = index.names.iter().map(|name| index.parent_of(name)).collect();
        index.owners = vec![Vec::new(); index.names.len()];
        let mut places = Places { tree, cache: HashMap::new() };
        let diversions = Diversions::new(facts);
        for (number, package) in facts.packages.packages.iter().enumerate() {
            let mut listed = Vec::with_capacity(package.paths.len());
            for path in &package.paths {
                let at = places.of(diversions.real(path, package)).and_then(|real| index.at(&real));
                if let Some(owners) = at.and_then(|at| index.owners.get_mut(at))
                    && owners.last() != Some(&number)
                {
                    owners.push(number);
                }
                listed.push(at);
            }
            index.listed.push(listed);
        }
        index
    }

    /// Number of a name.
    pub fn at(&self, path: &ImagePath) -> Option<usize> {
        self.names.binary_search(&path).ok()
    }

    fn parent_of(&self, name: &ImagePath) -> Option<usize> {
        name.parent().filter(|parent| !parent.is_root()).and_then(|parent| self.at(&parent))
    }
}

/// Packages that list each name of a base, by their numbers in [`crate::facts::PackageFacts::packages`], rising; links on
/// the way and diversions are followed. A name that nobody lists is not there.
pub fn owned(facts: &Facts) -> BTreeMap<&ImagePath, Vec<usize>> {
    let index = Index::new(facts);
    index.names.into_iter().zip(index.owners).filter(|(_, owners)| !owners.is_empty()).collect()
}

/// Where listed paths really are: directories on the way may be links (`/lib` → `usr/lib`).
struct Places<'a> {
    tree: &'a Tree,
    cache: HashMap<ImagePath, Option<ImagePath>>,
}

impl Places<'_> {
    fn of(&mut self, path: &ImagePath) -> Option<ImagePath> {
        let parent = path.parent()?;
        let tree = self.tree;
        let real = self
            .cache
            .entry(parent)
            .or_insert_with_key(|parent| tree.resolve(parent).ok().map(|(real, _)| real))
            .as_ref()?;
        real.join(path.name()).ok()
    }
}

/// Diversions by the path that packages list.
struct Diversions<'a>(BTreeMap<&'a ImagePath, (&'a ImagePath, Option<&'a str>)>);

impl<'a> Diversions<'a> {
    fn new(facts: &'a Facts) -> Self {
        let all = facts.packages.diversions.iter();
        Self(all.map(|d| (&d.from, (&d.to, d.package.as_deref()))).collect())
    }

    fn real<'b>(&self, path: &'b ImagePath, package: &Package) -> &'b ImagePath
    where
        'a: 'b,
    {
        match self.0.get(path) {
            Some((to, by)) if *by != Some(package.name.as_str()) => to,
            _ => path,
        }
    }
}
