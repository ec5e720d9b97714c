//! Which packages belong to a base: apt's own choice, without its solver.
//!
//! As apt's `MarkInstall` does it: the packages that are asked for are taken first, then the dependencies of each, in
//! depth. Of alternatives that nothing satisfies yet the first that can be had is taken; of a name that is only
//! provided, the provider that is essential, then the one of the highest priority, then the first by name.
//! Recommended packages are not taken. What does not fit together then is an error: see [`super::check`].

use std::collections::BTreeMap;

use diag::{Diagnostic, codes, text::printable};
use formats::deb822;
use formats::dpkg::{Relation, is_package_name};

use super::candidate::Candidate;
use super::index::Index;

/// Packages of one base: more have no distribution.
const MAX_PACKAGES: usize = 100_000;

/// Why a package is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was in the base.
    Installed,
    Essential,
    Asked,
    /// A package needs it.
    Needed {
        by: String,
    },
}

/// The packages so far, and why.
pub(crate) struct Selection<'i> {
    pub(crate) index: &'i Index,
    pub(crate) architecture: &'i str,
    chosen: BTreeMap<String, (Candidate, Why)>,
    /// Packages that provide a name, in the order in which they were taken.
    given: BTreeMap<String, Vec<String>>,
    /// Packages that have something against a name: Conflicts or Breaks.
    against: BTreeMap<String, Vec<String>>,
}

impl<'i> Selection<'i> {
    /// Nothing yet.
    pub(crate) fn new(index: &'i Index, architecture: &'i str) -> Selection<'i> {
        let (chosen, given, against) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Selection { index, architecture, chosen, given, against }
    }

    /// What is installed already (dpkg's `status`): it stays as it is.
    ///
    /// # Errors
    /// E0466.
    pub(crate) fn installed(&mut self, status: &[u8]) -> Result<(), Diagnostic> {
        let broken = |why: String| {
            Diagnostic::new(codes::E0466, format!("the base's dpkg database cannot be used to add packages: {why}"))
                .help("use a base whose /var/lib/dpkg/status is whole")
        };
        for stanza in deb822::stanzas(status).map_err(|e| broken(e.to_string()))? {
            let read = Candidate::of_status(&stanza);
            let read = read.map_err(|e| broken(format!("the stanza in line {}: {e}", stanza.line)))?;
            let here = |c: &Candidate| c.architecture == "all" || c.architecture == self.architecture;
            if let Some(candidate) = read.filter(here) {
                self.take(candidate, Why::Installed);
            }
        }
        Ok(())
    }

    /// Takes the essential packages of the suite, and what they need.
    ///
    /// # Errors
    /// E0459, E0461, E0467.
    pub(crate) fn essential(&mut self) -> Result<(), Diagnostic> {
        let all = self.index.essential()?;
        self.mark(all, &Why::Essential)
    }

    /// Takes packages by name, and what they need.
    ///
    /// # Errors
    /// E0460 for a name that is none; E0459, E0461, E0467.
    pub(crate) fn roots(&mut self, names: &[String]) -> Result<(), Diagnostic> {
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        let mut all = Vec::new();
        for name in &names {
            if !self.chosen.contains_key(name) {
                all.push(self.named(name)?);
            }
        }
        self.mark(all, &Why::Asked)
    }

    /// The package of this name, or the only one that provides it.
    fn named(&self, name: &str) -> Result<Candidate, Diagnostic> {
        if let Some(candidate) = self.index.candidate(name)? {
            return Ok(candidate);
        }
        let mut providers = self.index.providers(name)?;
        if providers.len() > 1 {
            let names: Vec<&str> = providers.iter().map(|c| c.name.as_str()).collect();
            return Err(Diagnostic::new(codes::E0460, format!("`{name}` is provided by more than one package"))
                .note(format!("provided by: {}", names.join(", ")))
                .help("name the one that is meant"));
        }
        if let Some(only) = providers.pop() {
            return Ok(only);
        }
        let error = Diagnostic::new(codes::E0460, format!("the suite has no package `{}`", printable(name)));
        if !is_package_name(name) {
            return Err(error.help("give the name of a package alone, without version or architecture"));
        }
        Err(match super::near::nearest(name, self.index.names()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help("look for its name on the distribution's site, or in another suite"),
        })
    }

    /// Takes all of `roots`, then what each needs.
    fn mark(&mut self, roots: Vec<Candidate>, why: &Why) -> Result<(), Diagnostic> {
        let mut names = Vec::new();
        for root in roots {
            if !self.chosen.contains_key(&root.name) {
                names.push(root.name.clone());
                self.take(root, why.clone());
            }
        }
        for name in names {
            self.needs(&name)?;
        }
        Ok(())
    }

    /// In depth: a dependency's own dependencies come before the next one. The stack holds, of each package on the
    /// way, which of its dependencies is next.
    fn needs(&mut self, name: &str) -> Result<(), Diagnostic> {
        let mut stack = vec![(name.to_owned(), 0)];
        while let Some((name, next)) = stack.last_mut() {
            let group = self.chosen.get(name.as_str()).and_then(|(c, _)| c.depends.get(*next).cloned());
            let Some(group) = group else {
                stack.pop();
                continue;
            };
            *next += 1;
            if group.iter().any(|relation| self.satisfied(relation)) {
                continue;
            }
            let by = name.clone();
            let found = self.choose(&by, &group)?;
            stack.push((found.name.clone(), 0));
            self.take(found, Why::Needed { by });
            if self.chosen.len() > MAX_PACKAGES {
                return Err(self.unsatisfied(&group, &stack.first().map(|s| s.0.clone()).unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// The package for a group that nothing satisfies yet. One that would break what is taken already is left for
    /// another that would not.
    fn choose(&self, by: &str, group: &[Relation]) -> Result<Candidate, Diagnostic> {
        let mut first = None;
        let mut outdated = None;
        for relation in group {
            for candidate in self.targets(relation)? {
                if let Some((installed, _)) = self.chosen.get(&candidate.name) {
                    outdated.get_or_insert_with(|| (installed.clone(), candidate, relation.clone()));
                    continue;
                }
                if !self.clashes(&candidate) {
                    return Ok(candidate);
                }
                first.get_or_insert(candidate);
            }
        }
        match (first, outdated) {
            (Some(first), _) => Ok(first),
            (None, Some((installed, candidate, relation))) => Err(self.outdated(by, &installed, &candidate, &relation)),
            (None, None) => Err(self.unsatisfied(group, by)),
        }
    }

    /// Candidates for a relation, the best first.
    fn targets(&self, relation: &Relation) -> Result<Vec<Candidate>, Diagnostic> {
        let mut all = Vec::new();
        all.extend(self.index.candidate(&relation.name)?.filter(|c| c.is(relation, self.architecture)));
        let mut providers = self.index.providers(&relation.name)?;
        providers.retain(|c| c.name != relation.name && c.gives(relation, self.architecture));
        providers.sort_by(|a, b| {
            (!a.essential, a.priority, a.name.as_str()).cmp(&(!b.essential, b.priority, b.name.as_str()))
        });
        all.extend(providers);
        Ok(all)
    }

    /// Whether what is taken already satisfies a relation.
    pub(crate) fn satisfied(&self, relation: &Relation) -> bool {
        self.chosen.get(&relation.name).is_some_and(|(c, _)| c.is(relation, self.architecture))
            || self.givers(&relation.name).any(|c| c.gives(relation, self.architecture))
    }

    /// What is taken and provides a name.
    pub(crate) fn givers(&self, name: &str) -> impl Iterator<Item = &Candidate> {
        self.given.get(name).into_iter().flatten().filter_map(|giver| self.chosen.get(giver).map(|(c, _)| c))
    }

    /// Whether a package and what is taken exclude each other.
    fn clashes(&self, candidate: &Candidate) -> bool {
        let mine = candidate.conflicts.iter().chain(&candidate.breaks);
        let hit = |relation: &Relation| {
            self.chosen.get(&relation.name).is_some_and(|(c, _)| c.is(relation, self.architecture))
                || self.givers(&relation.name).any(|c| c.gives(relation, self.architecture))
        };
        if mine.into_iter().any(hit) {
            return true;
        }
        let names = std::iter::once(&candidate.name).chain(candidate.provides.iter().map(|p| &p.name));
        names.filter_map(|name| self.against.get(name)).flatten().any(|name| {
            self.chosen.get(name).is_some_and(|(c, _)| {
                c.conflicts
                    .iter()
                    .chain(&c.breaks)
                    .any(|r| candidate.is(r, self.architecture) || candidate.gives(r, self.architecture))
            })
        })
    }

    fn take(&mut self, candidate: Candidate, why: Why) {
        for provided in &candidate.provides {
            self.given.entry(provided.name.clone()).or_default().push(candidate.name.clone());
        }
        for other in candidate.conflicts.iter().chain(&candidate.breaks) {
            self.against.entry(other.name.clone()).or_default().push(candidate.name.clone());
        }
        self.chosen.insert(candidate.name.clone(), (candidate, why));
    }

    /// A taken package.
    pub(crate) fn get(&self, name: &str) -> Option<&Candidate> {
        self.chosen.get(name).map(|(c, _)| c)
    }

    /// All that is taken, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Candidate, &Why)> {
        self.chosen.values().map(|(c, why)| (c, why))
    }

    /// How a package came in: `nginx-light (asked for) → nginx-common → lsb-base`.
    pub(crate) fn chain(&self, name: &str) -> String {
        let mut links = vec![name.to_owned()];
        let mut at = name;
        // A package that needs itself by a detour cannot be its own reason: each was taken after its reason.
        while let Some((_, why)) = self.chosen.get(at) {
            let word = match why {
                Why::Needed { by } => {
                    links.push(by.clone());
                    at = by;
                    continue;
                }
                Why::Installed => "in the base",
                Why::Essential => "essential",
                Why::Asked => "asked for",
            };
            if let Some(last) = links.last_mut() {
                *last = format!("{last} ({word})");
            }
            break;
        }
        links.reverse();
        links.join(" → ")
    }

    /// E0461.
    fn unsatisfied(&self, group: &[Relation], by: &str) -> Diagnostic {
        let text = shown(group);
        let mut error = Diagnostic::new(codes::E0461, format!("`{by}` needs {text}, which the suite does not have"))
            .note(format!("wanted by: {}", self.chain(by)));
        for relation in group {
            if let Ok(Some(candidate)) = self.index.candidate(&relation.name) {
                error = error.note(format!("the suite has {} {}", candidate.name, candidate.version));
            }
        }
        error.help(
            "leave out the package that is asked for, or use another suite; in sid such gaps close in a day or two",
        )
    }

    /// E0467.
    fn outdated(&self, by: &str, installed: &Candidate, candidate: &Candidate, relation: &Relation) -> Diagnostic {
        Diagnostic::new(codes::E0467, format!("`{by}` needs `{relation}`, and the base has {}", installed.version))
            .note(format!("wanted by: {}", self.chain(by)))
            .note(format!(
                "the suite has {} {}; packages of a base are not replaced",
                candidate.name, candidate.version
            ))
            .help("use a newer base image of the same suite, or `apt:SUITE` as the base")
    }
}

/// The alternatives of a group.
pub(crate) fn shown(group: &[Relation]) -> String {
    let all: Vec<String> = group.iter().map(|relation| format!("`{relation}`")).collect();
    all.join(" or ")
}
