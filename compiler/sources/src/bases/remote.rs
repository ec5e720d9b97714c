//! Registry references.

use std::sync::Arc;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::{Digest, Manifest};

use super::image::{Document, check_manifest, choose, configuration, document, pair};
use super::{digest_of, opened};
use crate::registry::{Blob, Client, Fetched};
use crate::stream::{BlobReader, Verified};
use crate::{Failure, LayerSource, OpenedBase, Pin, Reference, Sources, offline};

/// Asks what the name means now.
pub(super) fn resolve(sources: &Sources, text: &str, pin: &mut Pin) -> Result<(), Diagnostic> {
    let reference = Reference::parse(text).map_err(|e| e.diagnostic(text))?;
    let top = match reference.digest() {
        Some(digest) => cached(sources, &reference, digest, "the manifest")?,
        None => {
            let client = sources.client(&reference, "the manifest")?;
            let said = client.digest_of_tag(reference.tag().unwrap_or("latest"))?;
            match said.filter(|digest| sources.cache.document(*digest).is_some()) {
                Some(digest) => cached(sources, &reference, digest, "the manifest")?,
                None => {
                    let fetched = client.manifest(None, reference.tag())?;
                    sources.cache.keep_document(&fetched.bytes)?;
                    fetched
                }
            }
        }
    };
    let name = reference.to_string();
    let (manifest, digest) = match document(&top.bytes, top.media_type.as_deref(), &name)? {
        Document::Manifest(manifest) => (manifest, top.digest),
        Document::Index(index) => {
            pin.index = Some(top.digest.to_string());
            let chosen = choose(&index, &pin.platform, &name)?;
            let below = cached(sources, &reference, chosen.digest, "the manifest")?;
            match document(&below.bytes, Some(&chosen.media_type), &name)? {
                Document::Manifest(manifest) => (manifest, chosen.digest),
                Document::Index(_) => return Err(nested(&name)),
            }
        }
    };
    check_manifest(&manifest, &name)?;
    pin.digest = Some(digest.to_string());
    let config = cached_config(sources, &reference, &manifest)?;
    configuration(&config, pin)?;
    Ok(())
}

/// Opens the pinned manifest; the network is asked only for what the cache does not hold.
pub(super) fn open(sources: &Sources, text: &str, pin: &Pin, failure: Failure) -> Result<OpenedBase, Diagnostic> {
    let reference = Reference::parse(text).map_err(|e| e.diagnostic(text))?;
    let digest = digest_of(pin)?;
    if let Some(said) = reference.digest() {
        let said = said.to_string();
        if pin.digest.as_ref() != Some(&said) && pin.index.as_ref() != Some(&said) {
            return Err(crate::not_pinned(&pin.reference, &digest.to_string(), &said));
        }
    }
    let name = reference.to_string();
    let fetched = cached(sources, &reference, digest, "the manifest")?;
    let Document::Manifest(manifest) = document(&fetched.bytes, fetched.media_type.as_deref(), &name)? else {
        return Err(nested(&name));
    };
    check_manifest(&manifest, &name)?;
    let mut seen = pin.clone();
    let config = configuration(&cached_config(sources, &reference, &manifest)?, &mut seen)?;
    let client = sources.client(&reference, "a layer").ok();
    let mut layers = Vec::new();
    for (layer, diff_id) in pair(&manifest.layers, &config, &name)? {
        let (digest, size) = (layer.digest, layer.size);
        let (client, reference) = (client.clone(), reference.clone());
        let (cache, failure) = (sources.cache.clone(), failure.clone());
        layers.push(LayerSource::new(Some(digest), Some(diff_id), &layer.media_type, size, move || {
            if let Some(file) = cache.blob(digest) {
                let name = format!("the cached layer {digest}");
                return Ok(Box::new(Verified::new(file, &name, Some(size), digest, &failure)));
            }
            let Some(client) = &client else { return Err(offline(&reference, &format!("the layer {digest}"))) };
            let blob = Blob::open(Arc::clone(client), digest, size)?;
            Ok(Box::new(BlobReader { blob, failure: failure.clone() }))
        }));
    }
    Ok(opened(&seen, config.raw, layers, failure))
}

fn nested(name: &str) -> Diagnostic {
    Diagnostic::new(codes::E0411, format!("{} is an index where a manifest must be", printable(name)))
        .help("run `k8orc lock`, or give the reference of an image")
}

/// A manifest by digest: of the cache, else of the registry.
fn cached(sources: &Sources, reference: &Reference, digest: Digest, what: &str) -> Result<Fetched, Diagnostic> {
    fetch(sources, reference, digest, what, |client| client.manifest(Some(digest), None))
}

fn cached_config(sources: &Sources, reference: &Reference, manifest: &Manifest) -> Result<Vec<u8>, Diagnostic> {
    let digest = manifest.config.digest;
    Ok(fetch(sources, reference, digest, "the configuration", |client| client.config(digest))?.bytes)
}

fn fetch(
    sources: &Sources,
    reference: &Reference,
    digest: Digest,
    what: &str,
    get: impl FnOnce(&Client) -> Result<Fetched, Diagnostic>,
) -> Result<Fetched, Diagnostic> {
    if let Some(bytes) = sources.cache.document(digest) {
        return Ok(Fetched { bytes, digest, media_type: None });
    }
    let client = sources.client(reference, &format!("{what} {digest}"))?;
    let fetched = get(&client)?;
    sources.cache.keep_document(&fetched.bytes)?;
    Ok(fetched)
}
