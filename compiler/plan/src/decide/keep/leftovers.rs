//! What follows from the fates of single names: directories that hold something stay, links that our removal
//! broke go, compiled files go with their source.

use std::collections::{BTreeMap, VecDeque};

use super::Index;
use super::files::Fate;
use super::overlay::Overlay;
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::NodeKind;

/// Settles directories and links. `fates` are those of the names on their own; the result is final.
pub(super) fn settle(index: &Index<'_>, overlay: &Overlay<'_>, mut fates: Vec<Fate>) -> Vec<Fate> {
    compiled(index, &mut fates);
    let mut state = State { index, overlay, holds: vec![0; fates.len()], own: Vec::new(), leaning: BTreeMap::new() };
    state.own = fates.iter().map(|fate| fate.stays).collect();
    state.directories(&mut fates);
    state.links(&mut fates);
    for (at, fate) in fates.iter_mut().enumerate() {
        if fate.stays && !state.own.get(at).copied().unwrap_or(true) {
            fate.reason = Reason::fact("something in it stays");
        }
    }
    fates
}

/// `x/__pycache__/mod.cpython-311.pyc` goes with `x/mod.py`: nothing would ever read it again.
fn compiled(index: &Index<'_>, fates: &mut [Fate]) {
    for at in 0..index.names.len() {
        let (Some(name), Some(owners)) = (index.names.get(at), index.owners.get(at)) else { continue };
        let (true, Some(source)) = (owners.is_empty(), source_of(name)) else { continue };
        let Some(source_fate) = index.at(&source).and_then(|s| fates.get(s)) else { continue };
        if source_fate.stays {
            continue;
        }
        let reason = Reason::link(format!("it was compiled from {source}"), &source_fate.reason);
        if let Some(fate) = fates.get_mut(at).filter(|fate| !fate.firm) {
            *fate = Fate { stays: false, reason, rewrite: false, firm: false };
        }
    }
}

fn source_of(name: &ImagePath) -> Option<ImagePath> {
    let stem = name.name().strip_suffix(b".pyc")?;
    let cache = name.parent().filter(|parent| parent.name() == b"__pycache__")?;
    let module = stem.split(|b| *b == b'.').next()?;
    cache.parent()?.join(&[module, b".py"].concat()).ok()
}

struct State<'a> {
    index: &'a Index<'a>,
    overlay: &'a Overlay<'a>,
    /// How many staying names (or additions) a directory holds directly.
    holds: Vec<usize>,
    /// Whether a name stays on its own account.
    own: Vec<bool>,
    /// Links that lead to or through a name.
    leaning: BTreeMap<usize, Vec<usize>>,
}

impl State<'_> {
    fn directories(&mut self, fates: &mut [Fate]) {
        for path in self.overlay.added.keys() {
            if let Some(at) = path.parent().and_then(|parent| self.index.at(&parent)) {
                self.count(at, 1);
            }
        }
        // Children have higher numbers than the directory that holds them.
        for at in (0..fates.len()).rev() {
            let Some(fate) = fates.get_mut(at) else { continue };
            if self.holds.get(at).is_some_and(|held| *held > 0) {
                fate.stays = true;
            }
            if fate.stays
                && let Some(parent) = self.index.parents.get(at).copied().flatten()
            {
                self.count(parent, 1);
            }
        }
    }

    fn count(&mut self, at: usize, by: usize) {
        if let Some(held) = self.holds.get_mut(at) {
            *held += by;
        }
    }

    /// Whether a name is there in the result, from the base or from the spec.
    fn there(&self, at: usize, fates: &[Fate]) -> bool {
        fates.get(at).is_some_and(|fate| fate.stays)
            || self.index.names.get(at).is_some_and(|name| self.overlay.added.contains_key(*name))
    }

    fn links(&mut self, fates: &mut [Fate]) {
        let mut queue: VecDeque<(usize, usize)> = VecDeque::new();
        for at in 0..fates.len() {
            let (Some(name), Some(node), Some(fate)) =
                (self.index.names.get(at), self.index.nodes.get(at), fates.get(at))
            else {
                continue;
            };
            let link = matches!(node.kind, NodeKind::Symlink(_));
            if !link || !fate.stays || fate.firm || self.overlay.added.contains_key(*name) {
                continue;
            }
            // A link that led nowhere before is not ours to touch.
            let Ok((end, links)) = self.index.tree.resolve(name) else { continue };
            for on in links.iter().chain([&end]).filter_map(|path| self.index.at(path)).filter(|on| *on != at) {
                self.leaning.entry(on).or_default().push(at);
                if !self.there(on, fates) {
                    queue.push_back((at, on));
                }
            }
        }
        while let Some((at, gone)) = queue.pop_front() {
            let why = fates.get(gone).map(|fate| std::sync::Arc::clone(&fate.reason));
            let (Some(fate), Some(target), Some(why)) = (fates.get_mut(at), self.index.names.get(gone), why) else {
                continue;
            };
            if !fate.stays {
                continue;
            }
            fate.stays = false;
            fate.rewrite = false;
            fate.reason = Reason::link(format!("it led to {target}, which goes"), &why);
            self.went(at, fates, &mut queue);
        }
    }

    /// A name went: links that lean on it follow, and the directory that held only it.
    fn went(&mut self, at: usize, fates: &mut [Fate], queue: &mut VecDeque<(usize, usize)>) {
        let mut next = Some(at);
        while let Some(at) = next.take() {
            queue.extend(self.leaning.get(&at).into_iter().flatten().map(|link| (*link, at)));
            let Some(parent) = self.index.parents.get(at).copied().flatten() else { return };
            let Some(held) = self.holds.get_mut(parent) else { return };
            *held = held.saturating_sub(1);
            let empty = *held == 0 && !self.own.get(parent).copied().unwrap_or(true);
            if let Some(fate) = fates.get_mut(parent).filter(|fate| empty && fate.stays) {
                fate.stays = false;
                fate.reason = Reason::fact("nothing in it stays");
                next = Some(parent);
            }
        }
    }
}
