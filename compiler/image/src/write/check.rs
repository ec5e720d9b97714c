//! Reads a layout back: every blob has the digest and size by which it is named, every
//! document is what we would accept from others, and nothing else lies there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use diag::text::printable;
use diag::{Diagnostic, codes};
use formats::oci::{Descriptor, Digest, Document, ImageConfig, Manifest};
use sha2::{Digest as _, Sha256};

/// Checks the layout in `dir` from its index down.
///
/// # Errors
/// E0542, naming the file and what is wrong with it.
pub fn check(dir: &Path) -> Result<(), Diagnostic> {
    let blobs = dir.join("blobs/sha256");
    let mut seen = BTreeSet::new();
    let index = fs::read(dir.join("index.json")).map_err(|e| broken("index.json", &e.to_string()))?;
    let mut open = match Document::parse(&index, None) {
        Ok(Document::Index(index)) => index.manifests,
        Ok(Document::Manifest(_)) => return Err(broken("index.json", "it is a manifest")),
        Err(e) => return Err(broken("index.json", &e.to_string())),
    };
    fs::read(dir.join("oci-layout")).map_err(|e| broken("oci-layout", &e.to_string()))?;
    while let Some(next) = open.pop() {
        // Digests admit no cycles; a document that was seen needs no second look.
        if !seen.insert(next.digest) {
            continue;
        }
        let bytes = document(&blobs, &next)?;
        match Document::parse(&bytes, Some(&next.media_type)) {
            Ok(Document::Index(index)) => open.extend(index.manifests),
            Ok(Document::Manifest(manifest)) => check_manifest(&blobs, &manifest, &mut seen)?,
            Err(e) => return Err(broken(&next.digest.to_string(), &e.to_string())),
        }
    }
    let found = fs::read_dir(&blobs).map_err(|e| broken("blobs/sha256", &e.to_string()))?;
    for entry in found {
        let name = entry.map_err(|e| broken("blobs/sha256", &e.to_string()))?.file_name();
        let known = name.to_str().and_then(|name| Digest::parse_hex(name).ok()).is_some_and(|d| seen.contains(&d));
        if !known {
            return Err(broken(&name.to_string_lossy(), "no document names it"));
        }
    }
    Ok(())
}

fn check_manifest(blobs: &Path, manifest: &Manifest, seen: &mut BTreeSet<Digest>) -> Result<(), Diagnostic> {
    let config = document(blobs, &manifest.config)?;
    let config =
        ImageConfig::parse(&config).map_err(|e| broken(&manifest.config.digest.to_string(), &e.to_string()))?;
    seen.insert(manifest.config.digest);
    if config.diff_ids.len() != manifest.layers.len() {
        return Err(broken(&manifest.config.digest.to_string(), "it names another number of layers"));
    }
    for layer in &manifest.layers {
        if seen.insert(layer.digest) {
            compare(blobs, layer, io::sink())?;
        }
    }
    Ok(())
}

/// A small blob, verified.
fn document(blobs: &Path, descriptor: &Descriptor) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = Vec::new();
    compare(blobs, descriptor, &mut bytes)?;
    Ok(bytes)
}

fn compare(blobs: &Path, descriptor: &Descriptor, mut out: impl io::Write) -> Result<(), Diagnostic> {
    let name = descriptor.digest.to_string();
    let failed = |e: io::Error| broken(&name, &e.to_string());
    let mut file = File::open(blobs.join(descriptor.digest.hex())).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size != descriptor.size {
        return Err(broken(&name, &format!("it has {size} bytes, not {}", descriptor.size)));
    }
    let mut sha = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut chunk).map_err(failed)?;
        if n == 0 {
            break;
        }
        let bytes = chunk.get(..n).unwrap_or_default();
        sha.update(bytes);
        out.write_all(bytes).map_err(failed)?;
    }
    match Digest::from_bytes(sha.finalize().into()) == descriptor.digest {
        true => Ok(()),
        false => Err(broken(&name, "its bytes have another digest")),
    }
}

pub(super) fn broken(file: &str, what: &str) -> Diagnostic {
    Diagnostic::new(
        codes::E0542,
        format!("the written image does not read back: {}: {}", printable(file), printable(what)),
    )
    .help("check the disk, and that nothing else writes to the output directory")
}
