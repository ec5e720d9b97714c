//! References: bases, repositories, platforms, modules, places of secrets.

use diag::codes::{E0111, E0112, E0116, E0117, E0301};

use super::{Check, Fault, names, paths};
use crate::schema::nearest;

/// A base before its paths have a root: `(kind, rest)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base<'a> {
    /// A registry reference.
    Registry(&'a str),
    /// `oci:DIR[:TAG]`.
    Oci(String, Option<&'a str>),
    /// `docker-archive:F`.
    DockerArchive(String),
    /// `tar:F`.
    Tar(String),
    /// `dir:D`.
    Dir(String),
    /// `apt:SUITE`.
    Apt(&'a str),
    /// `scratch`.
    Scratch,
}

/// Reads a base's text.
pub fn base(text: &str) -> Result<Base<'_>, Fault> {
    if text == "scratch" {
        return Ok(Base::Scratch);
    }
    match text.split_once(':') {
        Some(("oci", rest)) => {
            let (dir, tag) = rest.rsplit_once(':').map_or((rest, None), |(dir, tag)| (dir, Some(tag)));
            if tag.is_some_and(|tag| !is_tag(tag)) {
                return Err(Fault::new(
                    E0117,
                    format!("`{text}` has no sound tag after the layout's directory"),
                    "`oci:DIR:TAG`",
                ));
            }
            Ok(Base::Oci(beside(text, dir)?, tag))
        }
        Some(("docker-archive", rest)) => Ok(Base::DockerArchive(beside(text, rest)?)),
        Some(("tar", rest)) => Ok(Base::Tar(beside(text, rest)?)),
        Some(("dir", rest)) => Ok(Base::Dir(beside(text, rest)?)),
        Some(("apt", suite)) => suite_name(text, suite).map(|()| Base::Apt(suite)),
        // The schema's words refuse it by name.
        Some(("spec", _)) => Ok(Base::Scratch),
        Some((scheme @ ("http" | "https" | "docker"), rest)) => Err(not_a_reference(text)
            .help(format!("a registry reference has no `{scheme}:`: \"{}\"", rest.trim_start_matches('/')))),
        _ => registry(text).map(|()| Base::Registry(text)),
    }
}

/// The form of a suite's name; which suites there are is known where they are fetched.
fn suite_name(text: &str, suite: &str) -> Check {
    if suite.starts_with(|c: char| c.is_ascii_lowercase()) && suite.chars().all(|c| c.is_ascii_lowercase()) {
        return Ok(());
    }
    let fault = Fault::new(E0117, format!("`{text}` names no suite"), "the code name of a release: `apt:trixie`");
    let lower = suite.to_lowercase();
    Err(match suite.rsplit(['/', ':']).next().map(str::to_lowercase) {
        Some(last) if lower != suite && last == lower => fault.help(format!("in lower case: \"apt:{lower}\"")),
        _ => fault.help("updates and security of the release come with it; a mirror is named in the user file"),
    })
}

fn beside(text: &str, path: &str) -> Result<String, Fault> {
    if path.is_empty() {
        return Err(Fault::new(E0117, format!("`{text}` names no file"), "a path beside the spec follows the colon"));
    }
    paths::source(path)
}

fn not_a_reference(text: &str) -> Fault {
    Fault::new(
        E0117,
        format!("`{text}` is not a base"),
        "a registry reference, or `apt:`, `oci:`, `docker-archive:`, `tar:`, `dir:`, `scratch`",
    )
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn registry(text: &str) -> Check {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or("");
        // CVE-2024-3727: a digest that is not checked becomes a path.
        if hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)) {
            let at = text.len() - digest.len();
            return Err(Fault::new(E0117, format!("`{digest}` is not a digest"), "`sha256:` and 64 hex digits")
                .at(at, text.len()));
        }
    }
    // A colon after the last slash begins the tag; one before it a port.
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest.get(slash..).and_then(|last| last.find(':')) {
        Some(colon) => (rest.get(..slash + colon).unwrap_or(""), rest.get(slash + colon + 1..)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) || !is_repository(path) {
        return Err(not_a_reference(text));
    }
    Ok(())
}

/// `[host[:port]/]component/…` as the distribution specification has it.
fn is_repository(text: &str) -> bool {
    if text.is_empty() || text.len() > 255 {
        return false;
    }
    let mut parts: Vec<&str> = text.split('/').collect();
    let host = parts.first().copied().unwrap_or("");
    if parts.len() > 1 && (host.contains(['.', ':']) || host == "localhost") {
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let name_ok = name.split('.').all(|label| names::name(&label.to_lowercase()).is_ok());
        if !name_ok || port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return false;
        }
        parts.remove(0);
    }
    parts.iter().all(|part| {
        let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(alnum)
            && part.ends_with(alnum)
            && part.chars().all(|c| alnum(c) || matches!(c, '.' | '_' | '-'))
    })
}

/// A URL of the web.
pub(super) fn url(text: &str) -> Check {
    let fault = Fault::new(E0117, format!("`{text}` is not a URL"), "`http://…` or `https://…`");
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Err(match text.split_once("://") {
            Some((scheme, _)) => fault.help(format!("`{scheme}` is not spoken")),
            None => fault.help(format!("\"https://{text}\"")),
        });
    };
    let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#'));
    if clean && !rest.starts_with('/') && !rest.is_empty() { Ok(()) } else { Err(fault) }
}

/// A registry, and maybe the beginning of the paths in it.
pub(super) fn registry_prefix(text: &str) -> Check {
    let fault = Fault::new(E0117, format!("`{text}` is not a registry"), "`registry.example.com[/team]`");
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(fault.help(format!("without `{scheme}://`: \"{rest}\"")));
    }
    let host = text.split('/').next().unwrap_or("");
    let is_host = host == "localhost" || host.contains(['.', ':']);
    // With a path it has the form of a repository; alone it is given one.
    let whole = if text.contains('/') { text.to_owned() } else { format!("{text}/x") };
    if is_host && is_repository(&whole) { Ok(()) } else { Err(fault) }
}

pub(super) fn repository(text: &str) -> Check {
    if is_repository(text) {
        return Ok(());
    }
    let fault =
        Fault::new(E0117, format!("`{text}` is not a repository"), "`registry.example.com/team/name`, in lower case");
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(fault.help(format!("without `{scheme}://`: \"{rest}\"")));
    }
    let bare = text.split('@').next().unwrap_or(text);
    let bare = bare.rsplit_once(':').map_or(bare, |(bare, _)| bare);
    Err(if bare != text && is_repository(bare) {
        fault.help(format!("without tag or digest, which the manifests get from the build: \"{bare}\""))
    } else {
        fault
    })
}

const ARCHITECTURES: &[&str] = &[
    "linux/386",
    "linux/amd64",
    "linux/arm",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64",
    "linux/arm64/v8",
    "linux/loong64",
    "linux/mips64le",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
];

pub(super) fn platform(text: &str) -> Check {
    if ARCHITECTURES.contains(&text) {
        return Ok(());
    }
    let fault = Fault::new(E0116, format!("`{text}` is not a platform"), "`linux/ARCHITECTURE[/VARIANT]`");
    let known = match text.rsplit('/').next().unwrap_or("") {
        "x86_64" | "amd64" | "x64" => Some("linux/amd64"),
        "aarch64" | "arm64" => Some("linux/arm64"),
        _ => nearest(text, ARCHITECTURES.iter().copied()),
    };
    Err(match known {
        Some(known) => fault.help(format!("did you mean \"{known}\"?")),
        None => fault.help(format!("known are: {}", ARCHITECTURES.join(", "))),
    })
}

pub(super) fn module(text: &str) -> Check {
    if let Some(name) = text.strip_prefix("std/") {
        let sound = !name.is_empty() && name.split('/').all(|part| names::name(part).is_ok());
        return if sound {
            Ok(())
        } else {
            Err(Fault::new(
                E0117,
                format!("`{text}` is not the name of a standard module"),
                "like `std/debian/minimal`",
            ))
        };
    }
    if text.contains("://") || text.starts_with("oci:") || text.starts_with("git@") {
        return Err(Fault::new(E0301, "modules from the network are not built yet", "only `std/…` and `./…`")
            .help("put a copy beside the spec and write: use \"./NAME.kdl\""));
    }
    if text.starts_with("./") || text.starts_with('/') || text.starts_with("..") || text.ends_with(".kdl") {
        paths::source(text)?;
        if !text.ends_with(".kdl") {
            return Err(Fault::new(E0117, format!("`{text}` is not a module"), "a file of KDL ends in `.kdl`"));
        }
        return Ok(());
    }
    Err(Fault::new(E0117, format!("`{text}` is not a module"), "`std/…`, or `./…` for a file beside this one"))
}

/// `(object, key)` of `k8s:OBJECT/KEY`.
pub fn secret_ref(text: &str) -> Result<(&str, &str), Fault> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    if ["aws", "gcp", "azure", "vault"].contains(&scheme) {
        // Refused by the schema's words, with what to write instead.
        return Ok(("", ""));
    }
    let parts = if scheme == "k8s" { rest.split_once('/') } else { None };
    match parts {
        Some((object, key)) if names::object_name(object).is_ok() && names::secret_name(key).is_ok() => {
            Ok((object, key))
        }
        _ => {
            let fault = Fault::new(E0117, format!("`{text}` is not a place of a secret"), "`k8s:OBJECT/KEY`");
            Err(if scheme.is_empty() && rest.split('/').count() == 2 {
                fault.help(format!("\"k8s:{rest}\""))
            } else {
                fault
            })
        }
    }
}

pub(super) fn secret_to(text: &str) -> Check {
    if text == "env" {
        return Ok(());
    }
    if !text.starts_with('/') {
        return Err(Fault::new(
            E0112,
            format!("`{text}` is neither `env` nor an absolute path"),
            "where the secret goes",
        ));
    }
    paths::file_path(text)
}

pub(super) fn expose(text: &str) -> Check {
    let (port, protocol) = text.split_once('/').unwrap_or((text, ""));
    let number = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
    if number && ["tcp", "udp", "sctp"].contains(&protocol) {
        return Ok(());
    }
    let fault = Fault::new(E0111, format!("`{text}` is not a port with its protocol"), "like `8080/tcp`");
    Err(if number { fault.help(format!("\"{port}/tcp\"")) } else { fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        let digest = format!("debian@sha256:{}", "a".repeat(64));
        for good in [
            "debian",
            "debian:trixie-slim",
            "docker.io/library/debian",
            "localhost:5000/a/b:1",
            "127.0.0.1:5000/a",
            digest.as_str(),
        ] {
            assert_eq!(base(good), Ok(Base::Registry(good)), "{good}");
        }
        assert_eq!(base("oci:./x/layout:v1"), Ok(Base::Oci("x/layout".into(), Some("v1"))));
        assert_eq!(base("oci:layout"), Ok(Base::Oci("layout".into(), None)));
        assert_eq!(base("tar:./base.tar"), Ok(Base::Tar("base.tar".into())));
        for bad in [
            "",
            "Debian",
            "debian:",
            "a//b",
            "https://x/y",
            "debian@sha256:../../x",
            "tar:",
            "tar:/etc/passwd",
            "dir:../x",
            "-x",
            "host:99999/a",
            "a b",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
