//! `sbom.spdx.json`: SPDX 2.3 of what is in the image, <https://spdx.github.io/spdx-spec/v2.3/>.
//!
//! Packages are what the image *holds*: scanners count every package of the document as there. What went is told in
//! annotations of the image, which validators accept and scanners do not count; in full it stands in `report.json`.
//! Files that no package owns are one element: with paths and hashes while they are few, else their number.

mod files;
mod ids;
mod packages;
mod removed;

use plan::time::rfc3339;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::purl;
use crate::{Made, Part};
use ids::Ids;

/// What an element has that nobody looked into.
const UNKNOWN: &str = "NOASSERTION";

/// The document under construction.
struct Document {
    /// `Tool: k8orc-0.1.0`.
    tool: String,
    /// The epoch, as SPDX spells times.
    created: String,
    ids: Ids,
    packages: Vec<Value>,
    relationships: Vec<Value>,
}

impl Document {
    fn relate(&mut self, from: &str, kind: &str, to: &str) {
        self.relationships.push(json!({
            "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to,
        }));
    }

    fn annotation(&self, comment: &str) -> Value {
        json!({
            "annotationDate": self.created, "annotationType": "OTHER", "annotator": self.tool, "comment": comment,
        })
    }
}

/// The document. Its namespace follows from its content and the image's digest, its date is the epoch.
pub fn sbom(made: &Made<'_>) -> Value {
    let plan = made.plan;
    let mut document = Document {
        tool: format!("Tool: k8orc-{}", made.version),
        created: rfc3339(plan.epoch),
        ids: Ids::default(),
        packages: Vec::new(),
        relationships: Vec::new(),
    };
    let several = made.manifests.len() > 1;
    let index = several.then(|| {
        let id = document.ids.take("index", &made.outcome.digest);
        let element = image(made, &id, None, &made.outcome.digest);
        document.packages.push(element);
        document.relate("SPDXRef-DOCUMENT", "DESCRIBES", &id);
        id
    });
    for part in made.parts() {
        let id = self::part(made, &mut document, &part);
        match &index {
            Some(index) => document.relate(index, "CONTAINS", &id),
            None => document.relate("SPDXRef-DOCUMENT", "DESCRIBES", &id),
        }
    }
    let mut value = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": plan.name,
        "creationInfo": { "created": document.created, "creators": [document.tool] },
        "packages": document.packages,
        "relationships": document.relationships,
    });
    // Another document must have another namespace (SPDX 2.3, 6.5), also one that another compiler made of this image.
    let content = plan::decide::generation::hex(&Sha256::digest(value.to_string().as_bytes()));
    let image = made.outcome.digest.rsplit(':').next().unwrap_or_default();
    value["documentNamespace"] = json!(format!(
        "https://spdx.org/spdxdocs/k8orc/{}-{image}-{}",
        ids::safe(&plan.name),
        content.get(..16).unwrap_or_default()
    ));
    value
}

/// One platform's image with all that it holds; its id.
fn part(made: &Made<'_>, document: &mut Document, part: &Part<'_>) -> String {
    let name = format!("image-{}", part.image.platform);
    let id = document.ids.take(&ids::safe(&name), part.manifest);
    let mut element = image(made, &id, Some(part), part.manifest);
    element["annotations"] = json!(removed::annotations(document, part));
    document.packages.push(element);
    let contained = [
        packages::system(document, part),
        packages::runtime(made, document, part),
        files::of_the_spec(document, part),
        files::of_nobody(document, part),
    ];
    for one in contained.into_iter().flatten() {
        document.relate(&id, "CONTAINS", &one);
    }
    packages::all(document, part, &id);
    id
}

/// The image itself: a container with the digest of its manifest.
fn image(made: &Made<'_>, id: &str, part: Option<&Part<'_>>, digest: &str) -> Value {
    let plan = made.plan;
    let name = plan.publish.as_deref().unwrap_or(&plan.name);
    let arch = part.map(|part| part.image.platform.arch.oci());
    let comment = match part {
        Some(part) => format!("{}, made from {}", part.image.platform, part.image.base.reference),
        None => "an index of several platforms".to_owned(),
    };
    json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": digest,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": digest.rsplit(':').next() }],
        "comment": comment,
        "downloadLocation": UNKNOWN, "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN, "licenseDeclared": UNKNOWN, "copyrightText": UNKNOWN,
        "externalRefs": [reference(&purl::image(&plan.name, plan.publish.as_deref(), digest, arch))],
    })
}

fn reference(purl: &str) -> Value {
    json!({ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl })
}
