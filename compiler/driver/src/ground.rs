//! The base that packages are added to: whose release it is, and what is installed.

use std::collections::BTreeMap;

use diag::Diagnostic;
use diag::text::printable;
use plan::facts::Contents;
use plan::path::ImagePath;
use plan::tree::{NodeKind, Tree};

/// Longest file that is read here, bytes.
const LONGEST: u64 = 64 << 20;

/// What a base says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ground {
    /// Code names of the suite that its packages come from: the first that is known counts.
    pub suites: Vec<String>,
    /// dpkg's `status`, or the files of `status.d` one after the other.
    pub installed: Vec<u8>,
}

/// Reads it; the text says why packages cannot be added.
///
/// # Errors
/// What `contents` says when a file cannot be read.
pub(crate) fn of(tree: &Tree, contents: &dyn Contents) -> Result<Result<Ground, String>, Diagnostic> {
    let release = match read(tree, contents, "/etc/os-release")? {
        Some(bytes) => Some(bytes),
        None => read(tree, contents, "/usr/lib/os-release")?,
    };
    let Some(release) = release else {
        return Ok(Err("it has no /etc/os-release, which would say whose release it is".to_owned()));
    };
    let suites = match suites(&String::from_utf8_lossy(&release)) {
        Ok(suites) => suites,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(installed) = read(tree, contents, "/var/lib/dpkg/status")? {
        return Ok(Ok(Ground { suites, installed }));
    }
    let mut installed = Vec::new();
    if let Some(directory) = path("/var/lib/dpkg/status.d").and_then(|path| tree.resolve(&path).ok()) {
        for (path, _) in tree.within(&directory.0).filter(|(path, _)| !path.name().ends_with(b".md5sums")) {
            let text = path.to_str().unwrap_or_default();
            if let Some(bytes) = read(tree, contents, text)? {
                installed.extend_from_slice(&bytes);
                installed.extend_from_slice(b"\n\n");
            }
        }
    }
    match installed.is_empty() {
        true => Ok(Err("it has no dpkg database, so that nobody knows what is installed".to_owned())),
        false => Ok(Ok(Ground { suites, installed })),
    }
}

fn path(text: &str) -> Option<ImagePath> {
    ImagePath::parse(text.as_bytes()).ok()
}

fn read(tree: &Tree, contents: &dyn Contents, name: &str) -> Result<Option<Vec<u8>>, Diagnostic> {
    let Some((real, _)) = path(name).and_then(|path| tree.resolve(&path).ok()) else { return Ok(None) };
    match tree.get(&real).map(|node| &node.kind) {
        Some(NodeKind::File(file)) => {
            contents.read(file, LONGEST).map(Some).map_err(|d| d.note(format!("the file is {}", printable(name))))
        }
        _ => Ok(None),
    }
}

/// The suites that os-release(5) may mean.
fn suites(release: &str) -> Result<Vec<String>, String> {
    let pairs = release.lines().filter_map(|line| line.trim().split_once('='));
    let fields: BTreeMap<&str, &str> =
        pairs.map(|(name, value)| (name.trim(), value.trim().trim_matches(['"', '\'']))).collect();
    let field = |name: &str| fields.get(name).copied().filter(|value| !value.is_empty());
    let pretty = printable(field("PRETTY_NAME").or(field("NAME")).unwrap_or("one without a name"));
    match field("ID") {
        Some("debian" | "ubuntu") => {}
        // A derivative's packages are its own, though it may use those of the distribution it comes from.
        _ => return Err(format!("it is {pretty}, and packages are added to Debian and Ubuntu only")),
    }
    // Distroless images have the code name in VERSION alone: `Debian GNU/Linux 12 (bookworm)`.
    let version = || field("VERSION")?.split_once('(')?.1.split_once(')').map(|(name, _)| name);
    let mut all: Vec<String> = field("VERSION_CODENAME").or_else(version).map(str::to_owned).into_iter().collect();
    // Debian's testing and unstable both call themselves by the next release and `/sid`. Once that release is out, its
    // suite is what fits; until then it is no suite that is known, and sid has what testing has, or newer.
    if field("PRETTY_NAME").is_some_and(|name| name.ends_with("/sid")) {
        all.push("sid".to_owned());
    }
    if all.is_empty() {
        return Err(format!("it is {pretty}, and its /etc/os-release does not say which release"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn releases_have_suites() {
        let trixie = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n";
        assert_eq!(suites(trixie).unwrap(), ["trixie"]);
        let sid = "PRETTY_NAME=\"Debian GNU/Linux forky/sid\"\nID=debian\nVERSION_CODENAME=forky\n";
        assert_eq!(suites(sid).unwrap(), ["forky", "sid"]);
        let noble = "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n";
        assert_eq!(suites(noble).unwrap(), ["noble"]);
        let distroless = "PRETTY_NAME=\"Distroless\"\nID=\"debian\"\nVERSION=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(suites(distroless).unwrap(), ["bookworm"]);
    }

    #[test]
    fn others_have_none() {
        let alpine = suites("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\n").unwrap_err();
        assert_eq!(alpine, "it is Alpine Linux, and packages are added to Debian and Ubuntu only");
        let mint = suites("NAME=Mint\nID=linuxmint\nID_LIKE=ubuntu\nVERSION_CODENAME=wilma\n").unwrap_err();
        assert!(mint.contains("Mint"));
        assert!(suites("ID=debian\n").unwrap_err().contains("does not say which release"));
        assert!(suites("").unwrap_err().contains("one without a name"));
    }
}
