//! The `.deb` files of a pin: several at a time, each verified.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use diag::{Diagnostic, codes, text::printable};

use super::archive::Place;
use super::download::{Outcome, Wanted, download};
use super::{DebFile, PinnedPackage, pinned};
use crate::Sources;
use crate::registry::lock;

/// Fetched at once: enough to hide the way there, few enough for a public mirror.
const PARALLEL: usize = 4;
/// Largest package: the largest of Debian has 2 GB.
const MAX_DEB: u64 = 16 << 30;

/// All files, in the order of `packages`.
///
/// # Errors
/// Of the first package, in their order, that could not be had.
pub(crate) fn debs(sources: &Sources, packages: &[PinnedPackage]) -> Result<Vec<DebFile>, Diagnostic> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done: Mutex<BTreeMap<usize, Result<DebFile, Diagnostic>>> = Mutex::default();
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(package) = packages.get(number) else { return };
            let result = one(sources, package);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            lock(&done).insert(number, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(packages.len()) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = done.values().find_map(|result| result.as_ref().err()) {
        return Err(error.clone());
    }
    (0..packages.len()).map(|number| done.remove(&number).unwrap_or_else(|| Err(lost()))).collect()
}

fn one(sources: &Sources, package: &PinnedPackage) -> Result<DebFile, Diagnostic> {
    let digest = pinned(package)?;
    let (name, version) = (printable(&package.name), printable(&package.version));
    let sane = !package.filename.split('/').any(|part| matches!(part, "" | "." | ".."));
    if !sane || package.size > MAX_DEB {
        let message = format!("the lock's entry of `{name}` names no file of an archive");
        return Err(Diagnostic::new(codes::E0430, message).help("run `k8orc lock`"));
    }
    let place = Place::of(&sources.settings, &package.archive)?;
    let paths = [package.filename.clone()];
    let path = sources.cache.deb_path(digest);
    let wanted = Wanted { paths: &paths, digest, size: package.size };
    match download(sources, &place, &wanted, &path)? {
        Outcome::Here(_) => Ok(DebFile {
            name: package.name.clone(),
            version: package.version.clone(),
            architecture: package.architecture.clone(),
            sha256: package.sha256.clone(),
            path,
        }),
        Outcome::Gone => Err(Diagnostic::new(
            codes::E0464,
            format!("{name} {version} is gone from the archive {}", place.shown),
        )
        .note(format!("k8orc.lock pins {}", printable(&package.filename)))
        .help("run `k8orc lock --update` to choose from what the archive has now, and review the new lock")
        .help(
            "or keep the lock and name a mirror in your settings that still has it, such as a snapshot of the archive",
        )),
        Outcome::Wrong(found) => Err(Diagnostic::new(
            codes::E0463,
            format!("{name} {version} of the archive {} is not the file that is pinned", place.shown),
        )
        .note(format!("pinned: {digest}, {} bytes", package.size))
        .note(format!("found:  {found}"))
        .help("somebody changed it on the way or at the mirror: use another mirror")),
    }
}

/// A thread ended without a word: its panic is already on its way up.
fn lost() -> Diagnostic {
    Diagnostic::new(codes::E0451, "a package was not fetched because another failed")
}
