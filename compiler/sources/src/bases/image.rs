//! What all image formats share: reading documents, choosing a platform, matching layers with diff-ids.

use diag::{Diagnostic, codes, text::printable};
use formats::oci::{Descriptor, Digest, ImageConfig, Index, Manifest, OciError, media};
use plan::platform::Platform;

use super::time;
use crate::Pin;

pub(crate) use formats::oci::Document;

/// Media types of layers that hold a file system.
const LAYERS: [&str; 8] = [
    media::LAYER,
    media::LAYER_GZIP,
    media::LAYER_ZSTD,
    media::DOCKER_LAYER,
    media::DOCKER_LAYER_GZIP,
    // What buildah and older tools write for the same things.
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
];

/// Reads a manifest or index.
///
/// # Errors
/// E0411.
pub(crate) fn document(bytes: &[u8], media_type: Option<&str>, name: &str) -> Result<Document, Diagnostic> {
    Document::parse(bytes, media_type).map_err(|e| unusable(name, &e))
}

/// E0411.
pub(crate) fn unusable(name: &str, error: &OciError) -> Diagnostic {
    Diagnostic::new(codes::E0411, format!("{} is no usable image: {error}", printable(name)))
        .help("give a container image of OCI's or Docker's schema 2")
}

/// The manifest of `index` for `platform`.
///
/// # Errors
/// E0410 with the platforms that there are.
pub(crate) fn choose<'i>(index: &'i Index, platform: &Platform, name: &str) -> Result<&'i Descriptor, Diagnostic> {
    let fit = |descriptor: &&Descriptor| descriptor.platform.as_ref().and_then(|offer| fitness(platform, offer));
    if let Some(best) = index.manifests.iter().filter(|d| fit(d).is_some()).min_by_key(|d| fit(d)) {
        return Ok(best);
    }
    if let [only] = index.manifests.as_slice()
        && only.platform.is_none()
    {
        // Its configuration says what it is made for, and is compared.
        return Ok(only);
    }
    Err(no_platform(name, platform, &offered(index)))
}

/// How well an offer fits: 0 exactly, 1 by convention (arm64 is v8, amd64 is v1), nothing not at all.
fn fitness(wanted: &Platform, offer: &formats::oci::Platform) -> Option<u8> {
    if offer.os != "linux" || offer.architecture != wanted.arch.oci() {
        return None;
    }
    let usual = if wanted.arch.oci() == "arm64" { "v8" } else { "v1" };
    match (wanted.variant.as_deref(), offer.variant.as_deref()) {
        (wanted, offer) if wanted == offer => Some(0),
        (wanted, offer) if wanted.unwrap_or(usual) == offer.unwrap_or(usual) => Some(1),
        _ => None,
    }
}

fn offered(index: &Index) -> Vec<String> {
    let real = index.manifests.iter().filter_map(|d| d.platform.as_ref()).filter(|p| p.os != "unknown");
    let mut names: Vec<String> = real.map(spell).collect();
    names.sort();
    names.dedup();
    names
}

fn spell(platform: &formats::oci::Platform) -> String {
    let variant = platform.variant.iter().map(|v| format!("/{v}")).collect::<String>();
    printable(&format!("{}/{}{variant}", platform.os, platform.architecture))
}

fn no_platform(name: &str, wanted: &Platform, offered: &[String]) -> Diagnostic {
    let offers = if offered.is_empty() { "no platform".to_owned() } else { offered.join(", ") };
    Diagnostic::new(codes::E0410, format!("{} has no image for {wanted}", printable(name)))
        .note(format!("it offers {offers}"))
        .help("choose one of these with `platform`, or another base")
}

/// Reads a configuration, compares its platform with the pin's and notes when it was made.
///
/// # Errors
/// E0410 and E0411.
pub(crate) fn configuration(bytes: &[u8], pin: &mut Pin) -> Result<ImageConfig, Diagnostic> {
    let config = ImageConfig::parse(bytes).map_err(|e| unusable(&pin.reference, &e))?;
    let offer = formats::oci::Platform { variant: None, ..config.platform.clone() };
    let wanted = Platform { variant: None, ..pin.platform.clone() };
    if fitness(&wanted, &offer).is_none() {
        return Err(no_platform(&pin.reference, &pin.platform, &[spell(&config.platform)]));
    }
    pin.created = config.created.as_deref().and_then(time::seconds);
    Ok(config)
}

/// Refuses manifests of what is no container image (charts, signatures, attestations).
///
/// # Errors
/// E0411.
pub(crate) fn check_manifest(manifest: &Manifest, name: &str) -> Result<(), Diagnostic> {
    let name = printable(name);
    let is_config = [media::CONFIG, media::DOCKER_CONFIG].contains(&manifest.config.media_type.as_str());
    if !is_config {
        let found = printable(&manifest.config.media_type);
        return Err(Diagnostic::new(codes::E0411, format!("{name} is not a container image but an artifact"))
            .note(format!("its configuration is of type `{found}`"))
            .help("give the reference of an image"));
    }
    for layer in &manifest.layers {
        if !LAYERS.contains(&layer.media_type.as_str()) {
            let found = printable(&layer.media_type);
            return Err(Diagnostic::new(codes::E0411, format!("{name} has a layer that cannot be read"))
                .note(format!("{} is of type `{found}`", layer.digest))
                .help("layers are tar archives: plain, gzip or zstd, and not encrypted"));
        }
    }
    Ok(())
}

/// Pairs layers with their diff-ids.
///
/// # Errors
/// E0411 when they are not as many.
pub(crate) fn pair<'m>(
    layers: &'m [Descriptor],
    config: &ImageConfig,
    name: &str,
) -> Result<Vec<(&'m Descriptor, Digest)>, Diagnostic> {
    if layers.len() != config.diff_ids.len() {
        return Err(count_differs(name, layers.len(), config.diff_ids.len()));
    }
    Ok(layers.iter().zip(config.diff_ids.iter().copied()).collect())
}

/// E0411: a layer too many or too few.
pub(crate) fn count_differs(name: &str, layers: usize, diff_ids: usize) -> Diagnostic {
    let name = printable(name);
    Diagnostic::new(codes::E0411, format!("{name} has {layers} layers, but its configuration names {diff_ids}"))
        .help("the image is broken: have it built again")
}
