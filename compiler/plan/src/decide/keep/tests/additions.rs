//! What the spec puts into the image.

use super::*;
use crate::kept::{Content, LayerKind};

fn add(to: &str, what: AddWhat) -> AddFile {
    AddFile { to: word(to), span: said(()).span, owner: None, mode: None, what }
}

fn source(name: &str) -> Spanned<SourcePath> {
    said(SourcePath { root: "/spec".into(), path: name.into() })
}

fn copy(name: &str, to: &str) -> AddFile {
    add(to, AddWhat::Copy(source(name)))
}

fn with(base: &mut Base, files: &[(&str, &str)]) {
    for (name, text) in files {
        base.world.0.insert(name.into(), text.as_bytes().to_vec());
    }
}

fn adding(all: Vec<AddFile>) -> Spec {
    let mut wanted = spec();
    wanted.files.add = all;
    wanted
}

#[test]
fn a_copy_replaces_and_is_a_deviation() {
    let mut base = Base::debian();
    with(&mut base, &[("hello.conf", "new\n"), ("run", "#!/bin/hello\n")]);
    let mut conf = copy("hello.conf", "/etc/hello.conf");
    conf.owner = Some(word("root:www-data"));
    conf.mode = Some(said(0o640));
    let kept = base.kept(&adding(vec![conf, copy("run", "/lib/run/it")]));
    let entry = &kept.entries[&path("/etc/hello.conf")];
    assert_eq!((entry.node.mode, entry.node.gid, entry.node.mtime, entry.layer), (0o640, 33, 1000, LayerKind::App));
    assert!(matches!(&entry.content, Content::Source { size: 4, .. }));
    assert_eq!(kept.deviations.len(), 1);
    assert_eq!(kept.deviations[0].line, "??5?????? c /etc/hello.conf");
    // Through the link of the merged /usr, with a directory made on the way; the x bit is the source's.
    assert_eq!(kept.entries[&path("/usr/lib/run/it")].node.mode, 0o755);
    assert!(why(&kept, "/usr/lib/run").contains("on the way"));
    // The group of a file of ours stays.
    assert!(kept.groups.iter().any(|g| g.account.name == "www-data" && g.fate == crate::kept::AccountFate::Kept));
}

#[test]
fn directories_are_copied_but_for_what_is_ignored() {
    let mut base = Base::debian();
    with(&mut base, &[("site/a.html", "a"), ("site/img/b.png", "b"), ("site/x.tmp", "x"), ("site/img/y.tmp", "")]);
    with(&mut base, &[(".k8orcignore", "*.tmp\n")]);
    let kept = base.kept(&adding(vec![copy("site", "/srv/www")]));
    assert!(kept.entries.contains_key(&path("/srv/www/img/b.png")));
    assert!(kept.entries[&path("/srv/www/img")].node.is_directory());
    assert!(!kept.entries.keys().any(|p| p.name().ends_with(b".tmp")));
    with(&mut base, &[("site/l", "@link")]);
    assert_eq!(base.codes(&adding(vec![copy("site", "/srv/www")])), ["E0630"]);
}

#[test]
fn templates_are_strict() {
    let mut base = Base::debian();
    with(
        &mut base,
        &[("t", "{{ image }} {{ uid }}:{{ gid }} {{ tag }}\n"), ("bad", "x\n{{ nope }}\n"), ("syntax", "{% if")],
    );
    with(&mut base, &[("long", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")]);
    let template = |name: &str| {
        let params = BTreeMap::from([("tag".to_string(), "1.0".to_string())]);
        let mut wanted = adding(vec![add("/etc/t", AddWhat::Template(source(name), params))]);
        wanted.image.user = Some(word("www-data"));
        wanted
    };
    let kept = base.kept(&template("t"));
    let Content::Bytes(bytes) = &kept.entries[&path("/etc/t")].content else { panic!() };
    assert_eq!(&bytes[..], b"web 33:33 1.0\n");
    for bad in ["bad", "syntax", "long"] {
        assert_eq!(base.codes(&template(bad)), ["E0631"], "{bad}");
    }
    let (_, found) = base.keep(&template("bad"));
    assert!(found.0[0].message.contains("line 2") && found.0[0].help[0].contains("tag"), "{:?}", found.0[0]);
}

#[test]
fn links_and_directories() {
    let mut base = Base::debian();
    base.directory("/var/cache").gid = 7;
    let mut cache = add("/var/cache", AddWhat::Directory);
    cache.mode = Some(said(0o750));
    let kept = base.kept(&adding(vec![
        cache,
        add("/etc/localtime", AddWhat::Symlink(word("../anything"))),
        add("/srv/data", AddWhat::Directory),
    ]));
    let node = |at: &str| &kept.entries[&path(at)].node;
    assert_eq!((node("/var/cache").mode, node("/var/cache").gid), (0o750, 7), "what is not said is the base's");
    assert_eq!(node("/etc/localtime").kind, NodeKind::Symlink(b"../anything".as_slice().into()));
    assert_eq!(node("/srv/data").mode, 0o755);
}

#[test]
fn conflicts_are_errors() {
    let mut base = Base::debian();
    base.link("/broken", "/nowhere");
    with(&mut base, &[("f", "x")]);
    let conflict = |all: Vec<AddFile>| base.codes(&adding(all));
    assert_eq!(conflict(vec![copy("f", "/etc")]), ["E0632"]);
    assert_eq!(conflict(vec![copy("f", "/etc/hello.conf/x")]), ["E0632"]);
    assert_eq!(conflict(vec![copy("f", "/broken/x")]), ["E0632"]);
    assert_eq!(conflict(vec![copy("f", "/")]), ["E0632"]);
    assert_eq!(conflict(vec![copy("f", "/a/../b")]), ["E0632"]);
    assert_eq!(conflict(vec![copy("f", "/x"), copy("f", "/x")]), ["E0632"]);
    assert_eq!(conflict(vec![add("/bin", AddWhat::Directory)]), ["E0632"]);
    assert_eq!(conflict(vec![copy("missing", "/x")]), ["E0630"]);
    for place in ["/etc/passwd", "/dev/x", "/proc", "/k8or/x", "/var/lib/dpkg/status"] {
        assert_eq!(conflict(vec![copy("f", place)]), ["E0633"], "{place}");
    }
    let mut owned = copy("f", "/x");
    owned.owner = Some(word("ghost"));
    assert_eq!(conflict(vec![owned]), ["E0620"]);
}

#[test]
fn a_copied_program_is_followed() {
    let mut base = Base::debian();
    with(&mut base, &[("entry", "#!/bin/perl\n")]);
    let mut wanted = adding(vec![copy("entry", "/entry")]);
    wanted.image.entrypoint = vec![word("/entry")];
    let (kept, found) = base.keep(&wanted);
    assert_eq!(found.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0604"]);
    assert!(kept.packages.iter().any(|p| p.name == "perl-base" && p.kept));
}

#[test]
fn a_link_to_what_the_spec_adds_is_not_broken() {
    let mut base = Base::debian();
    base.link("/opt/l", "/usr/share/perl/strict.pm");
    with(&mut base, &[("f", "x")]);
    let kept = base.kept(&adding(vec![copy("f", "/usr/share/perl/strict.pm")]));
    assert!(kept.entries.contains_key(&path("/opt/l")));
}
