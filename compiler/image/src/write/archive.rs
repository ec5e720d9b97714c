//! `docker-archive`: one image as a single file that `docker load` and `podman load` take.
//! Layers are uncompressed, which every version reads.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use diag::Diagnostic;
use formats::codec::{self, Codec};
use formats::oci::{Digest, canonical};
use formats::tar::{Entry, Kind, WriteError, Writer};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Options, WrittenImage, unwritable};

/// Writes the image of `layout` to `out`: manifest.json, the config, the layers. `tags` are
/// the names that it gets where it is loaded (`shop/web:1.0`); there may be none. `name` is
/// the output's name for messages.
///
/// # Errors
/// E0543, E1003; E0542 for a layer that is not what was written.
pub fn docker_archive(
    layout: &Path,
    image: &WrittenImage,
    tags: &[String],
    out: &mut dyn Write,
    name: &Path,
    options: &Options,
) -> Result<(), Diagnostic> {
    let failed = |e: WriteError| match e {
        WriteError::Io(e) => unwritable(name, &e),
        other => unwritable(name, &io::Error::other(other)),
    };
    let blob = |digest: &Digest| layout.join("blobs/sha256").join(digest.hex());
    let file =
        |path: String, size: u64| Entry { mode: 0o644, size, mtime: options.epoch, ..Entry::new(path, Kind::File) };
    let config_name = format!("{}.json", image.config.digest.hex());
    let layers: Vec<String> = image.layers.iter().map(|layer| format!("{}.tar", layer.diff_id.hex())).collect();
    let tags = if tags.is_empty() { json!(null) } else { json!(tags) };
    let manifest = canonical(&json!([{"Config": config_name, "RepoTags": tags, "Layers": layers}]));
    let mut writer = Writer::new(out);
    writer.append(&file("manifest.json".into(), manifest.len() as u64), &mut &manifest[..]).map_err(failed)?;
    let config = blob(&image.config.digest);
    let bytes = fs::read(&config).map_err(|e| unwritable(&config, &e))?;
    writer.append(&file(config_name, bytes.len() as u64), &mut &bytes[..]).map_err(failed)?;
    let mut written = std::collections::BTreeSet::new();
    for (layer, path) in image.layers.iter().zip(layers) {
        options.check_interrupt()?;
        // Two equal layers are one file.
        if !written.insert(layer.diff_id) {
            continue;
        }
        let source = blob(&layer.digest);
        let opened = File::open(&source).map_err(|e| unwritable(&source, &e))?;
        let decoder = codec::decoder(Codec::Gzip, BufReader::with_capacity(256 << 10, opened));
        let mut hashed = Hashed { source: decoder.map_err(|e| unwritable(&source, &e))?, sha: Sha256::new() };
        writer.append(&file(path, layer.diff_size), &mut hashed).map_err(failed)?;
        if Digest::from_bytes(hashed.sha.finalize().into()) != layer.diff_id {
            return Err(super::check::broken(&layer.digest.to_string(), "its content has another digest"));
        }
    }
    writer.finish().map_err(|e| unwritable(name, &e))?.flush().map_err(|e| unwritable(name, &e))
}

struct Hashed<R> {
    source: R,
    sha: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.sha.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}
