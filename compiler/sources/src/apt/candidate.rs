//! One package that may be chosen, or that is installed already.

use diag::text::printable;
use formats::deb822::Stanza;
use formats::dpkg::{Op, Relation, Relations, Version, is_package_name, relations};
use formats::oci::Digest;

/// A package of an archive or of a base.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub name: String,
    pub version: Version,
    /// `amd64`, `all` …
    pub architecture: String,
    pub essential: bool,
    /// `required` 1 to `extra` 5, as apt ranks.
    pub priority: u8,
    pub multi_arch: MultiArch,
    /// Pre-Depends, then Depends.
    pub depends: Relations,
    pub provides: Vec<Relation>,
    pub conflicts: Vec<Relation>,
    pub breaks: Vec<Relation>,
    /// Where it is fetched from; `None` where it is installed.
    pub file: Option<File>,
}

/// A `.deb` of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Path below the archive.
    pub path: String,
    pub size: u64,
    pub digest: Digest,
    /// Which of the request's pockets.
    pub pocket: usize,
}

/// `Multi-Arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MultiArch {
    No,
    Same,
    Foreign,
    Allowed,
}

impl Candidate {
    /// Reads a stanza of a `Packages` file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_archive(stanza: &Stanza<'_>, pocket: usize) -> Result<Candidate, String> {
        let mut candidate = Candidate::read(stanza)?;
        let must = |name: &'static str| text(stanza, name)?.ok_or_else(|| format!("it has no {name}"));
        let path = must("Filename")?;
        let sane = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-+._~:%@=,".contains(&b));
        if !sane || path.len() > 1024 {
            return Err(format!("its Filename is `{}`", printable(path)));
        }
        let size = must("Size")?;
        let hash = must("SHA256")?;
        candidate.file = Some(File {
            path: path.to_owned(),
            size: size.parse().map_err(|_| format!("its Size is `{}`", printable(size)))?,
            digest: Digest::parse(&format!("sha256:{hash}"))
                .map_err(|_| format!("its SHA256 is `{}`", printable(hash)))?,
            pocket,
        });
        Ok(candidate)
    }

    /// Reads a stanza of dpkg's status; `None` where the package is not installed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of_status(stanza: &Stanza<'_>) -> Result<Option<Candidate>, String> {
        // `status.d` of distroless images has no Status.
        let status = text(stanza, "Status")?.unwrap_or("install ok installed");
        let state = status.split_ascii_whitespace().next_back().unwrap_or_default();
        if !matches!(state, "installed" | "triggers-pending" | "triggers-awaited") {
            return Ok(None);
        }
        Candidate::read(stanza).map(Some)
    }

    fn read(stanza: &Stanza<'_>) -> Result<Candidate, String> {
        let must = |name: &'static str| text(stanza, name)?.ok_or_else(|| format!("it has no {name}"));
        let all = |name: &'static str| match stanza.value(name) {
            None => Ok(Vec::new()),
            Some(value) => relations(value).map_err(|e| format!("its {name}: {e}")),
        };
        let flat =
            |name: &'static str| -> Result<Vec<Relation>, String> { Ok(all(name)?.into_iter().flatten().collect()) };
        let (name, architecture) = (must("Package")?, must("Architecture")?);
        for part in [name, architecture] {
            if !is_package_name(part) {
                return Err(format!("`{}` is no name", printable(part)));
            }
        }
        let mut depends = all("Pre-Depends")?;
        depends.extend(all("Depends")?);
        Ok(Candidate {
            name: name.to_owned(),
            version: Version::parse(must("Version")?).map_err(|e| e.to_string())?,
            architecture: architecture.to_owned(),
            essential: text(stanza, "Essential")?.is_some_and(|v| v.eq_ignore_ascii_case("yes")),
            priority: match text(stanza, "Priority")?.unwrap_or_default() {
                "required" => 1,
                "important" => 2,
                "standard" => 3,
                "optional" => 4,
                _ => 5,
            },
            multi_arch: match text(stanza, "Multi-Arch")?.unwrap_or_default() {
                "same" => MultiArch::Same,
                "foreign" => MultiArch::Foreign,
                "allowed" => MultiArch::Allowed,
                _ => MultiArch::No,
            },
            depends,
            provides: flat("Provides")?,
            conflicts: flat("Conflicts")?,
            breaks: flat("Breaks")?,
            file: None,
        })
    }

    /// Whether it is what a relation asks for by its own name, on a machine of `architecture`.
    pub(crate) fn is(&self, relation: &Relation, architecture: &str) -> bool {
        self.name == relation.name
            && self.qualified(relation, architecture)
            && relation.version.as_ref().is_none_or(|(op, wanted)| op.holds(&self.version, wanted))
    }

    /// Whether it provides what a relation asks for. A version is only satisfied by a `Provides` that says one.
    pub(crate) fn gives(&self, relation: &Relation, architecture: &str) -> bool {
        self.qualified(relation, architecture)
            && self.provides.iter().any(|provided| {
                provided.name == relation.name
                    && match (&relation.version, &provided.version) {
                        (None, _) => true,
                        (Some((op, wanted)), Some((Op::Exactly, given))) => op.holds(given, wanted),
                        (Some(_), _) => false,
                    }
            })
    }

    /// `python3:any` is met by a package that allows it; `:native` and the architecture itself by one of here.
    fn qualified(&self, relation: &Relation, architecture: &str) -> bool {
        match relation.qualifier.as_deref() {
            None | Some("native") => true,
            Some("any") => self.multi_arch == MultiArch::Allowed,
            Some(other) => other == architecture || other == self.architecture,
        }
    }
}

fn text<'a>(stanza: &Stanza<'a>, name: &str) -> Result<Option<&'a str>, String> {
    stanza.value(name).map(|v| std::str::from_utf8(v).map_err(|_| format!("its {name} is not text"))).transpose()
}
