//! Merging by the OCI rules, and layers that unpackers would read differently.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use formats::tar::{Entry, Kind};

use super::tests::*;
use super::*;

/// Entries, each without content; `name=content` for files.
fn layer_of(entries: &[Entry]) -> LayerInput {
    let list: Vec<(Entry, &[u8])> = entries.iter().map(|e| (e.clone(), &b""[..])).collect();
    gzip_layer(&list)
}

fn merged(layers: &[LayerInput]) -> String {
    let cache = tempfile::tempdir().unwrap();
    listing(&read(layers, &Options::new(cache.path())).unwrap().tree)
}

fn paths(layers: &[LayerInput]) -> Vec<String> {
    merged(layers).lines().map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect()
}

fn lower() -> LayerInput {
    layer_of(&[file("d/a"), file("d/b"), file("d/sub/c"), file("d-x"), file("top"), directory("keep")])
}

#[test]
fn whiteouts_hide_one_name_and_all_below() {
    let upper = layer_of(&[file("d/.wh.a"), file("d/.wh.sub"), file(".wh.top"), file(".wh.never-there")]);
    assert_eq!(paths(&[lower(), upper]), ["/d", "/d-x", "/d/b", "/keep"]);
}

#[test]
fn opaque_directories_hide_lower_layers_only_in_any_order() {
    let before = layer_of(&[directory("d"), file("d/.wh..wh..opq"), file("d/new")]);
    let after = layer_of(&[directory("d"), file("d/new"), file("d/.wh..wh..opq")]);
    let expected = ["/d", "/d-x", "/d/new", "/keep", "/top"];
    assert_eq!(paths(&[lower(), before]), expected);
    assert_eq!(paths(&[lower(), after]), expected);
    let root = layer_of(&[file(".wh..wh..opq"), file("only")]);
    assert_eq!(paths(&[lower(), root]), ["/only"]);
}

#[test]
fn a_whiteout_does_not_hide_its_own_layer() {
    let upper = layer_of(&[file("d/a"), file("d/.wh.a")]);
    assert!(paths(&[lower(), upper]).contains(&"/d/a".to_owned()));
    // aufs's own marks hide nothing that can exist.
    let aufs = layer_of(&[file(".wh..wh.aufs"), directory(".wh..wh.plnk")]);
    assert_eq!(paths(&[lower(), aufs]), paths(&[lower()]));
}

#[test]
fn kinds_replace_each_other() {
    let upper = layer_of(&[file("d"), directory("top"), file("top/x"), link("keep", Kind::Symlink, "d")]);
    assert_eq!(
        merged(&[lower(), upper]),
        "0644 0:0 /d file 0 e3b0c442\n\
         0644 0:0 /d-x file 0 e3b0c442\n\
         0777 0:0 /keep -> d\n\
         0755 0:0 /top dir\n\
         0644 0:0 /top/x file 0 e3b0c442\n"
    );
    // A directory over a directory changes its header and keeps what it holds.
    let upper = layer_of(&[Entry { mode: 0o700, uid: 5, ..directory("d") }]);
    assert!(merged(&[lower(), upper]).starts_with("0700 5:0 /d dir\n0644 0:0 /d-x file"));
}

#[test]
fn names_are_normalised() {
    let odd = layer_of(&[directory("./"), file(".//x//y"), file("/abs"), file("x/./z")]);
    assert_eq!(paths(&[odd]), ["/abs", "/x", "/x/y", "/x/z"]);
}

#[test]
fn hard_links_share_an_inode_across_layers() {
    let list: &[(Entry, &[u8])] = &[(Entry { mode: 0o4755, uid: 3, ..file("b/tool") }, b"#!"), (file("other"), b"o")];
    let base = gzip_layer(list);
    let mut named = link("a/tool", Kind::Hardlink, "./b/tool");
    named.uid = 99;
    let upper = layer_of(&[named, link("z", Kind::Hardlink, "/b/tool")]);
    // The header is the file's, not the link's.
    assert_eq!(
        merged(&[base.clone(), upper.clone()]),
        "0755 0:0 /a dir\n\
         4755 3:0 /a/tool file 2 5fbfa6a3 inode 0\n\
         0755 0:0 /b dir\n\
         4755 3:0 /b/tool file 2 5fbfa6a3 inode 0\n\
         0644 0:0 /other file 1 65c74c15\n\
         4755 3:0 /z file 2 5fbfa6a3 inode 0\n"
            .replace("5fbfa6a3", &Digest::of(b"#!").hex()[..8])
    );
    let replaced = layer_of(&[file("b/tool"), file(".wh.z")]);
    let text = merged(&[base, upper, replaced]);
    assert!(!text.contains("inode"), "one name is left: {text}");
}

#[test]
fn links_of_the_same_layer_are_followed_inside_the_tree() {
    let own = layer_of(&[
        directory("usr/lib"),
        link("lib", Kind::Symlink, "/../usr/lib"),
        link("deep/l", Kind::Symlink, "../../../usr"),
        file("lib/x"),
        file("deep/l/lib/y"),
        link("h", Kind::Hardlink, "lib/x"),
    ]);
    let all = paths(&[own]);
    assert_eq!(all, ["/deep", "/deep/l", "/h", "/lib", "/usr", "/usr/lib", "/usr/lib/x", "/usr/lib/y"]);
}

#[test]
fn hostile_layers_are_refused() {
    let usrmerge =
        || layer_of(&[directory("usr/lib"), link("lib", Kind::Symlink, "usr/lib"), file("f"), directory("d")]);
    let overlay = Entry { xattrs: [(b"trusted.overlay.opaque".to_vec(), b"y".to_vec())].into(), ..directory("o") };
    let cases: Vec<(Entry, diag::Code)> = vec![
        (file("../etc/passwd"), codes::E0504),
        (file("a/../../b"), codes::E0504),
        (file(&"n".repeat(256)), codes::E0504),
        (file("n/".repeat(2100).trim_end_matches('/')), codes::E0504),
        (link("l", Kind::Hardlink, "../../etc/shadow"), codes::E0504),
        (file("lib/x"), codes::E0505),
        (file("lib/.wh.x"), codes::E0505),
        (file("lib/.wh..wh..opq"), codes::E0505),
        (directory("lib/sub/deeper"), codes::E0505),
        (file("f/x"), codes::E0505),
        (link("h", Kind::Hardlink, "lib/x"), codes::E0505),
        (link("h", Kind::Hardlink, "missing"), codes::E0506),
        (link("h", Kind::Hardlink, "missing/deep"), codes::E0506),
        (link("h", Kind::Hardlink, "d"), codes::E0506),
        (link("f", Kind::Hardlink, "f"), codes::E0506),
        (link("usr", Kind::Hardlink, "usr/lib/x"), codes::E0506),
        (file(".wh."), codes::E0507),
        (file("d/.wh..."), codes::E0507),
        (file("d/.wh.x/y"), codes::E0507),
        (file(".wh.x/.wh.y"), codes::E0507),
        (file("."), codes::E0508),
        (link("/", Kind::Symlink, "/tmp"), codes::E0508),
        (link("./", Kind::Hardlink, "f"), codes::E0508),
        (Entry::new("w", Kind::CharDevice), codes::E0512),
        (overlay, codes::E0512),
    ];
    for (entry, code) in cases {
        let shown = String::from_utf8_lossy(&entry.path).into_owned();
        let error = refused(&[usrmerge(), layer_of(&[entry])]);
        assert_eq!(error.code, code, "{shown}: {error:?}");
        assert!(error.message.contains("layer 1 of test") && error.message.contains("entry `"), "{error:?}");
    }
    let looped = layer_of(&[link("a", Kind::Symlink, "b"), link("b", Kind::Symlink, "a"), file("a/x")]);
    assert_eq!(refused(&[looped]).code, codes::E0505);
    let dangling = layer_of(&[link("a", Kind::Symlink, "nowhere"), file("a/x")]);
    assert_eq!(refused(&[dangling]).code, codes::E0505);
    // A directory that takes the link's place is plain for everyone, with its opaque mark too.
    let fixed = layer_of(&[directory("lib"), file("lib/.wh..wh..opq"), file("lib/x")]);
    assert!(paths(&[usrmerge(), fixed]).contains(&"/lib/x".to_owned()));
}

#[test]
fn names_of_entries_reach_no_terminal_raw() {
    let error = refused(&[layer_of(&[file("\x1b[31m/../x")])]);
    assert!(!error.message.contains('\x1b'), "{error:?}");
}
