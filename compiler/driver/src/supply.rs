//! Part of step 7: the documents that need to know what went in: SBOM, provenance, the report for people.

use std::collections::BTreeMap;
use std::path::Path;

use diag::Span;
use plan::decide::generation::hex;
use report::Made;
use report::supply::{Archive, Deb, Inputs, Named};
use sha2::{Digest as _, Sha256};

use crate::Stage;
use crate::pin::{self, Pinned};
use crate::request::Run;
use crate::staging::Staging;

/// Writes `sbom.spdx.json`, `provenance.intoto.json` and `report.html`.
pub(crate) fn write(
    run: &Run<'_>,
    made: &Made<'_>,
    pinned: &Pinned,
    staging: &Staging,
    place: &dyn Fn(Span) -> String,
) -> Stage<()> {
    let sbom = crate::write::pretty(&report::supply::sbom(made))?;
    staging.write("sbom.spdx.json", sbom.as_bytes())?;
    let mut inputs = inputs(run, pinned);
    inputs.byproducts.push(named("sbom.spdx.json", sbom.as_bytes()));
    let provenance = report::supply::provenance(made, &inputs);
    staging.write("provenance.intoto.json", crate::write::pretty(&provenance)?.as_bytes())?;
    let page = report::human::report_html(made, place);
    staging.write("report.html", page.as_bytes())?;
    Ok(())
}

/// What went in, by name and hash. Names are relative to the spec's directory: the same everywhere.
fn inputs(run: &Run<'_>, pinned: &Pinned) -> Inputs {
    let mut units = run
        .units
        .borrow()
        .iter()
        .map(|(name, sha256)| Named { name: name.clone(), sha256: sha256.clone() })
        .collect::<Vec<_>>();
    let spec = if units.is_empty() { None } else { Some(units.remove(0)) };
    let known = |name: &str| spec.iter().chain(&units).any(|unit| unit.name.trim_start_matches("./") == name);
    let files: BTreeMap<String, String> = run
        .world
        .hashes()
        .into_iter()
        .map(|((root, path), sum)| {
            (relative(&root.join(&path), run.request.root()).unwrap_or(path.display().to_string()), hex(&sum))
        })
        .filter(|(name, _)| !known(name))
        .collect();
    let lock = pinned.lock.print();
    let mut inputs = Inputs {
        spec,
        params: run.request.params.clone(),
        modules: units,
        files: files.into_iter().map(|(name, sha256)| Named { name, sha256 }).collect(),
        lock: (!pin::is_empty(&pinned.lock)).then(|| named("k8orc.lock", lock.as_bytes())),
        runtime: pinned.lock.runtime.clone(),
        stdlib: pinned.lock.stdlib.clone(),
        ..Inputs::default()
    };
    for base in &pinned.bases {
        let Some(chosen) = &base.packages else { continue };
        for one in &chosen.archives {
            let archive =
                Archive { archive: one.archive.clone(), suite: one.suite.clone(), sha256: one.sha256.clone() };
            if !inputs.archives.contains(&archive) {
                inputs.archives.push(archive);
            }
        }
        inputs.debs.extend(chosen.packages.iter().map(|package| Deb {
            name: package.name.clone(),
            version: package.version.clone(),
            arch: package.architecture.clone(),
            sha256: package.sha256.clone(),
            archive: package.archive.clone(),
            platform: base.platform.to_string(),
        }));
    }
    inputs
}

/// A path below the spec's directory, as a name.
fn relative(path: &Path, root: &Path) -> Option<String> {
    // `spec.kdl` alone has the root `.`, which joined paths may leave out.
    let inner =
        path.strip_prefix(root).ok().or_else(|| (root == Path::new(".") && path.is_relative()).then_some(path))?;
    Some(inner.display().to_string())
}

fn named(name: &str, bytes: &[u8]) -> Named {
    Named { name: name.to_owned(), sha256: hex(&Sha256::digest(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_tell_where_the_spec_lies() {
        let name = |path: &str, root: &str| relative(Path::new(path), Path::new(root));
        assert_eq!(name("some/where/team/x", "some/where").as_deref(), Some("team/x"));
        assert_eq!(name("./x", ".").as_deref(), Some("x"));
        assert_eq!(name("team/x", ".").as_deref(), Some("team/x"));
        assert_eq!(name("/else/x", "."), None);
        assert_eq!(name("/else/x", "/some"), None);
    }
}
