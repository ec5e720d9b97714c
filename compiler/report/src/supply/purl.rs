//! Package URLs (purl-spec): the name under which scanners look a package up.

use plan::facts::Family;

use super::distro::Distro;

/// What is named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub arch: &'a str,
    /// Source package as the database says it, perhaps with its version in parentheses.
    pub source: Option<&'a str>,
}

/// The URL of a distribution's package; `None` where the base has no package database.
pub(super) fn package(family: Family, distro: &Distro, named: &Named<'_>) -> Option<String> {
    let kind = match family {
        Family::Dpkg => "deb",
        Family::Apk => "apk",
        Family::Rpm => "rpm",
        Family::None => return None,
    };
    let (epoch, version) = match named.version.split_once(':') {
        // rpm's epoch is a qualifier, dpkg's is part of the version.
        Some((epoch, version)) if family == Family::Rpm => (Some(epoch), version),
        _ => (None, named.version),
    };
    let mut url = format!("pkg:{kind}/");
    if let Some(id) = &distro.id {
        url.push_str(&format!("{}/", escape(id)));
    }
    url.push_str(&format!("{}@{}", escape(named.name), escape(version)));
    // Sorted by key, as the specification wants it.
    let upstream = named.source.map(upstream);
    let qualifiers = [
        ("arch", Some(named.arch.to_owned())),
        ("distro", distro.qualifier()),
        ("epoch", epoch.map(str::to_owned)),
        ("upstream", upstream),
    ];
    Some(with(url, &qualifiers))
}

/// `pkg:oci/web@sha256:…?arch=amd64&repository_url=registry.example.com/shop/web`.
pub(super) fn image(name: &str, repository: Option<&str>, digest: &str, arch: Option<&str>) -> String {
    let name = repository.and_then(|repository| repository.rsplit('/').next()).unwrap_or(name);
    let url = format!("pkg:oci/{}@{}", escape(&name.to_ascii_lowercase()), escape(digest));
    with(url, &[("arch", arch.map(str::to_owned)), ("repository_url", repository.map(str::to_owned))])
}

/// `pkg:generic/k8or@0.1.0?checksum=sha256:…`.
pub(super) fn generic(name: &str, version: &str, checksum: &str) -> String {
    with(format!("pkg:generic/{}@{}", escape(name), escape(version)), &[("checksum", Some(checksum.to_owned()))])
}

fn with(mut url: String, qualifiers: &[(&str, Option<String>)]) -> String {
    let mut mark = '?';
    for (key, value) in qualifiers {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            url.push_str(&format!("{mark}{key}={}", escape(value)));
            mark = '&';
        }
    }
    url
}

/// `util-linux (2.41-5)` as scanners write it: `util-linux@2.41-5`.
fn upstream(source: &str) -> String {
    match source.split_once(" (") {
        Some((name, version)) => format!("{name}@{}", version.trim_end_matches(')')),
        None => source.to_owned(),
    }
}

/// Percent-encodes all but letters, digits and `.-_~:` (purl-spec, "Character encoding").
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> Distro {
        Distro { id: Some("debian".to_owned()), version: Some("13".to_owned()) }
    }

    #[test]
    fn of_each_family() {
        let named = Named { name: "g++", version: "1:2.4+b1~rc", arch: "amd64", source: Some("gcc (14.2-1)") };
        assert_eq!(
            package(Family::Dpkg, &debian(), &named).as_deref(),
            Some("pkg:deb/debian/g%2B%2B@1:2.4%2Bb1~rc?arch=amd64&distro=debian-13&upstream=gcc%4014.2-1")
        );
        let named = Named { name: "bash", version: "1:5.2-3.fc42", arch: "x86_64", source: None };
        let fedora = Distro { id: Some("fedora".to_owned()), version: Some("42".to_owned()) };
        assert_eq!(
            package(Family::Rpm, &fedora, &named).as_deref(),
            Some("pkg:rpm/fedora/bash@5.2-3.fc42?arch=x86_64&distro=fedora-42&epoch=1")
        );
        assert_eq!(package(Family::None, &debian(), &named), None);
    }

    #[test]
    fn hostile_names_stay_one_part() {
        let named = Named { name: "a/../b?x#y &\u{202e}", version: "1@2", arch: "", source: None };
        assert_eq!(
            package(Family::Apk, &Distro::default(), &named).as_deref(),
            Some("pkg:apk/a%2F..%2Fb%3Fx%23y%20%26%E2%80%AE@1%402")
        );
    }

    #[test]
    fn of_images() {
        assert_eq!(
            image("web", Some("registry.example.com/shop/Web"), "sha256:ab", Some("amd64")),
            "pkg:oci/web@sha256:ab?arch=amd64&repository_url=registry.example.com%2Fshop%2FWeb"
        );
        assert_eq!(image("web", None, "sha256:ab", None), "pkg:oci/web@sha256:ab");
    }
}
