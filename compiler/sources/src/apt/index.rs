//! All packages of a suite: the `Packages` files of its pockets, scanned once, read one stanza at a time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, codes, text::printable_bytes};
use formats::deb822;
use formats::dpkg::Version;

use super::candidate::Candidate;

/// The newest version of every package.
pub(crate) struct Index {
    architecture: String,
    listings: Vec<Listing>,
    newest: BTreeMap<Box<str>, Entry>,
    /// Packages of which some version provides a name; the one that is the newest may do so no more.
    providers: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
    /// Packages of which some version is essential.
    essential: BTreeSet<Box<str>>,
}

struct Listing {
    text: Vec<u8>,
    pocket: usize,
    /// For messages.
    name: String,
}

#[derive(Clone, Copy)]
struct Entry {
    listing: usize,
    start: usize,
    end: usize,
}

/// The few lines of a stanza that the scan looks at.
#[derive(Default)]
struct Glance<'a> {
    name: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    provides: Option<&'a [u8]>,
    essential: bool,
}

impl Index {
    /// Nothing yet, for machines of `architecture`.
    pub(crate) fn new(architecture: &str) -> Index {
        Index {
            architecture: architecture.to_owned(),
            listings: Vec::new(),
            newest: BTreeMap::new(),
            providers: BTreeMap::new(),
            essential: BTreeSet::new(),
        }
    }

    /// Adds a `Packages` file. Of two equal versions the one that came first stays.
    ///
    /// # Errors
    /// E0459.
    pub(crate) fn add(&mut self, text: Vec<u8>, pocket: usize, name: &str) -> Result<(), Diagnostic> {
        let listing = self.listings.len();
        self.listings.push(Listing { text, pocket, name: name.to_owned() });
        let mut start = 0;
        while let Some((from, end)) = self.listings.get(listing).and_then(|l| stanza(&l.text, start)) {
            start = end;
            self.take(Entry { listing, start: from, end })?;
        }
        Ok(())
    }

    fn take(&mut self, entry: Entry) -> Result<(), Diagnostic> {
        let glance = self.glance(entry);
        let broken = |what: &str| self.broken(entry, what);
        let Some(name) = glance.name else { return Err(broken("a stanza has no Package")) };
        let name: Box<str> = std::str::from_utf8(name).map_err(|_| broken("a Package is not text"))?.into();
        if glance.architecture.is_some_and(|a| a != b"all" && a != self.architecture.as_bytes()) {
            return Ok(());
        }
        let provided: Vec<Box<str>> = glance.provides.map(names).unwrap_or_default();
        let essential = glance.essential;
        let newer = match self.newest.get(&name) {
            None => true,
            Some(known) => {
                let version = |entry| {
                    let text = self.glance(entry).version.and_then(|v| std::str::from_utf8(v).ok());
                    Version::parse(text.unwrap_or_default()).map_err(|e| self.broken(entry, &e.to_string()))
                };
                version(entry)?.cmp(&version(*known)?) == Ordering::Greater
            }
        };
        for provided in provided {
            self.providers.entry(provided).or_default().insert(name.clone());
        }
        if essential {
            self.essential.insert(name.clone());
        }
        if newer {
            self.newest.insert(name, entry);
        }
        Ok(())
    }

    /// The newest version of a package.
    ///
    /// # Errors
    /// E0459.
    pub(crate) fn candidate(&self, name: &str) -> Result<Option<Candidate>, Diagnostic> {
        let Some(entry) = self.newest.get(name).copied() else { return Ok(None) };
        let stanzas = deb822::stanzas(self.bytes(entry)).map_err(|e| self.broken(entry, &e.problem.to_string()))?;
        let [stanza] = stanzas.as_slice() else { return Err(self.broken(entry, "a stanza is not one")) };
        let pocket = self.listings.get(entry.listing).map_or(0, |l| l.pocket);
        let found = Candidate::of_archive(stanza, pocket).map_err(|e| self.broken(entry, &e))?;
        Ok(Some(found))
    }

    /// The packages that provide a name, by theirs.
    ///
    /// # Errors
    /// E0459.
    pub(crate) fn providers(&self, name: &str) -> Result<Vec<Candidate>, Diagnostic> {
        let mut all = Vec::new();
        for provider in self.providers.get(name).into_iter().flatten() {
            let found = self.candidate(provider)?;
            all.extend(found.filter(|c| c.provides.iter().any(|provided| provided.name == name)));
        }
        Ok(all)
    }

    /// The essential packages, by name.
    ///
    /// # Errors
    /// E0459.
    pub(crate) fn essential(&self) -> Result<Vec<Candidate>, Diagnostic> {
        let mut all = Vec::new();
        for name in &self.essential {
            all.extend(self.candidate(name)?.filter(|c| c.essential));
        }
        Ok(all)
    }

    /// All names of packages.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.newest.keys().map(|name| &**name)
    }

    fn bytes(&self, entry: Entry) -> &[u8] {
        self.listings.get(entry.listing).and_then(|l| l.text.get(entry.start..entry.end)).unwrap_or_default()
    }

    fn glance(&self, entry: Entry) -> Glance<'_> {
        let mut glance = Glance::default();
        let bytes = self.bytes(entry);
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            at += length + 1;
            // Most lines begin with none of these letters, in either case.
            if !matches!(line.first().map(u8::to_ascii_uppercase), Some(b'P' | b'V' | b'A' | b'E')) {
                continue;
            }
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
            let value = value.trim_ascii();
            match name.to_ascii_lowercase().as_slice() {
                b"package" => glance.name = Some(value),
                b"version" => glance.version = Some(value),
                b"architecture" => glance.architecture = Some(value),
                b"provides" => {
                    // The value may go on below, on lines that begin with white space.
                    let start = at - length - 1 + colon + 1;
                    let folded = bytes.get(start..).map_or(0, folded);
                    glance.provides = bytes.get(start..start + folded);
                }
                b"essential" => glance.essential = value.eq_ignore_ascii_case(b"yes"),
                _ => {}
            }
        }
        glance
    }

    fn broken(&self, entry: Entry, what: &str) -> Diagnostic {
        let listing = self.listings.get(entry.listing).map_or("", |l| l.name.as_str());
        let name = self.glance(entry).name.map(printable_bytes).unwrap_or_default();
        let of = if name.is_empty() { String::new() } else { format!(" of `{name}`") };
        Diagnostic::new(codes::E0459, format!("the stanza{of} in {listing} cannot be read: {what}"))
            .help("the archive itself is broken: try again later or use another mirror")
    }
}

/// From where to where the next stanza goes, blank lines before it passed over.
fn stanza(text: &[u8], mut start: usize) -> Option<(usize, usize)> {
    while text.get(start) == Some(&b'\n') {
        start += 1;
    }
    let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
    let mut end = 0;
    loop {
        match rest.get(end..)?.iter().position(|b| *b == b'\n') {
            None => return Some((start, text.len())),
            Some(n) if rest.get(end + n + 1).is_none_or(|b| *b == b'\n') => return Some((start, start + end + n + 1)),
            Some(n) => end += n + 1,
        }
    }
}

/// Length of a value with its folded lines.
fn folded(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let Some(n) = text.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) else { return text.len() };
        at += n;
        if !matches!(text.get(at + 1), Some(b' ' | b'\t')) {
            return at;
        }
        at += 1;
    }
}

/// The names of a list of relations.
fn names(value: &[u8]) -> Vec<Box<str>> {
    let name = |part: &[u8]| -> Option<Box<str>> {
        let part = part.trim_ascii();
        let end = part.iter().position(|b| b.is_ascii_whitespace() || b"(:[".contains(b)).unwrap_or(part.len());
        let name = std::str::from_utf8(part.get(..end)?).ok()?;
        (!name.is_empty()).then(|| name.into())
    };
    value.split(|b| *b == b',').filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn listing(stanzas: &[(&str, &str, &str)]) -> Vec<u8> {
        let hash = "0".repeat(64);
        let one = |(name, version, more): &(&str, &str, &str)| {
            let more = if more.is_empty() { String::new() } else { format!("{more}\n") };
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/{name}.deb\nSize: 1\nSHA256: {hash}\n"
            )
        };
        stanzas.iter().map(one).collect::<Vec<_>>().join("\n").into_bytes()
    }

    #[test]
    fn the_newest_of_all_listings_counts() {
        let mut index = Index::new("amd64");
        index
            .add(listing(&[("a", "1.10", "Provides: v,\n w (= 2),\n x:any"), ("b", "1", "Essential: yes")]), 0, "one")
            .unwrap();
        index.add(listing(&[("a", "1.9", ""), ("b", "1", ""), ("c", "1", "Architecture: arm64")]), 1, "two").unwrap();
        let a = index.candidate("a").unwrap().unwrap();
        assert_eq!((a.version.as_str(), a.file.unwrap().pocket), ("1.10", 0));
        assert_eq!(index.candidate("b").unwrap().unwrap().file.unwrap().pocket, 0, "of equals the first");
        for provided in ["v", "w", "x"] {
            assert_eq!(index.providers(provided).unwrap().len(), 1, "{provided}");
        }
        assert_eq!(index.essential().unwrap().len(), 1);
        index.add(listing(&[("a", "2", "")]), 2, "three").unwrap();
        assert!(index.providers("v").unwrap().is_empty(), "the newest provides it no more");
        assert!(index.candidate("c").unwrap().is_none(), "of another architecture");
    }

    #[test]
    fn broken_listings_name_the_package() {
        let cases: [(&str, &str); 6] = [
            ("Version: 1\n", "no Package"),
            ("Package: a\nVersion: 1\nArchitecture: all\n", "no Filename"),
            ("Package: a\nArchitecture: all\nFilename: x\n", "no Version"),
            ("Package: a\nVersion: 1\nArchitecture: all\nFilename: ../x\nSize: 1\nSHA256: 0\n", "Filename is"),
            ("Package: a\nVersion: 1\nArchitecture: all\nFilename: x\nSize: -1\nSHA256: 0\n", "Size is"),
            ("Package: a\nVersion: 1\nArchitecture: all\nFilename: x\nSize: 1\nSHA256: 0\n", "SHA256 is"),
        ];
        for (text, why) in cases {
            let mut index = Index::new("amd64");
            let error = index.add(text.as_bytes().to_vec(), 0, "here").and_then(|()| index.candidate("a")).unwrap_err();
            assert_eq!(error.code, codes::E0459);
            assert!(error.message.contains(why), "{}", error.message);
        }
        let mut index = Index::new("amd64");
        index.add(b"\n\n".to_vec(), 0, "blank").unwrap();
        index.add(Vec::new(), 0, "empty").unwrap();
        assert_eq!(index.names().count(), 0);
    }
}
