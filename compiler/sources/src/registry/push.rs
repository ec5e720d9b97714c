//! Pushing an OCI layout (distribution specification, "Push"): blobs that are not there yet, then manifests from
//! the leaves up, then a look at what the registry made of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::{Descriptor, Digest, MAX_DOCUMENT};

use super::http::{ATTEMPTS, Http, Payload};
use super::url::Url;
use super::{Client, Reference};
use crate::bases::{Document, document};
use crate::settings::Settings;

/// Blobs up to this size go in one request; larger ones in pieces of it, so that a fault costs no more.
const PIECE: u64 = 32 << 20;
/// Indexes within indexes that are followed.
const MAX_DEPTH: usize = 4;
/// The base of an image, whose repository may hold some of its blobs (image-spec, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// A manifest or index to be put.
struct Put {
    digest: Digest,
    media_type: String,
    bytes: Vec<u8>,
}

/// All that makes up one image.
struct Contents {
    /// Leaves first, the top last.
    documents: Vec<Put>,
    blobs: Vec<Descriptor>,
    base: Option<String>,
}

/// Pushes the layout's image; `sha256:…` of the top document.
///
/// # Errors
/// E0440 for the layout, E0441 when the registry has something else afterwards; the client's.
pub(crate) fn push(
    http: &Arc<Http>,
    settings: &Settings,
    layout: &Path,
    reference: &Reference,
) -> Result<String, Diagnostic> {
    let contents = read(layout)?;
    let Some(top) = contents.documents.last() else { return Err(broken(layout, "it holds no image")) };
    if let Some(wanted) = reference.digest()
        && wanted != top.digest
    {
        return Err(broken(layout, &format!("it holds {}, not {wanted}", top.digest)));
    }
    let mut client = Client::new(http, settings, reference, "pull,push");
    // Only a repository of the same registry can be mounted from.
    let base = contents.base.as_deref().and_then(|name| Reference::parse(name).ok());
    let base = base.filter(|base| base.registry() == reference.registry());
    client.mount_from =
        base.map(|base| base.repository().to_owned()).filter(|repository| repository != reference.repository());
    for blob in &contents.blobs {
        client.push_blob(layout, blob)?;
    }
    for put in &contents.documents {
        let last = put.digest == top.digest;
        let tag = reference.tag().filter(|_| last);
        client.put_manifest(put, tag)?;
    }
    let name = top.digest.to_string();
    for seen in [client.manifest(Some(top.digest), None), client.read_back(reference.tag())] {
        let found = seen.map_err(|d| d.note(format!("while reading back what was pushed to {reference}")))?.digest;
        if found != top.digest {
            return Err(stored_other(reference, top.digest, &found.to_string()));
        }
    }
    Ok(name)
}

impl Client {
    /// What a tag names now, or again the top when there is no tag.
    fn read_back(&self, tag: Option<&str>) -> Result<super::Fetched, Diagnostic> {
        match tag {
            Some(tag) => self.manifest(None, Some(tag)),
            None => self.manifest(self.reference.digest(), None),
        }
    }

    fn put_manifest(&self, put: &Put, tag: Option<&str>) -> Result<(), Diagnostic> {
        let name = tag.map_or_else(|| put.digest.to_string(), str::to_owned);
        let path = format!("manifests/{name}");
        let headers = [("Content-Type", put.media_type.clone())];
        let answer = self.call("PUT", &path, &headers, &Payload::Bytes(&put.bytes))?;
        let answer = self.expect(answer, &[200, 201, 202], &path)?;
        match answer.header("docker-content-digest") {
            Some(said) if said != put.digest.to_string() => Err(stored_other(&self.reference, put.digest, said)),
            _ => Ok(()),
        }
    }

    fn push_blob(&self, layout: &Path, blob: &Descriptor) -> Result<(), Diagnostic> {
        let path = format!("blobs/{}", blob.digest);
        let answer = self.call("HEAD", &path, &[], &Payload::None)?;
        match answer.status {
            200 => return Ok(()),
            404 => {}
            _ => drop(self.expect(answer, &[200, 404], &path)?),
        }
        let mut attempt = 1;
        loop {
            match self.upload(layout, blob) {
                Err(e) if e.code == codes::E0403 && attempt < ATTEMPTS => {
                    std::thread::sleep(self.http.pause(attempt));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// One attempt, from the start.
    fn upload(&self, layout: &Path, blob: &Descriptor) -> Result<(), Diagnostic> {
        let mount =
            self.mount_from.as_ref().map(|from| format!("?mount={}&from={}", blob.digest, super::url::encode(from)));
        let path = format!("blobs/uploads/{}", mount.unwrap_or_default());
        let headers = [("Content-Length", "0".to_owned())];
        let answer = self.call("POST", &path, &headers, &Payload::Bytes(b""))?;
        let answer = self.expect(answer, &[201, 202], "blobs/uploads/")?;
        if answer.status == 201 {
            return Ok(());
        }
        let least = answer.header("oci-chunk-min-length").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let mut place = self.place(&self.base()?, answer.header("location"))?;
        let file = File::open(blob_path(layout, blob.digest)).map_err(|e| unreadable(layout, blob.digest, &e))?;
        let size = file.metadata().map_err(|e| unreadable(layout, blob.digest, &e))?.len();
        if size != blob.size {
            return Err(broken(layout, &format!("{} has {size} bytes instead of {}", blob.digest, blob.size)));
        }
        let piece = PIECE.max(least);
        let mut start = 0;
        while size > piece && start < size {
            let length = piece.min(size - start);
            let headers = [
                ("Content-Type", "application/octet-stream".to_owned()),
                ("Content-Range", format!("{start}-{}", start + length - 1)),
            ];
            let answer = self.call_url("PATCH", &place, &headers, &Payload::File { file: &file, start, length })?;
            let answer = self.expect(answer, &[202], "a piece of a blob")?;
            place = self.place(&place, answer.header("location"))?;
            start += length;
        }
        let end = place.with_query("digest", &blob.digest.to_string());
        let headers = [("Content-Type", "application/octet-stream".to_owned())];
        let body = if start == size && size > 0 {
            Payload::Bytes(b"")
        } else {
            Payload::File { file: &file, start, length: size - start }
        };
        let answer = self.call_url("PUT", &end, &headers, &body)?;
        self.expect(answer, &[201, 204], &format!("blobs/{}", blob.digest)).map(drop)
    }

    /// Where an upload goes on.
    fn place(&self, from: &Url, location: Option<&str>) -> Result<Url, Diagnostic> {
        self.redirect(from, location.unwrap_or_default())
    }
}

/// Reads the layout and verifies its documents.
fn read(layout: &Path) -> Result<Contents, Diagnostic> {
    let index = file(layout, &layout.join("index.json"))?;
    let name = layout.display().to_string();
    let top = match document(&index, None, &name) {
        Ok(Document::Index(index)) => index,
        _ => return Err(broken(layout, "its index.json is no index")),
    };
    let [only] = top.manifests.as_slice() else {
        return Err(broken(layout, &format!("it holds {} images", top.manifests.len())));
    };
    let mut contents = Contents { documents: Vec::new(), blobs: Vec::new(), base: None };
    let mut blobs = BTreeSet::new();
    let mut open = vec![(only.clone(), 0)];
    while let Some((descriptor, depth)) = open.pop() {
        let bytes = file(layout, &blob_path(layout, descriptor.digest))?;
        if Digest::of(&bytes) != descriptor.digest {
            return Err(broken(layout, &format!("the content of {} is another", descriptor.digest)));
        }
        let parsed = document(&bytes, Some(&descriptor.media_type), &name)?;
        let (media_type, annotations) = match &parsed {
            Document::Manifest(manifest) => (manifest.media_type, manifest.annotations.clone()),
            Document::Index(index) => (index.media_type, Default::default()),
        };
        contents.base = contents.base.or_else(|| annotations.get(BASE_NAME).cloned());
        contents.documents.push(Put { digest: descriptor.digest, media_type: media_type.to_owned(), bytes });
        match parsed {
            Document::Manifest(manifest) => {
                let all = manifest.layers.into_iter().chain([manifest.config]);
                contents.blobs.extend(all.filter(|blob| blobs.insert(blob.digest)));
            }
            Document::Index(_) if depth >= MAX_DEPTH => return Err(broken(layout, "it nests indexes too deep")),
            Document::Index(index) => open.extend(index.manifests.into_iter().map(|below| (below, depth + 1))),
        }
    }
    // A document names only what was pushed after it on the stack.
    contents.documents.reverse();
    Ok(contents)
}

fn file(layout: &Path, path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let wrong =
        |e: std::io::Error| broken(layout, &format!("{} cannot be read: {e}", printable(&path.display().to_string())));
    let mut bytes = Vec::new();
    File::open(path).map_err(wrong)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

fn blob_path(layout: &Path, digest: Digest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.hex())
}

fn unreadable(layout: &Path, digest: Digest, error: &std::io::Error) -> Diagnostic {
    broken(layout, &format!("{digest} cannot be read: {error}"))
}

fn broken(layout: &Path, why: &str) -> Diagnostic {
    let shown = printable(&layout.display().to_string());
    Diagnostic::new(codes::E0440, format!("the image in {shown} cannot be pushed: {why}"))
        .help("build it again: `k8orc build`")
}

fn stored_other(reference: &Reference, pushed: Digest, found: &str) -> Diagnostic {
    Diagnostic::new(codes::E0441, format!("{reference} is not what was pushed"))
        .note(format!("pushed:       {pushed}"))
        .note(format!("the registry: {}", printable(found)))
        .help("another push may have come in between, or the registry rewrites images; push again, or use the digest")
}
