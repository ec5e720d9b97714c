//! Image references: `debian:trixie`, `registry.example.com:5000/shop/web@sha256:…`.
//!
//! The grammar is that of the distribution project ("reference/reference.go" names it, the OCI distribution
//! specification gives the expressions for `<name>` and `<reference>`); short names are completed as Docker
//! completes them. Nothing of a reference is used in a path or URL before it went through here.

use std::fmt;
use std::ops::Range;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::Digest;

/// Longest repository name that registries accept, host included.
const MAX_NAME: usize = 255;
/// Longest tag (distribution specification, `<reference>`).
const MAX_TAG: usize = 128;
/// What a name without a host means.
const DEFAULT_HOST: &str = "docker.io";
/// Where Docker Hub answers.
const DOCKER_ENDPOINT: &str = "registry-1.docker.io";

/// A parsed reference; every part is of its grammar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    port: Option<u16>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What is wrong with a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceFault {
    /// Nothing, or nothing before the tag.
    Empty,
    /// `https://…` or another scheme in front.
    Scheme,
    /// The part before the first slash is no host name or address.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// A capital letter in the repository.
    Uppercase,
    /// A component of the repository that the grammar does not have.
    Repository,
    /// More than 255 characters of name.
    Long,
    /// The tag is empty, too long or holds another character.
    Tag,
    /// The digest is not `sha256:` and 64 lower-case hexadecimal digits.
    Digest,
}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError {
    /// What.
    pub fault: ReferenceFault,
    /// Where, in bytes of the text that was given to [`Reference::parse`].
    pub range: Range<usize>,
}

impl Reference {
    /// Reads a reference. Without a tag and a digest the tag is `latest`, as for every other tool.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        let fault = |fault, range| Err(ReferenceError { fault, range });
        if let Some(at) = text.find("://") {
            return fault(ReferenceFault::Scheme, 0..at + 3);
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => match Digest::parse(digest) {
                Ok(digest) => (rest, Some(digest)),
                Err(_) => return fault(ReferenceFault::Digest, rest.len() + 1..text.len()),
            },
        };
        let (host, start) = match rest.split_once('/') {
            Some((first, _)) if is_host(first) => (Some(first), first.len() + 1),
            _ => (None, 0),
        };
        let path = rest.get(start..).unwrap_or_default();
        let (name, tag) = match path.split_once(':') {
            None => (path, None),
            Some((name, tag)) => (name, Some(tag)),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return fault(ReferenceFault::Tag, start + name.len() + 1..rest.len());
        }
        let (host, port) = match host {
            None => (DEFAULT_HOST.to_owned(), None),
            Some(host) => split_host(host)?,
        };
        let host = if host == "index.docker.io" { DEFAULT_HOST.to_owned() } else { host };
        check_repository(name, start)?;
        let repository = match name {
            short if host == DEFAULT_HOST && !short.contains('/') => format!("library/{short}"),
            long => long.to_owned(),
        };
        if host.len() + 1 + repository.len() > MAX_NAME {
            return fault(ReferenceFault::Long, 0..start + name.len());
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference { host, port, repository, tag, digest })
    }

    /// Host and port as people write them: `docker.io`, `127.0.0.1:5000`, `[::1]:5000`.
    pub fn registry(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The host that is asked: Docker Hub's is not called as its images are.
    pub fn endpoint(&self) -> &str {
        if self.host == DEFAULT_HOST { DOCKER_ENDPOINT } else { &self.host }
    }

    /// The port, where one is said.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `docker.io/library/debian`: what an `@digest` is put after.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry(), self.repository)
    }

    /// The tag, where one is said or meant.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one is said.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same image by content.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { digest: Some(digest), ..self.clone() }
    }

    /// Whether the host is this machine: only there plain http is allowed.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl ReferenceError {
    /// The diagnostic for the reference `text`.
    pub fn diagnostic(&self, text: &str) -> Diagnostic {
        let part = printable(text.get(self.range.clone()).unwrap_or_default());
        let shown = printable(text);
        let (why, help) = match self.fault {
            ReferenceFault::Empty => ("it names no repository".to_owned(), "write `HOST/REPOSITORY:TAG`"),
            ReferenceFault::Scheme => (
                format!("`{part}` does not belong into it"),
                "leave the scheme out: https is used everywhere but on loopback addresses",
            ),
            ReferenceFault::Host => (
                format!("`{part}` is no host name or address"),
                "the part before the first slash is a host such as `registry.example.com`, `localhost:5000` or `[::1]:5000`",
            ),
            ReferenceFault::Port => (format!("`{part}` is no port"), "a port is a number from 1 to 65535"),
            ReferenceFault::Uppercase => {
                (format!("the repository has the capital letter `{part}`"), "repositories are written in lower case")
            }
            ReferenceFault::Repository => (
                format!("`{part}` cannot be a part of a repository's name"),
                "use lower-case letters and digits, separated by single `.`, `_`, `__` or `-`",
            ),
            ReferenceFault::Long => ("the name is longer than 255 characters".to_owned(), "shorten it"),
            ReferenceFault::Tag => (
                format!("`{part}` is no tag"),
                "a tag is 1 to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two",
            ),
            ReferenceFault::Digest => {
                (format!("`{part}` is no digest"), "a digest is `sha256:` and 64 lower-case hexadecimal digits")
            }
        };
        Diagnostic::new(codes::E0400, format!("`{shown}` is not an image reference: {why}"))
            .note(format!("at byte {} of the reference", self.range.start))
            .help(help)
    }
}

/// Whether the first component of a name is a host: a dot, a colon, `localhost`. Docker takes capitals for one as
/// well; in lower case that would be a repository of Docker Hub, so here they are an error.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':', '['])
}

/// Whether a host is this machine: 127.0.0.0/8, `[::1]`, `localhost`.
pub(crate) fn is_loopback(host: &str) -> bool {
    if host == "localhost" {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Host (lower case, brackets kept) and port of `text`, which stands at the reference's start.
fn split_host(text: &str) -> Result<(String, Option<u16>), ReferenceError> {
    let fault = |fault, range| Err(ReferenceError { fault, range });
    let after = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text.get(after..).unwrap_or_default().find(':') {
        None => (text, None),
        Some(at) => (text.get(..after + at).unwrap_or_default(), text.get(after + at + 1..)),
    };
    let host = host.to_ascii_lowercase();
    if !is_host_name(&host) {
        return fault(ReferenceFault::Host, 0..text.len());
    }
    let Some(digits) = port else { return Ok((host, None)) };
    let number = digits.parse::<u16>().ok().filter(|n| *n > 0 && digits.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(port) => Ok((host, Some(port))),
        None => fault(ReferenceFault::Port, text.len() - digits.len()..text.len()),
    }
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn is_host_name(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    }
    host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn check_repository(name: &str, start: usize) -> Result<(), ReferenceError> {
    if name.is_empty() {
        return Err(ReferenceError { fault: ReferenceFault::Empty, range: start..start });
    }
    if let Some(at) = name.bytes().position(|b| b.is_ascii_uppercase()) {
        let at = start + at;
        return Err(ReferenceError { fault: ReferenceFault::Uppercase, range: at..at + 1 });
    }
    let mut at = start;
    for part in name.split('/') {
        if !is_component(part) {
            return Err(ReferenceError { fault: ReferenceFault::Repository, range: at..at + part.len() });
        }
        at += part.len() + 1;
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !part.starts_with(word) || !part.ends_with(word) {
        return false;
    }
    part.split(word).all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const D: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn short_names_are_completed_as_docker_does() {
        for (typed, whole) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:trixie", "docker.io/library/debian:trixie"),
            ("shop/web", "docker.io/shop/web:latest"),
            ("index.docker.io/debian", "docker.io/library/debian:latest"),
            ("localhost/web", "localhost/web:latest"),
            ("localhost:5000/web:1", "localhost:5000/web:1"),
            ("127.0.0.1:5000/a/b__c/d-e.f", "127.0.0.1:5000/a/b__c/d-e.f:latest"),
            ("[::1]:5000/web:1", "[::1]:5000/web:1"),
            ("Registry.Example.COM/web", "registry.example.com/web:latest"),
            ("ghcr.io/o/i:v1.2-rc_3", "ghcr.io/o/i:v1.2-rc_3"),
        ] {
            assert_eq!(Reference::parse(typed).unwrap().to_string(), whole, "{typed}");
        }
        let both = Reference::parse(&format!("debian:trixie@{D}")).unwrap();
        assert_eq!(both.to_string(), format!("docker.io/library/debian:trixie@{D}"));
        assert_eq!(both.endpoint(), "registry-1.docker.io");
        let only = Reference::parse(&format!("debian@{D}")).unwrap();
        assert_eq!((only.tag(), only.digest().unwrap().to_string()), (None, D.to_owned()));
    }

    #[test]
    fn every_fault_has_its_place() {
        use ReferenceFault as F;
        for (typed, fault, part) in [
            ("", F::Empty, ""),
            (":tag", F::Empty, ""),
            ("localhost:5000/", F::Empty, ""),
            ("https://ghcr.io/x", F::Scheme, "https://"),
            ("debian:", F::Tag, ""),
            ("debian:-x", F::Tag, "-x"),
            ("debian:a/b", F::Host, ""),
            ("ghcr.io/x:a b", F::Tag, "a b"),
            ("ghcr.io/Shop/web", F::Uppercase, "S"),
            ("Host/web", F::Uppercase, "H"),
            ("ghcr.io/a//b", F::Repository, ""),
            ("ghcr.io/../b", F::Repository, ".."),
            ("ghcr.io/a/___b", F::Repository, "___b"),
            ("a\u{1b}[31m", F::Repository, "a\u{1b}[31m"),
            ("ghcr.io:0/b", F::Port, "0"),
            ("ghcr.io:+80/b", F::Port, "+80"),
            ("-x.io/b", F::Host, "-x.io"),
            ("[::1/b", F::Host, "[::1"),
            ("debian@sha256:ABC", F::Digest, "sha256:ABC"),
            ("debian@sha512:00", F::Digest, "sha512:00"),
            ("debian@sha256:../../../x", F::Digest, "sha256:../../../x"),
        ] {
            let error = Reference::parse(typed).expect_err(typed);
            if typed == "debian:a/b" {
                // Docker reads the part before the slash as host and port.
                assert_eq!(error.fault, F::Port);
                continue;
            }
            assert_eq!((error.fault, typed.get(error.range.clone()).unwrap()), (fault, part), "{typed}");
            assert!(!error.diagnostic(typed).message.contains('\u{1b}'));
        }
        assert_eq!(Reference::parse(&format!("a/{}", "b".repeat(300))).unwrap_err().fault, F::Long);
        assert_eq!(Reference::parse(&format!("a:{}", "b".repeat(129))).unwrap_err().fault, F::Tag);
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for (host, is) in [
            ("localhost", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("0.0.0.0", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(host), is, "{host}");
        }
    }
}
