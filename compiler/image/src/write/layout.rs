//! Config, manifest and index around the layers: an OCI image layout (image-spec 1.1,
//! image-layout.md).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use diag::Diagnostic;
use formats::oci::{self, Descriptor, Digest, canonical, media};
use plan::kept::LayerKind;
use plan::plan::ImagePlan;
use plan::platform::Platform;
use plan::time::rfc3339;
use serde_json::{Map, Value, json};

use super::{Input, Options, ReadSource, Written, WrittenImage, WrittenLayer, layer, order, unwritable};

/// Writes an image layout into `dir`, which must be empty or not there yet (but its parent): blobs,
/// `index.json` and `oci-layout`. One platform gives a manifest, several an index.
///
/// # Errors
/// E0540, E0541, E0543, E0549, E1003, and what reading the contents gives.
pub fn write(dir: &Path, inputs: &[Input], sources: ReadSource, options: &Options) -> Result<Written, Diagnostic> {
    let blobs = dir.join("blobs/sha256");
    // One by one: what `dir` lies in is not made again when an interrupt has just removed it.
    for path in [dir, &dir.join("blobs"), &blobs] {
        match fs::create_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(unwritable(path, &e)),
            _ => {}
        }
    }
    let mut images = Vec::new();
    for input in inputs {
        images.push(image(*input, sources, options, &blobs)?);
    }
    let mut top = match images.as_slice() {
        [only] => only.manifest.clone(),
        several => {
            let manifests: Vec<Value> = several.iter().map(|image| image.manifest.to_value()).collect();
            let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests});
            put(&blobs, media::INDEX, &index)?
        }
    };
    top.annotations.insert("org.opencontainers.image.ref.name".into(), options.ref_name.into());
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [top.to_value()]});
    for (name, value) in [("index.json", index), ("oci-layout", json!({"imageLayoutVersion": "1.0.0"}))] {
        let path = dir.join(name);
        fs::write(&path, canonical(&value)).map_err(|e| unwritable(&path, &e))?;
    }
    Ok(Written { top, images })
}

fn image(input: Input, sources: ReadSource, options: &Options, blobs: &Path) -> Result<WrittenImage, Diagnostic> {
    let plan = input.plan;
    let mut layers = Vec::new();
    for kind in [LayerKind::Os, LayerKind::App] {
        let items = order::items(&plan.kept.entries, kind);
        // An image needs a layer: an empty one where there is nothing at all.
        if !items.is_empty() || (kind == LayerKind::App && layers.is_empty()) {
            layers.push(layer::write(kind, &items, input, sources, options, blobs)?);
        }
    }
    let config = put(blobs, media::CONFIG, &config(plan, &layers, options.epoch))?;
    let mut manifest = Map::new();
    manifest.insert("schemaVersion".into(), 2.into());
    manifest.insert("mediaType".into(), media::MANIFEST.into());
    manifest.insert("config".into(), config.to_value());
    manifest.insert("layers".into(), layers.iter().map(|layer| descriptor(layer).to_value()).collect());
    let annotations = annotations(plan);
    if !annotations.is_empty() {
        manifest.insert("annotations".into(), json!(annotations));
    }
    let mut manifest = put(blobs, media::MANIFEST, &Value::Object(manifest))?;
    manifest.platform = Some(platform(&plan.platform));
    Ok(WrittenImage { platform: plan.platform.clone(), manifest, config, layers })
}

/// The base's config as the plan made it, with what only the writer knows.
fn config(plan: &ImagePlan, layers: &[WrittenLayer], epoch: i64) -> Value {
    let mut config = plan.config.as_object().cloned().unwrap_or_default();
    let platform = platform(&plan.platform);
    config.insert("os".into(), platform.os.into());
    config.insert("architecture".into(), platform.architecture.into());
    match platform.variant {
        Some(variant) => config.insert("variant".into(), variant.into()),
        None => config.remove("variant"),
    };
    let created = rfc3339(epoch);
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    config.insert("rootfs".into(), json!({"type": "layers", "diff_ids": diff_ids}));
    // The base's steps stay readable; its layers are gone, so none of them has one.
    let inherited = plan.base_history.iter().map(inherited);
    let own = layers.iter().map(|layer| {
        let what = match layer.kind {
            LayerKind::Os => format!("k8orc: what stays of {}", plan.base.reference),
            LayerKind::App => "k8orc: what the spec adds and changes".to_owned(),
        };
        json!({"created": created, "created_by": what})
    });
    config.insert("history".into(), inherited.chain(own).collect());
    config.insert("created".into(), created.into());
    Value::Object(config)
}

fn inherited(step: &Value) -> Value {
    let mut kept = Map::new();
    for key in ["created", "created_by", "author", "comment"] {
        if let Some(Value::String(text)) = step.get(key) {
            kept.insert(key.into(), text.as_str().into());
        }
    }
    kept.insert("empty_layer".into(), true.into());
    Value::Object(kept)
}

/// The plan's annotations, and the base by name and digest (image-spec, annotations.md).
fn annotations(plan: &ImagePlan) -> BTreeMap<String, String> {
    let mut annotations = plan.annotations.clone();
    if let Some(digest) = &plan.base.digest {
        let name = "org.opencontainers.image.base.name".to_owned();
        annotations.entry(name).or_insert_with(|| plan.base.reference.clone());
        annotations.entry("org.opencontainers.image.base.digest".into()).or_insert_with(|| digest.clone());
    }
    annotations
}

fn platform(platform: &Platform) -> oci::Platform {
    oci::Platform { os: "linux".into(), architecture: platform.arch.oci().into(), variant: platform.variant.clone() }
}

fn descriptor(layer: &WrittenLayer) -> Descriptor {
    Descriptor {
        media_type: media::LAYER_GZIP.into(),
        digest: layer.digest,
        size: layer.size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

/// Writes a document as a blob.
fn put(blobs: &Path, media_type: &str, document: &Value) -> Result<Descriptor, Diagnostic> {
    let bytes = canonical(document);
    let digest = Digest::of(&bytes);
    let path = blobs.join(digest.hex());
    fs::write(&path, &bytes).map_err(|e| unwritable(&path, &e))?;
    Ok(Descriptor {
        media_type: media_type.into(),
        digest,
        size: bytes.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    })
}
