//! Packages of an archive: what a base must be for them. What they become is in `e2e::added`.

use driver::{Quiet, check};
use k8orc_tests::fixture::{Desk, HELLO, Tree, archive, codes};

/// A base that is a few files.
fn files(all: &[(&str, &str)]) -> Vec<u8> {
    let mut tree = Tree::new();
    for (path, text) in all {
        tree.file(path, 0o644, *text);
    }
    archive(&tree)
}

fn adding(base: &str) -> Desk {
    let spec = HELLO.replace("tar:base.tar", base);
    Desk::new(&spec.replace("closure=\"depends\"", "closure=\"depends\" { add \"nginx-light\" }"))
}

const DEBIAN: (&str, &str) =
    ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 1.1 (buzz)\"\nVERSION_CODENAME=buzz\n");
const STATUS: (&str, &str) =
    ("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n");

#[test]
fn packages_need_an_archive() {
    let alpine = ("usr/lib/os-release", "ID=alpine\nNAME=\"Alpine Linux\"\n");
    let cases = [
        (adding("scratch"), None, "there is nothing in it"),
        (adding("tar:base.tar"), Some(files(&[STATUS])), "it has no /etc/os-release"),
        (adding("tar:base.tar"), Some(files(&[alpine, STATUS])), "it is Alpine Linux, and packages are added to"),
        (adding("tar:base.tar"), Some(files(&[DEBIAN])), "it has no dpkg database"),
        (adding("tar:base.tar"), Some(files(&[DEBIAN, STATUS])), "it is buzz, a release whose archive"),
    ];
    for (desk, base, why) in cases {
        if let Some(base) = base {
            desk.write("base.tar", &base);
        }
        let finished = check(&desk.request(), &Quiet);
        assert_eq!(codes(&finished), ["E E0569"], "{why}: {:#?}", finished.diagnostics);
        let all: Vec<_> = finished.diagnostics.iter().collect();
        assert!(all[0].message.contains(why) && all[0].primary.is_some(), "{why}: {}", all[0].message);
        assert!(!desk.path("k8orc.lock").exists());
    }
}

/// The fixture is a trixie with a dpkg database: the next question is one for the archive, which is not asked here.
#[test]
fn a_base_of_debian_has_an_archive() {
    let desk = adding("tar:base.tar");
    assert_eq!(codes(&check(&desk.request(), &Quiet)), ["E E0402"]);
}
