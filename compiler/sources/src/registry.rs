//! A client of the OCI distribution specification 1.1, for one repository at a time.
//!
//! Credentials go to the registry itself, or to the token server that it names, and nowhere else: not along a
//! redirect (CVE-2020-15157), not over plain http except to this machine. `urls` of descriptors are never
//! followed. Everything that comes back is hashed before it is used.

use std::sync::{Arc, Mutex, PoisonError};

use diag::{Diagnostic, codes, text::printable};
use formats::oci::{Digest, MAX_DOCUMENT, media};
use serde_json::Value;

mod auth;
mod blob;
mod challenge;
mod credentials;
mod http;
mod names;
mod push;
mod url;

pub(crate) use blob::Blob;
pub(crate) use http::{Answer, Ask, Http, Payload, unreachable};
pub(crate) use push::push;
pub(crate) use url::Url;

#[cfg(test)]
pub(crate) fn parse_url(text: &str) -> Option<Url> {
    Url::parse(text)
}

#[cfg(test)]
pub(crate) fn parse_challenge(text: &str) {
    challenge::Challenge::parse(text);
}

use crate::reference::Reference;
use crate::settings::Settings;
use http::{ATTEMPTS, insecure};

/// Redirects that are followed one after the other.
const MAX_REDIRECTS: u32 = 5;
/// Largest answer of a token server, and largest error text.
const MAX_ANSWER: u64 = 1 << 20;

/// What manifests may be.
const ACCEPT: [&str; 4] = [media::INDEX, media::MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST];

/// A manifest or a configuration as it came, hashed.
pub(crate) struct Fetched {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub media_type: Option<String>,
}

/// A repository of a registry.
pub(crate) struct Client {
    http: Arc<Http>,
    settings: Settings,
    reference: Reference,
    /// `pull`, or `pull,push`.
    actions: &'static str,
    /// Another repository that blobs may be mounted from.
    mount_from: Option<String>,
    /// `https` or, on this machine, what answered.
    base: Mutex<Option<Url>>,
    authorization: Mutex<Option<String>>,
}

impl Client {
    pub fn new(http: &Arc<Http>, settings: &Settings, reference: &Reference, actions: &'static str) -> Client {
        Client {
            http: Arc::clone(http),
            settings: settings.clone(),
            reference: reference.clone(),
            actions,
            mount_from: None,
            base: Mutex::new(None),
            authorization: Mutex::new(None),
        }
    }

    /// The manifest or index of a tag or digest.
    ///
    /// # Errors
    /// E0401 when there is none, E0408 when its bytes are not those of the digest; else as [`Client::call`].
    pub fn manifest(&self, digest: Option<Digest>, tag: Option<&str>) -> Result<Fetched, Diagnostic> {
        let name = digest.map(|d| d.to_string()).or(tag.map(str::to_owned)).unwrap_or_else(|| "latest".into());
        self.document("manifests", &name, digest)
    }

    /// What a tag names, asked for in a way that registries do not count as a pull; `None` where they do not say.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn digest_of_tag(&self, tag: &str) -> Result<Option<Digest>, Diagnostic> {
        let headers = [("Accept", ACCEPT.join(", "))];
        let answer = self.call("HEAD", &format!("manifests/{tag}"), &headers, &Payload::None)?;
        let said = answer.header("docker-content-digest").and_then(|d| Digest::parse(d).ok());
        Ok(said.filter(|_| answer.status == 200))
    }

    /// A small blob: the configuration of an image.
    pub fn config(&self, digest: Digest) -> Result<Fetched, Diagnostic> {
        self.document("blobs", &digest.to_string(), Some(digest))
    }

    fn document(&self, kind: &str, name: &str, digest: Option<Digest>) -> Result<Fetched, Diagnostic> {
        let mut attempt = 1;
        loop {
            let headers = if kind == "manifests" { vec![("Accept", ACCEPT.join(", "))] } else { Vec::new() };
            let answer = self.call("GET", &format!("{kind}/{name}"), &headers, &Payload::None)?;
            let media_type = answer.header("content-type").map(|t| t.split(';').next().unwrap_or(t).trim().to_owned());
            let promised = answer.header("docker-content-digest").and_then(|d| Digest::parse(d).ok());
            let length = answer.header("content-length").and_then(|n| n.parse::<u64>().ok());
            let answer = self.expect(answer, &[200], &format!("{kind}/{name}"))?;
            let bytes = match answer.small(MAX_DOCUMENT, self.settings.timeout) {
                Ok(bytes) if length.is_none_or(|n| n == bytes.len() as u64 || n > MAX_DOCUMENT) => bytes,
                _ if attempt < ATTEMPTS => {
                    std::thread::sleep(self.http.pause(attempt));
                    attempt += 1;
                    continue;
                }
                Ok(_) => return Err(unreachable(&self.reference.registry(), "the answer was cut off")),
                Err(e) => return Err(unreachable(&self.reference.registry(), &printable(&e.to_string()))),
            };
            if bytes.len() as u64 > MAX_DOCUMENT {
                return Err(Diagnostic::new(
                    codes::E0411,
                    format!("{} of {} is larger than {MAX_DOCUMENT} bytes", printable(name), self.reference),
                ));
            }
            let found = Digest::of(&bytes);
            if let Some(wanted) = digest.or(promised).filter(|wanted| *wanted != found) {
                return Err(mismatch(&format!("{} of {}", printable(name), self.reference.name()), wanted, found));
            }
            return Ok(Fetched { bytes, digest: found, media_type });
        }
    }

    /// One request below `/v2/REPOSITORY/`, with authorisation when it is asked for, redirects of GET and HEAD
    /// followed.
    ///
    /// # Errors
    /// E0403 to E0407; an answer of any other status is a value.
    fn call(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&'static str, String)],
        body: &Payload<'_>,
    ) -> Result<Answer, Diagnostic> {
        let base = self.base()?;
        let url = base.with_path(format!("/v2/{}/{path}", self.reference.repository()));
        self.call_url(method, &url, headers, body)
    }

    /// As [`Client::call`], for a URL that the registry gave.
    fn call_url(
        &self,
        method: &'static str,
        url: &Url,
        headers: &[(&'static str, String)],
        body: &Payload<'_>,
    ) -> Result<Answer, Diagnostic> {
        let base = self.base()?;
        let mut url = url.clone();
        let mut redirects = 0;
        let mut authorised = false;
        loop {
            let home = url.same_origin(&base);
            let mut all = headers.to_vec();
            let current = lock(&self.authorization).clone().filter(|_| home);
            all.extend(current.map(|value| ("Authorization", value)));
            let body = match body {
                Payload::None => Payload::None,
                Payload::Bytes(bytes) => Payload::Bytes(bytes),
                Payload::File { file, start, length } => Payload::File { file, start: *start, length: *length },
            };
            let answer = self.http.exchange(&Ask { method, url: url.clone(), headers: all, body })?;
            match answer.status {
                401 if home && !authorised => {
                    authorised = true;
                    let authorization = self.authorise(&answer, &base)?;
                    *lock(&self.authorization) = Some(authorization);
                }
                301 | 302 | 303 | 307 | 308 if matches!(method, "GET" | "HEAD") && redirects < MAX_REDIRECTS => {
                    redirects += 1;
                    url = self.redirect(&url, answer.header("location").unwrap_or_default())?;
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Where a `Location` leads; never from https to http, and to http on this machine only.
    fn redirect(&self, from: &Url, location: &str) -> Result<Url, Diagnostic> {
        let to = from.join(location).ok_or_else(|| {
            Diagnostic::new(
                codes::E0407,
                format!("{} redirects to `{}`, which is not followed", from.origin(), printable(location)),
            )
        })?;
        if !to.is_safe() || (from.is_https() && !to.is_https()) {
            return Err(insecure(&to).note(format!("{} redirects there", from.origin())));
        }
        Ok(to)
    }

    /// The registry's address; on this machine plain http is tried first, https when that is what it speaks.
    fn base(&self) -> Result<Url, Diagnostic> {
        let mut base = lock(&self.base);
        if let Some(url) = base.as_ref() {
            return Ok(url.clone());
        }
        let (host, port) = (self.reference.endpoint(), self.reference.port());
        let mut url = Url::new(true, host, port, "/v2/");
        if self.reference.is_loopback() {
            let plain = Url::new(false, host, port, "/v2/");
            let ask = Ask { method: "GET", url: plain.clone(), headers: Vec::new(), body: Payload::None };
            // Go's servers answer http on an https port with 400.
            if self.http.exchange(&ask)?.status != 400 {
                url = plain;
            }
        }
        *base = Some(url.clone());
        Ok(url)
    }

    /// Gives the answer back when its status is one of `good`.
    fn expect(&self, answer: Answer, good: &[u16], what: &str) -> Result<Answer, Diagnostic> {
        if good.contains(&answer.status) {
            return Ok(answer);
        }
        let status = answer.status;
        let image = &self.reference;
        let bytes = answer.small(MAX_ANSWER, self.settings.timeout).unwrap_or_default();
        let said = serde_json::from_slice::<Value>(&bytes).ok().and_then(|document| {
            let error = document.get("errors")?.get(0)?.clone();
            let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
            text("message").filter(|m| !m.is_empty()).or_else(|| text("code"))
        });
        let said = said.map(|text| printable(&text.chars().take(200).collect::<String>()));
        let with = |d: Diagnostic| match &said {
            Some(said) => d.note(format!("the registry says: {said}")),
            None => d,
        };
        Err(with(match status {
            401 | 403 => self.refused(&format!("it answered {status} for {}", printable(what))),
            404 => Diagnostic::new(codes::E0401, format!("{image} is not there: no {}", printable(what)))
                .help("check the repository and the tag"),
            429 => Diagnostic::new(codes::E0403, format!("{} asks to come back later (429)", image.registry()))
                .help("log in, or wait: registries limit how much is read without an account"),
            other => {
                Diagnostic::new(codes::E0403, format!("{} answered {other} for {}", image.registry(), printable(what)))
            }
        }))
    }

    fn refused(&self, why: &str) -> Diagnostic {
        let registry = self.reference.registry();
        Diagnostic::new(codes::E0404, format!("{registry} refuses access to {}: {why}", self.reference.repository()))
            .note("some registries answer so for a repository that does not exist")
            .help(format!("log in with `docker login {registry}` or `podman login {registry}`, and check the name"))
    }
}

/// E0408: the bytes are not those that the digest names.
pub(crate) fn mismatch(what: &str, wanted: Digest, found: Digest) -> Diagnostic {
    Diagnostic::new(codes::E0408, format!("{what} has another digest than asked for"))
        .note(format!("asked for {wanted}"))
        .note(format!("came as   {found}"))
        .help("nothing of it was used; if it stays so, the registry or a proxy on the way is broken or hostile")
}

/// A mutex's content, also after another thread panicked: the values are replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
