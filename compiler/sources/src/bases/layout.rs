//! `oci:DIR[:TAG]`: an OCI image layout (image-spec, image-layout.md).

use std::path::PathBuf;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::{Descriptor, Digest, Index, MAX_DOCUMENT, Manifest};
use plan::SourcePath;
use plan::platform::Platform;
use serde_json::Value;

use super::image::{Document, check_manifest, choose, configuration, document, pair};
use super::{buffered, digest_of, opened};
use crate::local::{self, Want};
use crate::stream::Verified;
use crate::{Failure, LayerSource, OpenedBase, Pin, not_pinned};

/// The annotation that names an image within a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Indexes within indexes that are followed.
const MAX_DEPTH: usize = 4;

pub(super) fn resolve(dir: &SourcePath, tag: Option<&str>, pin: &mut Pin) -> Result<(), Diagnostic> {
    let (digest, index) = find(dir, tag, &pin.platform, &pin.reference)?;
    pin.index = index.map(|d| d.to_string());
    let (manifest, _) = manifest(dir, digest, pin)?;
    pin.digest = Some(digest.to_string());
    let config = blob(dir, manifest.config.digest, &pin.reference)?;
    configuration(&config, pin)?;
    Ok(())
}

pub(super) fn open(dir: &SourcePath, tag: Option<&str>, pin: &Pin, failure: Failure) -> Result<OpenedBase, Diagnostic> {
    let digest = digest_of(pin)?;
    let (manifest, name) = match manifest(dir, digest, pin) {
        Ok(found) => found,
        // The layout was written anew: say what it holds now, rather than that a file is missing.
        Err(missing) => {
            let (now, _) = find(dir, tag, &pin.platform, &pin.reference)?;
            return Err(if now == digest {
                missing
            } else {
                not_pinned(&pin.reference, &digest.to_string(), &now.to_string())
            });
        }
    };
    let mut seen = pin.clone();
    let config = configuration(&blob(dir, manifest.config.digest, &name)?, &mut seen)?;
    let mut layers = Vec::new();
    for (layer, diff_id) in pair(&manifest.layers, &config, &name)? {
        let (digest, size) = (layer.digest, layer.size);
        let (dir, failure) = (dir.clone(), failure.clone());
        layers.push(LayerSource::new(Some(digest), Some(diff_id), &layer.media_type, size, move || {
            let file = local::open(&dir, &blob_path(digest), Want::File)?;
            let name = format!("the layer {digest} of {}", local::shown(&dir));
            Ok(Box::new(Verified::new(buffered(file), &name, Some(size), digest, &failure)))
        }));
    }
    Ok(opened(&seen, config.raw, layers, failure))
}

/// Digest of the manifest for a tag and platform, and of the index between, where there is one.
fn find(
    dir: &SourcePath,
    tag: Option<&str>,
    platform: &Platform,
    name: &str,
) -> Result<(Digest, Option<Digest>), Diagnostic> {
    let marker = local::read(dir, &PathBuf::from("oci-layout"), MAX_DOCUMENT)?;
    let version = serde_json::from_slice::<Value>(&marker).ok();
    let version = version.as_ref().and_then(|v| v.get("imageLayoutVersion")).and_then(Value::as_str);
    if !version.is_some_and(|v| v.starts_with("1.")) {
        return Err(Diagnostic::new(codes::E0411, format!("{} is no OCI layout of version 1", printable(name))));
    }
    let bytes = local::read(dir, &PathBuf::from("index.json"), MAX_DOCUMENT)?;
    let Document::Index(top) = document(&bytes, None, name)? else {
        return Err(Diagnostic::new(codes::E0411, format!("index.json of {} is no index", printable(name))));
    };
    let mut chosen = select(&top, tag, platform, name)?.clone();
    let mut index = None;
    for _ in 0..MAX_DEPTH {
        let bytes = blob(dir, chosen.digest, name)?;
        match document(&bytes, Some(&chosen.media_type), name)? {
            Document::Manifest(_) => return Ok((chosen.digest, index)),
            Document::Index(below) => {
                index = Some(chosen.digest);
                chosen = choose(&below, platform, name)?.clone();
            }
        }
    }
    Err(Diagnostic::new(codes::E0411, format!("{} nests indexes too deep", printable(name))))
}

/// The entry of `index.json` that is meant.
fn select<'i>(
    top: &'i Index,
    tag: Option<&str>,
    platform: &Platform,
    name: &str,
) -> Result<&'i Descriptor, Diagnostic> {
    let named = |d: &&Descriptor| tag.is_none_or(|tag| d.annotations.get(REF_NAME).is_some_and(|n| n == tag));
    let fitting: Vec<&Descriptor> = top.manifests.iter().filter(named).collect();
    match fitting.as_slice() {
        [only] => return Ok(only),
        [] => {}
        [first, rest @ ..] => {
            if rest.iter().all(|d| d.digest == first.digest) {
                return Ok(first);
            }
            // Some tools write one entry for each platform instead of an index.
            let tag_of = |d: &Descriptor| d.annotations.get(REF_NAME).cloned();
            if fitting.iter().all(|d| d.platform.is_some() && tag_of(d) == tag_of(first)) {
                let manifests = fitting.iter().map(|d| (*d).clone()).collect();
                let digest = choose(&Index { manifests, ..top.clone() }, platform, name)?.digest;
                if let Some(found) = fitting.iter().find(|d| d.digest == digest) {
                    return Ok(found);
                }
            }
        }
    }
    let mut tags: Vec<&str> =
        top.manifests.iter().filter_map(|d| d.annotations.get(REF_NAME)).map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    let tags = if tags.is_empty() { "none with a name".to_owned() } else { printable(&tags.join(", ")) };
    let what = match tag {
        Some(tag) if fitting.is_empty() => format!("{} holds no image named `{}`", printable(name), printable(tag)),
        _ => format!("{} holds {} images", printable(name), top.manifests.len()),
    };
    Err(Diagnostic::new(codes::E0414, what)
        .note(format!("images there: {tags}"))
        .help("name one of them: base \"oci:DIR:TAG\""))
}

/// The pinned manifest and the name for messages.
fn manifest(dir: &SourcePath, digest: Digest, pin: &Pin) -> Result<(Manifest, String), Diagnostic> {
    let name = pin.reference.clone();
    let bytes = blob(dir, digest, &name)?;
    match document(&bytes, None, &name)? {
        Document::Manifest(manifest) => {
            check_manifest(&manifest, &name)?;
            Ok((manifest, name))
        }
        Document::Index(_) => Err(not_pinned(&name, "a manifest", "an index")),
    }
}

/// A small blob, verified.
fn blob(dir: &SourcePath, digest: Digest, name: &str) -> Result<Vec<u8>, Diagnostic> {
    let bytes = local::read(dir, &blob_path(digest), MAX_DOCUMENT)?;
    let found = Digest::of(&bytes);
    if found != digest {
        return Err(crate::registry::mismatch(&format!("a blob of {}", printable(name)), digest, found));
    }
    Ok(bytes)
}

fn blob_path(digest: Digest) -> PathBuf {
    PathBuf::from("blobs/sha256").join(digest.hex())
}
