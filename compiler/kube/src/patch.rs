//! The user's kustomize patches, each aimed at its object.
//!
//! A patch beside the spec names no namespace, as it is for every stage, while the objects of a folder do. By
//! itself kustomize takes these for two different objects; a `target` of kind and name finds the object.

use serde::Deserialize;
use serde_json::{Value, json};

/// A patch as it is written.
pub struct Patch {
    /// Its file.
    pub file: String,
    /// One document.
    pub bytes: Vec<u8>,
    /// kustomize's `target`; where it is absent the patch itself says what it is for.
    pub target: Option<Value>,
}

/// What a patch says about its object. A list of operations (JSON 6902) says nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Merge { kind: String, metadata: Metadata },
    Operations(#[allow(dead_code, reason = "that it is a list is all we ask")] Vec<serde::de::IgnoredAny>),
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

/// The documents of the patch `name`, the `number`th of `workload`, for a folder that holds `objects` (names of
/// files) in `namespace`. kustomize wants one document for each target.
///
/// A target that no object answers to would be passed over in silence, so there is none then, and kustomize
/// refuses the patch.
pub fn aim(workload: &str, number: usize, name: &str, bytes: &[u8], objects: &[String], namespace: &str) -> Vec<Patch> {
    let parts = documents(bytes);
    let several = parts.len() > 1;
    let part = |(n, bytes): (usize, Vec<u8>)| {
        let part = if several { format!(".{}", n + 1) } else { String::new() };
        let target = target(&bytes, workload, objects, namespace);
        Patch { file: format!("patch-{workload}-{number:02}{part}-{name}"), bytes, target }
    };
    parts.into_iter().enumerate().map(part).collect()
}

fn target(bytes: &[u8], workload: &str, objects: &[String], namespace: &str) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (kind, name) = match serde_saphyr::from_str::<Document>(text).ok()? {
        Document::Merge { kind, metadata } if metadata.namespace.as_deref().is_none_or(|n| n == namespace) => {
            (kind, metadata.name)
        }
        Document::Merge { .. } => return None,
        Document::Operations(_) => ("Deployment".to_owned(), workload.to_owned()),
    };
    let file = format!("{}-{name}.yaml", kind.to_lowercase());
    objects.contains(&file).then(|| json!({ "kind": kind, "name": name }))
}

/// Splits at the lines that begin with `---`: content cannot stand there, whatever the style of a scalar. A file
/// with one document stays as it is, comments included.
fn documents(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"---") && line.get(3).is_none_or(u8::is_ascii_whitespace) {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.extend_from_slice(line);
        }
    }
    let mut full: Vec<Vec<u8>> = parts.into_iter().filter(|part| says_something(part)).collect();
    if full.len() < 2 {
        full = vec![bytes.to_vec()];
    }
    full
}

/// Whether there is more than the marker, comments and blank lines.
fn says_something(part: &[u8]) -> bool {
    part.split(|byte| *byte == b'\n').any(|line| {
        let line = line.strip_prefix(b"---").unwrap_or(line).trim_ascii();
        !line.is_empty() && !line.starts_with(b"#")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::unwrap_used)]
    use super::*;

    const OBJECTS: [&str; 2] = ["deployment-web.yaml", "service-web.yaml"];

    fn aimed(text: &str) -> Vec<Patch> {
        aim("web", 1, "x.yaml", text.as_bytes(), &OBJECTS.map(str::to_owned), "shop")
    }

    fn targets(text: &str) -> Vec<Option<Value>> {
        aimed(text).into_iter().map(|patch| patch.target).collect()
    }

    #[test]
    fn a_patch_finds_its_object() {
        let web = Some(json!({ "kind": "Deployment", "name": "web" }));
        assert_eq!(targets("kind: Deployment\nmetadata: {name: web}\n"), std::slice::from_ref(&web));
        assert_eq!(
            targets("# why\n---\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"),
            std::slice::from_ref(&web)
        );
        assert_eq!(targets("- op: add\n  path: /spec/paused\n  value: true\n"), [web]);
    }

    #[test]
    fn what_fits_no_object_is_left_to_kustomize() {
        assert_eq!(targets("kind: Deployment\nmetadata: {name: wbe}\n"), [None]);
        assert_eq!(targets("kind: Deployment\nmetadata: {name: web, namespace: other}\n"), [None]);
        assert_eq!(targets("kind: Deployment\n"), [None]);
        assert_eq!(targets("{"), [None]);
    }

    #[test]
    fn each_document_has_its_own_target() {
        let text =
            "kind: Deployment\nmetadata: {name: web}\n--- # the other\nkind: Service\nmetadata: {name: web}\n---\n";
        let patches = aimed(text);
        let files: Vec<_> = patches.iter().map(|patch| patch.file.as_str()).collect();
        assert_eq!(files, ["patch-web-01.1-x.yaml", "patch-web-01.2-x.yaml"]);
        let kinds: Vec<_> = patches.iter().map(|patch| patch.target.clone().expect("aimed")["kind"].clone()).collect();
        assert_eq!(kinds, ["Deployment", "Service"]);
        assert_eq!([patches[0].bytes.clone(), patches[1].bytes.clone(), b"---\n".to_vec()].concat(), text.as_bytes());
    }
}
