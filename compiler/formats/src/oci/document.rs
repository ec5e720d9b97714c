//! Manifests, indexes and the descriptors in them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Digest, OciError, array, check_case, json, media, show, text};

/// What an image is made for, as the documents spell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// Go's name of the architecture: `amd64`, `arm64`.
    pub architecture: String,
    /// `v7` of arm, `v8` of arm64.
    pub variant: Option<String>,
}

/// A reference to content by digest (OCI image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type of the content; empty when the document does not say.
    pub media_type: String,
    /// Digest of the content's bytes.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// In an index: what the manifest is made for.
    pub platform: Option<Platform>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// An image manifest: one configuration, layers from the lowest up.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The media type: OCI's or Docker's.
    pub media_type: &'static str,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The whole document.
    pub raw: Value,
}

/// An index (Docker: manifest list) of manifests for several platforms.
#[derive(Debug, Clone)]
pub struct Index {
    /// The media type: OCI's or Docker's.
    pub media_type: &'static str,
    /// The manifests, in the document's order.
    pub manifests: Vec<Descriptor>,
    /// The whole document.
    pub raw: Value,
}

/// A manifest or an index, never both.
#[derive(Debug, Clone)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// Reads a document. `expected` is the media type of the descriptor or of the HTTP
    /// response that led here, when there was one; it must not contradict the document.
    ///
    /// # Errors
    /// Every defect of an [`OciError`]; Docker schema 1 is `Unknown`.
    pub fn parse(bytes: &[u8], expected: Option<&str>) -> Result<Document, OciError> {
        let raw = json::parse(bytes)?;
        if !raw.is_object() {
            return Err(OciError::Type("(document)".into(), "an object"));
        }
        check_case(&raw, &["schemaVersion", "mediaType", "config", "layers", "manifests", "annotations"])?;
        let has = |key| raw.get(key).is_some_and(|value| !value.is_null());
        let said = text(&raw, "mediaType", "")?;
        let is_index = has("manifests");
        let is_manifest = has("layers") || has("config");
        if is_index && is_manifest {
            return Err(OciError::Ambiguous);
        }
        let declared = said.as_deref().or(expected).unwrap_or_default();
        if !(is_index || is_manifest) || raw.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return Err(OciError::Unknown(show(declared)));
        }
        let (types, what) = if is_index {
            ([media::INDEX, media::DOCKER_LIST], "an index")
        } else {
            ([media::MANIFEST, media::DOCKER_MANIFEST], "a manifest")
        };
        let mut media_type = types[0];
        for declared in [expected.filter(|e| e.starts_with("application/vnd.")), said.as_deref()] {
            let Some(declared) = declared else { continue };
            let found = types.iter().find(|t| **t == declared);
            media_type = found.ok_or_else(|| OciError::MediaType { said: show(declared), what })?;
        }
        if is_index {
            let manifests = descriptors(&raw, "manifests")?;
            return Ok(Document::Index(Index { media_type, manifests, raw }));
        }
        let config = raw.get("config").ok_or_else(|| OciError::Missing("config".into()))?;
        Ok(Document::Manifest(Manifest {
            media_type,
            config: descriptor(config, "config")?,
            layers: descriptors(&raw, "layers")?,
            annotations: annotations(&raw, "")?,
            raw,
        }))
    }
}

impl Descriptor {
    /// The JSON form, ready for [`json::canonical`].
    pub fn to_value(&self) -> Value {
        let mut map = serde_json::Map::new();
        map.insert("mediaType".into(), self.media_type.as_str().into());
        map.insert("digest".into(), self.digest.to_string().into());
        map.insert("size".into(), self.size.into());
        if let Some(platform) = &self.platform {
            let mut p = serde_json::Map::new();
            p.insert("os".into(), platform.os.as_str().into());
            p.insert("architecture".into(), platform.architecture.as_str().into());
            if let Some(variant) = &platform.variant {
                p.insert("variant".into(), variant.as_str().into());
            }
            map.insert("platform".into(), Value::Object(p));
        }
        if !self.annotations.is_empty() {
            let pairs = self.annotations.iter();
            let pairs = pairs.map(|(key, value)| (key.clone(), Value::from(value.as_str())));
            map.insert("annotations".into(), Value::Object(pairs.collect()));
        }
        Value::Object(map)
    }
}

fn descriptors(raw: &Value, key: &'static str) -> Result<Vec<Descriptor>, OciError> {
    let items = array(raw, key, "")?.iter().enumerate();
    items.map(|(at, item)| descriptor(item, &format!("{key}[{at}]"))).collect()
}

fn descriptor(value: &Value, at: &str) -> Result<Descriptor, OciError> {
    if !value.is_object() {
        return Err(OciError::Type(at.into(), "an object"));
    }
    check_case(value, &["mediaType", "digest", "size", "platform", "annotations", "urls", "data"])?;
    let dot = format!("{at}.");
    let digest = text(value, "digest", &dot)?;
    let digest = digest.ok_or_else(|| OciError::Missing(format!("{dot}digest")))?;
    let digest = Digest::parse(&digest).map_err(|e| OciError::Digest(format!("{dot}digest"), e))?;
    let size = value.get("size").ok_or_else(|| OciError::Missing(format!("{dot}size")))?;
    let size = size.as_u64().filter(|size| i64::try_from(*size).is_ok());
    Ok(Descriptor {
        media_type: text(value, "mediaType", &dot)?.unwrap_or_default(),
        digest,
        size: size.ok_or_else(|| OciError::Type(format!("{dot}size"), "a size in bytes"))?,
        platform: platform(value, &dot)?,
        annotations: annotations(value, &dot)?,
    })
}

fn platform(value: &Value, at: &str) -> Result<Option<Platform>, OciError> {
    let at = format!("{at}platform.");
    let Some(platform) = value.get("platform").filter(|p| !p.is_null()) else {
        return Ok(None);
    };
    if !platform.is_object() {
        return Err(OciError::Type(at, "an object"));
    }
    check_case(platform, &["os", "architecture", "variant"])?;
    Ok(Some(Platform {
        os: text(platform, "os", &at)?.unwrap_or_default(),
        architecture: text(platform, "architecture", &at)?.unwrap_or_default(),
        variant: text(platform, "variant", &at)?,
    }))
}

fn annotations(value: &Value, at: &str) -> Result<BTreeMap<String, String>, OciError> {
    string_map(value, "annotations", at)
}

/// An object of strings; absent and null are empty.
pub(super) fn string_map(value: &Value, key: &str, at: &str) -> Result<BTreeMap<String, String>, OciError> {
    let wrong = || OciError::Type(format!("{at}{key}"), "an object of strings");
    match value.get(key) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| {
                let text = value.as_str().ok_or_else(wrong)?;
                Ok((key.clone(), text.to_owned()))
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}
