//! apk's database → packages.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use diag::text::{printable, printable_bytes};
use diag::{Diagnostic, Diagnostics, codes};
use formats::apk::{self, Atom};
use plan::decide::keep::apk_directory;
use plan::facts::{Dependency, Family, Package, PackageFacts, Requirement};
use plan::path::ImagePath;
use plan::tree::Tree;

type Files = BTreeMap<ImagePath, Vec<u8>>;

/// The files of the database that decisions are made on.
pub(super) const FILES: [&[u8]; 4] = [b"installed", b"triggers", b"scripts.tar", b"scripts.tar.gz"];

/// Reads the database; a broken one is complained of, and then no package is taken from it.
pub(super) fn packages(tree: &Tree, files: &Files, out: &mut Diagnostics) -> PackageFacts {
    let mut facts = PackageFacts { family: Family::Apk, packages: Vec::new(), diversions: Vec::new(), frozen: None };
    match read(tree, files) {
        Ok(packages) => facts.packages = packages,
        Err(broken) => out.push(broken),
    }
    facts
}

fn broken(path: &ImagePath, what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(codes::E0640, format!("{path} of the base cannot be read: {what}"))
        .help("repair the base (apk audit --system says more), or take another one")
}

fn read(tree: &Tree, files: &Files) -> Result<Vec<Package>, Diagnostic> {
    let Some(directory) = apk_directory(tree) else { return Ok(Vec::new()) };
    let path = directory.join(b"installed").unwrap_or_else(|_| directory.clone());
    let bytes = files.get(&path).map(Vec::as_slice).unwrap_or_default();
    let mut all = apk::installed(bytes).map_err(|error| broken(&path, error))?.packages;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some([twice, _]) = all.windows(2).find(|two| two[0].name == two[1].name) {
        return Err(broken(&path, format!("the package {} stands there twice", printable(&twice.name))));
    }
    let scripts = scripts(&directory, files);
    let installed = Providers::new(&all);
    all.iter().map(|one| package(one, &path, &installed, &scripts)).collect()
}

/// Checksums of the packages that have scripts: they are filed under these.
fn scripts(directory: &ImagePath, files: &Files) -> BTreeSet<String> {
    let path = directory.join(b"scripts.tar").ok();
    let bytes = path.and_then(|path| files.get(&path)).map(Vec::as_slice).unwrap_or_default();
    let found = std::cell::RefCell::new(BTreeSet::new());
    // A broken archive is complained of when it is written.
    let _ = apk::filter_scripts(bytes, |name| {
        found.borrow_mut().extend(apk::script_of(name).map(|(checksum, _)| checksum.to_string()));
        false
    });
    found.into_inner()
}

fn package(
    one: &apk::Package,
    path: &ImagePath,
    installed: &Providers<'_>,
    scripts: &BTreeSet<String>,
) -> Result<Package, Diagnostic> {
    let mut paths = Vec::new();
    for listed in &one.listed {
        let parsed = ImagePath::parse(&listed.path);
        paths.push(parsed.map_err(|e| broken(path, format!("{}: {e}", printable_bytes(&listed.path))))?);
    }
    paths.sort();
    paths.dedup();
    let has_scripts = scripts.contains(&one.checksum);
    let depends = one.depends.iter().filter(|atom| !atom.conflict).map(|atom| Requirement {
        alternatives: vec![dependency(atom)],
        met_by: installed.find(atom),
        // abuild adds this one for the scripts' first line.
        scripts_only: has_scripts && atom.name == "/bin/sh",
    });
    Ok(Package {
        name: one.name.clone(),
        arch: one.arch.clone(),
        version: one.version.clone(),
        source: one.origin.clone().filter(|origin| *origin != one.name),
        essential: false,
        depends: depends.collect(),
        provides: one.provides.iter().map(|p| (p.name.clone(), p.version.clone())).collect(),
        paths,
        conffiles: Vec::new(),
        md5sums: BTreeMap::new(),
        installed_size: one.installed_size.map(|bytes| bytes.div_ceil(1024)),
        database_files: Vec::new(),
    })
}

fn dependency(atom: &Atom) -> Dependency {
    let version = atom.version.as_ref().map(|(op, version)| (op.to_string(), version.clone()));
    Dependency { name: atom.name.clone(), version }
}

/// Most providers of a name that are looked at, so that no database of enemies makes every dependency slow.
const MOST: usize = 1024;

/// Which packages have or provide a name.
pub(crate) struct Providers<'a>(BTreeMap<&'a str, Vec<(usize, Option<&'a str>)>>);

impl<'a> Providers<'a> {
    /// Of these packages, by their place.
    pub fn new(all: &'a [apk::Package]) -> Self {
        let mut names: BTreeMap<&str, Vec<(usize, Option<&str>)>> = BTreeMap::new();
        for (at, one) in all.iter().enumerate() {
            names.entry(&one.name).or_default().push((at, Some(&one.version)));
            for provide in one.provides.iter().filter(|p| p.name != one.name) {
                names.entry(&provide.name).or_default().push((at, provide.version.as_deref()));
            }
        }
        // The package of the name itself, then the provider that wants to be taken most, then by name.
        for (name, found) in &mut names {
            let priority = |at: usize| all.get(at).map_or(0, |one| one.provider_priority);
            let own = |at: usize| all.get(at).is_some_and(|one| one.name == *name);
            found.sort_by_key(|(at, _)| (!own(*at), Reverse(priority(*at)), *at));
        }
        Self(names)
    }

    /// The package that meets a dependency.
    pub fn find(&self, atom: &Atom) -> Option<usize> {
        self.all(atom).next()
    }

    /// All packages that meet it.
    pub fn all(&self, atom: &Atom) -> impl Iterator<Item = usize> {
        let found = self.0.get(atom.name.as_str()).into_iter().flatten();
        found.take(MOST).filter(|(_, version)| atom.met_by(*version)).map(|(at, _)| *at)
    }
}
