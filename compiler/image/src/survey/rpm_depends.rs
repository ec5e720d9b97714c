//! Which installed package of rpm meets which dependency: names, versions, files, rich dependencies.

use std::collections::BTreeMap;

use formats::rpm::{Package, Relation, Rich, overlap, rich, sense, state};
use plan::facts::{Dependency, Requirement};
use plan::path::ImagePath;
use plan::tree::Tree;

/// Most providers of a name that are looked at; no distribution comes near it, and a header of enemies does not make
/// every dependency slow.
const MOST: usize = 1024;

/// Installed packages, in the order of the facts, made searchable.
pub(super) struct Installed<'a> {
    provided: BTreeMap<&'a str, Vec<(usize, &'a Relation)>>,
    /// Owners of the files that somebody depends on, by the path in the dependency.
    files: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Installed<'a> {
    pub fn new(tree: &Tree, all: &[&'a Package]) -> Self {
        let mut provided: BTreeMap<&str, Vec<(usize, &Relation)>> = BTreeMap::new();
        for (at, package) in all.iter().enumerate() {
            for one in &package.provides {
                provided.entry(&one.name).or_default().push((at, one));
            }
        }
        Self { provided, files: wanted_files(tree, all) }
    }

    /// What a package needs, each with who meets it; what it provides itself is left out.
    pub fn requirements(&self, own: usize, package: &Package) -> Vec<Requirement> {
        let mut all: Vec<Requirement> = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for relation in &package.requires {
            // Of rpm itself, to unpack the package.
            if relation.sense & sense::RPMLIB != 0 || relation.name.starts_with("rpmlib(") {
                continue;
            }
            let scripts_only = relation.scripts_only();
            let found = match relation.name.starts_with('(') {
                true => self.rich(relation),
                false => vec![one(relation, self.meet(relation).next())],
            };
            for mut requirement in found {
                requirement.scripts_only = scripts_only;
                if requirement.met_by == Some(own) {
                    continue;
                }
                // The same for a script and for the package is a need of the package.
                match seen.get(&requirement.to_string()).and_then(|at| all.get_mut(*at)) {
                    Some(other) => other.scripts_only &= scripts_only,
                    None => {
                        seen.insert(requirement.to_string(), all.len());
                        all.push(requirement);
                    }
                }
            }
        }
        all
    }

    /// All packages that meet a plain dependency.
    fn meet<'b>(&'b self, wanted: &'b Relation) -> impl Iterator<Item = usize> + 'b {
        let provided = self.provided.get(wanted.name.as_str()).into_iter().flatten();
        let fits = |have: &Relation| overlap(&have.evr, have.sense, &wanted.evr, wanted.sense);
        let provided = provided.take(MOST).filter(move |(_, have)| fits(have)).map(|(at, _)| *at);
        provided.chain(self.files.get(wanted.name.as_str()).into_iter().flatten().copied())
    }

    /// A rich dependency as plain ones; one that cannot be read is met by nobody.
    fn rich(&self, relation: &Relation) -> Vec<Requirement> {
        match rich(&relation.name) {
            Ok(parsed) => self.needs(&parsed),
            Err(_) => vec![one(relation, None)],
        }
    }

    fn needs(&self, wanted: &Rich) -> Vec<Requirement> {
        match wanted {
            Rich::One(relation) => vec![one(relation, self.meet(relation).next())],
            Rich::And(all) => all.iter().flat_map(|part| self.needs(part)).collect(),
            Rich::Or(all) => match all.iter().find(|part| self.met(part)) {
                Some(part) => self.needs(part),
                None => vec![Requirement { alternatives: names(all), met_by: None, scripts_only: false }],
            },
            Rich::If(then, condition, otherwise) | Rich::Unless(then, condition, otherwise) => {
                let holds = self.met(condition) == matches!(wanted, Rich::If(..));
                match (holds, otherwise) {
                    (true, _) => self.needs(then),
                    (false, Some(otherwise)) => self.needs(otherwise),
                    (false, None) => Vec::new(),
                }
            }
            Rich::With(all) => {
                vec![Requirement { alternatives: names(all), met_by: self.one_package(wanted), scripts_only: false }]
            }
            Rich::Without(first, _) => {
                let alternatives = names(std::slice::from_ref(first));
                vec![Requirement { alternatives, met_by: self.one_package(wanted), scripts_only: false }]
            }
        }
    }

    fn met(&self, wanted: &Rich) -> bool {
        match wanted {
            Rich::One(relation) => self.meet(relation).next().is_some(),
            Rich::And(all) => all.iter().all(|part| self.met(part)),
            Rich::Or(all) => all.iter().any(|part| self.met(part)),
            Rich::With(_) | Rich::Without(..) => self.one_package(wanted).is_some(),
            Rich::If(then, condition, otherwise) | Rich::Unless(then, condition, otherwise) => {
                let holds = self.met(condition) == matches!(wanted, Rich::If(..));
                if holds { self.met(then) } else { otherwise.as_ref().is_none_or(|part| self.met(part)) }
            }
        }
    }

    /// The first package that meets all by itself.
    fn one_package(&self, wanted: &Rich) -> Option<usize> {
        self.packages(wanted).into_iter().next()
    }

    /// Packages that each meet it, rising.
    fn packages(&self, wanted: &Rich) -> std::collections::BTreeSet<usize> {
        match wanted {
            Rich::One(relation) => self.meet(relation).collect(),
            Rich::Or(all) => all.iter().flat_map(|part| self.packages(part)).collect(),
            Rich::With(all) | Rich::And(all) => {
                let mut parts = all.iter().map(|part| self.packages(part));
                let first = parts.next().unwrap_or_default();
                parts.fold(first, |left, right| &left & &right)
            }
            Rich::Without(first, second) => &self.packages(first) - &self.packages(second),
            Rich::If(then, ..) | Rich::Unless(then, ..) => self.packages(then),
        }
    }
}

fn one(relation: &Relation, met_by: Option<usize>) -> Requirement {
    Requirement { alternatives: vec![dependency(relation)], met_by, scripts_only: false }
}

fn dependency(relation: &Relation) -> Dependency {
    let version = relation.op().map(|op| (op.to_string(), relation.evr.clone()));
    Dependency { name: relation.name.clone(), version }
}

/// The plain names in them, for people.
fn names<R: std::borrow::Borrow<Rich>>(all: &[R]) -> Vec<Dependency> {
    let mut out = Vec::new();
    for part in all {
        match part.borrow() {
            Rich::One(relation) => out.push(dependency(relation)),
            Rich::And(all) | Rich::Or(all) | Rich::With(all) => out.extend(names(all)),
            Rich::Without(first, _) | Rich::If(first, ..) | Rich::Unless(first, ..) => {
                out.extend(names(std::slice::from_ref(first)));
            }
        }
    }
    out
}

/// Dependencies on paths: who owns what is there. Directories on the way may be links on either side.
fn wanted_files<'a>(tree: &Tree, all: &[&'a Package]) -> BTreeMap<&'a str, Vec<usize>> {
    let real = |path: &[u8]| {
        let path = ImagePath::parse(path).ok()?;
        let parent = path.parent()?;
        tree.resolve(&parent).map_or(parent, |(real, _)| real).join(path.name()).ok()
    };
    let mut wanted: BTreeMap<ImagePath, Vec<&str>> = BTreeMap::new();
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let requires = all.iter().flat_map(|package| &package.requires);
    for name in requires.filter_map(|r| r.name.starts_with('/').then_some(r.name.as_str())) {
        if found.insert(name, Vec::new()).is_none()
            && let Some(path) = real(name.as_bytes())
        {
            wanted.entry(path).or_default().push(name);
        }
    }
    let last: std::collections::BTreeSet<Vec<u8>> = wanted.keys().map(|path| path.name().to_vec()).collect();
    for (at, package) in all.iter().enumerate() {
        for file in package.files.iter().filter(|file| file.state == state::NORMAL) {
            let name = file.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
            let names = last.contains(name).then(|| real(&file.path)).flatten().and_then(|path| wanted.get(&path));
            for name in names.into_iter().flatten() {
                found.entry(name).or_default().push(at);
            }
        }
    }
    found
}
