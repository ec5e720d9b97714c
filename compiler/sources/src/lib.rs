//! From a base's reference to its bytes: registries, layouts, archives, directories; the cache. The only crate
//! that fetches.
//!
//! [`Sources::resolve`] turns a base into a [`Pin`] and may ask the network for names; [`Sources::open`] turns a
//! pin into an [`OpenedBase`] and gets content by hash alone, from the cache where it is there. Nothing is
//! handed on before its digest was compared.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod apt;
mod bases;
pub mod cache;
mod local;
pub mod reference;
mod registry;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use diag::{Diagnostic, codes, text::printable};
use formats::oci::Digest;
use plan::BaseRef;
use plan::facts::BaseIdentity;
use plan::platform::Platform;
use serde_json::Value;

pub use apt::{Apt, AptPin, AptRequest, Catalogue, DebFile, PinnedArchive, PinnedPackage};
pub use bases::name;
pub use cache::{Cache, CacheStats, CacheUse, GcReport};
pub use reference::{Reference, ReferenceError, ReferenceFault};
pub use settings::{NetPolicy, Settings};
pub use stream::{Failure, LayerSource};

/// A base as the lock holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The base as it is called: `docker.io/library/debian:trixie`, `tar:base.tar`, `scratch`.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
    /// `sha256:…` of what is pinned: the manifest of an image, the configuration of a `docker-archive:` (its
    /// image id: such an archive has no manifest of its own), the file of `tar:`, the canonical archive of
    /// `dir:`; `None` for `scratch`.
    pub digest: Option<String>,
    /// `sha256:…` of the index that the manifest was chosen from.
    pub index: Option<String>,
    /// Of `tar:`: `sha256:…` of the archive decompressed, so that a cached layer can be trusted without reading
    /// the file. Elsewhere the pinned document says it.
    pub diff_id: Option<String>,
    /// Seconds since 1970 at which the image was made, where it says so.
    pub created: Option<i64>,
}

/// A base that can be read.
#[derive(Debug)]
pub struct OpenedBase {
    /// How it is called and pinned.
    pub identity: BaseIdentity,
    /// The image configuration, whole; of `tar:`, `dir:` and `scratch` one that says `os` and `architecture`.
    pub config: Value,
    /// Layers, lowest first.
    pub layers: Vec<LayerSource>,
    /// Bytes of the layers as they are stored.
    pub compressed_size: u64,
    /// What went wrong while a layer was read: a `Read` can only say it in words.
    pub failure: Failure,
}

/// All kinds of bases behind one door.
pub struct Sources {
    cache: Cache,
    settings: Settings,
    http: Arc<registry::Http>,
    /// One client a reference, so that a token is fetched once.
    clients: Mutex<BTreeMap<Reference, Arc<registry::Client>>>,
}

impl Sources {
    /// Sources with this cache, environment and policy.
    pub fn new(cache: Cache, settings: Settings) -> Sources {
        let http = Arc::new(registry::Http::new(settings.clone()));
        Sources { cache, settings, http, clients: Mutex::default() }
    }

    /// The cache in use.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Finds out what a base is now. Asks a registry for names; reads local bases whole.
    ///
    /// # Errors
    /// E0402 offline and E0405 under `--locked`; E0400 to E0415 for what is wrong with the base. None has a
    /// span: the caller knows it.
    pub fn resolve(&self, base: &BaseRef, platform: &Platform) -> Result<Pin, Diagnostic> {
        if self.settings.policy.locked && *base != BaseRef::Scratch {
            let name = bases::name(base)?;
            return Err(Diagnostic::new(
                codes::E0405,
                format!(
                    "k8orc.lock does not pin {} for {platform}, and --locked forbids to change it",
                    printable(&name)
                ),
            )
            .help("run `k8orc lock` and commit the changed lock"));
        }
        bases::resolve(self, base, platform)
    }

    /// Opens what `pin` names. Layers are not fetched before they are opened themselves.
    ///
    /// # Errors
    /// E0409 when a local base is not what is pinned, E0402 offline when a document is not in the cache; else as
    /// [`Sources::resolve`].
    pub fn open(&self, base: &BaseRef, pin: &Pin) -> Result<OpenedBase, Diagnostic> {
        bases::open(self, base, pin)
    }

    /// Pushes the one image (or index) of an OCI layout; the digest that comes back is `sha256:…` of its manifest
    /// or index. Without a tag in `reference` it can be had by digest only.
    ///
    /// # Errors
    /// E0440 for the layout, E0441 when the registry stored something else, E0400 to E0407 for the way there.
    pub fn push(&self, layout: &Path, reference: &str) -> Result<String, Diagnostic> {
        let reference = Reference::parse(reference).map_err(|e| e.diagnostic(reference))?;
        self.settings.allow(&reference.name())?;
        if self.settings.policy.offline {
            return Err(Diagnostic::new(codes::E0402, format!("{reference} cannot be pushed to: --offline"))
                .help("leave --offline out"));
        }
        registry::push(&self.http, &self.settings, layout, &reference)
    }

    /// A client for reading, or the refusal to fetch `what`.
    fn client(&self, reference: &Reference, what: &str) -> Result<Arc<registry::Client>, Diagnostic> {
        self.settings.allow(&reference.name())?;
        if self.settings.policy.offline {
            return Err(offline(reference, what));
        }
        let new = || Arc::new(registry::Client::new(&self.http, &self.settings, reference, "pull"));
        Ok(Arc::clone(registry::lock(&self.clients).entry(reference.clone()).or_insert_with(new)))
    }
}

/// E0402.
fn offline(reference: &Reference, what: &str) -> Diagnostic {
    Diagnostic::new(
        codes::E0402,
        format!("{what} of {reference} is not in the cache, and --offline forbids to fetch it"),
    )
    .help("run `k8orc fetch` once with a network")
}

/// A digest that a lock or pin says; what it says is never used otherwise.
fn pinned(text: &str, reference: &str) -> Result<Digest, Diagnostic> {
    Digest::parse(text).map_err(|e| {
        let (shown, reference) = (printable(text), printable(reference));
        Diagnostic::new(codes::E0409, format!("the lock pins {reference} to `{shown}`, which is no digest: {e}"))
            .help("run `k8orc lock`")
    })
}

/// E0409: a base is not what the lock says.
fn not_pinned(reference: &str, pinned: &str, found: &str) -> Diagnostic {
    let reference = printable(reference);
    Diagnostic::new(codes::E0409, format!("{reference} is not what k8orc.lock pins"))
        .note(format!("pinned: {}", printable(pinned)))
        .note(format!("found:  {}", printable(found)))
        .help("if the change is meant, run `k8orc lock --update` and review the new lock")
}
