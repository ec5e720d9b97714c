//! `tar:F`: one layer in a file, plain, gzip or zstd.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use diag::{Diagnostic, codes, text::printable};
use formats::codec::{self, Codec};
use formats::oci::Digest;
use plan::SourcePath;

use super::{bare, buffered, digest_of, media_type, opened};
use crate::local::{self, Want, unreadable};
use crate::stream::{Bounded, Hashing, Verified};
use crate::{Failure, LayerSource, OpenedBase, Pin, Sources, not_pinned, pinned};

pub(super) fn resolve(sources: &Sources, source: &SourcePath, pin: &mut Pin) -> Result<(), Diagnostic> {
    let name = local::shown(source);
    let (file, kind) = open_archive(source)?;
    let about = file.metadata().map_err(|e| unreadable(&name, &e))?;
    let (digest, _) = Hashing::new(file).finish().map_err(|e| unreadable(&name, &e))?;
    let diff_id = if kind == Codec::Plain { digest } else { decompressed(source, kind, digest)? };
    sources.cache.set_stamp(&whole(source), &about, digest);
    pin.digest = Some(digest.to_string());
    pin.diff_id = Some(diff_id.to_string());
    Ok(())
}

/// The digest of the archive in a compressed file, whose own digest is compared on the way.
fn decompressed(source: &SourcePath, kind: Codec, digest: Digest) -> Result<Digest, Diagnostic> {
    let name = local::shown(source);
    let failure = Failure::default();
    let (file, _) = open_archive(source)?;
    let stored = file.metadata().map_err(|e| unreadable(&name, &e))?.len();
    let verified = Verified::new(file, &name, None, digest, &failure);
    let decoder = codec::decoder(kind, buffered(verified)).map_err(|e| unreadable(&name, &e))?;
    match Hashing::new(Bounded::new(decoder, stored)).finish() {
        Ok((diff_id, _)) => Ok(diff_id),
        Err(e) => Err(failure.take().unwrap_or_else(|| {
            let why = printable(&e.to_string());
            Diagnostic::new(codes::E0413, format!("{name} cannot be decompressed: {why}"))
                .help("the file is damaged or cut off: make it again")
        })),
    }
}

pub(super) fn open(
    sources: &Sources,
    source: &SourcePath,
    pin: &Pin,
    failure: Failure,
) -> Result<OpenedBase, Diagnostic> {
    let name = local::shown(source);
    let digest = digest_of(pin)?;
    let (file, kind) = open_archive(source)?;
    let about = file.metadata().map_err(|e| unreadable(&name, &e))?;
    let path = whole(source);
    if sources.cache.stamp(&path, &about) != Some(digest) {
        let (found, _) = Hashing::new(file).finish().map_err(|e| unreadable(&name, &e))?;
        if found != digest {
            return Err(not_pinned(&pin.reference, &digest.to_string(), &found.to_string()));
        }
        sources.cache.set_stamp(&path, &about, digest);
    }
    let diff_id = match (&pin.diff_id, kind) {
        (_, Codec::Plain) => Some(digest),
        (Some(said), _) => Some(pinned(said, &pin.reference)?),
        (None, _) => None,
    };
    let size = about.len();
    let (from, errors) = (source.clone(), failure.clone());
    let layer = LayerSource::new(Some(digest), diff_id, media_type(kind), size, move || {
        let (file, _) = open_archive(&from)?;
        Ok(Box::new(Verified::new(file, &local::shown(&from), Some(size), digest, &errors)))
    });
    Ok(opened(pin, bare(&pin.platform), vec![layer], failure))
}

/// Opens the file at its first byte and says what it is.
fn open_archive(source: &SourcePath) -> Result<(File, Codec), Diagnostic> {
    let name = local::shown(source);
    let mut file = local::open(source, Path::new(""), Want::File)?;
    let kind = sniff(&mut file, &name)?;
    Ok((file, kind))
}

/// Recognises the compression and goes back to the start.
pub(super) fn sniff(file: &mut File, name: &str) -> Result<Codec, Diagnostic> {
    let mut start = Vec::new();
    let read = Read::by_ref(file).take(codec::SNIFF as u64).read_to_end(&mut start);
    read.and_then(|_| file.rewind()).map_err(|e| unreadable(name, &e))?;
    // Tar takes an empty file for an empty archive; here it is what a tool that failed left behind.
    codec::sniff(&start).filter(|_| !start.is_empty()).ok_or_else(|| {
        let what = match start.as_slice() {
            [] => ": it is empty",
            [0xfd, b'7', b'z', b'X', b'Z', ..] => " but compressed with xz, which no image layer may be",
            [b'B', b'Z', b'h', ..] => " but compressed with bzip2, which no image layer may be",
            _ => "",
        };
        Diagnostic::new(codes::E0413, format!("{name} is not a tar archive{what}"))
            .note("a tar archive, plain or compressed with gzip or zstd, is wanted")
            .help("make one with `tar -C TREE --numeric-owner -cf base.tar .`")
    })
}

fn whole(source: &SourcePath) -> PathBuf {
    let path = source.root.join(&source.path);
    path.canonicalize().unwrap_or(path)
}
