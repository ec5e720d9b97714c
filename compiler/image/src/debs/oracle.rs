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

/// The environment names root sets (`trixie:nginx-light,ca-certificates …`); the quickstart's alone without it.
const SETS: &str = "K8ORC_TEST_APT_SETS";

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

/// mmdebstrap clamps times to this: later than any package, earlier than all that scripts write.
pub(super) fn just_now(made: &Path) -> i64 {
    let now = made.metadata().unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() - 60
}

/// Runs mmdebstrap; `None` says why not. The .debs come in the order in which they were installed.
pub(super) fn make(dir: &Path, suite: &str, include: &str, epoch: i64, more: &[&str]) -> Option<Vec<PathBuf>> {
    let debs = dir.join("debs");
    fs::create_dir_all(&debs).unwrap();
    // The .debs are put aside before they are removed, and the log that tells their order.
    let keep = format!("cp \"$1\"/var/cache/apt/archives/*.deb {}", debs.display());
    let log = format!("cp \"$1\"/var/log/dpkg.log {}", dir.display());
    let out = Command::new("mmdebstrap")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .args(["--variant=essential", "--architectures=amd64", &format!("--include={include}")])
        .args(["--skip=essential/unlink", "--aptopt=APT::Keep-Downloaded-Packages \"true\""])
        .args([&format!("--customize-hook={keep}"), &format!("--customize-hook={log}")])
        .args(more)
        .args(["--skip=cleanup/apt/cache", suite])
        .arg(dir.join("oracle.tar"))
        .output()
        .unwrap();
    if !out.status.success() {
        assert_ne!(std::env::var("K8ORC_REQUIRE").as_deref(), Ok("all"), "{}", String::from_utf8_lossy(&out.stderr));
        eprintln!("skipped: mmdebstrap failed: {}", String::from_utf8_lossy(&out.stderr));
        return None;
    }
    let by_name: BTreeMap<String, PathBuf> = fs::read_dir(&debs)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_str().unwrap().split('_').next().unwrap().to_owned(), p))
        .collect();
    let log = fs::read_to_string(dir.join("dpkg.log")).unwrap();
    let names = log.lines().filter(|l| l.contains(" install ")).filter_map(|l| l.split_whitespace().nth(3));
    let names = names.map(|n| n.split(':').next().unwrap());
    Some(names.map(|n| by_name.get(n).unwrap_or_else(|| panic!("no .deb of {n}")).clone()).collect())
}

#[test]
fn our_tree_is_the_one_that_mmdebstrap_makes() {
    if crate::read::peers::missing(&["mmdebstrap"]) {
        return;
    }
    let sets = std::env::var(SETS).unwrap_or_else(|_| "trixie:nginx-light,ca-certificates".into());
    for set in sets.split_whitespace() {
        let (suite, include) = set.split_once(':').unwrap();
        let dir = tempfile::tempdir().unwrap();
        let epoch = just_now(dir.path());
        let Some(debs) = make(dir.path(), suite, include, epoch, &[]) else { return };
        let inputs: Vec<DebInput> = debs
            .iter()
            .map(|path| DebInput { path: path.clone(), sha256: Sha256::digest(fs::read(path).unwrap()).into() })
            .collect();
        let ours = dir.path().join("ours.tar");
        let mut out = std::io::BufWriter::new(File::create(&ours).unwrap());
        let report = layer(&inputs, Arch::X86_64, epoch, &mut out).unwrap_or_else(|all| panic!("{set}: {all:#?}"));
        drop(out);
        assert_eq!(report.packages.len(), inputs.len());
        compare(set, &dir.path().join("oracle.tar"), &ours);
    }
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
