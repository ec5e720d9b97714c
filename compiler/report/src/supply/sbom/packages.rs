//! The packages that stay, what they depend on, the system that they are of, and the runtime.

use std::collections::BTreeMap;

use diag::text::printable;
use plan::decide::generation::hex;
use plan::kept::PackageDecision;
use plan::path::ImagePath;
use plan::tree::NodeKind;
use serde_json::{Value, json};

use super::super::distro::Distro;
use super::{Document, UNKNOWN, purl, reference};
use crate::{Made, Part};

/// Every kept package, contained in the image, and the dependencies among them.
pub(super) fn all(document: &mut Document, part: &Part<'_>, image: &str) {
    let distro = Distro::of(part.facts);
    let mut ids: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for package in part.image.kept.packages.iter().filter(|package| package.kept) {
        let element = one(document, part, &distro, package);
        let id = element["SPDXID"].as_str().unwrap_or_default().to_owned();
        document.packages.push(element);
        document.relate(image, "CONTAINS", &id);
        ids.insert((&package.name, &package.arch), id);
    }
    let known = &part.facts.packages.packages;
    for package in known {
        let Some(from) = ids.get(&(package.name.as_str(), package.arch.as_str())) else { continue };
        let mut needs: Vec<&String> = package
            .depends
            .iter()
            .filter_map(|need| known.get(need.met_by?))
            .filter_map(|met| ids.get(&(met.name.as_str(), met.arch.as_str())))
            .filter(|to| *to != from)
            .collect();
        needs.sort();
        needs.dedup();
        for to in needs {
            document.relate(from, "DEPENDS_ON", to);
        }
    }
}

fn one(document: &mut Document, part: &Part<'_>, distro: &Distro, package: &PackageDecision) -> Value {
    let PackageDecision { name, arch, version, source, .. } = package;
    let family = part.facts.packages.family;
    let named = purl::Named { name, version, arch, source: source.as_deref() };
    let url = purl::package(family, distro, &named);
    let id = document.ids.take(&format!("package-{name}-{arch}"), &format!("{} {version}", part.image.platform));
    let mut comment = format!("it stays because {}", printable(&package.reason.in_words()));
    if !package.missing.is_empty() {
        comment.push_str(&format!("; {} of the paths that it lists were removed", package.missing.len()));
    }
    let mut value = json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version,
        "supplier": UNKNOWN,
        "downloadLocation": UNKNOWN, "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN, "copyrightText": UNKNOWN,
        "comment": comment,
    });
    if let Some(source) = source {
        value["sourceInfo"] = json!(format!("built from the source package {}", printable(source)));
    }
    if let Some(url) = url {
        value["externalRefs"] = json!([reference(&url)]);
    }
    value
}

/// The distribution, where os-release names one: scanners take from it which advisories count.
pub(super) fn system(document: &mut Document, part: &Part<'_>) -> Option<String> {
    let distro = Distro::of(part.facts);
    let name = distro.id.as_deref()?;
    let id = document.ids.take(&format!("system-{name}"), &part.image.platform.to_string());
    let mut value = json!({
        "SPDXID": id, "name": name, "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": UNKNOWN, "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN, "copyrightText": UNKNOWN,
    });
    if let Some(version) = &distro.version {
        value["versionInfo"] = json!(version);
    }
    document.packages.push(value);
    Some(id)
}

/// `k8or`, which no package database knows.
pub(super) fn runtime(made: &Made<'_>, document: &mut Document, part: &Part<'_>) -> Option<String> {
    let path = ImagePath::parse(b"/k8or/k8or").ok()?;
    let NodeKind::File(file) = &part.image.kept.entries.get(&path)?.node.kind else { return None };
    let sum = hex(&file.sha256);
    let id = document.ids.take("package-k8or", &part.image.platform.to_string());
    document.packages.push(json!({
        "SPDXID": id, "name": "k8or", "versionInfo": made.version, "primaryPackagePurpose": "APPLICATION",
        "packageFileName": "/k8or/k8or",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": sum }],
        "downloadLocation": UNKNOWN, "filesAnalyzed": false,
        "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": UNKNOWN,
        "comment": "the runtime layer of k8orc",
        "externalRefs": [reference(&purl::generic("k8or", made.version, &format!("sha256:{sum}")))],
    }));
    Some(id)
}
