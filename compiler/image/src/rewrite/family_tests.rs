//! apk's database, from decisions made on a small base. rpm's needs real headers: `tests/suite/e2e/rpm`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use plan::path::ImagePath;

use super::tests::{decided, is_base, run, text};
use crate::survey::tests::Small;

/// SHA-1 of "x".
const X: &str = "Q1EfatjsUqKYSrqv18O1FlA3hcIHI=";

fn base() -> Small {
    let package = |name: &str, more: &str| format!("C:Q1{name}=\nP:{name}\nV:1-r0\n{more}\n");
    let files = format!(
        "F:etc\nR:app.conf\na:0:0:755\nZ:{X}\nF:usr\nF:usr/bin\nR:app\na:0:0:755\nZ:{X}\nR:more\na:0:0:755\nZ:{X}\n"
    );
    let installed = [
        package("app", &format!("D:lib\n{files}")),
        package("gone", "F:usr\nF:usr/bin\nR:gone\n"),
        package("lib", ""),
        package("loop-a", "D:loop-b\n"),
        package("loop-b", "D:loop-a\n"),
        package("other", "D:lib\np:cmd:other=1-r0\n"),
    ];
    let mut base = Small::default();
    base.file("/usr/bin/app", "x")
        .file("/usr/bin/more", "x")
        .file("/usr/bin/gone", "x")
        .file("/etc/app.conf", "x")
        .file("/lib/apk/db/installed", installed.concat())
        .file("/lib/apk/db/triggers", "Q1app= /usr/bin\nQ1gone= /lib\n")
        .file("/lib/apk/db/scripts.tar", [0; 1024])
        .file("/etc/apk/world", "app gone\n!bad\ncmd:other>0\nelse@edge\n");
    base
}

#[test]
fn the_database_tells_what_is_there() {
    let gone = ["/usr/bin/more", "/usr/bin/gone"];
    let kept = run(&base(), &decided(&gone, &["app", "lib", "loop-a", "loop-b", "other"]));
    let installed = text(&kept, "/lib/apk/db/installed");
    assert!(installed.starts_with("C:Q1app=\nP:app\nV:1-r0\nD:lib\nF:etc\nR:app.conf\n"), "{installed}");
    assert!(!installed.contains("R:more") && !installed.contains("P:gone") && installed.contains("P:other"));
    assert_eq!(text(&kept, "/lib/apk/db/triggers"), "Q1app= /usr/bin\n");
    assert!(is_base(&kept, "/lib/apk/db/scripts.tar"));
    // What is gone is not asked for; of the circle one has to be, or apk would remove both.
    assert_eq!(text(&kept, "/etc/apk/world"), "app\n!bad\ncmd:other>0\nloop-a\n");
    assert!(kept.deviations.is_empty(), "{:?}", kept.deviations);
}

#[test]
fn what_does_not_change_stays_the_bases() {
    let kept = run(&base(), &decided(&[], &["app", "gone", "lib", "loop-a", "loop-b", "other"]));
    for file in ["/lib/apk/db/installed", "/lib/apk/db/triggers"] {
        assert!(is_base(&kept, file), "{file}");
    }
}

#[test]
fn what_the_base_changed_is_a_deviation() {
    let mut base = base();
    base.file("/etc/app.conf", "changed by hand");
    let at = ImagePath::parse(b"/usr/bin/app").unwrap();
    base.tree.nodes.get_mut(&at).unwrap().mode = 0o700;
    let kept = run(&base, &decided(&["/usr/bin/gone"], &["app", "lib"]));
    let lines: Vec<_> = kept.deviations.iter().map(|d| (d.line.as_str(), d.why.as_str())).collect();
    let why = "the base has changed it already";
    assert_eq!(lines, [("U etc/app.conf", why), ("M usr/bin/app", why)]);
}
