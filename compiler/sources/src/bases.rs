//! One file a kind of base; here the choice among them.

use std::io::BufReader;

use diag::{Diagnostic, codes};
use formats::codec::Codec;
use formats::oci::media;
use plan::BaseRef;
use plan::facts::BaseIdentity;
use plan::platform::Platform;
use serde_json::{Value, json};

use crate::{Failure, LayerSource, OpenedBase, Pin, Reference, Sources};

mod directory;
mod docker_archive;
mod image;
mod layout;
mod remote;
mod tarball;
mod time;
mod walk;

pub(crate) use image::{Document, document};
pub(crate) use time::seconds;

/// What a base is called in the lock, in reports and annotations.
pub fn name(base: &BaseRef) -> Result<String, Diagnostic> {
    let path = |kind: &str, path: &plan::SourcePath| format!("{kind}:{}", path.path.display());
    Ok(match base {
        BaseRef::Registry(text) => Reference::parse(text).map_err(|e| e.diagnostic(text))?.to_string(),
        BaseRef::Oci { dir, tag: None } => path("oci", dir),
        BaseRef::Oci { dir, tag: Some(tag) } => format!("{}:{tag}", path("oci", dir)),
        BaseRef::DockerArchive(file) => path("docker-archive", file),
        BaseRef::Tar(file) => path("tar", file),
        BaseRef::Dir(dir) => path("dir", dir),
        BaseRef::Scratch => "scratch".to_owned(),
        BaseRef::Apt(suite) => format!("apt:{suite}"),
        BaseRef::Spec(spec) => return Err(unbuilt(&format!("spec:{spec}"))),
    })
}

fn unbuilt(base: &str) -> Diagnostic {
    Diagnostic::new(codes::E0301, format!("the base `{}` is not built yet", diag::text::printable(base)))
}

pub(crate) fn resolve(sources: &Sources, base: &BaseRef, platform: &Platform) -> Result<Pin, Diagnostic> {
    let mut pin = Pin {
        reference: name(base)?,
        platform: platform.clone(),
        digest: None,
        index: None,
        diff_id: None,
        created: None,
    };
    match base {
        BaseRef::Registry(text) => remote::resolve(sources, text, &mut pin)?,
        BaseRef::Oci { dir, tag } => layout::resolve(dir, tag.as_deref(), &mut pin)?,
        BaseRef::DockerArchive(file) => docker_archive::resolve(file, &mut pin)?,
        BaseRef::Tar(file) => tarball::resolve(sources, file, &mut pin)?,
        BaseRef::Dir(dir) => directory::resolve(dir, &mut pin)?,
        // What an archive has is asked of `Apt`.
        BaseRef::Scratch | BaseRef::Apt(_) | BaseRef::Spec(_) => {}
    }
    Ok(pin)
}

pub(crate) fn open(sources: &Sources, base: &BaseRef, pin: &Pin) -> Result<OpenedBase, Diagnostic> {
    // For the refusal of what is not built, and of references that never parsed.
    name(base)?;
    let failure = Failure::default();
    match base {
        BaseRef::Registry(text) => remote::open(sources, text, pin, failure),
        BaseRef::Oci { dir, tag } => layout::open(dir, tag.as_deref(), pin, failure),
        BaseRef::DockerArchive(file) => docker_archive::open(file, pin, failure),
        BaseRef::Tar(file) => tarball::open(sources, file, pin, failure),
        BaseRef::Dir(dir) => directory::open(dir, pin, failure),
        BaseRef::Scratch | BaseRef::Apt(_) | BaseRef::Spec(_) => {
            Ok(opened(pin, bare(&pin.platform), Vec::new(), failure))
        }
    }
}

/// Puts the parts of an opened base together.
fn opened(pin: &Pin, config: Value, layers: Vec<LayerSource>, failure: Failure) -> OpenedBase {
    let identity = BaseIdentity { reference: pin.reference.clone(), digest: pin.digest.clone(), created: pin.created };
    let compressed_size = layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    OpenedBase { identity, config, layers, compressed_size, failure }
}

/// The configuration of a base that has none.
fn bare(platform: &Platform) -> Value {
    let mut config = json!({ "os": "linux", "architecture": platform.arch.oci() });
    if let (Some(variant), Some(map)) = (&platform.variant, config.as_object_mut()) {
        map.insert("variant".to_owned(), Value::from(variant.as_str()));
    }
    config
}

/// The pin's digest, which every base but `scratch` has.
fn digest_of(pin: &Pin) -> Result<formats::oci::Digest, Diagnostic> {
    crate::pinned(pin.digest.as_deref().unwrap_or_default(), &pin.reference)
}

/// The media type of a layer of that compression.
fn media_type(codec: Codec) -> &'static str {
    match codec {
        Codec::Plain => media::LAYER,
        Codec::Gzip => media::LAYER_GZIP,
        Codec::Zstd => media::LAYER_ZSTD,
    }
}

/// A buffered reader of the size that hashing and decompression like.
fn buffered<R: std::io::Read>(source: R) -> BufReader<R> {
    BufReader::with_capacity(256 << 10, source)
}
