//! Small databases of apk and rpm, surveyed and written anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use plan::facts::Family;

use super::tests::Small;

const INSTALLED: &str = "C:Q1a=\nP:app\nV:1.0-r0\nA:x86_64\nI:2048\no:src\nD:lib>=2 so:libx.so.1 /bin/sh !other cmd:gone\n\
                         F:usr\nF:usr/bin\nR:app\na:0:0:755\nZ:Q1x=\n\nC:Q1l=\nP:lib\nV:2.1-r3\n\n\
                         C:Q1s=\nP:sh-a\nV:1\np:/bin/sh\nk:1\n\nC:Q1t=\nP:sh-b\nV:1\np:/bin/sh so:libx.so.1=1\nk:9\n\n";

fn apk(installed: &str) -> Small {
    let mut base = Small::default();
    base.file("/usr/bin/app", "x").file("/lib/apk/db/installed", installed).file("/etc/apk/world", "app\n");
    base
}

#[test]
fn packages_of_apk_become_facts() {
    let (survey, found) = apk(INSTALLED).survey();
    assert!(found.0.is_empty(), "{found:#?}");
    let facts = survey.packages;
    assert_eq!(facts.family, Family::Apk);
    let app = &facts.packages[0];
    assert_eq!((app.name.as_str(), app.version.as_str(), app.source.as_deref()), ("app", "1.0-r0", Some("src")));
    assert_eq!(app.installed_size, Some(2));
    let paths: Vec<_> = app.paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["/usr", "/usr/bin", "/usr/bin/app"]);
    // lib by its version, the library and the shell by who provides them (the higher priority), one by nobody.
    let met: Vec<_> = app.depends.iter().map(|d| (d.to_string(), d.met_by)).collect();
    let met: Vec<(&str, Option<usize>)> = met.iter().map(|(text, by)| (text.as_str(), *by)).collect();
    assert_eq!(met, [("lib (>= 2)", Some(1)), ("so:libx.so.1", Some(3)), ("/bin/sh", Some(3)), ("cmd:gone", None)]);
}

#[test]
fn a_broken_database_of_apk_is_an_error() {
    for broken in ["P:a\n", "P:a\nV:1\nR:x\n", "ADB.", "P:a\nV:1\n\nP:a\nV:2\n", "P:a\nV:1\nF:../x\n"] {
        let (survey, found) = apk(broken).survey();
        assert_eq!(found.0.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0640"], "{broken:?}");
        assert!(survey.packages.packages.is_empty());
    }
}

#[test]
fn a_broken_database_of_rpm_is_an_error() {
    for name in ["rpmdb.sqlite", "Packages.db", "Packages"] {
        for bytes in ["", "SQLite format 3\0", "RpmP\0\0\0\0", "nonsense"] {
            let mut base = Small::default();
            base.file(&format!("/var/lib/rpm/{name}"), bytes);
            let (survey, found) = base.survey();
            assert_eq!(survey.packages.family, Family::Rpm);
            assert_eq!(found.0.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0640"], "{name} {bytes:?}");
            assert!(found.0[0].message.contains(name), "{}", found.0[0].message);
        }
    }
}

/// A file of the bases that are not made here.
fn real(name: &str) -> Option<Vec<u8>> {
    let Some(dir) = std::env::var_os("K8ORC_TEST_BASES").filter(|dir| !dir.is_empty()) else {
        assert_ne!(std::env::var("K8ORC_REQUIRE").as_deref(), Ok("all"), "K8ORC_TEST_BASES is not set");
        println!("skipped: K8ORC_TEST_BASES is not set");
        return None;
    };
    Some(std::fs::read(std::path::Path::new(&dir).join(name)).unwrap())
}

#[test]
fn a_real_berkeley_db_is_read_and_frozen() {
    let Some(bytes) = real("rpmdb-bdb/Packages") else { return };
    let mut base = Small::default();
    base.file("/var/lib/rpm/Packages", bytes);
    let facts = base.facts();
    assert_eq!(facts.packages.packages[0].name, "libuuid");
    assert!(facts.packages.frozen.unwrap().contains("Berkeley DB"));
}

#[test]
fn a_real_ndb_has_its_dependencies_met() {
    let Some(bytes) = real("rpmdb-ndb/Packages.db") else { return };
    let mut base = Small::default();
    base.file("/usr/lib/sysimage/rpm/Packages.db", bytes).link("/var/lib/rpm", "../../usr/lib/sysimage/rpm");
    let facts = base.facts();
    let packages = &facts.packages.packages;
    let bash = packages.iter().find(|p| p.name == "bash").unwrap();
    let needs = |name: &str| bash.depends.iter().find(|d| d.alternatives[0].name.starts_with(name)).unwrap();
    assert_eq!(packages[needs("libc.so.6").met_by.unwrap()].name, "glibc");
    // Its distribution ships it so: only scripts of rpm itself lack something.
    let unmet = packages
        .iter()
        .flat_map(|p| p.depends.iter().filter(|d| d.met_by.is_none()).map(|d| format!("{}: {d}", p.name)));
    let lacking = ["diffutils", "fillup", "grep"].map(|name| format!("rpm-ndb: {name}"));
    assert_eq!(unmet.collect::<Vec<_>>(), lacking);
    assert!(packages.iter().any(|p| p.depends.iter().any(|d| d.scripts_only)));
    assert!(
        packages.iter().any(|p| p.depends.iter().any(|d| !d.scripts_only && d.alternatives[0].name.starts_with('/')))
    );
}
