//! The installed packages: `status`, and the one-package files of distroless' `status.d`.

use super::relation::{RelationError, Relations, is_package_name, relations};
use super::version::{Version, VersionError};
use crate::deb822::{self, Field, Stanza};
use crate::line::{Place, shown};

/// One package of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name, without architecture.
    pub name: String,
    /// `amd64`, `all` …; empty for a package that dpkg only remembers.
    pub architecture: String,
    /// None only for a package of which nothing is installed.
    pub version: Option<Version>,
    /// Selection, flag and state.
    pub status: Status,
    /// `Essential: yes`
    pub essential: bool,
    /// `Protected: yes`
    pub protected: bool,
    /// `Multi-Arch`: `same`, `foreign`, `allowed`.
    pub multi_arch: Option<String>,
    /// `Section`
    pub section: Option<String>,
    /// `Priority`
    pub priority: Option<String>,
    /// `Source`: name and, where it differs from the package's own, version.
    pub source: Option<(String, Option<String>)>,
    /// `Installed-Size`, in KiB as dpkg counts.
    pub installed_kib: Option<u64>,
    /// `Pre-Depends`
    pub pre_depends: Relations,
    /// `Depends`
    pub depends: Relations,
    /// `Recommends`
    pub recommends: Relations,
    /// `Provides`, a relation a group
    pub provides: Relations,
    /// `Replaces`
    pub replaces: Relations,
    /// `Conffiles`
    pub conffiles: Vec<Conffile>,
    /// Line of the stanza in its file.
    pub line: usize,
}

/// The `Status` field: `install ok installed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What was asked for: `install`, `hold`, `deinstall`, `purge`, `unknown`.
    pub want: String,
    /// `ok` or `reinstreq`.
    pub flag: String,
    /// `installed`, `config-files`, `half-installed` …
    pub state: String,
}

impl Status {
    /// True when the files of the package are there and it is configured.
    pub fn is_installed(&self) -> bool {
        matches!(self.state.as_str(), "installed" | "triggers-pending" | "triggers-awaited")
    }
}

/// A configuration file that dpkg watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conffile {
    /// Absolute path.
    pub path: Vec<u8>,
    /// MD5 in hexadecimal, or `newconffile`.
    pub md5: String,
    /// The package does not ship it any more.
    pub obsolete: bool,
}

/// `status` as read: what it says, and the stanzas that say it.
#[derive(Debug)]
pub struct StatusFile<'a> {
    /// In the order of the file.
    pub packages: Vec<Package>,
    /// The stanza of each package, at the same index.
    pub stanzas: Vec<Stanza<'a>>,
}

/// What is wrong with the database, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct PackageError {
    /// Line and bytes in the file.
    pub place: Place,
    /// What is wrong there.
    pub problem: PackageProblem,
}

/// The ways in which a stanza can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageProblem {
    /// The control data themselves.
    #[error("{0}")]
    Control(deb822::Problem),
    /// A field that must be there.
    #[error("the stanza has no \"{0}\"")]
    Missing(&'static str),
    /// A value that cannot be read.
    #[error("\"{field}\" cannot be \"{value}\"")]
    Value {
        /// Name of the field.
        field: &'static str,
        /// Its value, safe to print.
        value: String,
    },
    /// Dependencies and the like.
    #[error("\"{0}\": {1}")]
    Relation(&'static str, RelationError),
    /// The version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl From<deb822::Error> for PackageError {
    fn from(e: deb822::Error) -> PackageError {
        PackageError { place: e.place, problem: PackageProblem::Control(e.problem) }
    }
}

/// Reads `/var/lib/dpkg/status`.
///
/// # Errors
/// The first mistake, with its place: half a database is not used.
pub fn status(bytes: &[u8]) -> Result<StatusFile<'_>, PackageError> {
    read(bytes, None)
}

/// Reads one file of `/var/lib/dpkg/status.d`, where a missing `Status` means installed.
///
/// # Errors
/// As [`status`].
pub fn status_d(bytes: &[u8]) -> Result<StatusFile<'_>, PackageError> {
    read(bytes, Some("install ok installed"))
}

/// `bytes` without the stanzas of the packages that `keep` refuses, the others byte for byte.
pub fn status_without(bytes: &[u8], read: &StatusFile<'_>, mut keep: impl FnMut(&Package) -> bool) -> Vec<u8> {
    deb822::without(bytes, &read.stanzas, |i| read.packages.get(i).is_none_or(&mut keep))
}

/// `bytes` with the stanzas of the packages that `keep` accepts, and of their `Conffiles` only the lines whose path
/// `conffile` accepts; all else byte for byte.
pub fn rewrite_status(
    bytes: &[u8],
    read: &StatusFile<'_>,
    mut keep: impl FnMut(&Package) -> bool,
    mut conffile: impl FnMut(&Package, &[u8]) -> bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    let copy = |out: &mut Vec<u8>, range: std::ops::Range<usize>| {
        out.extend_from_slice(bytes.get(range).unwrap_or_default());
    };
    for (package, stanza) in read.packages.iter().zip(&read.stanzas) {
        if !keep(package) {
            copy(&mut out, from..stanza.whole.start);
            from = stanza.whole.end;
            continue;
        }
        let Some(field) = stanza.field("Conffiles") else { continue };
        // The lines below the name; the name's own line goes when none of them stays.
        let value = field.place.bytes.clone();
        let text = bytes.get(value.clone()).unwrap_or_default();
        let Some(first) = text.iter().position(|b| *b == b'\n').map(|n| value.start + n + 1) else { continue };
        let end = (value.end + 1).min(stanza.bytes.end);
        let gone = |line: &[u8], conffile: &mut dyn FnMut(&Package, &[u8]) -> bool| {
            conffile_line(line.trim_ascii()).is_some_and(|one| !conffile(package, &one.path))
        };
        let kept =
            crate::line::filter_lines(bytes.get(first..end).unwrap_or_default(), |line| !gone(line, &mut conffile));
        let name = bytes.get(..value.start).and_then(|b| b.iter().rposition(|b| *b == b'\n')).map_or(0, |n| n + 1);
        copy(&mut out, from..if kept.is_empty() { name } else { first });
        out.extend_from_slice(&kept);
        from = end;
    }
    copy(&mut out, from..bytes.len());
    out
}

fn read<'a>(bytes: &'a [u8], implied: Option<&str>) -> Result<StatusFile<'a>, PackageError> {
    let stanzas = deb822::stanzas(bytes)?;
    let packages = stanzas.iter().map(|s| package(s, implied)).collect::<Result<_, _>>()?;
    Ok(StatusFile { packages, stanzas })
}

fn package(stanza: &Stanza<'_>, implied: Option<&str>) -> Result<Package, PackageError> {
    let missing = |name| PackageError {
        place: Place { line: stanza.line, bytes: stanza.bytes.clone() },
        problem: PackageProblem::Missing(name),
    };
    let text = |name: &'static str| stanza.field(name).map(|f| text_of(f, name)).transpose();
    let name = text("Package")?.ok_or_else(|| missing("Package"))?;
    if !is_package_name(&name) {
        return Err(wrong(stanza, "Package"));
    }
    let status = match text("Status")?.as_deref().or(implied) {
        None => return Err(missing("Status")),
        Some(words) => status_words(words).ok_or_else(|| wrong(stanza, "Status"))?,
    };
    let version = match stanza.field("Version") {
        None => None,
        Some(f) => Some(
            Version::parse(&text_of(f, "Version")?)
                .map_err(|e| PackageError { place: f.place.clone(), problem: e.into() })?,
        ),
    };
    if version.is_none() && status.state != "not-installed" {
        return Err(missing("Version"));
    }
    let architecture = text("Architecture")?.unwrap_or_default();
    // It becomes part of a file name (`info/NAME:ARCH.list`).
    if !architecture.is_empty() && !is_package_name(&architecture) {
        return Err(wrong(stanza, "Architecture"));
    }
    let yes = |name| Ok::<bool, PackageError>(text(name)?.is_some_and(|v| v.eq_ignore_ascii_case("yes")));
    let related = |name: &'static str| match stanza.field(name) {
        None => Ok(Vec::new()),
        Some(f) => relations(f.value)
            .map_err(|e| PackageError { place: f.place.clone(), problem: PackageProblem::Relation(name, e) }),
    };
    let installed_kib = match text("Installed-Size")? {
        None => None,
        Some(n) => Some(n.parse().map_err(|_| wrong(stanza, "Installed-Size"))?),
    };
    Ok(Package {
        architecture,
        version,
        essential: yes("Essential")?,
        protected: yes("Protected")?,
        multi_arch: text("Multi-Arch")?,
        section: text("Section")?,
        priority: text("Priority")?,
        source: text("Source")?.map(|s| source(&s)),
        installed_kib,
        pre_depends: related("Pre-Depends")?,
        depends: related("Depends")?,
        recommends: related("Recommends")?,
        provides: related("Provides")?,
        replaces: related("Replaces")?,
        conffiles: conffiles(stanza)?,
        line: stanza.line,
        name,
        status,
    })
}

fn text_of(field: &Field<'_>, name: &'static str) -> Result<String, PackageError> {
    std::str::from_utf8(field.value).map(Into::into).map_err(|_| bad(field, name))
}

fn bad(field: &Field<'_>, name: &'static str) -> PackageError {
    let problem = PackageProblem::Value { field: name, value: shown(field.value) };
    PackageError { place: field.place.clone(), problem }
}

fn wrong(stanza: &Stanza<'_>, name: &'static str) -> PackageError {
    match stanza.field(name) {
        Some(field) => bad(field, name),
        None => PackageError {
            place: Place { line: stanza.line, bytes: stanza.bytes.clone() },
            problem: PackageProblem::Missing(name),
        },
    }
}

fn status_words(text: &str) -> Option<Status> {
    let mut words = text.split_ascii_whitespace().map(str::to_string);
    let status = Status { want: words.next()?, flag: words.next()?, state: words.next()? };
    const STATES: [&str; 8] = [
        "not-installed",
        "config-files",
        "half-installed",
        "unpacked",
        "half-configured",
        "triggers-awaited",
        "triggers-pending",
        "installed",
    ];
    (words.next().is_none() && STATES.contains(&status.state.as_str())).then_some(status)
}

fn source(text: &str) -> (String, Option<String>) {
    match text.split_once('(') {
        Some((name, version)) => (name.trim().into(), Some(version.trim_end_matches(')').trim().into())),
        None => (text.into(), None),
    }
}

fn conffiles(stanza: &Stanza<'_>) -> Result<Vec<Conffile>, PackageError> {
    let Some(field) = stanza.field("Conffiles") else {
        return Ok(Vec::new());
    };
    field.continuation().map(|line| conffile_line(line).ok_or_else(|| bad(field, "Conffiles"))).collect()
}

/// ` /etc/a 0123… obsolete`, read from the right: a path may hold spaces.
fn conffile_line(line: &[u8]) -> Option<Conffile> {
    let mut rest = line;
    let mut obsolete = false;
    let md5 = loop {
        let space = rest.iter().rposition(|b| *b == b' ')?;
        let (before, word) = (rest.get(..space)?, rest.get(space + 1..)?);
        rest = before.trim_ascii_end();
        match word {
            b"obsolete" => obsolete = true,
            b"remove-on-upgrade" => {}
            word => break word,
        }
    };
    let hash = md5 == b"newconffile" || (md5.len() == 32 && md5.iter().all(u8::is_ascii_hexdigit));
    let md5 = std::str::from_utf8(md5).ok().filter(|_| hash && rest.starts_with(b"/"))?;
    Some(Conffile { path: rest.into(), md5: md5.to_ascii_lowercase(), obsolete })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const STATUS: &[u8] = b"Package: a\nEssential: yes\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nSource: src (1.0)\nVersion: 1.0-1\nProvides: v (= 2), w\nDepends: libc6 (>= 2.36) | musl, b\nInstalled-Size: 12\nConffiles:\n /etc/a conf d41d8cd98f00b204e9800998ecf8427e\n /etc/old d41d8cd98f00b204e9800998ecf8427e obsolete\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 3\n";

    #[test]
    fn a_stanza_becomes_a_package() {
        let file = status(STATUS).unwrap();
        let a = &file.packages[0];
        assert_eq!((a.name.as_str(), a.essential, a.status.is_installed()), ("a", true, true));
        assert_eq!(a.source, Some(("src".into(), Some("1.0".into()))));
        assert_eq!(a.provides[0][0].to_string(), "v (= 2)");
        assert_eq!(a.depends.len(), 2);
        assert_eq!(a.conffiles[0].path, b"/etc/a conf");
        assert!(a.conffiles[1].obsolete);
        assert!(!file.packages[1].status.is_installed());
        let rest = status_without(STATUS, &file, |p| p.name != "a");
        assert_eq!(rest, b"Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 3\n");
    }

    #[test]
    fn conffiles_leave_one_by_one() {
        let file = status(STATUS).unwrap();
        assert_eq!(rewrite_status(STATUS, &file, |_| true, |_, _| true), STATUS);
        let rest = rewrite_status(STATUS, &file, |p| p.name == "a", |_, path| path != b"/etc/a conf");
        let again = status(&rest).unwrap();
        assert_eq!(again.packages.len(), 1);
        assert_eq!(again.packages[0].conffiles.len(), 1);
        let rest = rewrite_status(STATUS, &file, |_| true, |_, _| false);
        assert!(!rest.windows(9).any(|w| w == b"Conffiles"));
        assert_eq!(status(&rest).unwrap().packages.len(), 2);
    }

    #[test]
    fn distroless_files_need_no_status() {
        let text = b"Package: tzdata\nVersion: 2024a\nArchitecture: all\n";
        assert_eq!(status(text).unwrap_err().problem, PackageProblem::Missing("Status"));
        assert!(status_d(text).unwrap().packages[0].status.is_installed());
    }

    #[test]
    fn broken_stanzas_are_errors_with_a_line() {
        for bad in [
            "Package: ../x\nVersion: 1\nStatus: install ok installed\n",
            "Package: a\nVersion: 1\nStatus: install ok\n",
            "Package: a\nVersion: 1\nStatus: install ok sideways\n",
            "Package: a\nStatus: install ok installed\n",
            "Package: a\nVersion: 1_\nStatus: install ok installed\n",
            "Package: a\nVersion: 1\nStatus: install ok installed\nArchitecture: ../../x\n",
            "Package: a\nVersion: 1\nStatus: install ok installed\nInstalled-Size: many\n",
            "Package: a\nVersion: 1\nStatus: install ok installed\nDepends: a (\n",
            "Package: a\nVersion: 1\nStatus: install ok installed\nConffiles:\n /etc/x\n",
            "Package: a\nVersion: 1\nStatus: install ok installed\nConffiles:\n etc/x newconffile\n",
        ] {
            let text = format!("Package: first\nVersion: 1\nStatus: install ok installed\n\n{bad}");
            let error = status(text.as_bytes()).unwrap_err();
            assert!(error.place.line >= 5, "{bad:?}: {error}");
        }
    }

    #[test]
    fn this_machines_packages_are_read() {
        let Ok(bytes) = std::fs::read("/var/lib/dpkg/status") else {
            println!("skipped: no /var/lib/dpkg/status here");
            return;
        };
        let file = status(&bytes).unwrap();
        let dpkg = file.packages.iter().find(|p| p.name == "dpkg").unwrap();
        assert!(dpkg.essential && dpkg.status.is_installed() && !dpkg.pre_depends.is_empty());
    }
}
