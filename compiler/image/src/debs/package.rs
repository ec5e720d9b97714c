//! A package's control data, and its stanza in `status` as dpkg writes it.

use std::collections::{BTreeMap, BTreeSet};

use diag::codes;
use formats::deb::Control;
use formats::deb822;
use formats::dpkg::{self, Relations, Version, relations};
use formats::line::lines;

use super::failure::Failure;

/// Fields that dpkg knows, in the order in which it writes them (lib/dpkg/parse.c); all others follow as they stand.
const KNOWN: [&str; 24] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
];

/// Those of them that hold relations, which dpkg spells in its own way.
const RELATIONS: [&str; 9] =
    ["Replaces", "Provides", "Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances"];

const HELP: &str = "the package is damaged; fetch it again";

/// A package as its control archive describes it.
pub(super) struct Package {
    pub name: String,
    pub version: Version,
    pub architecture: String,
    /// `Multi-Arch: same`: its files in `info/` bear the architecture.
    pub same: bool,
    pub essential: bool,
    pub depends: Relations,
    pub provides: Relations,
    pub replaces: Relations,
    /// Every field with its value, in the order of the file.
    fields: Vec<(String, Vec<u8>)>,
    /// Paths of `conffiles` in its order, and whether the next upgrade is to remove them (they are not shipped).
    conffiles: Vec<(Vec<u8>, bool)>,
    /// Those that are shipped.
    pub watched: BTreeSet<Vec<u8>>,
    /// MD5 of each as shipped, in hexadecimal.
    pub sums: BTreeMap<Vec<u8>, String>,
    pub control: Control,
    /// Paths as the data archive lists them, absolute.
    pub list: Vec<Vec<u8>>,
    /// Those of them that another package took over.
    pub taken: BTreeSet<Vec<u8>>,
}

impl Package {
    pub fn read(control: Control) -> Result<Package, Failure> {
        let bad = |what: String| Failure::new(codes::E0567, what, HELP);
        let text = control.get("control").unwrap_or_default();
        let stanzas = deb822::stanzas(text).map_err(|e| bad(format!("control cannot be read: {e}")))?;
        let [stanza] = stanzas.as_slice() else { return Err(bad("control holds not exactly one stanza".into())) };
        let value = |name: &str| stanza.value(name).and_then(|v| std::str::from_utf8(v).ok()).map(str::to_owned);
        let need = |name: &str| value(name).ok_or_else(|| bad(format!("control has no field \"{name}\"")));
        let related = |name: &str| {
            let read = relations(stanza.value(name).unwrap_or_default());
            read.map_err(|e| bad(format!("control, field \"{name}\": {e}")))
        };
        let (name, architecture) = (need("Package")?, need("Architecture")?);
        if ![&name, &architecture].into_iter().all(|n| dpkg::is_package_name(n)) {
            return Err(bad("control names a package or an architecture that can be none".into()));
        }
        let version = Version::parse(&need("Version")?).map_err(|e| bad(format!("control, field \"Version\": {e}")))?;
        for field in RELATIONS {
            related(field)?;
        }
        let depends = [related("Pre-Depends")?, related("Depends")?].concat();
        let text = control.get("conffiles").unwrap_or_default();
        let shipped = dpkg::conffile_list(text).map_err(|e| bad(format!("conffiles: {e}")))?;
        let conffile = |line: &[u8]| match line.strip_prefix(b"remove-on-upgrade ") {
            Some(path) => (path.to_vec(), true),
            None => (line.to_vec(), false),
        };
        let conffiles = lines(text).map(|line| conffile(line.text)).collect();
        Ok(Package {
            same: value("Multi-Arch").as_deref() == Some("same"),
            essential: value("Essential").as_deref() == Some("yes"),
            provides: related("Provides")?,
            replaces: related("Replaces")?,
            fields: stanza.fields.iter().map(|f| (f.name.to_owned(), f.value.to_vec())).collect(),
            sums: BTreeMap::new(),
            watched: shipped.into_iter().map(<[u8]>::to_vec).collect(),
            list: Vec::new(),
            taken: BTreeSet::new(),
            name,
            version,
            architecture,
            depends,
            conffiles,
            control,
        })
    }

    /// A package of a base, which its database describes; `None` where nothing of it is installed.
    pub fn installed(read: &dpkg::Package) -> Option<Package> {
        Some(Package {
            name: read.name.clone(),
            version: read.version.clone()?,
            architecture: read.architecture.clone(),
            same: read.multi_arch.as_deref() == Some("same"),
            essential: read.essential,
            depends: [read.pre_depends.clone(), read.depends.clone()].concat(),
            provides: read.provides.clone(),
            replaces: read.replaces.clone(),
            fields: Vec::new(),
            conffiles: Vec::new(),
            watched: BTreeSet::new(),
            sums: BTreeMap::new(),
            control: Control(BTreeMap::new()),
            list: Vec::new(),
            taken: BTreeSet::new(),
        })
    }

    /// The name in `info/` and in triggers.
    pub fn info_name(&self) -> String {
        if self.same { format!("{}:{}", self.name, self.architecture) } else { self.name.clone() }
    }

    /// Whether this package may take over files of `other`.
    pub fn replaces(&self, other: &Package) -> bool {
        self.replaces.iter().flatten().any(|one| {
            one.name == other.name && one.version.as_ref().is_none_or(|(op, want)| op.holds(&other.version, want))
        })
    }

    /// Its stanza in `status`, with the empty line after it.
    pub fn stanza(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for known in KNOWN {
            match known {
                "Status" => out.extend_from_slice(b"Status: install ok installed\n"),
                "Conffiles" => self.conffiles_field(&mut out),
                _ => {
                    if let Some((_, value)) = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(known)) {
                        field(&mut out, known, &spelt(known, value));
                    }
                }
            }
        }
        let description = |(name, _): &&(String, Vec<u8>)| name.eq_ignore_ascii_case("Description");
        let known = |name: &str| KNOWN.iter().any(|k| k.eq_ignore_ascii_case(name));
        let others = self.fields.iter().filter(|f| !description(f) && !known(&f.0));
        for (name, value) in self.fields.iter().filter(description).chain(others) {
            field(&mut out, name, value);
        }
        out.push(b'\n');
        out
    }

    fn conffiles_field(&self, out: &mut Vec<u8>) {
        if self.conffiles.is_empty() {
            return;
        }
        out.extend_from_slice(b"Conffiles:\n");
        for (path, remove) in &self.conffiles {
            let sum = self.sums.get(path).map_or("newconffile", String::as_str);
            let flag = if *remove { " remove-on-upgrade" } else { "" };
            out.extend_from_slice(&[b" ", path.as_slice(), b" ", sum.as_bytes(), flag.as_bytes(), b"\n"].concat());
        }
    }

    /// `interest` lines of `triggers`: what it is, and whether it is `noawait`.
    pub fn interests(&self) -> Vec<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        for line in lines(self.control.get("triggers").unwrap_or_default()) {
            let mut words = line.text.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
            let wait = match words.next() {
                Some(b"interest" | b"interest-await") => true,
                Some(b"interest-noawait") => false,
                _ => continue,
            };
            out.extend(words.next().map(|name| (name.to_vec(), !wait)));
        }
        out
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(&[name.as_bytes(), b": ", value, b"\n"].concat());
}

/// The value as dpkg writes it.
fn spelt(name: &str, value: &[u8]) -> Vec<u8> {
    match relations(value) {
        Ok(all) if RELATIONS.contains(&name) => {
            let group = |g: &Vec<dpkg::Relation>| g.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
            all.iter().map(group).collect::<Vec<_>>().join(", ").into_bytes()
        }
        _ => value.to_vec(),
    }
}
