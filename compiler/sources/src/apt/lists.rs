//! `Packages` of a pocket: the smallest form that can be read, by hash, from the cache where it is there.

use std::fs::File;
use std::io::{self, BufReader, Read};

use diag::{Diagnostic, codes, text::printable};
use formats::codec::{Codec, decoder, xz_decoder};

use super::archive::{Place, Pocket};
use super::download::{Outcome, Wanted, download};
use super::release::Release;
use crate::Sources;

/// Largest list, as it is stored and expanded: Debian's has 57 MB, Ubuntu's universe 80.
const MAX_LIST: u64 = 1 << 30;

/// The lists of all components, with a name for messages.
///
/// # Errors
/// E0451 for the way there, E0457 for content that is not what the Release says, E0458 where it names none.
pub(crate) fn fetch(
    sources: &Sources,
    pocket: &Pocket,
    release: &Release,
    architecture: &str,
) -> Result<Vec<(String, Vec<u8>)>, Diagnostic> {
    if !release.architectures.iter().any(|one| one == architecture) {
        let message = format!("{} has no packages for {}", pocket.suite, printable(architecture));
        return Err(Diagnostic::new(codes::E0458, message)
            .note(format!("it has: {}", printable(&release.architectures.join(", "))))
            .help("choose another platform or another suite"));
    }
    pocket.components.iter().map(|component| one(sources, pocket, release, component, architecture)).collect()
}

fn one(
    sources: &Sources,
    pocket: &Pocket,
    release: &Release,
    component: &str,
    architecture: &str,
) -> Result<(String, Vec<u8>), Diagnostic> {
    let plain = format!("{component}/binary-{architecture}/Packages");
    let name = format!("{}/{plain}", pocket.suite);
    let place = Place::of(&sources.settings, pocket.archive)?;
    let found = ["xz", "gz", ""].iter().find_map(|form| {
        let path = if form.is_empty() { plain.clone() } else { format!("{plain}.{form}") };
        release.files.get(&path).map(|(size, digest)| (*form, path, *size, *digest))
    });
    let Some((form, path, size, digest)) = found else {
        return Err(Diagnostic::new(codes::E0458, format!("the Release of {} lists no {plain}", pocket.suite))
            .help("use another mirror"));
    };
    if size > MAX_LIST {
        return Err(Diagnostic::new(codes::E0458, format!("{name} is larger than {MAX_LIST} bytes")));
    }
    let folder = format!("dists/{}", pocket.suite);
    let mut paths = vec![format!("{folder}/{path}")];
    if release.by_hash {
        paths.insert(0, format!("{folder}/{component}/binary-{architecture}/by-hash/SHA256/{}", digest.hex()));
    }
    let wanted = Wanted { paths: &paths, digest, size };
    let file = match download(sources, &place, &wanted, &sources.cache.blob_path(digest))? {
        Outcome::Here(file) => file,
        Outcome::Gone => {
            return Err(place.trouble(&format!("it has no {path} of {} as its Release lists it", pocket.suite)));
        }
        Outcome::Wrong(found) => return Err(mismatch(&name, &place, &digest.to_string(), &found)),
    };
    // What the Release says of the expanded file bounds it; the hash of the file as it came vouches for the rest.
    let limit = release.files.get(&plain).map_or(MAX_LIST, |(size, _)| *size).min(MAX_LIST);
    let text = expand(file, form, limit).map_err(|e| mismatch(&name, &place, "a compressed list", &e.to_string()))?;
    Ok((name, text))
}

fn expand(file: File, form: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = BufReader::with_capacity(64 << 10, file);
    let reader: Box<dyn Read> = match form {
        "xz" => xz_decoder(file),
        "gz" => decoder(Codec::Gzip, file)?,
        _ => Box::new(file),
    };
    let mut text = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::other("it expands to more than the Release says"));
    }
    Ok(text)
}

/// E0457.
fn mismatch(name: &str, place: &Place, wanted: &str, found: &str) -> Diagnostic {
    Diagnostic::new(codes::E0457, format!("{name} of {} is not what its Release says", place.shown))
        .note(format!("expected: {wanted}"))
        .note(format!("found:    {}", printable(found)))
        .help("the archive may be in the middle of an update: try again; else use another mirror")
}
