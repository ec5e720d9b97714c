//! The few URLs that a registry client meets: absolute, http or https, no user names in them.

use std::fmt;

use crate::reference::{is_host_name, is_loopback};

/// Longest URL that is followed; signed ones of object stores have some 2,000 characters.
const MAX_URL: usize = 16 << 10;

/// A checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    https: bool,
    host: String,
    port: u16,
    /// Path and query, beginning with a slash.
    path: String,
}

impl Url {
    /// The URL of `path` on a registry.
    pub fn new(https: bool, host: &str, port: Option<u16>, path: impl Into<String>) -> Url {
        let port = port.unwrap_or(if https { 443 } else { 80 });
        Url { https, host: host.to_owned(), port, path: path.into() }
    }

    /// Reads an absolute URL; `None` for any other scheme, user names, fragments, and characters that do not
    /// belong into a URL.
    pub fn parse(text: &str) -> Option<Url> {
        if text.len() > MAX_URL || !text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let after = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority.get(after..)?.find(':') {
            None => (authority, None),
            Some(at) => (authority.get(..after + at)?, Some(authority.get(after + at + 1..)?.parse::<u16>().ok()?)),
        };
        let host = host.to_ascii_lowercase();
        if !is_host_name(&host) {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Url::new(https, &host, port, path))
    }

    /// The URL that a `Location` header of an answer from here means (RFC 3986 §5, without dot segments).
    pub fn join(&self, location: &str) -> Option<Url> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let origin = self.origin();
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", if self.https { "https" } else { "http" }));
        }
        if location.starts_with('/') {
            return Url::parse(&format!("{origin}{location}"));
        }
        let path = self.path.split('?').next().unwrap_or("/");
        if location.starts_with('?') {
            return Url::parse(&format!("{origin}{path}{location}"));
        }
        let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
        Url::parse(&format!("{origin}{folder}{location}"))
    }

    /// The same URL with one more query parameter; the value is encoded.
    pub fn with_query(&self, name: &str, value: &str) -> Url {
        let mut path = self.path.clone();
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(name);
        path.push('=');
        path.push_str(&encode(value));
        Url { path, ..self.clone() }
    }

    /// The same server, another path.
    pub fn with_path(&self, path: impl Into<String>) -> Url {
        Url { path: path.into(), ..self.clone() }
    }

    /// Whether credentials for one may be sent to the other.
    pub fn same_origin(&self, other: &Url) -> bool {
        self.https == other.https && self.host == other.host && self.port == other.port
    }

    /// `https://host:port`.
    pub fn origin(&self) -> String {
        format!("{}://{}:{}", if self.https { "https" } else { "http" }, self.host, self.port)
    }

    /// Whether it is https, or plain http to this machine.
    pub fn is_safe(&self) -> bool {
        self.https || is_loopback(&self.host)
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.https
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn locations_are_joined_and_hostile_ones_refused() {
        let base = Url::parse("http://127.0.0.1:5000/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, whole) in [
            ("/v2/b?c=d", "http://127.0.0.1:5000/v2/b?c=d"),
            ("next", "http://127.0.0.1:5000/v2/a/blobs/uploads/next"),
            ("?y=2", "http://127.0.0.1:5000/v2/a/blobs/uploads/?y=2"),
            ("//cdn.example.com/x", "http://cdn.example.com:80/x"),
            ("https://S3.example.com/k?sig=%2F", "https://s3.example.com:443/k?sig=%2F"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), whole);
        }
        for bad in [
            "file:///etc/passwd",
            "https://user@evil.com/",
            "https://a b/",
            "https://[::1/",
            "https:///x",
            "gopher://x/",
            "https://x:99999/",
            "https://\r\nHost: x/",
            "https://a\u{e9}/",
        ] {
            assert_eq!(base.join(bad), None, "{bad}");
        }
        assert!(!base.same_origin(&Url::parse("http://127.0.0.1:5001/").unwrap()));
        assert!(!base.same_origin(&Url::parse("https://127.0.0.1:5000/").unwrap()));
        assert!(!Url::parse("http://example.com/").unwrap().is_safe());
        assert_eq!(base.with_query("scope", "a:b c").to_string(), format!("{base}&scope=a%3Ab%20c"));
    }
}
