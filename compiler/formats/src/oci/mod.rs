//! OCI and Docker image documents as checked views over JSON.
//!
//! A view reads what the compiler needs and keeps the whole document, so that what we do
//! not know survives. Specification: OCI image-spec 1.1 (manifest.md, image-index.md,
//! config.md) and Docker's "Image Manifest Version 2, Schema 2".

use serde_json::Value;

mod config;
mod digest;
mod document;
mod json;
#[cfg(test)]
mod tests;

pub use config::ImageConfig;
pub use digest::{Digest, DigestError};
pub use document::{Descriptor, Document, Index, Manifest, Platform};
pub use json::{canonical, parse};

/// The largest manifest, index or configuration that is read (the distribution
/// specification lets registries refuse larger manifests).
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Media types that we read and write.
pub mod media {
    /// OCI image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// OCI layer, uncompressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, uncompressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
}

/// A document that cannot be used, with the field at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// Not JSON, or a key twice, or nested too deep.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// Larger than [`MAX_DOCUMENT`].
    #[error("the document is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// A field that must be there is not.
    #[error("the field {0} is missing")]
    Missing(String),
    /// A field of another type or with a value outside its range.
    #[error("the field {0} is not {1}")]
    Type(String, &'static str),
    /// A digest that is none.
    #[error("the field {0} holds a malformed digest: {1}")]
    Digest(String, DigestError),
    /// A document that can be read as two kinds (CVE-2021-41190).
    #[error("the document has both layers and manifests; it can be read as two different images")]
    Ambiguous,
    /// Neither a manifest nor an index.
    #[error("the document is neither an image manifest nor an index (media type {0})")]
    Unknown(String),
    /// A media type that contradicts the content or the descriptor.
    #[error("the media type {said} does not belong to {what}")]
    MediaType {
        /// What the document or descriptor says, escaped.
        said: String,
        /// What it is.
        what: &'static str,
    },
    /// A key that some readers would take for another: Go ignores case.
    #[error("the key {0} differs from {1} only in case; programs differ on whether it counts")]
    Case(String, &'static str),
}

/// Text of a document for a message: escaped, and cut.
pub(crate) fn show(text: &str) -> String {
    let cut: String = text.chars().take(100).collect();
    cut.escape_default().to_string()
}

/// Refuses keys that Go's JSON reader, which ignores case, would take for a known one.
fn check_case(object: &Value, known: &[&'static str]) -> Result<(), OciError> {
    for key in object.as_object().into_iter().flat_map(|map| map.keys()) {
        for name in known {
            if key != name && key.eq_ignore_ascii_case(name) {
                return Err(OciError::Case(show(key), name));
            }
        }
    }
    Ok(())
}

/// A string field; absent, null and empty are all `None`, as Go writes and reads them.
fn text(object: &Value, key: &str, at: &str) -> Result<Option<String>, OciError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) if s.is_empty() => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(_) => Err(OciError::Type(format!("{at}{key}"), "a string")),
    }
}

/// An array field; absent and null are empty.
fn array<'v>(object: &'v Value, key: &str, at: &str) -> Result<&'v [Value], OciError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(OciError::Type(format!("{at}{key}"), "an array")),
    }
}
