//! Reads a layout back: every blob has the digest and size by which it is named, every
//! document is what we would accept from others, and nothing else lies there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use diag::text::printable;
use diag::{Diagnostic, codes};
use formats::oci::{Descriptor, Digest, Document, ImageConfig, Manifest};
use sha2::{Digest as _, Sha256};

/// Checks the layout in `dir` from its index down; blobs of `verified` by their sizes alone. Every file comes back with
/// its digest, by its path below `dir`: whoever seals the layout need not read it again.
///
/// # Errors
/// E0542, naming the file and what is wrong with it.
pub fn check(dir: &Path, verified: &BTreeSet<Digest>) -> Result<BTreeMap<PathBuf, Digest>, Diagnostic> {
    let blobs = dir.join("blobs/sha256");
    let mut check = Check { blobs: &blobs, verified, seen: BTreeSet::new() };
    let index = fs::read(dir.join("index.json")).map_err(|e| broken("index.json", &e.to_string()))?;
    let mut open = match Document::parse(&index, None) {
        Ok(Document::Index(index)) => index.manifests,
        Ok(Document::Manifest(_)) => return Err(broken("index.json", "it is a manifest")),
        Err(e) => return Err(broken("index.json", &e.to_string())),
    };
    let version = fs::read(dir.join("oci-layout")).map_err(|e| broken("oci-layout", &e.to_string()))?;
    while let Some(next) = open.pop() {
        // Digests admit no cycles; a document that was seen needs no second look.
        if check.seen.contains(&next.digest) {
            continue;
        }
        let bytes = check.document(&next)?;
        match Document::parse(&bytes, Some(&next.media_type)) {
            Ok(Document::Index(index)) => open.extend(index.manifests),
            Ok(Document::Manifest(manifest)) => check.manifest(&manifest)?,
            Err(e) => return Err(broken(&next.digest.to_string(), &e.to_string())),
        }
    }
    let found = fs::read_dir(&blobs).map_err(|e| broken("blobs/sha256", &e.to_string()))?;
    for entry in found {
        let name = entry.map_err(|e| broken("blobs/sha256", &e.to_string()))?.file_name();
        let digest = name.to_str().and_then(|name| Digest::parse_hex(name).ok());
        if !digest.is_some_and(|digest| check.seen.contains(&digest)) {
            return Err(broken(&name.to_string_lossy(), "no document names it"));
        }
    }
    let mut files: BTreeMap<PathBuf, Digest> =
        check.seen.iter().map(|digest| (Path::new("blobs/sha256").join(digest.hex()), *digest)).collect();
    files.insert("index.json".into(), Digest::of(&index));
    files.insert("oci-layout".into(), Digest::of(&version));
    Ok(files)
}

struct Check<'a> {
    blobs: &'a Path,
    /// Blobs that were read back already.
    verified: &'a BTreeSet<Digest>,
    /// Blobs that are right.
    seen: BTreeSet<Digest>,
}

impl Check<'_> {
    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Diagnostic> {
        let config = self.document(&manifest.config)?;
        let config =
            ImageConfig::parse(&config).map_err(|e| broken(&manifest.config.digest.to_string(), &e.to_string()))?;
        if config.diff_ids.len() != manifest.layers.len() {
            return Err(broken(&manifest.config.digest.to_string(), "it names another number of layers"));
        }
        for layer in &manifest.layers {
            if !self.seen.contains(&layer.digest) {
                self.compare(layer, io::sink())?;
            }
        }
        Ok(())
    }

    /// A small blob, verified.
    fn document(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>, Diagnostic> {
        let mut bytes = Vec::new();
        self.compare(descriptor, &mut bytes)?;
        Ok(bytes)
    }

    fn compare(&mut self, descriptor: &Descriptor, mut out: impl io::Write) -> Result<(), Diagnostic> {
        let name = descriptor.digest.to_string();
        let failed = |e: io::Error| broken(&name, &e.to_string());
        let mut file = File::open(self.blobs.join(descriptor.digest.hex())).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size != descriptor.size {
            return Err(broken(&name, &format!("it has {size} bytes, not {}", descriptor.size)));
        }
        if !self.verified.contains(&descriptor.digest) {
            let mut sha = Sha256::new();
            let mut chunk = vec![0; 256 << 10];
            loop {
                let n = file.read(&mut chunk).map_err(failed)?;
                if n == 0 {
                    break;
                }
                let bytes = chunk.get(..n).unwrap_or_default();
                sha.update(bytes);
                out.write_all(bytes).map_err(failed)?;
            }
            if Digest::from_bytes(sha.finalize().into()) != descriptor.digest {
                return Err(broken(&name, "its bytes have another digest"));
            }
        }
        self.seen.insert(descriptor.digest);
        Ok(())
    }
}

pub(super) fn broken(file: &str, what: &str) -> Diagnostic {
    Diagnostic::new(
        codes::E0542,
        format!("the written image does not read back: {}: {}", printable(file), printable(what)),
    )
    .help("check the disk, and that nothing else writes to the output directory")
}
