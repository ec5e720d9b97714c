//! The way from a program's start to a place, out of the search's parents.

use super::process::Run;
use super::reach::{Node, Parent, Spot};
use super::result::{Step, Witness};

/// Most steps that are told; longer ways are cut in the middle by nobody, the search is breadth first.
const MOST: usize = 4096;

/// A node in words.
pub(crate) fn step(run: &Run, node: Node) -> Step {
    let (file, data) = match node {
        Node::Unit(file, _) => (file, false),
        Node::Object(file, _) => (file, true),
    };
    let loaded = run.process.file(file);
    let found = loaded.and_then(|loaded| match node {
        Node::Unit(_, unit) => loaded.summary.units.get(unit as usize).map(|unit| (unit.start, unit.name.clone())),
        Node::Object(_, object) => {
            loaded.summary.objects.get(object as usize).map(|object| (object.start, Some(object.section.clone())))
        }
    });
    let (address, name) = found.unwrap_or_default();
    Step { file: loaded.map(|loaded| loaded.path.clone()).unwrap_or_default(), name, address, data }
}

/// The way to a place.
pub(crate) fn witness(run: &Run, program: &str, spot: Spot) -> Witness {
    let mut steps = Vec::new();
    let mut node = spot.node;
    let mut root = "";
    for _ in 0..MOST {
        steps.push(step(run, node));
        match run.reach.parent(node) {
            Some(Parent::From(from)) => node = from,
            Some(Parent::Root(why)) => {
                root = why;
                break;
            }
            None => break,
        }
    }
    steps.reverse();
    Witness { program: program.to_owned(), root: root.to_owned(), steps, site: spot.at }
}

/// The way to a place through what holds a pointer to it.
pub(crate) fn through(run: &Run, program: &str, holder: Node, spot: Spot) -> Witness {
    let mut found = witness(run, program, Spot { node: holder, at: spot.at });
    found.steps.push(step(run, spot.node));
    found
}
