//! One search over code and data of all files of a process. Whoever came first is the parent: the way back is
//! the witness of a call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::link::Process;
use super::summary::{Ask, Atom, Edge, Held, Import, Named, Unit, Why};

/// A piece of code or data of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// File and unit.
    Unit(u32, u32),
    /// File and object.
    Object(u32, u32),
}

/// Why a node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// From another.
    From(Node),
    /// By itself.
    Root(&'static str),
}

/// What a rule takes out of the search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts {
    /// Units that are not entered.
    pub closed: BTreeSet<(u32, u32)>,
    /// Edges of units.
    pub edges: BTreeSet<(u32, u32, Edge)>,
    /// Calls of units, by number.
    pub calls: BTreeSet<(u32, u32, u32)>,
}

/// How a unit is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By a call or jump that was followed in the file.
    Known,
    /// Through the slot of an import, by a call of that unit.
    Import(u32, u32, u32),
    /// By any pointer.
    Pointer,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Where.
    pub node: Node,
    /// The instruction.
    pub at: u64,
}

/// The search, as far as it got. More files may be added, and it goes on.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    units: Vec<Vec<Option<Parent>>>,
    objects: Vec<Vec<Option<Parent>>>,
    queue: VecDeque<Node>,
    /// Calls by number, and who makes each first.
    pub calls: BTreeMap<u32, Spot>,
    /// Calls of unknown number.
    /// With a pointer: what holds it.
    pub open: BTreeMap<Spot, (Why, Option<Node>)>,
    /// Wishes that nothing answered: files that come later may.
    unanswered: BTreeSet<(u32, u32, Node)>,
    /// Functions that fill slots, which the loader has run.
    pub ran: BTreeSet<(u32, u32)>,
    /// What is taken out.
    pub cuts: Cuts,
    /// Names that were given to dlsym.
    pub names: BTreeSet<String>,
    /// Units that ask dlsym or dlopen for what is not known.
    pub asking: BTreeMap<(u32, u32), BTreeSet<&'static str>>,
}

impl Reach {
    /// Takes in files that were added to the process.
    pub fn grow(&mut self, process: &Process) {
        for loaded in process.files.iter().skip(self.units.len()) {
            self.units.push(vec![None; loaded.summary.units.len()]);
            self.objects.push(vec![None; loaded.summary.objects.len()]);
        }
        for (file, import, from) in std::mem::take(&mut self.unanswered) {
            self.import(process, file, import, from, Way::Pointer);
        }
    }

    /// Why a node is reached; none when it is not.
    pub fn parent(&self, node: Node) -> Option<Parent> {
        let (list, file, place) = match node {
            Node::Unit(file, unit) => (&self.units, file, unit),
            Node::Object(file, object) => (&self.objects, file, object),
        };
        list.get(file as usize)?.get(place as usize).copied().flatten()
    }

    /// Whether a unit is reached.
    pub fn has(&self, file: u32, unit: u32) -> bool {
        self.parent(Node::Unit(file, unit)).is_some()
    }

    /// Whether nothing is left to look at.
    pub fn idle(&self) -> bool {
        self.queue.is_empty()
    }

    fn mark(&mut self, node: Node, parent: Parent) {
        let (list, file, place) = match node {
            Node::Unit(file, unit) => (&mut self.units, file, unit),
            Node::Object(file, object) => (&mut self.objects, file, object),
        };
        if let Some(slot) = list.get_mut(file as usize).and_then(|list| list.get_mut(place as usize))
            && slot.is_none()
        {
            *slot = Some(parent);
            self.queue.push_back(node);
        }
    }

    /// Begins at a unit that is called with arguments that nobody knows.
    pub fn root_unknown(&mut self, process: &Process, file: u32, unit: u32, why: &'static str) {
        if let Some(known) = unit_of(process, file, unit)
            && !known.wants.is_empty()
            && !known.pointed
        {
            self.open.insert(Spot { node: Node::Unit(file, unit), at: known.start }, (Why::Pointer, None));
        }
        self.root_unit(file, unit, why);
    }

    /// Begins at a unit.
    pub fn root_unit(&mut self, file: u32, unit: u32, why: &'static str) {
        self.mark(Node::Unit(file, unit), Parent::Root(why));
    }

    /// Begins at what a slot holds.
    pub fn root_slot(&mut self, process: &Process, file: u32, slot: u32, why: &'static str) {
        let Some(loaded) = process.file(file) else { return };
        match loaded.summary.slots.get(slot as usize).map(|slot| slot.to) {
            Some(Held::Unit(unit)) => self.root_unit(file, unit, why),
            Some(Held::Import(import)) => {
                let Some(wish) = import_of(process, file, import) else { return };
                for target in process.resolve(file, wish) {
                    if let Named::Unit(unit) | Named::Resolver(unit) = target.named {
                        self.root_unit(target.file, unit, why);
                    }
                }
            }
            _ => {}
        }
    }

    /// Begins at an object.
    pub fn root_object(&mut self, file: u32, object: u32, why: &'static str) {
        self.mark(Node::Object(file, object), Parent::Root(why));
    }

    /// Begins at a name.
    pub fn root_name(&mut self, process: &Process, name: &str, version: Option<&str>, why: &'static str) {
        for target in process.lookup(None, name, version) {
            match target.named {
                Named::Unit(unit) | Named::Resolver(unit) => self.root_unknown(process, target.file, unit, why),
                Named::Object(object) => self.root_object(target.file, object, why),
                Named::Nothing => {}
            }
        }
    }

    /// Begins at whatever a file exports.
    pub fn root_exports(&mut self, process: &Process, file: u32, why: &'static str) {
        let Some(loaded) = process.file(file) else { return };
        for export in &loaded.summary.exports {
            match export.to {
                Named::Unit(unit) | Named::Resolver(unit) => self.root_unknown(process, file, unit, why),
                Named::Object(object) => self.root_object(file, object, why),
                Named::Nothing => {}
            }
        }
    }

    /// Runs a function that fills a slot: what it does counts, what it returns only once the slot is used.
    pub fn run_resolver(&mut self, process: &Process, file: u32, unit: u32) {
        let Some(known) = unit_of(process, file, unit) else { return };
        if !self.ran.insert((file, unit)) {
            return;
        }
        let node = Node::Unit(file, unit);
        for edge in &known.edges {
            if matches!(edge, Edge::Go(_) | Edge::Through(_)) {
                self.step(process, file, node, *edge);
            }
        }
        self.sites(file, unit, known);
    }

    /// Searches until nothing new is found.
    pub fn run(&mut self, process: &Process) {
        while let Some(node) = self.queue.pop_front() {
            match node {
                Node::Unit(file, unit) => {
                    let Some(known) = unit_of(process, file, unit) else { continue };
                    self.sites(file, unit, known);
                    self.asked(process, file, unit);
                    for edge in &known.edges {
                        self.step(process, file, node, *edge);
                    }
                }
                Node::Object(file, object) => {
                    let Some(summary) = process.file(file).map(|loaded| &loaded.summary) else { continue };
                    let Some(object) = summary.objects.get(object as usize) else { continue };
                    for slot in summary.slots_in(object.start, object.end) {
                        self.slot(process, file, node, slot, Way::Pointer);
                    }
                }
            }
        }
    }

    fn sites(&mut self, file: u32, unit: u32, known: &Unit) {
        let node = Node::Unit(file, unit);
        for site in &known.sites {
            for number in &site.numbers {
                if !self.cuts.calls.contains(&(file, unit, *number)) {
                    self.calls.entry(*number).or_insert(Spot { node, at: site.at });
                }
            }
        }
        for open in &known.open {
            self.open.insert(Spot { node, at: open.at }, (open.why, None));
        }
    }

    /// What a unit asks the loader for.
    fn asked(&mut self, process: &Process, file: u32, unit: u32) {
        let Some(summary) = process.file(file).map(|loaded| &loaded.summary) else { return };
        let first = summary.asks.partition_point(|ask| ask.unit < unit);
        for ask in summary.asks.iter().skip(first).take_while(|ask| ask.unit == unit) {
            let name = summary.imports.get(ask.import as usize).map(|import| import.name.as_str());
            let (place, what) = match name {
                Some("dlsym" | "dlvsym") => (1, "dlsym"),
                Some("dlopen") => (0, "dlopen"),
                Some("dlmopen") => (1, "dlopen"),
                _ => continue,
            };
            match ask.texts.get(place) {
                Some(Some(texts)) if what == "dlsym" => self.names.extend(texts.iter().cloned()),
                Some(Some(_)) => {}
                _ => _ = self.asking.entry((file, unit)).or_default().insert(what),
            }
        }
    }

    fn step(&mut self, process: &Process, file: u32, from: Node, edge: Edge) {
        let unit = match from {
            Node::Unit(_, unit) => unit,
            Node::Object(..) => u32::MAX,
        };
        if self.cuts.edges.contains(&(file, unit, edge)) {
            return;
        }
        match edge {
            Edge::Go(to) => self.enter(process, file, to, from, Way::Known),
            Edge::Take(to) => self.enter(process, file, to, from, Way::Pointer),
            Edge::Data(object) => self.mark(Node::Object(file, object), Parent::From(from)),
            Edge::Through(slot) | Edge::Read(slot) => {
                let held = process.file(file).and_then(|l| l.summary.slots.get(slot as usize)).map(|slot| slot.to);
                let way = match held {
                    Some(Held::Import(import)) => Way::Import(file, unit, import),
                    _ => Way::Pointer,
                };
                self.slot(process, file, from, slot as usize, way);
            }
        }
    }

    fn slot(&mut self, process: &Process, file: u32, from: Node, slot: usize, way: Way) {
        let Some(held) = process.file(file).and_then(|l| l.summary.slots.get(slot)).map(|slot| slot.to) else { return };
        match held {
            Held::Unit(unit) | Held::Resolver(unit) => self.enter(process, file, unit, from, way),
            Held::Object(object) => self.mark(Node::Object(file, object), Parent::From(from)),
            Held::Import(import) => self.import(process, file, import, from, way),
            Held::Copy(import) => {
                // The bytes of the definition in another file.
                let Some(wish) = import_of(process, file, import) else { return };
                for target in process.files.iter().zip(0_u32..).filter(|(_, other)| *other != file) {
                    for export in target.0.summary.exports.iter().filter(|export| export.name == wish.name) {
                        if let Named::Object(object) = export.to {
                            self.mark(Node::Object(target.1, object), Parent::From(from));
                        }
                    }
                }
            }
        }
    }

    fn import(&mut self, process: &Process, file: u32, import: u32, from: Node, way: Way) {
        let Some(wish) = import_of(process, file, import) else { return };
        let targets = process.resolve(file, wish);
        if targets.is_empty() {
            self.unanswered.insert((file, import, from));
        }
        for target in targets {
            match target.named {
                Named::Unit(unit) | Named::Resolver(unit) => self.enter(process, target.file, unit, from, way),
                Named::Object(object) => self.mark(Node::Object(target.file, object), Parent::From(from)),
                Named::Nothing => {}
            }
        }
    }

    fn enter(&mut self, process: &Process, file: u32, unit: u32, from: Node, way: Way) {
        if self.cuts.closed.contains(&(file, unit)) {
            return;
        }
        if way != Way::Known
            && let Some(known) = unit_of(process, file, unit)
            && !known.wants.is_empty()
        {
            self.wanted(process, (file, unit), known, from, way);
        }
        self.mark(Node::Unit(file, unit), Parent::From(from));
    }

    /// A unit that wants the number of a call from whoever calls it, who is not of its file or not known.
    fn wanted(&mut self, process: &Process, unit: (u32, u32), known: &Unit, from: Node, way: Way) {
        let asks: Vec<&Ask> = match way {
            Way::Import(file, caller, import) => {
                let asks = process.file(file).map(|loaded| loaded.summary.asks.as_slice()).unwrap_or_default();
                asks.iter().filter(|ask| ask.unit == caller && ask.import == import).collect()
            }
            _ => Vec::new(),
        };
        if asks.is_empty() {
            if known.pointed {
                return;
            }
            let spot = Spot { node: Node::Unit(unit.0, unit.1), at: known.start };
            self.open.entry(spot).or_insert((Why::Pointer, Some(from)));
            return;
        }
        let arch_arguments = [&[7_u8, 6, 2, 1, 8, 9][..], &[0, 1, 2, 3, 4, 5][..]];
        for ask in asks {
            // The number that libc's function takes was followed in the caller's file.
            let name = import_name(process, way);
            if name == Some("syscall") {
                continue;
            }
            for want in &known.wants {
                let place = match want {
                    Atom::Register(register) => {
                        arch_arguments[usize::from(process.arm)].iter().position(|r| r == register)
                    }
                    _ => None,
                };
                let spot = Spot { node: from, at: ask.at };
                match place.and_then(|place| ask.arguments.get(place)) {
                    Some(Some(numbers)) => {
                        for number in numbers {
                            match u32::try_from(number & 0xffff_ffff) {
                                Ok(number) if number <= 0xffff => _ = self.calls.entry(number).or_insert(spot),
                                _ => _ = self.open.insert(spot, (Why::Computed, None)),
                            }
                        }
                    }
                    _ => _ = self.open.insert(spot, (Why::Computed, None)),
                }
            }
        }
    }
}

fn import_name(process: &Process, way: Way) -> Option<&str> {
    let Way::Import(file, _, import) = way else { return None };
    import_of(process, file, import).map(|import| import.name.as_str())
}

fn unit_of(process: &Process, file: u32, unit: u32) -> Option<&Unit> {
    process.file(file)?.summary.units.get(unit as usize)
}

fn import_of(process: &Process, file: u32, import: u32) -> Option<&Import> {
    process.file(file)?.summary.imports.get(import as usize)
}
