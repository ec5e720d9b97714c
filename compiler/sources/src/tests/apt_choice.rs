//! Which packages are chosen from an archive, and which wishes cannot be granted.

use diag::codes;

use super::apt_archive::*;
use crate::{AptRequest, NetPolicy};

#[test]
fn alternatives_are_chosen_as_apt_does() {
    let archive = Archive::new(&[
        package("base", "1", "Essential: yes\nPre-Depends: awk"),
        package("gawk", "1", "Priority: optional\nProvides: awk"),
        package("mawk", "1", "Priority: required\nProvides: awk"),
        package("first", "1", "Depends: one | two, two | one"),
        package("second", "1", "Depends: absent | two"),
        package("third", "1", "Depends: one (>= 2) | two"),
        package("one", "1.9", ""),
        package("two", "1", "Multi-Arch: allowed"),
        package("virtual", "1", "Depends: v (>= 2)"),
        package("va", "1", "Provides: v"),
        package("vb", "1", "Provides: v (= 2)"),
        package("any", "1", "Depends: two:any"),
        package("deep", "1", "Depends: middle, one | two"),
        package("middle", "1", "Depends: two, deep"),
        package("choosy", "1", "Depends: enemy | friend"),
        package("enemy", "1", "Conflicts: mawk"),
        package("friend", "1", ""),
        package("mail", "1", "Provides: mta\nConflicts: mta\nDepends: mta"),
    ]);
    for (asked, expected) in [
        (&[][..], &[][..]),
        (&["first"], &["first", "one"]),
        (&["first", "two"], &["first", "two"]),
        (&["second"], &["second", "two"]),
        (&["third"], &["third", "two"]),
        (&["virtual"], &["vb", "virtual"]),
        (&["any"], &["any", "two"]),
        (&["deep"], &["deep", "middle", "two"]),
        (&["choosy"], &["choosy", "friend"]),
        (&["mail"], &["mail"]),
        (&["mta"], &["mail"]),
    ] {
        let pin = resolve(&archive, asked).unwrap();
        let mut names: Vec<&str> = pin.packages.iter().map(|p| p.name.as_str()).collect();
        names.retain(|name| !["base", "mawk"].contains(name));
        assert_eq!(names, expected, "{asked:?}");
        assert_eq!(pin.packages.len(), expected.len() + 2, "the essential ones and the required awk");
    }
}

#[test]
fn selections_that_fail() {
    let archive = Archive::new(&[
        package("base", "1", "Essential: yes"),
        package("nginx-light", "1", "Depends: nginx-common (>= 2) | absent"),
        package("nginx-common", "1", ""),
        package("top", "1", "Depends: nginx-light"),
        package("pair", "1", "Depends: left, right"),
        package("left", "1", "Conflicts: right-api"),
        package("right", "1", "Provides: right-api"),
        package("breaker", "1", "Depends: broken\nBreaks: broken (<< 2)"),
        package("broken", "1.5", ""),
        package("m1", "1", "Provides: mta"),
        package("m2", "1", "Provides: mta"),
    ]);
    for (asked, code, words) in [
        ("nginx-ligth", codes::E0460, &["no package `nginx-ligth`", "did you mean `nginx-light`?"][..]),
        ("mta", codes::E0460, &["more than one", "m1, m2"]),
        ("base=1", codes::E0460, &["without version"]),
        ("\u{1b}[31m", codes::E0460, &["\\u{1b}[31m"]),
        (
            "top",
            codes::E0461,
            &["`nginx-common (>= 2)` or `absent`", "top (asked for) → nginx-light", "nginx-common 1"],
        ),
        ("pair", codes::E0462, &["`left` conflicts with `right`", "as `right-api`", "pair (asked for) → right"]),
        ("breaker", codes::E0462, &["`breaker` breaks `broken`", "broken 1.5"]),
    ] {
        let error = resolve(&archive, &[asked]).unwrap_err();
        assert_eq!(error.code, code, "{asked}");
        let all = format!("{} {:?} {:?}", error.message, error.notes, error.help);
        let all = all.replace("\\\\u", "\\u");
        assert!(words.iter().all(|word| all.contains(word)), "{asked}: {all}");
        assert!(!error.message.contains('\u{1b}'));
    }
}

#[test]
fn additions_to_a_base() {
    let archive = Archive::new(&[
        package("base", "2", "Essential: yes"),
        package("libc", "2.41", ""),
        package("plain", "1", "Depends: libc (>= 2.36) | other"),
        package("new", "1", "Depends: libc (>= 2.40)"),
        package("rival", "1", "Breaks: old (<< 3)"),
        package("old", "5", ""),
    ]);
    let server = archive.serve();
    let place = Place::new(&server, &archive.key);
    let status = "Package: libc\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-1\n\n\
                  Package: old\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
                  Package: other\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n";
    let add = |names: &[&str], status: &str| {
        let roots = roots(names);
        let wanted = AptRequest { installed: Some(status.as_bytes()), ..request(&roots) };
        place.sources(NetPolicy::default()).apt().resolve(&wanted)
    };
    assert_eq!(shown(&add(&["plain"], status).unwrap()), ["plain 1"], "nothing essential, nothing that is there");
    assert!(add(&["old", "libc"], status).unwrap().packages.is_empty(), "what is there stays as it is");
    let error = add(&["new"], status).unwrap_err();
    assert_eq!(error.code, codes::E0467);
    assert!(error.notes.iter().any(|n| n.contains("libc 2.41")), "{:?}", error.notes);
    assert_eq!(add(&["rival"], status).unwrap_err().code, codes::E0462);
    // Of distroless images: no Status.
    let shown_there = shown(&add(&["plain"], "Package: libc\nArchitecture: amd64\nVersion: 2.40\n").unwrap());
    assert_eq!(shown_there, ["plain 1"]);
    for broken in ["nonsense", "Package: libc\n", "Package: libc\nArchitecture: amd64\nVersion: -\n"] {
        let error = add(&["plain"], broken).unwrap_err();
        assert_eq!(error.code, codes::E0466, "{broken}");
    }
}
