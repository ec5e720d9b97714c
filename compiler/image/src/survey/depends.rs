//! Which installed package meets which dependency: names, versions, architectures, Provides.

use std::collections::BTreeMap;

use formats::dpkg::{self, Relation, Version};
use plan::facts::{Dependency, Requirement};

/// Installed packages, in the order of the facts, made searchable.
pub(super) struct Installed<'a> {
    all: &'a [&'a dpkg::Package],
    native: &'a str,
    by_name: BTreeMap<&'a str, Vec<usize>>,
    /// Virtual name → package and the version that it provides.
    provided: BTreeMap<&'a str, Vec<(usize, Option<&'a Version>)>>,
}

impl<'a> Installed<'a> {
    pub fn new(all: &'a [&'a dpkg::Package], native: &'a str) -> Self {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut provided: BTreeMap<&str, Vec<(usize, Option<&Version>)>> = BTreeMap::new();
        for (at, package) in all.iter().enumerate() {
            by_name.entry(&package.name).or_default().push(at);
            for one in package.provides.iter().flatten() {
                provided.entry(&one.name).or_default().push((at, one.version.as_ref().map(|(_, v)| v)));
            }
        }
        // Several may provide a name: the more important one, then the first by name, as apt chooses.
        for list in provided.values_mut() {
            list.sort_by_key(|(at, _)| (all.get(*at).map_or(9, |p| importance(p)), *at));
        }
        Self { all, native, by_name, provided }
    }

    /// Pre-Depends and Depends of a package, each with who meets it.
    pub fn requirements(&self, package: &dpkg::Package) -> Vec<Requirement> {
        let groups = package.pre_depends.iter().chain(&package.depends);
        groups
            .map(|group| Requirement {
                alternatives: group
                    .iter()
                    .map(|one| Dependency {
                        name: one.name.clone(),
                        version: one.version.as_ref().map(|(op, v)| (op.as_str().into(), v.to_string())),
                    })
                    .collect(),
                met_by: group.iter().find_map(|one| self.meets(package, one)),
                // dpkg's fields do not tell: it is known of the packages.
                scripts_only: !group.is_empty() && group.iter().all(|one| maintainer(&one.name)),
            })
            .collect()
    }

    fn meets(&self, package: &dpkg::Package, wanted: &Relation) -> Option<usize> {
        let fits = |have: Option<&Version>| match (&wanted.version, have) {
            (None, _) => true,
            (Some((op, want)), Some(have)) => op.holds(have, want),
            (Some(_), None) => false,
        };
        let real = self.by_name.get(wanted.name.as_str()).into_iter().flatten().copied();
        let real = real.filter(|at| {
            self.all.get(*at).is_some_and(|p| fits(p.version.as_ref()) && self.architecture(package, wanted, p))
        });
        let provided = self.provided.get(wanted.name.as_str()).into_iter().flatten();
        let provided = provided.filter(|(at, version)| {
            fits(*version) && self.all.get(*at).is_some_and(|p| self.architecture(package, wanted, p))
        });
        real.chain(provided.map(|(at, _)| *at)).next()
    }

    /// Whether a package's architecture serves the dependency of another (Multi-Arch, deb-control(5)).
    fn architecture(&self, package: &dpkg::Package, wanted: &Relation, candidate: &dpkg::Package) -> bool {
        match (wanted.qualifier.as_deref(), candidate.multi_arch.as_deref()) {
            (Some("any"), Some("allowed")) => true,
            (Some(qualifier), _) if qualifier != "any" && qualifier != "native" => candidate.architecture == qualifier,
            (_, Some("foreign")) => true,
            _ => self.own(candidate) == self.own(package),
        }
    }

    /// `all` counts as the system's own architecture.
    fn own<'b>(&'b self, package: &'b dpkg::Package) -> &'b str {
        match package.architecture.as_str() {
            "all" | "" => self.native,
            other => other,
        }
    }
}

fn importance(package: &dpkg::Package) -> usize {
    let ranks = ["required", "important", "standard", "optional", "extra"];
    let priority = package.priority.as_deref().unwrap_or("optional");
    ranks.iter().position(|rank| *rank == priority).unwrap_or(ranks.len())
}

/// Whether maintainer scripts alone use the package: `stdlib/closure/maintainer.txt`.
fn maintainer(name: &str) -> bool {
    let all = include_str!("../../../../stdlib/closure/maintainer.txt");
    all.lines().any(|line| line == name)
}
