//! `docker-archive:F`: what `docker save` and `podman save` write: a tar of `manifest.json`, a configuration
//! and one tar for each layer. An image in it is pinned by its configuration's digest (the image id), which
//! names the diff-ids of its layers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use diag::{Diagnostic, codes, text::printable};
use formats::codec::{self, Codec};
use formats::oci::{self, Digest, MAX_DOCUMENT};
use formats::tar;
use plan::SourcePath;
use serde_json::Value;

use super::image::{configuration, count_differs, unusable};
use super::tarball::sniff;
use super::{buffered, digest_of, media_type, opened};
use crate::local::{self, Want, unreadable};
use crate::stream::{Bounded, Verified};
use crate::{Failure, LayerSource, OpenedBase, Pin, not_pinned};

/// Bytes of all names of an archive that are kept.
const MAX_NAMES: usize = 16 << 20;
/// Links from one layer's name to another's that are followed.
const MAX_LINKS: usize = 8;

/// Where the members of an archive lie.
struct Members {
    /// Name → first byte of the content and its size.
    files: BTreeMap<String, (u64, u64)>,
    /// Old versions of Docker store equal layers once and link to them.
    links: BTreeMap<String, String>,
    kind: Codec,
}

/// The one image of an archive.
struct Found {
    config: Vec<u8>,
    layers: Vec<String>,
    members: Members,
}

pub(super) fn resolve(source: &SourcePath, pin: &mut Pin) -> Result<(), Diagnostic> {
    let found = find(source, pin)?;
    pin.digest = Some(Digest::of(&found.config).to_string());
    configuration(&found.config, pin)?;
    Ok(())
}

pub(super) fn open(source: &SourcePath, pin: &Pin, failure: Failure) -> Result<OpenedBase, Diagnostic> {
    let digest = digest_of(pin)?;
    let found = find(source, pin)?;
    let now = Digest::of(&found.config);
    if now != digest {
        return Err(not_pinned(&pin.reference, &digest.to_string(), &now.to_string()));
    }
    let mut seen = pin.clone();
    let config = configuration(&found.config, &mut seen)?;
    if found.layers.len() != config.diff_ids.len() {
        return Err(count_differs(&pin.reference, found.layers.len(), config.diff_ids.len()));
    }
    let kind = found.members.kind;
    let mut layers = Vec::new();
    for (member, diff_id) in found.layers.iter().zip(config.diff_ids.iter().copied()) {
        let (name, place) = found.members.find(member).ok_or_else(|| missing(source, member))?;
        let (source, failure) = (source.clone(), failure.clone());
        layers.push(LayerSource::new(None, Some(diff_id), media_type(Codec::Plain), place.1, move || {
            let what = format!("the layer {name} of {}", local::shown(&source));
            let reader = member_reader(&source, kind, &name, place)?;
            let mut reader = buffered(reader);
            // A layer that is compressed within the archive is verified by whoever decompresses it.
            let start = io::BufRead::fill_buf(&mut reader).map_err(|e| unreadable(&what, &e))?;
            if !matches!(codec::sniff(start.get(..codec::SNIFF).unwrap_or(start)), Some(Codec::Plain)) {
                return Ok(Box::new(reader));
            }
            Ok(Box::new(Verified::new(reader, &what, Some(place.1), diff_id, &failure)))
        }));
    }
    Ok(opened(&seen, config.raw, layers, failure))
}

fn find(source: &SourcePath, pin: &Pin) -> Result<Found, Diagnostic> {
    let members = members(source)?;
    let bytes = document(source, &members, "manifest.json")?;
    let value = oci::parse(&bytes).map_err(|e| unusable(&pin.reference, &e))?;
    let images = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let config_of = |image: &Value| image.get("Config").and_then(Value::as_str).map(str::to_owned);
    let Some(image) = images.first() else {
        return Err(broken(source, "its manifest.json lists no image"));
    };
    if images.iter().any(|other| config_of(other) != config_of(image)) {
        let tags = images.iter().filter_map(|image| image.get("RepoTags")?.as_array()).flatten();
        let tags: Vec<&str> = tags.filter_map(Value::as_str).collect();
        let name = local::shown(source);
        return Err(Diagnostic::new(codes::E0414, format!("{name} holds {} images", images.len()))
            .note(format!("images there: {}", printable(&tags.join(", "))))
            .help("save one image alone: `docker save NAME -o FILE`"));
    }
    let name = config_of(image).ok_or_else(|| broken(source, "its manifest.json names no configuration"))?;
    let config = document(source, &members, &name)?;
    let layers = image.get("Layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let layers: Option<Vec<String>> = layers.iter().map(|layer| layer.as_str().map(str::to_owned)).collect();
    let layers = layers.ok_or_else(|| broken(source, "its manifest.json names a layer by something else than text"))?;
    Ok(Found { config, layers, members })
}

impl Members {
    /// A member's own name and place, links followed.
    fn find(&self, name: &str) -> Option<(String, (u64, u64))> {
        let mut name = clean(name);
        for _ in 0..MAX_LINKS {
            if let Some(place) = self.files.get(&name) {
                return Some((name, *place));
            }
            let target = self.links.get(&name)?;
            let mut parts: Vec<&str> = name.split('/').collect();
            parts.pop();
            for part in target.split('/') {
                match part {
                    ".." => drop(parts.pop()?),
                    "" | "." => {}
                    part => parts.push(part),
                }
            }
            name = parts.join("/");
        }
        None
    }
}

fn clean(name: &str) -> String {
    name.trim_start_matches("./").to_owned()
}

/// Reads the whole archive once for the places of its members.
fn members(source: &SourcePath) -> Result<Members, Diagnostic> {
    let (decoded, kind) = decoded(source)?;
    let mut reader = tar::Reader::new(decoded);
    let mut members = Members { files: BTreeMap::new(), links: BTreeMap::new(), kind };
    let mut names = 0usize;
    while let Some(entry) = reader.next_entry().map_err(|e| damaged(source, &e))? {
        let Ok(name) = String::from_utf8(entry.path) else { continue };
        let name = clean(&name);
        names = names.saturating_add(name.len()).saturating_add(entry.link.len()).saturating_add(64);
        if names > MAX_NAMES {
            return Err(broken(source, "it has too many members for an image"));
        }
        match entry.kind {
            tar::Kind::File if entry.sparse.is_none() => {
                let place = (reader.offset(), entry.size);
                let twice = members.files.insert(name.clone(), place).map(|_| printable(&name));
                twice.map_or(Ok(()), |name| Err(broken(source, &format!("it holds {name} twice"))))?;
            }
            tar::Kind::Symlink => {
                members.links.insert(name, String::from_utf8_lossy(&entry.link).into_owned());
            }
            _ => {}
        }
    }
    Ok(members)
}

/// A member of at most [`MAX_DOCUMENT`] bytes.
fn document(source: &SourcePath, members: &Members, name: &str) -> Result<Vec<u8>, Diagnostic> {
    let (name, place) = members.find(name).ok_or_else(|| missing(source, name))?;
    if place.1 > MAX_DOCUMENT {
        return Err(broken(source, &format!("{} is larger than {MAX_DOCUMENT} bytes", printable(&name))));
    }
    let mut bytes = Vec::new();
    let reader = member_reader(source, members.kind, &name, place)?;
    reader.take(MAX_DOCUMENT).read_to_end(&mut bytes).map_err(|e| unreadable(&local::shown(source), &e))?;
    if bytes.len() as u64 != place.1 {
        return Err(broken(source, &format!("{} is cut off", printable(&name))));
    }
    Ok(bytes)
}

/// The content of a member: by its place in a plain archive, by reading up to it in a compressed one.
fn member_reader(
    source: &SourcePath,
    kind: Codec,
    name: &str,
    (offset, size): (u64, u64),
) -> Result<Box<dyn Read + Send>, Diagnostic> {
    let shown = local::shown(source);
    if kind == Codec::Plain {
        let mut file = open_file(source)?;
        file.seek(SeekFrom::Start(offset)).map_err(|e| unreadable(&shown, &e))?;
        return Ok(Box::new(file.take(size)));
    }
    let mut reader = tar::Reader::new(decoded(source)?.0);
    while let Some(entry) = reader.next_entry().map_err(|e| damaged(source, &e))? {
        if entry.kind == tar::Kind::File && clean(&String::from_utf8_lossy(&entry.path)) == name {
            return Ok(Box::new(Member(reader)));
        }
    }
    Err(missing(source, name))
}

/// The current member of a compressed archive.
struct Member(tar::Reader<Box<dyn Read + Send>>);

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|e| io::Error::other(e.to_string()))
    }
}

fn open_file(source: &SourcePath) -> Result<File, Diagnostic> {
    local::open(source, Path::new(""), Want::File)
}

fn decoded(source: &SourcePath) -> Result<(Box<dyn Read + Send>, Codec), Diagnostic> {
    let mut file = open_file(source)?;
    let name = local::shown(source);
    let kind = sniff(&mut file, &name)?;
    let stored = file.metadata().map_err(|e| unreadable(&name, &e))?.len();
    let decoder = codec::decoder(kind, buffered(file)).map_err(|e| unreadable(&name, &e))?;
    Ok((Box::new(Bounded::new(decoder, stored)), kind))
}

fn damaged(source: &SourcePath, error: &tar::TarError) -> Diagnostic {
    Diagnostic::new(codes::E0413, format!("{} is a damaged archive: {error}", local::shown(source)))
        .help("save the image again")
}

fn missing(source: &SourcePath, member: &str) -> Diagnostic {
    broken(source, &format!("it has no {}", printable(member)))
}

fn broken(source: &SourcePath, why: &str) -> Diagnostic {
    Diagnostic::new(codes::E0411, format!("{} is no usable docker archive: {why}", local::shown(source)))
        .help("make one with `docker save NAME -o FILE`; for a root file system in a tar use `tar:FILE`")
}
