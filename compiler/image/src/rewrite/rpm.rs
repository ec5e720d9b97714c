//! rpm's database with the packages that stay; files that are gone get the state *not installed*.

use std::collections::{BTreeMap, BTreeSet};

use formats::rpm::{self, Fate, state};
use plan::path::ImagePath;

use super::{New, Outcome};
use crate::survey::rpm::{Container, load};

/// New bytes of one file of the database.
pub(super) fn rewrite(result: &Outcome<'_>, path: &ImagePath, base: &[u8]) -> Result<New, String> {
    let facts = result.facts;
    let loaded = load(&facts.tree, &facts.files).map_err(|error| error.message)?;
    let mut fates: BTreeMap<u32, Fate> = BTreeMap::new();
    // In the order of the facts, as the survey had it.
    for (at, (record, package)) in loaded.packages.iter().enumerate() {
        let kept = result.kept.packages.get(at).is_some_and(|decision| decision.kept);
        let missing = result.missing.get(at).filter(|missing| !missing.is_empty());
        let fate = match (kept, missing) {
            (false, _) => Fate::Drop,
            (true, None) => Fate::Keep,
            (true, Some(missing)) => match lost(package, missing) {
                lost if lost.is_empty() => Fate::Keep,
                lost => {
                    let states = lost.into_iter().map(|file| (file, state::NOT_INSTALLED));
                    let blob = rpm::with_states(&record.blob, states);
                    Fate::Replace(blob.map_err(|e| format!("the header of package {}: {e}", record.number))?)
                }
            },
        };
        fates.insert(record.number, fate);
    }
    let fate = |number: u32| fates.get(&number).cloned().unwrap_or(Fate::Drop);
    let stays = |number: u32| fates.get(&number).is_some_and(|fate| *fate != Fate::Drop);
    let place = path.parent().unwrap_or_else(ImagePath::root);
    let beside = |name: &[u8]| place.join(name).ok().and_then(|path| facts.files.get(&path)).map(Vec::as_slice);
    let unchanged = fates.values().all(|fate| *fate == Fate::Keep);
    let wrong = |error: rpm::ContainerError| error.to_string();
    match (path.name(), loaded.container) {
        (b"rpmdb.sqlite", Container::Sqlite) => {
            let log = beside(b"rpmdb.sqlite-wal").unwrap_or_default();
            // A file that uses a log cannot be read where nothing can be written and the files beside it are gone.
            let parked = base.get(18..20) == Some(&[1, 1]);
            if unchanged && parked && log.is_empty() {
                return Ok(New::Bytes(base.to_vec()));
            }
            rpm::sqlite::rewrite(base, log, fate).map(New::Bytes).map_err(wrong)
        }
        (b"Packages.db", Container::Ndb) if !unchanged => rpm::ndb::rewrite(base, fate).map(New::Bytes).map_err(wrong),
        (b"Index.db", Container::Ndb) if !unchanged => {
            let generation = beside(b"Packages.db").and_then(rpm::ndb::generation).unwrap_or_default();
            let new = rpm::ndb::rewrite_index(base, generation, stays).map_err(wrong)?;
            Ok(new.map_or(New::Gone("it did not belong to the packages any more, and rpm makes it anew"), New::Bytes))
        }
        (b"Packages.db" | b"Index.db", Container::Sqlite) | (b"Index.db", Container::BerkeleyDb) => {
            Ok(New::Gone("it is of another database than the one that rpm uses here"))
        }
        _ => Ok(New::Bytes(base.to_vec())),
    }
}

/// Places in the header of files that are gone.
fn lost(package: &rpm::Package, missing: &BTreeSet<&ImagePath>) -> Vec<usize> {
    let files = package.files.iter().enumerate();
    let installed = files.filter(|(_, file)| matches!(file.state, state::NORMAL | state::NET_SHARED));
    let gone = installed.filter(|(_, file)| ImagePath::parse(&file.path).is_ok_and(|path| missing.contains(&path)));
    gone.map(|(at, _)| at).collect()
}
