//! rpm's database → packages.

use std::collections::BTreeMap;

use diag::text::{printable, printable_bytes};
use diag::{Diagnostic, Diagnostics, codes};
use formats::rpm::{self, ContainerError, Header, Record, flag, state};
use plan::decide::keep::rpm_directory;
use plan::facts::{Family, Package, PackageFacts};
use plan::path::ImagePath;
use plan::tree::Tree;

use super::rpm_depends::Installed;

type Files = BTreeMap<ImagePath, Vec<u8>>;

/// The files of the database that decisions are made on.
pub(super) const FILES: [&[u8]; 5] = [b"rpmdb.sqlite", b"rpmdb.sqlite-wal", b"Packages.db", b"Index.db", b"Packages"];

/// Reads the database; a broken one is complained of, and then no package is taken from it.
pub(super) fn packages(tree: &Tree, files: &Files, out: &mut Diagnostics) -> PackageFacts {
    let mut facts = PackageFacts { family: Family::Rpm, packages: Vec::new(), diversions: Vec::new(), frozen: None };
    match load(tree, files) {
        Ok(loaded) => {
            let read: Vec<&rpm::Package> = loaded.packages.iter().map(|(_, package)| package).collect();
            let installed = Installed::new(tree, &read);
            match read.iter().enumerate().map(|(at, one)| package(one, at, &loaded.path, &installed)).collect() {
                Ok(packages) => facts.packages = packages,
                Err(broken) => out.push(broken),
            }
            let why = "its rpm database is a Berkeley DB file, which k8orc reads but does not write";
            facts.frozen = (loaded.container == Container::BerkeleyDb).then(|| why.into());
        }
        Err(broken) => out.push(broken),
    }
    facts
}

/// Most bytes of all paths together (256 MiB): short headers can spell long lists of paths.
const LONGEST_PATHS: usize = 256 << 20;

/// How the database is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Sqlite,
    Ndb,
    BerkeleyDb,
}

/// The whole database.
pub(crate) struct Loaded {
    pub container: Container,
    /// Its file.
    pub path: ImagePath,
    /// Packages in the order of the facts: by name, architecture, then as they were installed.
    pub packages: Vec<(Record, rpm::Package)>,
}

fn broken(path: &ImagePath, what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::new(codes::E0640, format!("{path} of the base cannot be read: {what}"))
        .help("repair the base (rpmdb --verifydb, rpm --rebuilddb), or take another one")
}

/// Reads a base's database from the files of the survey.
pub(crate) fn load(tree: &Tree, files: &Files) -> Result<Loaded, Diagnostic> {
    let place = rpm_directory(tree).unwrap_or_else(ImagePath::root);
    let at = |name: &str| place.join(name.as_bytes()).unwrap_or_else(|_| place.clone());
    let log = files.get(&at("rpmdb.sqlite-wal")).map(Vec::as_slice).unwrap_or_default();
    type Read<'a> = Box<dyn Fn(&[u8]) -> Result<Vec<Record>, ContainerError> + 'a>;
    let containers: [(Container, &str, Read<'_>); 3] = [
        (Container::Sqlite, "rpmdb.sqlite", Box::new(|bytes| rpm::sqlite::packages(bytes, log))),
        (Container::Ndb, "Packages.db", Box::new(rpm::ndb::packages)),
        (Container::BerkeleyDb, "Packages", Box::new(rpm::bdb::packages)),
    ];
    let found = containers.into_iter().find_map(|one| files.get(&at(one.1)).map(|bytes| (one, bytes)));
    let Some(((container, name, read), bytes)) = found else {
        return Err(broken(&place, "there is no plain file with rpm's database"));
    };
    let path = at(name);
    let mut packages = Vec::new();
    let mut room = LONGEST_PATHS;
    for record in read(bytes).map_err(|error| broken(&path, error))? {
        let header = Header::parse(&record.blob).and_then(|header| rpm::Package::read(&header));
        let package = header.map_err(|e| broken(&path, format!("the header of package {}: {e}", record.number)))?;
        let paths: usize = package.files.iter().map(|file| file.path.len()).sum();
        room = room.checked_sub(paths).ok_or_else(|| broken(&path, "its paths have more than 256 MiB"))?;
        packages.push((record, package));
    }
    packages.sort_by(|(a, one), (b, two)| (&one.name, &one.arch, a.number).cmp(&(&two.name, &two.arch, b.number)));
    Ok(Loaded { container, path, packages })
}

fn package(one: &rpm::Package, at: usize, path: &ImagePath, installed: &Installed<'_>) -> Result<Package, Diagnostic> {
    let (mut paths, mut conffiles) = (Vec::new(), Vec::new());
    // What rpm did not install, or what belongs to another package by now, is not this one's.
    for file in one.files.iter().filter(|file| matches!(file.state, state::NORMAL | state::NET_SHARED)) {
        let parsed = ImagePath::parse(&file.path).map_err(|e| {
            let what = format!("{}: {}: {e}", printable(&one.name), printable_bytes(&file.path));
            broken(path, what)
        })?;
        if file.flags & flag::CONFIG != 0 {
            conffiles.push((parsed.clone(), file.digest.clone()));
        }
        paths.push(parsed);
    }
    paths.sort();
    paths.dedup();
    Ok(Package {
        name: one.name.clone(),
        arch: one.arch.clone().unwrap_or_default(),
        version: one.evr(),
        source: one.source().filter(|source| *source != one.name).map(str::to_owned),
        essential: false,
        depends: installed.requirements(at, one),
        provides: one
            .provides
            .iter()
            .map(|p| (p.name.clone(), Some(p.evr.clone()).filter(|evr| !evr.is_empty())))
            .collect(),
        paths,
        conffiles,
        md5sums: BTreeMap::new(),
        installed_size: one.size.map(|bytes| bytes.div_ceil(1024)),
        database_files: Vec::new(),
    })
}
