//! Part of the seal: what we wrote, read with types that we did not write (`oci-spec`).
//!
//! The writers emit sorted JSON by themselves, because these types drop unknown fields and order maps by hash;
//! for reading they are an independent check that every document is what the specifications say.

use std::fs;
use std::path::Path;

use diag::{Diagnostic, codes};
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use oci_spec::runtime::LinuxSeccomp;
use serde::de::DeserializeOwned;

/// Reads index, manifests, configs and profiles below `output`.
pub(crate) fn read(output: &Path) -> Result<(), Diagnostic> {
    let layout = output.join("image");
    let index: ImageIndex = document(&layout.join("index.json"))?;
    let mut pending: Vec<_> = index.manifests().clone();
    while let Some(next) = pending.pop() {
        let path = blob(&layout, next.digest().digest());
        if *next.media_type() == MediaType::ImageIndex {
            let index: ImageIndex = document(&path)?;
            pending.extend(index.manifests().iter().cloned());
            continue;
        }
        let manifest: ImageManifest = document(&path)?;
        let config: ImageConfiguration = document(&blob(&layout, manifest.config().digest().digest()))?;
        let layers = manifest.layers().len();
        if config.rootfs().diff_ids().len() != layers {
            return Err(wrong(&path, &format!("{layers} layers, but not as many diff-ids")));
        }
    }
    let profiles = output.join("seccomp");
    let unreadable = |error: std::io::Error| wrong(&profiles, &error.to_string());
    for entry in fs::read_dir(&profiles).map_err(unreadable)? {
        let _: LinuxSeccomp = document(&entry.map_err(unreadable)?.path())?;
    }
    Ok(())
}

fn blob(layout: &Path, hex: &str) -> std::path::PathBuf {
    layout.join("blobs/sha256").join(hex)
}

fn document<T: DeserializeOwned>(path: &Path) -> Result<T, Diagnostic> {
    let bytes = fs::read(path).map_err(|error| wrong(path, &error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(path, &error.to_string()))
}

fn wrong(path: &Path, what: &str) -> Diagnostic {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Diagnostic::new(codes::E1023, format!("what was written does not read back: {name}: {what}"))
        .note("this is a bug of k8orc; nothing was published")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_profile_of_another_shape() {
        let output = tempfile::tempdir().unwrap();
        fs::create_dir_all(output.path().join("image")).unwrap();
        fs::create_dir_all(output.path().join("seccomp")).unwrap();
        fs::write(output.path().join("image/index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
        read(output.path()).unwrap();
        fs::write(output.path().join("seccomp/web.json"), r#"{"defaultAction":"SCMP_ACT_ALLOWED"}"#).unwrap();
        assert_eq!(read(output.path()).unwrap_err().code, codes::E1023);
    }
}
