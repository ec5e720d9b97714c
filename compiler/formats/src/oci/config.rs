//! The image configuration (OCI image-spec, config.md).

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::string_map;
use super::{Digest, OciError, Platform, array, check_case, json, text};

/// A checked view of an image configuration. Absent, null and empty fields are one, as for
/// the Go programs that write them.
#[derive(Debug, Clone)]
pub struct ImageConfig {
    /// What the image is made for.
    pub platform: Platform,
    /// RFC 3339 time of creation, as spelt.
    pub created: Option<String>,
    /// SHA-256 of each layer uncompressed, lowest first.
    pub diff_ids: Vec<Digest>,
    /// `config.User`, as spelt: `user`, `uid`, `user:group`, `uid:gid`.
    pub user: Option<String>,
    /// `config.Env`: `NAME=value` entries in order.
    pub env: Vec<String>,
    /// `config.Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `config.Cmd`.
    pub cmd: Vec<String>,
    /// `config.WorkingDir`.
    pub workdir: Option<String>,
    /// `config.StopSignal`.
    pub stop_signal: Option<String>,
    /// `config.Labels`.
    pub labels: BTreeMap<String, String>,
    /// Keys of `config.ExposedPorts`: `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Keys of `config.Volumes`: paths.
    pub volumes: Vec<String>,
    /// The entries of `history`, oldest first, as they are.
    pub history: Vec<Value>,
    /// The whole document.
    pub raw: Value,
}

impl ImageConfig {
    /// Reads a configuration of either media type.
    ///
    /// # Errors
    /// Every defect of an [`OciError`].
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, OciError> {
        let raw = json::parse(bytes)?;
        if !raw.is_object() {
            return Err(OciError::Type("(document)".into(), "an object"));
        }
        check_case(&raw, &["architecture", "os", "variant", "created", "config", "rootfs", "history"])?;
        let config = object(&raw, "config")?;
        check_case(
            config,
            &["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "StopSignal", "Labels", "ExposedPorts", "Volumes"],
        )?;
        let rootfs = object(&raw, "rootfs")?;
        check_case(rootfs, &["type", "diff_ids"])?;
        let diff_ids = strings(rootfs, "diff_ids", "rootfs.")?;
        let missing = |field: &str| OciError::Missing(field.into());
        Ok(ImageConfig {
            platform: Platform {
                os: text(&raw, "os", "")?.ok_or_else(|| missing("os"))?,
                architecture: text(&raw, "architecture", "")?.ok_or_else(|| missing("architecture"))?,
                variant: text(&raw, "variant", "")?,
            },
            created: text(&raw, "created", "")?,
            diff_ids: diff_ids
                .iter()
                .map(|id| Digest::parse(id).map_err(|e| OciError::Digest("rootfs.diff_ids".into(), e)))
                .collect::<Result<_, _>>()?,
            user: text(config, "User", "config.")?,
            env: strings(config, "Env", "config.")?,
            entrypoint: strings(config, "Entrypoint", "config.")?,
            cmd: strings(config, "Cmd", "config.")?,
            workdir: text(config, "WorkingDir", "config.")?,
            stop_signal: text(config, "StopSignal", "config.")?,
            labels: string_map(config, "Labels", "config.")?,
            exposed_ports: keys(config, "ExposedPorts")?,
            volumes: keys(config, "Volumes")?,
            history: array(&raw, "history", "")?.to_vec(),
            raw,
        })
    }
}

fn object<'v>(raw: &'v Value, key: &str) -> Result<&'v Value, OciError> {
    match raw.get(key) {
        None => Ok(&Value::Null),
        Some(value) if value.is_null() || value.is_object() => Ok(value),
        Some(_) => Err(OciError::Type(key.into(), "an object")),
    }
}

fn strings(object: &Value, key: &str, at: &str) -> Result<Vec<String>, OciError> {
    let wrong = || OciError::Type(format!("{at}{key}"), "an array of strings");
    let items = array(object, key, at)?.iter();
    items.map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn keys(config: &Value, key: &str) -> Result<Vec<String>, OciError> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => {
            let mut keys: Vec<String> = map.keys().cloned().collect();
            keys.sort();
            Ok(keys)
        }
        Some(_) => Err(OciError::Type(format!("config.{key}"), "an object")),
    }
}
