//! `dir:D`: a root file system as a directory, read as one canonical archive.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use diag::{Diagnostic, codes, text::printable_bytes};
use formats::codec::Codec;
use formats::tar;
use plan::SourcePath;

use super::walk::{Walk, WalkError};
use super::{bare, digest_of, media_type, opened};
use crate::local::{self, Want, unreadable};
use crate::stream::{Hashing, Verified};
use crate::{Failure, LayerSource, OpenedBase, Pin, not_pinned};

pub(super) fn resolve(source: &SourcePath, pin: &mut Pin) -> Result<(), Diagnostic> {
    let (digest, _) = hash(source)?;
    pin.digest = Some(digest.to_string());
    Ok(())
}

pub(super) fn open(source: &SourcePath, pin: &Pin, failure: Failure) -> Result<OpenedBase, Diagnostic> {
    let digest = digest_of(pin)?;
    let (found, size) = hash(source)?;
    if found != digest {
        return Err(not_pinned(&pin.reference, &digest.to_string(), &found.to_string()));
    }
    let (from, errors) = (source.clone(), failure.clone());
    let layer = LayerSource::new(Some(digest), Some(digest), media_type(Codec::Plain), size, move || {
        let archive = archive(&from, &errors)?;
        Ok(Box::new(Verified::new(archive, &local::shown(&from), Some(size), digest, &errors)))
    });
    Ok(opened(pin, bare(&pin.platform), vec![layer], failure))
}

fn hash(source: &SourcePath) -> Result<(formats::oci::Digest, u64), Diagnostic> {
    let failure = Failure::default();
    let result = Hashing::new(archive(source, &failure)?).finish();
    result.map_err(|e| failure.take().unwrap_or_else(|| unreadable(&local::shown(source), &e)))
}

fn archive(source: &SourcePath, failure: &Failure) -> Result<Archive, Diagnostic> {
    let name = local::shown(source);
    let root = local::open(source, Path::new(""), Want::Directory)?;
    let same = |a: &File, b: &Path| -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let (a, b) = (a.metadata()?, b.metadata()?);
        Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
    };
    if same(&root, Path::new("/")).map_err(|e| unreadable(&name, &e))? {
        return Err(Diagnostic::new(codes::E0415, "the base is the root directory of this machine")
            .note("an image must not hold what happens to lie on the machine that builds it")
            .help("give a directory that holds a root file system, made for instance by mmdebstrap"));
    }
    let walk = Walk::new(root).map_err(|e| trouble(&name, e))?;
    Ok(Archive { name, walk: Some(walk), ready: Vec::new(), at: 0, file: None, failure: failure.clone() })
}

/// The archive of a walk, made while it is read.
struct Archive {
    name: String,
    /// `None` after the last entry.
    walk: Option<Walk>,
    /// Header or padding that is to be given out, and how far it was.
    ready: Vec<u8>,
    at: usize,
    /// The file whose content is being given out, the bytes of it that are left, and its path and size.
    file: Option<(File, u64, Vec<u8>, u64)>,
    failure: Failure,
}

impl Archive {
    fn fail(&self, error: WalkError) -> io::Error {
        self.failure.set(trouble(&self.name, error))
    }

    /// Makes the next header, or the end of the archive; `false` after that.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(walk) = self.walk.as_mut() else { return Ok(false) };
        self.at = 0;
        match walk.next() {
            Err(e) => Err(self.fail(e)),
            Ok(None) => {
                self.walk = None;
                self.ready = tar::END.to_vec();
                Ok(true)
            }
            Ok(Some((entry, file))) => {
                let header = tar::header(&entry).map_err(|e| match e {
                    tar::WriteError::Attribute(..) => "a file with an empty or oddly named extended attribute",
                    _ => "a name or number that no archive can hold",
                });
                match header {
                    Ok(header) => self.ready = header,
                    Err(what) => return Err(self.fail(WalkError::Unfit(entry.path, what))),
                }
                self.file = file.map(|file| (file, entry.size, entry.path, entry.size));
                Ok(true)
            }
        }
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let ready = self.ready.get(self.at..).unwrap_or_default();
            if !ready.is_empty() {
                let n = ready.len().min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(ready) {
                    *to = *from;
                }
                self.at += n;
                return Ok(n);
            }
            let Some((file, left, path, size)) = self.file.as_mut() else {
                if !self.advance()? {
                    return Ok(0);
                }
                continue;
            };
            if *left == 0 {
                self.ready = tar::padding(*size).to_vec();
                self.at = 0;
                self.file = None;
                continue;
            }
            let want = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
            match file.read(buffer.get_mut(..want).unwrap_or_default()) {
                Ok(0) => {
                    let path = std::mem::take(path);
                    return Err(self.fail(WalkError::Unfit(path, "a file that became shorter while it was read")));
                }
                Ok(n) => {
                    *left -= n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let path = std::mem::take(path);
                    return Err(self.fail(WalkError::System(path, e)));
                }
            }
        }
    }
}

fn trouble(name: &str, error: WalkError) -> Diagnostic {
    match error {
        WalkError::System(path, e) => unreadable(&format!("{name}/{}", printable_bytes(&path)), &e)
            .help("read the tree as its owner, for instance with `sudo tar -C TREE --numeric-owner -cf base.tar .` and `tar:base.tar`"),
        WalkError::Unfit(path, what) => {
            Diagnostic::new(codes::E0415, format!("{name}/{} is {what}", printable_bytes(&path)))
                .note("a base is a tree that nothing uses or changes")
                .help("stop what uses it, unmount what is mounted in it, and remove the leftovers")
        }
    }
}
