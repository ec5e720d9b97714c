//! dpkg's database → packages.

use std::collections::BTreeMap;

use diag::text::printable_bytes;
use diag::{Diagnostic, Diagnostics, codes};
use formats::dpkg;
use plan::facts::{Diversion, Family, Package, PackageFacts};
use plan::path::ImagePath;
use plan::platform::{Arch, Platform};
use plan::tree::Tree;

use super::depends::Installed;

type Files = BTreeMap<ImagePath, Vec<u8>>;

/// A package as the database has it, and the files of the database that are its own.
struct Record {
    package: dpkg::Package,
    files: Vec<ImagePath>,
}

/// Reads the database; broken parts are complained of, and then no package is taken from it.
pub(super) fn packages(
    tree: &Tree,
    platform: &Platform,
    database: Option<&ImagePath>,
    files: &Files,
    out: &mut Diagnostics,
) -> PackageFacts {
    let family = super::family(tree, database);
    match family {
        Family::Apk => return super::apk::packages(tree, files, out),
        Family::Rpm => return super::rpm::packages(tree, files, out),
        Family::Dpkg | Family::None => {}
    }
    let mut facts = PackageFacts { family, packages: Vec::new(), diversions: Vec::new(), frozen: None };
    let (Family::Dpkg, Some(database)) = (family, database) else { return facts };
    interrupted(tree, database, out);
    match read(tree, platform, database, files) {
        Ok(packages) => facts.packages = packages,
        Err(broken) => out.push(broken.diagnostic()),
    }
    match diversions(database, files) {
        Ok(diversions) => facts.diversions = diversions,
        Err(broken) => out.push(broken.diagnostic()),
    }
    facts
}

/// A part of the database that cannot be read.
struct Broken {
    path: ImagePath,
    what: String,
}

impl Broken {
    fn new(path: &ImagePath, what: impl std::fmt::Display) -> Self {
        Self { path: path.clone(), what: what.to_string() }
    }

    fn diagnostic(self) -> Diagnostic {
        Diagnostic::new(codes::E0640, format!("{} of the base cannot be read: {}", self.path, self.what))
            .help("repair the base (dpkg --audit says more), or take another one")
    }
}

fn read(tree: &Tree, platform: &Platform, database: &ImagePath, files: &Files) -> Result<Vec<Package>, Broken> {
    let mut records: Vec<Record> = Vec::new();
    let at = |name: &[u8]| database.join(name).unwrap_or_else(|_| database.clone());
    let status = at(b"status");
    if let Some(bytes) = files.get(&status) {
        let read = dpkg::status(bytes).map_err(|e| Broken::new(&status, e))?;
        records.extend(read.packages.into_iter().map(|package| Record { package, files: Vec::new() }));
        own_files(tree, &at(b"info"), &mut records);
    }
    for (path, bytes) in files.range(at(b"status.d")..).take_while(|(path, _)| path.is_within(&at(b"status.d"))) {
        if path.name().ends_with(b".md5sums") {
            continue;
        }
        let read = dpkg::status_d(bytes).map_err(|e| Broken::new(path, e))?;
        let sums = [path.name(), b".md5sums"].concat();
        let sums = path.parent().and_then(|p| p.join(&sums).ok()).filter(|p| files.contains_key(p));
        for package in read.packages {
            records.push(Record { package, files: std::iter::once(path.clone()).chain(sums.clone()).collect() });
        }
    }
    let there = |state: &str| !matches!(state, "not-installed" | "config-files");
    records.retain(|record| there(&record.package.status.state));
    let key = |p: &dpkg::Package| (p.name.clone(), p.architecture.clone());
    records.sort_by_key(|record| key(&record.package));
    if let Some(twice) = records.windows(2).find(|w| key(&w[0].package) == key(&w[1].package)) {
        let name = diag::text::printable(&twice[0].package.name);
        return Err(Broken::new(&status, format!("the package {name} stands there twice")));
    }
    let native = files.get(&at(b"arch")).and_then(|b| String::from_utf8(b.clone()).ok());
    let native = native.and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_else(|| {
        match platform.arch {
            Arch::X86_64 => "amd64",
            Arch::Aarch64 => "arm64",
        }
        .into()
    });
    let all: Vec<&dpkg::Package> = records.iter().map(|record| &record.package).collect();
    let installed = Installed::new(&all, &native);
    records.iter().map(|record| package(record, files, &installed)).collect()
}

/// Gives each package its files of `info/`.
fn own_files(tree: &Tree, info: &ImagePath, records: &mut [Record]) {
    let mut by_name: BTreeMap<String, Vec<(Option<String>, ImagePath)>> = BTreeMap::new();
    for (path, _) in tree.within(info).filter(|(path, _)| path.parent().as_ref() == Some(info)) {
        let name = std::str::from_utf8(path.name()).ok().and_then(dpkg::info_name);
        if let Some(name) = name {
            let owned = (name.architecture.map(Into::into), path.clone());
            by_name.entry(name.package.into()).or_default().push(owned);
        }
    }
    for record in records {
        let package = &record.package;
        for (architecture, path) in by_name.get(&package.name).into_iter().flatten() {
            if architecture.as_ref().is_none_or(|a| *a == package.architecture) {
                record.files.push(path.clone());
            }
        }
    }
}

fn package(record: &Record, files: &Files, installed: &Installed<'_>) -> Result<Package, Broken> {
    let Record { package, files: own } = record;
    let mut paths = Vec::new();
    let mut md5sums = BTreeMap::new();
    let mut listed = false;
    for file in own {
        let Some(bytes) = files.get(file) else { continue };
        let parse = |path: &[u8]| {
            ImagePath::parse(path).map_err(|e| Broken::new(file, format!("{}: {e}", printable_bytes(path))))
        };
        if file.name().ends_with(b".list") {
            listed = true;
            for path in dpkg::list(bytes).map_err(|e| Broken::new(file, e))? {
                paths.push(parse(path)?);
            }
        } else if file.name().ends_with(b".md5sums") {
            for (hash, path) in dpkg::md5sums(bytes).map_err(|e| Broken::new(file, e))? {
                md5sums.insert(parse(path)?, hash.to_ascii_lowercase());
            }
        }
    }
    // distroless has no lists: what has a sum is there.
    if !listed {
        paths.extend(md5sums.keys().cloned());
    }
    paths.sort();
    paths.dedup();
    let mut conffiles = Vec::new();
    for conffile in &package.conffiles {
        if let Ok(path) = ImagePath::parse(&conffile.path) {
            conffiles.push((path, conffile.md5.clone()));
        }
    }
    let version = |v: &dpkg::Version| v.to_string();
    Ok(Package {
        name: package.name.clone(),
        arch: package.architecture.clone(),
        version: package.version.as_ref().map(version).unwrap_or_default(),
        source: package.source.as_ref().map(|(name, _)| name.clone()),
        essential: package.essential,
        depends: installed.requirements(package),
        provides: package
            .provides
            .iter()
            .flatten()
            .map(|one| (one.name.clone(), one.version.as_ref().map(|(_, v)| v.to_string())))
            .collect(),
        paths,
        conffiles,
        md5sums,
        installed_size: package.installed_kib,
        database_files: own.clone(),
    })
}

fn diversions(database: &ImagePath, files: &Files) -> Result<Vec<Diversion>, Broken> {
    let Ok(path) = database.join(b"diversions") else { return Ok(Vec::new()) };
    let Some(bytes) = files.get(&path) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for one in dpkg::diversions(bytes).map_err(|e| Broken::new(&path, e))? {
        let parse = |p: &[u8]| ImagePath::parse(p).map_err(|e| Broken::new(&path, e));
        let package = one.package.map(|name| name.split(':').next().unwrap_or_default().to_string());
        all.push(Diversion { from: parse(&one.from)?, to: parse(&one.to)?, package });
    }
    Ok(all)
}

/// `updates/0001` and the like: dpkg was stopped before it merged them into `status`.
fn interrupted(tree: &Tree, database: &ImagePath, out: &mut Diagnostics) {
    let Ok(updates) = database.join(b"updates") else { return };
    let pending = tree
        .within(&updates)
        .map(|(path, _)| path)
        .find(|path| path.parent().as_ref() == Some(&updates) && path.name().iter().all(u8::is_ascii_digit));
    if let Some(path) = pending {
        out.push(
            Diagnostic::new(codes::E0641, format!("an installation in the base was interrupted: {path} is there"))
                .help("run dpkg --configure --pending in the base"),
        );
    }
}
