//! The built image as the output directory holds it: OCI layout → configuration and layer files.

use std::path::{Path, PathBuf};

use diag::{Diagnostic, codes};
use formats::oci::{Descriptor, Digest, Document, MAX_DOCUMENT, Manifest, media};
use plan::platform::Arch;
use serde_json::Value;

/// A layer: its file and how it is compressed.
pub struct Layer {
    /// The blob.
    pub file: PathBuf,
    /// Its media type.
    pub media_type: String,
}

/// An image.
pub struct Image {
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// `config` of the OCI image configuration.
    pub config: Value,
}

impl Image {
    /// A list of strings of the configuration, `Env` for instance; absent and null are empty.
    pub fn list(&self, key: &str) -> Vec<String> {
        let values = self.config.get(key).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    /// A string of the configuration; absent and empty are `None`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

/// Reads the image of `arch` from the layout in `directory`.
pub fn read(directory: &Path, arch: Arch) -> Result<Image, Diagnostic> {
    let index = document(&directory.join("index.json"), None)?;
    let manifest = match index {
        Document::Manifest(manifest) => manifest,
        // An index of one image, or an index whose one entry is an index of platforms.
        Document::Index(index) => manifest(directory, &index.manifests, arch)?,
    };
    let config = blob(directory, &manifest.config.digest);
    let bytes = small(&config)?;
    let value = formats::oci::parse(&bytes).map_err(|error| unreadable(&config, &error.to_string()))?;
    let layers = manifest
        .layers
        .iter()
        .map(|layer| Layer { file: blob(directory, &layer.digest), media_type: layer.media_type.clone() })
        .collect();
    Ok(Image { layers, config: value.get("config").cloned().unwrap_or(Value::Null) })
}

fn manifest(directory: &Path, entries: &[Descriptor], arch: Arch) -> Result<Manifest, Diagnostic> {
    let fits = |entry: &&Descriptor| {
        entry.platform.as_ref().is_none_or(|platform| platform.os == "linux" && platform.architecture == arch.oci())
    };
    let entry = entries.iter().find(fits).ok_or_else(|| {
        unreadable(&directory.join("index.json"), &format!("it names no image for linux/{}", arch.oci()))
    })?;
    let file = blob(directory, &entry.digest);
    match document(&file, Some(entry.media_type.as_str()).filter(|kind| !kind.is_empty()))? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(inner) => {
            let inner = inner.manifests.iter().find(fits);
            let inner = inner.ok_or_else(|| unreadable(&file, &format!("it names no image for {}", arch.oci())))?;
            let file = blob(directory, &inner.digest);
            match document(&file, Some(media::MANIFEST))? {
                Document::Manifest(manifest) => Ok(manifest),
                Document::Index(_) => Err(unreadable(&file, "it is an index in an index in an index")),
            }
        }
    }
}

fn blob(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

fn document(file: &Path, expected: Option<&str>) -> Result<Document, Diagnostic> {
    Document::parse(&small(file)?, expected).map_err(|error| unreadable(file, &error.to_string()))
}

fn small(file: &Path) -> Result<Vec<u8>, Diagnostic> {
    let length = std::fs::metadata(file).map_err(|error| unreadable(file, &error.to_string()))?.len();
    if length > MAX_DOCUMENT {
        return Err(unreadable(file, &format!("it is larger than {MAX_DOCUMENT} bytes")));
    }
    std::fs::read(file).map_err(|error| unreadable(file, &error.to_string()))
}

/// E1104: the built image cannot be read.
pub fn unreadable(file: &Path, why: &str) -> Diagnostic {
    let file = diag::text::printable_bytes(file.as_os_str().as_encoded_bytes());
    Diagnostic::new(codes::E1104, format!("the built image cannot be read: {why}"))
        .note(file)
        .help("build it again: k8orc build")
}
