//! The lock: what is printed is read again, what is broken has a place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostics, FileId, codes};

use super::*;

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn id(kind: IdKind, name: &str, id: u32) -> LockedId {
    LockedId { kind, name: name.into(), site: format!("spec.kdl#users/{name}"), id }
}

fn declared(kind: IdKind, name: &str) -> Declaration {
    Declaration { kind, name: name.into(), site: format!("spec.kdl#users/{name}") }
}

fn selection() -> LockedSelection {
    let package = |name: &str, version: &str| LockedPackage {
        name: name.into(),
        version: version.into(),
        architecture: "amd64".into(),
        archive: "debian-security".into(),
        size: 77_777,
        digest: B.into(),
        filename: format!("pool/main/{name}_{version}_amd64.deb"),
    };
    LockedSelection {
        spec: "spec.kdl".into(),
        reference: "apt:trixie".into(),
        platform: "linux/amd64".into(),
        suite: "trixie".into(),
        roots: vec!["nginx-light".into(), "redis".into()],
        archives: vec![
            LockedArchive { name: "debian".into(), suite: "trixie".into(), release: A.into(), date: 1_795_252_544 },
            LockedArchive { name: "debian".into(), suite: "trixie-updates".into(), release: B.into(), date: 7 },
        ],
        packages: vec![package("libc6", "2.41-12"), package("nginx-light", "1:1.26~3+deb13u1")],
    }
}

fn sample() -> Lock {
    let base = |reference: &str, platform: &str| LockedBase {
        spec: "spec.kdl".into(),
        reference: reference.into(),
        platform: platform.into(),
        digest: A.into(),
        index: None,
        diff_id: None,
        created: None,
    };
    Lock {
        compiler: "0.1.0".into(),
        stdlib: B.into(),
        runtime: BTreeMap::from([("x86_64".into(), A.into()), ("aarch64".into(), B.into())]),
        epoch: 1_763_000_000,
        bases: vec![
            LockedBase { diff_id: Some(B.into()), ..base("tar:a \"b\"\\\u{202e}\n.tar", "linux/amd64") },
            LockedBase {
                index: Some(B.into()),
                created: Some(5),
                ..base("docker.io/library/debian:trixie", "linux/arm64")
            },
            base("docker.io/library/debian:trixie", "linux/amd64"),
        ],
        selections: vec![LockedSelection { spec: "other.kdl".into(), roots: Vec::new(), ..selection() }, selection()],
        ids: vec![id(IdKind::User, "web", 20_000), id(IdKind::Group, "web", 20_000)],
        retired: vec![id(IdKind::User, "old", 20_001)],
    }
}

fn parse(text: &str) -> Result<Lock, Diagnostics> {
    Lock::parse(text, FileId(0))
}

#[test]
fn what_is_printed_is_read_again() {
    let lock = sample();
    let text = lock.print();
    let again = parse(&text).unwrap();
    assert_eq!(again.print(), text);
    assert_eq!(again.bases.len(), 3);
    assert_eq!(again.base("spec.kdl", &lock.bases[0].reference, "linux/amd64"), Some(&lock.bases[0]));
    assert_eq!(again.retired, lock.retired);
    let selected = |spec, platform, roots| again.selection(spec, "apt:trixie", platform, roots);
    let whole = selection();
    assert_eq!(selected("spec.kdl", "linux/amd64", &whole.roots), Some(&whole));
    assert_eq!(selected("third.kdl", "linux/amd64", &whole.roots), Some(&whole));
    assert_eq!(selected("spec.kdl", "linux/amd64", &[]).unwrap().spec, "other.kdl");
    assert_eq!(selected("spec.kdl", "linux/arm64", &[]), None);
    assert_eq!(again.releases("spec.kdl", "apt:trixie", "linux/amd64"), selection().archives);
    assert_eq!(again.releases("third.kdl", "apt:trixie", "linux/amd64"), []);
    let less = again.clone().without("spec.kdl");
    assert_eq!((less.bases.len(), less.selections.len(), less.ids), (0, 1, again.ids.clone()));
    let mut shuffled = lock;
    shuffled.bases.reverse();
    shuffled.ids.reverse();
    shuffled.selections.reverse();
    for one in &mut shuffled.selections {
        one.roots.reverse();
        one.archives.reverse();
        one.packages.reverse();
    }
    assert_eq!(shuffled.print(), text);
}

#[test]
fn a_lock_looks_like_this() {
    let mut lock = sample();
    lock.bases.remove(0);
    lock.selections.remove(0);
    let text = lock.print().replace(A, "sha256:A").replace(B, "sha256:B");
    assert_eq!(
        text,
        r#"// Written by k8orc: commit it with the spec. `k8orc lock` completes it, `k8orc lock --update` renews it.
k8orc-lock version=1
compiler "0.1.0"
stdlib "sha256:B"
runtime "aarch64" "sha256:B"
runtime "x86_64" "sha256:A"
epoch 1763000000
base "docker.io/library/debian:trixie" platform="linux/amd64" for="spec.kdl" {
    digest "sha256:A"
}
base "docker.io/library/debian:trixie" platform="linux/arm64" for="spec.kdl" {
    digest "sha256:A"
    index "sha256:B"
    created 5
}
apt "apt:trixie" platform="linux/amd64" suite="trixie" for="spec.kdl" {
    root "nginx-light"
    root "redis"
    archive "debian" suite="trixie" date=1795252544 release="sha256:A"
    archive "debian" suite="trixie-updates" date=7 release="sha256:B"
    package "libc6" "2.41-12" arch="amd64" archive="debian-security" size=77777 digest="sha256:B" file="pool/main/libc6_2.41-12_amd64.deb"
    package "nginx-light" "1:1.26~3+deb13u1" arch="amd64" archive="debian-security" size=77777 digest="sha256:B" file="pool/main/nginx-light_1:1.26~3+deb13u1_amd64.deb"
}
user "web" id=20000 site="spec.kdl#users/web"
group "web" id=20000 site="spec.kdl#users/web"
retired-user "old" id=20001 site="spec.kdl#users/old"
"#
    );
}

#[test]
fn mistakes_have_their_place() {
    let good = sample().print();
    for (from, to, at) in [
        ("epoch 1763000000\n", "", "k8orc-lock"),
        ("epoch 1763000000", "epoch \"now\"", "epoch"),
        ("epoch 1763000000", "epoch -1", "epoch"),
        ("epoch 1763000000", "epoch 1 2", "epoch"),
        ("epoch 1763000000", "epoch 1\nepoch 2", "epoch"),
        ("epoch 1763000000", "epoch 1 { a }", "epoch"),
        ("compiler \"0.1.0\"", "compilers \"0.1.0\"", "compilers"),
        ("stdlib \"sha256:b", "stdlib \"sha256:B", "stdlib"),
        ("runtime \"x86_64\"", "runtime \"aarch64\"", "runtime"),
        ("    digest \"sha256:a", "    digest \"../../a", "digest"),
        ("    created 5", "    created 5\n    made 6", "made"),
        ("retired-user \"old\" id=20001", "retired-user \"old\" id=20000", "retired-user"),
        ("id=20001", "id=0", "retired-user"),
        ("id=20001", "uid=20001", "retired-user"),
        ("platform=\"linux/arm64\"", "platform=\"linux/amd64\"", "base"),
        ("    root \"redis\"\n", "    root\n", "root"),
        ("    root \"redis\"\n", "    roots \"redis\"\n", "roots"),
        ("for=\"other.kdl\"", "for=\"spec.kdl\"", "apt"),
        ("date=1795252544", "date=-1", "archive"),
        ("date=1795252544", "date=1 more=2", "archive"),
        ("size=77777", "size=\"77777\"", "package"),
        ("package \"libc6\"", "package \"z\"", "package"),
        ("package \"libc6\" \"2.41-12\"", "package \"libc6\"", "package"),
        ("platform=\"linux/amd64\" suite=\"trixie\"", "platform=\"linux/amd64\"", "apt"),
        ("linux/amd64\" for=\"spec.kdl\"", "linux/amd64\"", "base"),
        ("k8orc-lock version=1", "k8orc version=1", "k8orc"),
        ("k8orc-lock version=1", "k8orc-lock", "k8orc-lock"),
    ] {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        let errors = parse(&text).expect_err(to);
        let first = &errors.0[0];
        assert_eq!(first.code, codes::E0430, "{to}");
        let span = first.primary.as_ref().unwrap().span;
        assert_eq!(text.get(span.start as usize..span.end as usize), Some(at), "{to}");
    }
    assert!(parse("").is_err());
    assert_eq!(parse("k8orc-lock version=1 {").unwrap_err().0.len(), 1);
}

#[test]
fn another_version_is_one_error() {
    let errors = parse("k8orc-lock version=2\nnobody \"knows\" this=1\n").unwrap_err();
    assert_eq!(errors.0.len(), 1);
    assert_eq!(errors.0[0].code, codes::E0431);
}

#[test]
fn conflicts_are_recognised() {
    let text = format!("{}<<<<<<< HEAD\nepoch 1\n=======\nepoch 2\n>>>>>>> other\n", sample().print());
    let errors = parse(&text).unwrap_err();
    assert_eq!((errors.0.len(), errors.0[0].code), (1, codes::E0432));
    let span = errors.0[0].primary.as_ref().unwrap().span;
    assert_eq!(text.get(span.start as usize..span.end as usize), Some("<<<<<<< HEAD"));
}

#[test]
fn ids_are_stable_and_never_reused() {
    let first = allot("shop", "spec.kdl#users/web", &BTreeSet::new()).unwrap();
    // The number itself is part of the contract: it must not change with a version of k8orc.
    assert_eq!(first, 42_434);
    assert_eq!(allot("shop", "spec.kdl#users/web", &BTreeSet::from([first])).unwrap(), first + 1);
    assert_ne!(allot("shop2", "spec.kdl#users/web", &BTreeSet::new()).unwrap(), first);

    let empty = Lock::default();
    let both = [declared(IdKind::User, "web"), declared(IdKind::Group, "web")];
    let lock = empty.assign("shop", "spec.kdl", &both, &BTreeSet::new()).unwrap();
    assert_eq!((lock.id(&both[0]), lock.id(&both[1])), (Some(first), Some(first)));
    let gone = lock.assign("shop", "spec.kdl", &[], &BTreeSet::new()).unwrap();
    assert_eq!((gone.ids.len(), gone.retired.len()), (0, 2));
    // Another spec of the workspace leaves it alone.
    assert_eq!(lock.assign("shop", "other.kdl", &[], &BTreeSet::new()).unwrap(), lock);
    // Somebody else whose hash would give the same number does not get it.
    let other = Declaration { name: "api".into(), ..both[0].clone() };
    let next = gone.assign("shop", "spec.kdl", std::slice::from_ref(&other), &BTreeSet::new()).unwrap();
    assert_eq!(next.id(&other), Some(first + 1));
    // It comes back as it was.
    let back = next.assign("shop", "spec.kdl", &[both[0].clone(), other], &BTreeSet::new()).unwrap();
    assert_eq!(back.id(&both[0]), Some(first));
}

#[test]
fn a_full_range_is_an_error() {
    let mut taken: BTreeSet<u32> = IDS.collect();
    assert_eq!(allot("w", "s", &taken).unwrap_err().code, codes::E0433);
    taken.remove(&12_345);
    assert_eq!(allot("w", "s", &taken).unwrap(), 12_345);
}
