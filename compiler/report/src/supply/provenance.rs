//! `provenance.intoto.json`: an in-toto Statement v1 with SLSA's provenance v1 of the transformation.
//!
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>, <https://slsa.dev/spec/v1.0/provenance>.
//! It is not signed: who builds signs (`cosign attest --predicate`). It names no time but the lock's epoch and no
//! machine, so that two builds of the same inputs give the same bytes.

use std::collections::BTreeMap;

use plan::facts::Family;
use serde_json::{Map, Value, json};

use super::distro::Distro;
use super::purl;
use crate::Made;

/// The meaning of `externalParameters` below. URLs need a domain; a package URL with a subpath does not.
const BUILD_TYPE: &str = "pkg:generic/k8orc#build/v1";

/// A thing by name and content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// `spec.kdl`, relative to the spec's directory.
    pub name: String,
    /// SHA-256, lower hex.
    pub sha256: String,
}

/// A signed release file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// `debian`.
    pub archive: String,
    /// `trixie-updates`.
    pub suite: String,
    /// `sha256:…` of its InRelease.
    pub sha256: String,
}

/// A package of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `amd64`, `all`.
    pub arch: String,
    /// `sha256:…` of the file.
    pub sha256: String,
    /// Archive that has it.
    pub archive: String,
    /// The platform that it was installed for, `linux/amd64`.
    pub platform: String,
}

/// What went in, besides the bases that the plan names.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The entry file.
    pub spec: Option<Named>,
    /// `-p name=value`.
    pub params: BTreeMap<String, String>,
    /// Modules: the user's by path, the standard ones by name.
    pub modules: Vec<Named>,
    /// Files that spec and modules name.
    pub files: Vec<Named>,
    /// `k8orc.lock` as this build leaves it.
    pub lock: Option<Named>,
    /// Releases that packages were chosen from.
    pub archives: Vec<Archive>,
    /// Packages that were installed.
    pub debs: Vec<Deb>,
    /// `sha256:…` of k8or, by architecture.
    pub runtime: BTreeMap<String, String>,
    /// `sha256:…` of the standard library.
    pub stdlib: String,
    /// Other files of this output, for the record.
    pub byproducts: Vec<Named>,
}

/// The statement.
pub fn provenance(made: &Made<'_>, inputs: &Inputs) -> Value {
    let plan = made.plan;
    let name = plan.publish.as_deref().unwrap_or(&plan.name);
    let mut subjects = vec![json!({ "name": name, "digest": digest(&made.outcome.digest) })];
    // With several platforms the first is the index; a cluster may name either.
    if made.manifests.len() > 1 {
        subjects.extend(made.parts().iter().map(
            |part| json!({ "name": format!("{name} ({})", part.image.platform), "digest": digest(part.manifest) }),
        ));
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "spec": inputs.spec.as_ref().map(named),
                    "params": inputs.params,
                    "platforms": plan.images.iter().map(|image| image.platform.to_string()).collect::<Vec<_>>(),
                },
                "internalParameters": { "epoch": plan.epoch },
                "resolvedDependencies": dependencies(made, inputs),
            },
            "runDetails": {
                "builder": {
                    "id": format!("pkg:generic/k8orc@{}", made.version),
                    "version": { "k8orc": made.version, "standard library": inputs.stdlib },
                },
                "byproducts": inputs.byproducts.iter().map(named).collect::<Vec<_>>(),
            },
        },
    })
}

fn dependencies(made: &Made<'_>, inputs: &Inputs) -> Vec<Value> {
    let mut all = Vec::new();
    let mut distro = Distro::default();
    for part in made.parts() {
        let base = &part.image.base;
        distro = Distro::of(part.facts);
        // A base of packages has no content of its own: the packages below are all of it.
        let by_packages = base.reference.starts_with("apt:");
        if let Some(pinned) = base.digest.as_deref().filter(|_| !by_packages) {
            let mut one = Map::new();
            one.insert("name".to_owned(), json!(base.reference));
            one.insert("digest".to_owned(), digest(pinned));
            one.insert(
                "annotations".to_owned(),
                json!({ "role": "base", "platform": part.image.platform.to_string() }),
            );
            all.push(Value::Object(one));
        }
    }
    let as_role = |role: &str, one: &Named| {
        let mut value = named(one);
        value["annotations"] = json!({ "role": role });
        value
    };
    all.extend(inputs.spec.iter().map(|one| as_role("spec", one)));
    all.extend(inputs.modules.iter().map(|one| as_role("module", one)));
    all.extend(inputs.files.iter().map(|one| as_role("file", one)));
    all.extend(inputs.lock.iter().map(|one| as_role("lock", one)));
    for archive in &inputs.archives {
        all.push(json!({
            "name": format!("{} {}/InRelease", archive.archive, archive.suite),
            "digest": digest(&archive.sha256),
            "annotations": { "role": "archive" },
        }));
    }
    for deb in &inputs.debs {
        let Deb { name, version, arch, .. } = deb;
        let url = purl::package(Family::Dpkg, &distro, &purl::Named { name, version, arch, source: None });
        all.push(json!({
            "uri": url, "digest": digest(&deb.sha256),
            "annotations": { "role": "package", "archive": deb.archive, "platform": deb.platform },
        }));
    }
    for (arch, sum) in &inputs.runtime {
        all.push(
            json!({ "name": format!("k8or for {arch}"), "digest": digest(sum), "annotations": { "role": "runtime" } }),
        );
    }
    all.push(json!({
        "name": "standard library of k8orc", "digest": digest(&inputs.stdlib), "annotations": { "role": "standard library" },
    }));
    all
}

fn named(one: &Named) -> Value {
    json!({ "name": one.name, "digest": { "sha256": one.sha256 } })
}

/// `sha256:ab…` as a DigestSet.
fn digest(text: &str) -> Value {
    match text.split_once(':') {
        Some((algorithm, hex)) => json!({ algorithm: hex }),
        None => json!({ "sha256": text }),
    }
}
