//! `k8orc diff`: two outputs side by side. Packages, accounts and setuid files come from the reports, paths and
//! bytes from the images themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use diag::text::{printable, printable_bytes};
use diag::{Diagnostic, codes};
use formats::codec::{Codec, decoder};
use formats::tar::Reader;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::seal;

/// What differs.
#[derive(Debug, Default)]
pub struct Diff {
    sections: BTreeMap<&'static str, Section>,
    bytes: (u64, u64),
    image: (String, String),
}

#[derive(Debug, Default)]
struct Section {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// Compares two outputs of builds.
///
/// # Errors
/// One of them is not a whole output.
pub fn diff(old: &Path, new: &Path) -> Result<Diff, Diagnostic> {
    seal::verify(old)?;
    seal::verify(new)?;
    let (a, b) = (report(old)?, report(new)?);
    let mut sections = BTreeMap::new();
    for (title, list, keys, show) in [
        ("packages", "packages", &["name", "architecture"][..], "version"),
        ("users", "users", &["name"][..], "uid"),
        ("groups", "groups", &["name"][..], "gid"),
        ("setuid", "setuid", &["path"][..], "mode"),
    ] {
        let (a, b) = (facts(&a, list, keys, show), facts(&b, list, keys, show));
        sections.insert(title, compare(&a, &b));
    }
    sections.insert("syscalls", compare(&calls(&a), &calls(&b)));
    sections.insert("paths", compare(&tree(old)?, &tree(new)?));
    let text = |report: &Value| report.get("image").and_then(Value::as_str).unwrap_or("").to_owned();
    Ok(Diff { sections, bytes: (size(&a), size(&b)), image: (text(&a), text(&b)) })
}

impl Diff {
    /// For people.
    pub fn text(&self) -> String {
        if self.image.0 == self.image.1 && self.sections.values().all(Section::is_empty) {
            return format!("the same image: {}\n", self.image.0);
        }
        let mut out = format!(
            "image     {} → {}\nsize      {} → {}\n",
            self.image.0,
            self.image.1,
            report::human::bytes(self.bytes.0),
            report::human::bytes(self.bytes.1)
        );
        for (title, section) in &self.sections {
            if section.is_empty() {
                continue;
            }
            let _ = writeln!(out, "{title}");
            for (mark, list) in [("-", &section.removed), ("+", &section.added), ("~", &section.changed)] {
                for line in list {
                    let _ = writeln!(out, "  {mark} {line}");
                }
            }
        }
        out
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let sections: BTreeMap<&str, Value> = self
            .sections
            .iter()
            .map(|(title, s)| (*title, json!({ "added": s.added, "removed": s.removed, "changed": s.changed })))
            .collect();
        json!({
            "image": { "old": self.image.0, "new": self.image.1 },
            "bytes": { "old": self.bytes.0, "new": self.bytes.1 },
            "sections": sections,
        })
    }
}

impl Section {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

fn compare(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Section {
    let mut section = Section::default();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let join = |value: &str| if value.is_empty() { name.clone() } else { format!("{name} {value}") };
        match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) if a != b => section.changed.push(format!("{name} {a} → {b}")),
            (Some(a), None) => section.removed.push(join(a)),
            (None, Some(b)) => section.added.push(join(b)),
            _ => {}
        }
    }
    section
}

fn report(output: &Path) -> Result<Value, Diagnostic> {
    let bytes = fs::read(output.join("report.json")).map_err(|error| broken(output, &error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| broken(output, &error.to_string()))
}

/// What is in the result, of a list of every platform in the report: key → shown value.
fn facts(report: &Value, list: &str, keys: &[&str], show: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for image in report.get("images").and_then(Value::as_array).into_iter().flatten() {
        for item in image.get(list).and_then(Value::as_array).into_iter().flatten() {
            let gone = item.get("kept") == Some(&json!(false))
                || item.get("fate") == Some(&json!("removed"))
                || item.get("stripped") == Some(&json!(true));
            if gone {
                continue;
            }
            let word = |key: &str| match item.get(key) {
                Some(Value::String(text)) => printable(text),
                Some(value) => value.to_string(),
                None => String::new(),
            };
            out.insert(keys.iter().map(|key| word(key)).collect::<Vec<_>>().join(":"), word(show));
        }
    }
    out
}

fn calls(report: &Value) -> BTreeMap<String, String> {
    let calls = report.get("syscalls").and_then(|s| s.get("calls")).and_then(Value::as_object);
    let action = |call: &Value| call.get("action").and_then(Value::as_str).unwrap_or("").to_owned();
    calls.into_iter().flatten().map(|(name, call)| (printable(name), action(call))).collect()
}

fn size(report: &Value) -> u64 {
    let images = report.get("images").and_then(Value::as_array);
    let bytes = |image: &Value| image.get("after").and_then(|a| a.get("bytes")).and_then(Value::as_u64).unwrap_or(0);
    images.into_iter().flatten().map(bytes).sum()
}

/// Path → `type mode uid:gid size digest`, of every layer of every platform in order.
fn tree(output: &Path) -> Result<BTreeMap<String, String>, Diagnostic> {
    let layout = output.join("image");
    let mut out = BTreeMap::new();
    let index = document(&layout.join("index.json"))?;
    let mut pending: Vec<String> = digests(&index, "manifests");
    while let Some(digest) = pending.pop() {
        let manifest = document(&blob(&layout, &digest)?)?;
        pending.extend(digests(&manifest, "manifests"));
        for layer in digests(&manifest, "layers") {
            read_layer(output, &blob(&layout, &layer)?, &mut out)?;
        }
    }
    Ok(out)
}

fn document(path: &Path) -> Result<Value, Diagnostic> {
    let bytes = fs::read(path).map_err(|error| broken(path, &error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| broken(path, &error.to_string()))
}

fn digests(document: &Value, list: &str) -> Vec<String> {
    let items = document.get(list).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|item| item.get("digest")?.as_str().map(str::to_owned)).collect()
}

/// The seal was verified, but a digest still becomes a path only when it is one (CVE-2024-3727).
fn blob(layout: &Path, digest: &str) -> Result<std::path::PathBuf, Diagnostic> {
    let digest = formats::oci::Digest::parse(digest).map_err(|error| broken(layout, &error.to_string()))?;
    Ok(layout.join("blobs/sha256").join(digest.hex()))
}

fn read_layer(output: &Path, blob: &Path, out: &mut BTreeMap<String, String>) -> Result<(), Diagnostic> {
    let failed = |what: String| broken(output, &what);
    let file = File::open(blob).map_err(|error| failed(error.to_string()))?;
    let stream = decoder(Codec::Gzip, BufReader::new(file)).map_err(|error| failed(error.to_string()))?;
    let mut tar = Reader::new(stream);
    let mut buffer = vec![0; 1 << 16];
    while let Some(entry) = tar.next_entry().map_err(|error| failed(error.to_string()))? {
        let mut hasher = Sha256::new();
        loop {
            match tar.read(&mut buffer).map_err(|error| failed(error.to_string()))? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        let content = if entry.link.is_empty() {
            plan::decide::generation::hex(&hasher.finalize()[..6])
        } else {
            format!("→ {}", printable_bytes(&entry.link))
        };
        let value =
            format!("{} {:04o} {}:{} {} {content}", entry.kind.word(), entry.mode, entry.uid, entry.gid, entry.size);
        out.insert(format!("/{}", printable_bytes(entry.path.strip_suffix(b"/").unwrap_or(&entry.path))), value);
    }
    Ok(())
}

fn broken(path: &Path, what: &str) -> Diagnostic {
    Diagnostic::new(
        codes::E1030,
        format!("{} is not a whole output of k8orc: {}", printable(&path.display().to_string()), printable(what)),
    )
    .help("build it again: k8orc build SPEC")
}
