//! The oracle: trees that mmdebstrap made, which runs every maintainer script, against ours, which runs none.
//!
//! `mmdebstrap --variant=essential` with a few packages, its .debs kept; then path, type, mode, owner, size, content, link
//! and time of every path are compared. What may differ stands in `deviations.txt`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

use formats::tar::{Entry, Kind, Reader};
use sha2::{Digest, Sha256};

use super::*;

/// The environment names root sets (`trixie:nginx-light,ca-certificates …`) in the place of these.
const SETS: &str = "K8ORC_TEST_APT_SETS";

/// Compared in every run.
const ALWAYS: [&str; 2] = ["nginx-light,ca-certificates", "redis-server"];
/// Compared under `K8ORC_REQUIRE=all`, by suite. One server each: the ids that several packages' accounts get hang on
/// the order in which dpkg configures packages that do not depend on each other, and ours is another.
const ALL: [(&str, &[&str]); 2] = [
    (
        "trixie",
        &["nginx", "postgresql-17", "python3", "haproxy", "memcached", "unbound", "curl,git", "apache2", "ruby"],
    ),
    ("bookworm", &["nginx", "postgresql-15", "python3"]),
];

#[derive(PartialEq, Eq)]
pub(super) struct Seen {
    pub kind: Kind,
    pub mode: u32,
    pub owner: (u32, u32),
    pub content: (u64, [u8; 32]),
    pub link: Vec<u8>,
    pub mtime: i64,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seen { kind, mode, owner: (uid, gid), content: (size, sha), link, mtime } = self;
        let link = link.escape_ascii();
        write!(f, "{} {mode:o} {uid}:{gid} {size} {:02x?} {link} {mtime}", kind.word(), &sha[..4])
    }
}

/// All paths of an archive, hard links as the files that they are.
pub(super) fn seen(path: &Path) -> BTreeMap<String, Seen> {
    let mut reader = Reader::new(BufReader::with_capacity(1 << 20, File::open(path).unwrap()));
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    let clean = |name: &[u8]| String::from_utf8_lossy(name).trim_start_matches("./").trim_end_matches('/').to_owned();
    let mut chunk = vec![0; 1 << 20];
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut sha = Sha256::new();
        loop {
            let n = reader.read(&mut chunk).unwrap();
            if n == 0 {
                break;
            }
            sha.update(&chunk[..n]);
        }
        let Entry { kind, mode, uid, gid, size, mtime, .. } = entry;
        let one = match kind {
            Kind::Hardlink => {
                let first = &all[&clean(&entry.link)];
                Seen { link: Vec::new(), ..Seen { content: first.content, ..copy(first) } }
            }
            _ => {
                Seen { kind, mode, owner: (uid, gid), content: (size, sha.finalize().into()), link: entry.link, mtime }
            }
        };
        all.insert(clean(&entry.path), one);
    }
    all
}

fn copy(one: &Seen) -> Seen {
    Seen { link: one.link.clone(), ..*one }
}

/// `PATTERN | reason` lines.
pub(super) fn deviations() -> Vec<(&'static str, &'static str)> {
    read_deviations(include_str!("deviations.txt"))
}

pub(super) fn read_deviations(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    lines.map(|l| l.split_once('|').map(|(a, b)| (a.trim(), b.trim())).unwrap()).collect()
}

/// `*` within a name, `**` across names.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((head, rest)) => path.strip_prefix(head).is_some_and(|path| {
            let (deep, rest) = rest.strip_prefix('*').map_or((false, rest), |rest| (true, rest));
            let ends = (0..=path.len()).filter(|at| path.is_char_boundary(*at));
            ends.take_while(|at| deep || !path[..*at].contains('/')).any(|at| matches(rest, &path[at..]))
        }),
    }
}

/// Times: mmdebstrap clamps them to this, later than any package, earlier than all that scripts write.
pub(super) fn epoch_of(dir: &Path) -> i64 {
    let mark = dir.join("epoch");
    if !mark.exists() {
        fs::write(&mark, "").unwrap();
    }
    let now = mark.metadata().unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() - 60
}

/// Runs mmdebstrap, which leaves `oracle.tar` and `debs` in `dir`; false where it could not, which nothing allows
/// under `K8ORC_REQUIRE=all`.
fn mmdebstrap(dir: &Path, suite: &str, options: &[&str]) -> bool {
    let debs = dir.join("debs");
    fs::create_dir_all(&debs).unwrap();
    // The .debs are put aside before they are removed.
    let keep = format!("cp \"$1\"/var/cache/apt/archives/*.deb {}", debs.display());
    // Nothing is customised where nothing is installed.
    let hook = if options.contains(&"--variant=extract") { "extract" } else { "customize" };
    let out = Command::new("mmdebstrap")
        .env("SOURCE_DATE_EPOCH", epoch_of(dir).to_string())
        .args(["--skip=essential/unlink", "--aptopt=APT::Keep-Downloaded-Packages \"true\""])
        .args(["--skip=cleanup/apt/cache", &format!("--{hook}-hook={keep}")])
        .args(options)
        .arg(suite)
        .arg(dir.join("oracle.tar"))
        .output()
        .unwrap();
    if !out.status.success() {
        assert_ne!(std::env::var("K8ORC_REQUIRE").as_deref(), Ok("all"), "{}", String::from_utf8_lossy(&out.stderr));
        eprintln!("skipped: mmdebstrap failed: {}", String::from_utf8_lossy(&out.stderr));
    }
    out.status.success()
}

/// The kept .debs by name.
fn kept(dir: &Path) -> BTreeMap<String, PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().split('_').next().unwrap().to_owned();
    fs::read_dir(dir.join("debs")).unwrap().map(|e| e.unwrap().path()).map(|p| (name(&p), p)).collect()
}

/// Our tree of these packages.
fn ours(set: &str, dir: &Path, debs: &[PathBuf], arch: Arch) {
    let input =
        |path: &PathBuf| DebInput { path: path.clone(), sha256: Sha256::digest(fs::read(path).unwrap()).into() };
    let inputs: Vec<DebInput> = debs.iter().map(input).collect();
    let mut out = std::io::BufWriter::new(File::create(dir.join("ours.tar")).unwrap());
    let report = layer(&inputs, arch, epoch_of(dir), &mut out).unwrap_or_else(|all| panic!("{set}: {all:#?}"));
    assert_eq!(report.packages.len(), inputs.len());
}

fn required() -> bool {
    std::env::var("K8ORC_REQUIRE").as_deref() == Ok("all")
}

/// A finished system in `dir`; its .debs in the order in which they were installed, which dpkg's log tells.
pub(super) fn make(dir: &Path, suite: &str, include: &str, more: &[&str]) -> Option<Vec<PathBuf>> {
    let log = format!("--customize-hook=cp \"$1\"/var/log/dpkg.log {}", dir.display());
    let include = format!("--include={include}");
    let options = [&["--variant=essential", "--architectures=amd64", &include, &log], more].concat();
    if !mmdebstrap(dir, suite, &options) {
        return None;
    }
    let by_name = kept(dir);
    let log = fs::read_to_string(dir.join("dpkg.log")).unwrap();
    let names = log.lines().filter(|l| l.contains(" install ")).filter_map(|l| l.split_whitespace().nth(3));
    let names = names.map(|n| n.split(':').next().unwrap());
    Some(names.map(|n| by_name.get(n).unwrap_or_else(|| panic!("no .deb of {n}")).clone()).collect())
}

fn equal(suite: &str) {
    if crate::read::peers::missing(&["mmdebstrap"]) {
        return;
    }
    let named = std::env::var(SETS).ok();
    let sets: Vec<(String, String)> = match &named {
        Some(sets) => {
            // Any other suite, sid for one, goes with trixie.
            let here = |s: &str| if suite == "bookworm" { s == suite } else { s != "bookworm" };
            let sets = sets.split_whitespace().filter_map(|s| s.split_once(':')).filter(|(s, _)| here(s));
            sets.map(|(suite, set)| (suite.to_owned(), set.to_owned())).collect()
        }
        None => {
            let more = ALL.iter().filter(|(s, _)| *s == suite && required()).flat_map(|(_, sets)| *sets);
            ALWAYS.iter().chain(more).map(|set| (suite.to_owned(), (*set).to_owned())).collect()
        }
    };
    for (suite, include) in sets {
        let dir = tempfile::tempdir().unwrap();
        let set = format!("{suite}:{include}");
        let Some(debs) = make(dir.path(), &suite, &include, &[]) else { continue };
        ours(&set, dir.path(), &debs, Arch::X86_64);
        compare(&set, &dir.path().join("oracle.tar"), &dir.path().join("ours.tar"));
    }
}

#[test]
fn our_tree_is_the_one_that_mmdebstrap_makes_of_trixie() {
    equal("trixie");
}

#[test]
fn our_tree_is_the_one_that_mmdebstrap_makes_of_bookworm() {
    equal("bookworm");
}

/// What scripts do to paths that packages bring, in the set of the quickstart.
const CHANGED: [&str; 4] = ["var/lib/dpkg/status", "var/lock", "var/run", "var/log/nginx"];

/// Nothing of arm64 runs here, so that mmdebstrap only extracts: each path of the packages must be there, unchanged.
#[test]
fn our_arm64_tree_holds_what_the_packages_hold() {
    if crate::read::peers::missing(&["mmdebstrap"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let include = ["--include=?essential", "--include=nginx-light,ca-certificates"];
    let options = ["--variant=extract", "--architectures=arm64", include[0], include[1]];
    if !mmdebstrap(dir.path(), "trixie", &options) {
        return;
    }
    let debs: Vec<PathBuf> = kept(dir.path()).into_values().collect();
    ours("trixie arm64", dir.path(), &debs, Arch::Aarch64);
    let (oracle, ours) = (seen(&dir.path().join("oracle.tar")), seen(&dir.path().join("ours.tar")));
    let known = deviations();
    let mut differ = Vec::new();
    for (path, one) in &oracle {
        // The time of a directory is that of what was put into it last.
        let time =
            |seen: &Seen| Seen { mtime: if seen.kind == Kind::Directory { 0 } else { seen.mtime }, ..copy(seen) };
        let (a, b) = (time(one), ours.get(path).map(time));
        let allowed = known.iter().any(|(pattern, _)| matches(pattern, path)) || CHANGED.contains(&path.as_str());
        if Some(&a) != b.as_ref() && !allowed {
            differ.push(format!("/{path}\n    extracted: {a:?}\n    ours:      {b:?}"));
        }
    }
    eprintln!("trixie arm64: {} paths compared", oracle.len());
    assert!(oracle.len() > 4000 && differ.is_empty(), "{} differences\n{}", differ.len(), differ.join("\n"));
}

fn compare(set: &str, oracle: &Path, ours: &Path) {
    let (oracle, ours) = (seen(oracle), seen(ours));
    let paths: BTreeSet<&String> = oracle.keys().chain(ours.keys()).collect();
    let known = deviations();
    let mut differ = Vec::new();
    for path in &paths {
        let (a, b) = (oracle.get(*path), ours.get(*path));
        if a != b && !known.iter().any(|(pattern, _)| matches(pattern, path)) {
            differ.push(format!("/{path}\n    mmdebstrap: {a:?}\n    ours:       {b:?}"));
        }
    }
    eprintln!("{set}: {} paths compared", paths.len());
    assert!(differ.is_empty(), "{set}: {} differences\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn deviations_have_reasons_and_patterns_match() {
    assert!(deviations().iter().all(|(_, reason)| reason.len() > 2));
    assert!(matches("dev/**", "dev/pts/0") && matches("usr/lib/*/perl", "usr/lib/x/perl"));
    assert!(!matches("usr/lib/*/perl", "usr/lib/x/y/perl") && !matches("tmp", "tmp/x"));
    assert!(matches("**/__pycache__/**", "usr/lib/a/__pycache__/b.pyc"));
}
