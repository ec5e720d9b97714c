//! A real rpm makes databases that we read, and reads those that we write; sqlite3 looks at the containers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::version::tests::RISING;
use super::*;

/// Says why a test is skipped; a failure when nothing may be.
fn skip(why: &str) {
    assert_ne!(std::env::var("K8ORC_REQUIRE").as_deref(), Ok("all"), "{why}");
    eprintln!("skipped: {why}");
}

fn missing(programs: &[&str]) -> bool {
    let found =
        |program: &&&str| !Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    let Some(program) = programs.iter().find(found) else { return false };
    skip(&format!("{program} is not installed"));
    true
}

/// What a program says; it has to succeed.
fn run(command: &mut Command) -> String {
    let out = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A file of the bases that are not made here.
fn base(name: &str) -> Option<Vec<u8>> {
    let dir = std::env::var_os("K8ORC_TEST_BASES").filter(|dir| !dir.is_empty());
    let Some(dir) = dir else {
        skip("K8ORC_TEST_BASES is not set");
        return None;
    };
    Some(fs::read(PathBuf::from(dir).join(name)).unwrap())
}

const SPECS: [(&str, &str, &str); 3] = [
    ("one", "Epoch: 2\nRequires: two >= 1.0, /bin/sh\nRequires(post): three\nProvides: virtual = 7", "%post\ntrue\n"),
    ("two", "Requires: (three or four), (three if one)", ""),
    ("three", "Conflicts: nobody", ""),
];

/// Three packages in a root, put there by rpm itself.
fn root(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    fs::create_dir_all(&root).unwrap();
    let mut packages = Vec::new();
    for (name, more, scripts) in SPECS {
        let spec = format!(
            "Name: {name}\nVersion: 1.2\nRelease: 3\nSummary: s\nLicense: none\nBuildArch: noarch\n{more}\n%description\nd\n\
             %install\nmkdir -p %{{buildroot}}/usr/share/{name} %{{buildroot}}/etc\nseq 9000 > %{{buildroot}}/usr/share/{name}/a\n\
             echo c > %{{buildroot}}/etc/{name}.conf\nln -s a %{{buildroot}}/usr/share/{name}/link\n{scripts}\
             %files\n%config /etc/{name}.conf\n%dir /usr/share/{name}\n%attr(4755,-,-) /usr/share/{name}/a\n/usr/share/{name}/link\n"
        );
        let file = dir.join(format!("{name}.spec"));
        fs::write(&file, spec).unwrap();
        let top = format!("_topdir {}", dir.join("build").display());
        run(Command::new("rpmbuild").args(["-bb", "--quiet", "--define", &top]).arg(&file));
        packages.push(dir.join(format!("build/RPMS/noarch/{name}-1.2-3.noarch.rpm")));
    }
    let mut install = Command::new("rpm");
    install
        .args(["--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "--root"])
        .arg(&root)
        .arg("-i")
        .args(&packages);
    run(&mut install);
    root
}

/// rpm, asked about a root.
fn rpm(root: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("rpm");
    command.args(["--dbpath", "/var/lib/rpm", "--root"]).arg(root).args(arguments).env("LC_ALL", "C.UTF-8");
    let out = command.output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

fn read_all(root: &Path) -> (Vec<u8>, Vec<u8>) {
    let at = |name: &str| fs::read(root.join("var/lib/rpm").join(name)).unwrap_or_default();
    (at("rpmdb.sqlite"), at("rpmdb.sqlite-wal"))
}

/// Puts a database in the place of a root's.
fn replace(root: &Path, bytes: &[u8]) {
    let dir = root.join("var/lib/rpm");
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("rpmdb.sqlite"), bytes).unwrap();
}

fn package(record: &Record) -> Package {
    Package::read(&Header::parse(&record.blob).unwrap()).unwrap()
}

fn integrity(file: &Path) {
    for pragma in ["integrity_check", "foreign_key_check"] {
        let said = run(Command::new("sqlite3").arg(file).arg(format!("PRAGMA {pragma}")));
        assert!(matches!(said.as_str(), "ok\n" | ""), "{pragma}: {said}");
    }
}

#[test]
fn sqlite_finds_our_files_in_order() {
    if missing(&["sqlite3"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (page, packages) in [(512, 200), (4096, 100), (1, 30)] {
        let file = dir.path().join(format!("{page}.sqlite"));
        fs::write(&file, sqlite::write(&sqlite::tests::sample(page, packages)).unwrap()).unwrap();
        integrity(&file);
        let said = run(Command::new("sqlite3").arg(&file).arg(
            "SELECT count(*), sum(length(blob)) FROM Packages; SELECT count(*) FROM Name WHERE key >= '00500000'; \
             PRAGMA journal_mode",
        ));
        let sizes: i64 = (1..=packages).map(|n| n * 977 % 20_000).sum();
        let names = (1..=packages * 50).filter(|n| n * 7919 % 1_000_003 >= 500_000).count();
        assert_eq!(said, format!("{packages}|{sizes}\n{names}\ndelete\n"));
    }
}

#[test]
fn sqlite_files_of_any_shape_are_read() {
    if missing(&["sqlite3"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.sqlite");
    // Deleted rows, free pages, an index that is not in the order of rows, a log that was never written back.
    let sql = "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
        CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);
        CREATE TABLE Name (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);
        CREATE INDEX Name_key_idx ON Name(key ASC);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)
        INSERT INTO Packages SELECT i, zeroblob(i * 37 % 5000) FROM n;
        INSERT INTO Name SELECT hex(hnum * 7919 % 501), hnum, 0 FROM Packages;
        DELETE FROM Name WHERE hnum % 3 = 0; DELETE FROM Packages WHERE hnum % 3 = 0;
        UPDATE Packages SET blob = x'00ff' WHERE hnum = 500;
        \n.shell cp x.sqlite y.sqlite; cp x.sqlite-wal y.sqlite-wal\n";
    let script = dir.path().join("script");
    fs::write(&script, sql).unwrap();
    run(Command::new("sqlite3").current_dir(dir.path()).arg(&file).stdin(fs::File::open(script).unwrap()));
    let (file, log) =
        (fs::read(dir.path().join("y.sqlite")).unwrap(), fs::read(dir.path().join("y.sqlite-wal")).unwrap());
    assert!(log.len() > file.len(), "{} {}", log.len(), file.len());
    let all = sqlite::packages(&file, &log).unwrap();
    let want: Vec<u32> = (1..=500).filter(|n| n % 3 != 0).collect();
    assert_eq!(all.iter().map(|r| r.number).collect::<Vec<_>>(), want);
    assert_eq!(all.last().unwrap().blob, [0, 255]);
    assert!(all[..all.len() - 1].iter().all(|r| r.blob.len() as u32 == r.number * 37 % 5000));
    // A log that is cut loses whole transactions, never half of one.
    assert_ne!(sqlite::packages(&file, &log[..log.len() - 8]).unwrap().last().unwrap().blob, [0, 255]);
    let new = sqlite::rewrite(&file, &log, |n| if n.is_multiple_of(2) { Fate::Drop } else { Fate::Keep }).unwrap();
    let at = dir.path().join("new.sqlite");
    fs::write(&at, new).unwrap();
    integrity(&at);
    let said = run(Command::new("sqlite3")
        .arg(&at)
        .arg("SELECT count(*) FROM Name WHERE key > ''; SELECT count(*) FROM Packages"));
    let left = want.iter().filter(|n| *n % 2 != 0).count();
    assert_eq!(said, format!("{left}\n{left}\n"));
}

#[test]
fn rpms_own_database_is_read_and_written() {
    if missing(&["rpm", "rpmbuild", "sqlite3"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = root(dir.path());
    let (file, log) = read_all(&root);
    let records = sqlite::packages(&file, &log).unwrap();
    let all: BTreeMap<String, (u32, Package)> =
        records.iter().map(|r| (r.number, package(r))).map(|(n, p)| (p.name.clone(), (n, p))).collect();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["one", "three", "two"]);
    let (number, one) = &all["one"];
    assert_eq!((one.evr().as_str(), one.source(), one.digest_algorithm), ("2:1.2-3", Some("one"), 8));
    let post = one.requires.iter().find(|r| r.name == "three").unwrap();
    let two = one.requires.iter().find(|r| r.name == "two").unwrap();
    assert!(post.scripts_only() && !two.scripts_only() && two.op() == Some(">="), "{:?}", one.requires);
    let said = rpm(
        &root,
        &[
            "-q",
            "--qf",
            "[%{FILENAMES} %{FILEMODES} %{FILESIZES} %{FILEDIGESTS} %{FILEMTIMES} %{FILEFLAGS} %{FILESTATES}\\n]",
            "one",
        ],
    )
    .1;
    let ours: String = one
        .files
        .iter()
        .map(|f| {
            let path = String::from_utf8_lossy(&f.path);
            format!("{path} {} {} {} {} {} {}\n", f.mode, f.size, f.digest, f.mtime, f.flags, f.state)
        })
        .collect();
    assert_eq!(ours, said);

    // `two` goes, and of `one` two files; then rpm sees what is there.
    for gone in ["usr/share/one/a", "etc/one.conf", "usr/share/two/a", "usr/share/two/link", "etc/two.conf"] {
        fs::remove_file(root.join(gone)).unwrap();
    }
    let (_, before) = rpm(&root, &["-V", "one"]);
    assert!(before.contains("missing"), "{before}");
    let lost = |f: &File| f.path == b"/usr/share/one/a" || f.path == b"/etc/one.conf";
    let states = one.files.iter().enumerate().filter(|(_, f)| lost(f)).map(|(n, _)| (n, state::NOT_INSTALLED));
    let blob = with_states(&records.iter().find(|r| r.number == *number).unwrap().blob, states).unwrap();
    let gone = all["two"].0;
    let fate = |n| match n {
        _ if n == gone => Fate::Drop,
        _ if n == *number => Fate::Replace(blob.clone()),
        _ => Fate::Keep,
    };
    let new = sqlite::rewrite(&file, &log, fate).unwrap();
    replace(&root, &new);
    integrity(&root.join("var/lib/rpm/rpmdb.sqlite"));
    assert_eq!(rpm(&root, &["-V", "--nodeps", "one", "three"]), (true, String::new()));
    assert_eq!(rpm(&root, &["-qa", "--qf", "%{NAME}\\n"]).1.lines().count(), 2);
    assert_eq!(rpm(&root, &["-q", "two"]).1, "package two is not installed\n");
    assert_eq!(rpm(&root, &["-q", "--whatprovides", "virtual"]).1, "one-1.2-3.noarch\n");
    assert_eq!(rpm(&root, &["-qf", "/usr/share/one/link"]).1, "one-1.2-3.noarch\n");
    assert!(!rpm(&root, &["-qf", "/etc/one.conf"]).0);
    let states = rpm(&root, &["-qs", "one"]).1;
    assert!(
        states.contains("not installed /usr/share/one/a") && states.contains("normal        /usr/share/one/link"),
        "{states}"
    );
    assert!(!rpm(&root, &["-V", "--nodeps", "three"]).1.contains("BAD"));
    let (fine, said) = rpm(&root, &["--verifydb"]);
    assert!(fine, "{said}");
    // rpm goes on with what we wrote: it installs and erases.
    let again = dir.path().join("build/RPMS/noarch/two-1.2-3.noarch.rpm").display().to_string();
    for arguments in [["--nodeps", "--noscripts", "-i", &again], ["--nodeps", "--noscripts", "-e", "one"]] {
        let (fine, said) = rpm(&root, &arguments);
        assert!(fine, "{said}");
    }
    assert_eq!(rpm(&root, &["-Va", "--nodeps"]), (true, String::new()));
    let (file, log) = read_all(&root);
    assert_eq!(sqlite::packages(&file, &log).unwrap().len(), 2);
}

#[test]
fn versions_compare_as_rpm_says() {
    if missing(&["rpm"]) {
        return;
    }
    let all: Vec<&str> = RISING.iter().flat_map(|line| line.split(' ')).collect();
    let mut script = String::new();
    let mut ours = String::new();
    for a in &all {
        for b in &all {
            script += &format!("print(rpm.vercmp('{a}','{b}')..' ')\n");
            ours += &format!("{}\n", compare(a, b) as i8);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script.lua");
    fs::write(&file, script).unwrap();
    let said = run(Command::new("rpm").arg("--eval").arg(format!("%{{lua:dofile('{}')}}", file.display())));
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ours.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn databases_of_other_distributions_are_read() {
    let Some(ndb) = base("rpmdb-ndb/Packages.db") else { return };
    let records = ndb::packages(&ndb).unwrap();
    let all: Vec<Package> = records.iter().map(package).collect();
    let bash = all.iter().find(|p| p.name == "bash").unwrap();
    assert!(
        all.len() > 30 && all.iter().all(|p| p.name == "gpg-pubkey" || !p.files.is_empty() || p.requires.len() > 1)
    );
    assert!(bash.files.iter().any(|f| f.path == b"/usr/bin/bash" || f.path == b"/bin/bash"), "{bash:?}");
    let half = |n: u32| if n.is_multiple_of(2) { Fate::Drop } else { Fate::Keep };
    let new = ndb::packages(&ndb::rewrite(&ndb, half).unwrap()).unwrap();
    assert_eq!(new, records.into_iter().filter(|r| r.number % 2 == 1).collect::<Vec<_>>());

    let Some(file) = base("rpmdb-bdb/Packages") else { return };
    assert!(bdb::is_hash(&file));
    let all: Vec<Package> = bdb::packages(&file).unwrap().iter().map(package).collect();
    assert_eq!(all.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["libuuid"]);
    assert!(all[0].files.iter().any(|f| f.path.ends_with(b"libuuid.so.1")), "{:?}", all[0].files);
}

/// Where an rpm that knows NDB is: a root that `K8ORC_TEST_RPM_ROOT` names (trixie's rpm in a directory made by
/// mmdebstrap), or this machine.
fn ndb_root() -> Option<PathBuf> {
    let root = std::env::var_os("K8ORC_TEST_RPM_ROOT").filter(|dir| !dir.is_empty());
    let root = root.map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let mut command = Command::new("chroot");
    let out =
        command.arg(&root).args(["rpm", "--define", "_db_backend ndb", "--dbpath", "/nonexistent", "-qa"]).output();
    let fine = out.is_ok_and(|out| !String::from_utf8_lossy(&out.stderr).contains("invalid %_db_backend"));
    if !fine {
        skip("this machine's rpm does not know NDB, and K8ORC_TEST_RPM_ROOT names no other");
    }
    fine.then_some(root)
}

#[test]
fn ndb_is_read_and_written_as_rpm_has_it() {
    let Some(top) = ndb_root() else { return };
    if missing(&["rpmbuild"]) {
        return;
    }
    let dir = tempfile::tempdir_in(top.join("tmp")).unwrap();
    root(dir.path());
    let inside = Path::new("/").join(dir.path().strip_prefix(&top).unwrap());
    let packages = |name: &str| inside.join(format!("build/RPMS/noarch/{name}-1.2-3.noarch.rpm"));
    let target = dir.path().join("ndb");
    let rpm = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(&top).args(["rpm", "--define", "_db_backend ndb", "--dbpath", "/var/lib/rpm", "--root"]);
        let out = command.arg(inside.join("ndb")).args(arguments).env("LC_ALL", "C.UTF-8").output().unwrap();
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        // Said of every chroot by a rpm of Debian.
        let said: String = said.lines().filter(|l| !l.contains("private mounts")).map(|l| format!("{l}\n")).collect();
        (out.status.success(), said)
    };
    let all = ["one", "two", "three"].map(|name| packages(name).display().to_string());
    let [one, two, three] = &all;
    fs::create_dir_all(&target).unwrap();
    let (fine, said) = rpm(&["--nodeps", "--noscripts", "-i", one, two, three]);
    assert!(fine, "{said}");
    let at = |name: &str| target.join("var/lib/rpm").join(name);
    let (file, index) = (fs::read(at("Packages.db")).unwrap(), fs::read(at("Index.db")).unwrap());
    let records = ndb::packages(&file).unwrap();
    let named = |name: &str| records.iter().find(|r| package(r).name == name).unwrap();
    let (gone, one) = (named("two").number, named("one"));
    let lost = package(one).files.iter().position(|f| f.path == b"/etc/one.conf").unwrap();
    let blob = with_states(&one.blob, [(lost, state::NOT_INSTALLED)]).unwrap();
    let fate = |n| match n {
        _ if n == gone => Fate::Drop,
        _ if n == one.number => Fate::Replace(blob.clone()),
        _ => Fate::Keep,
    };
    for gone in ["etc/one.conf", "etc/two.conf", "usr/share/two/a", "usr/share/two/link"] {
        fs::remove_file(target.join(gone)).unwrap();
    }
    let generation = ndb::generation(&file).unwrap();
    let new = ndb::rewrite_index(&index, generation, |n| n != gone).unwrap().unwrap();
    fs::write(at("Packages.db"), ndb::rewrite(&file, fate).unwrap()).unwrap();
    fs::write(at("Index.db"), &new).unwrap();
    assert_eq!(rpm(&["-Va", "--nodeps"]), (true, String::new()));
    assert_eq!(rpm(&["-q", "two"]).1, "package two is not installed\n");
    assert_eq!(rpm(&["-q", "--whatprovides", "virtual"]), (true, "one-1.2-3.noarch\n".into()));
    assert_eq!(rpm(&["-qf", "/usr/share/one/link"]), (true, "one-1.2-3.noarch\n".into()));
    assert_eq!(rpm(&["-q", "--whatrequires", "two"]), (true, "one-1.2-3.noarch\n".into()));
    assert!(!rpm(&["-qf", "/etc/one.conf"]).0);
    let (fine, said) = rpm(&["--verifydb"]);
    assert!(fine, "{said}");
    assert_eq!(fs::read(at("Index.db")).unwrap(), new, "rpm made its index anew");
    for arguments in [["--nodeps", "--noscripts", "-i", two], ["--nodeps", "--noscripts", "-e", "one"]] {
        let (fine, said) = rpm(&arguments);
        assert!(fine, "{said}");
    }
    assert_eq!(rpm(&["-Va", "--nodeps"]), (true, String::new()));
    assert_eq!(
        rpm(&["-q", "one", "two", "three"]).1,
        "package one is not installed\ntwo-1.2-3.noarch\nthree-1.2-3.noarch\n"
    );
}

/// Random bytes in a file, always the same ones.
fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap()
    };
    let mut out = bytes.to_vec();
    for _ in 0..1 + next() % 4 {
        let at = next() % out.len();
        out[at] = match next() % 3 {
            0 => 0xff,
            1 => 0,
            _ => next() as u8,
        };
    }
    if next() % 8 == 0 {
        out.truncate(next() % (out.len() + 1));
    }
    out
}

#[test]
fn damaged_files_give_errors_and_no_panic() {
    let (Some(ndb), Some(bdb)) = (base("rpmdb-ndb/Packages.db"), base("rpmdb-bdb/Packages")) else { return };
    let records = ndb::packages(&ndb).unwrap();
    let blob = &records.iter().find(|r| package(r).name == "bash").unwrap().blob;
    let mut errors = 0;
    for seed in 0..4000 {
        // The table and the first strings are the interesting part of a header.
        let broken = [damaged(&blob[..3000], seed), blob[3000..].to_vec()].concat();
        let read = Header::parse(&broken).and_then(|header| Package::read(&header));
        errors += usize::from(read.is_err());
        let _ = with_states(&broken, [(0, 2), (seed as usize, 2)]);
    }
    assert!(errors > 500, "{errors}");
    for seed in 0..400 {
        let head = [damaged(&ndb[..4096], seed), ndb[4096..].to_vec()].concat();
        let _ = ndb::rewrite(&head, |n| if n.is_multiple_of(2) { Fate::Drop } else { Fate::Keep });
        let _ = super::bdb::packages(&damaged(&bdb, seed));
        let page = usize::try_from(seed).unwrap() % (bdb.len() / 4096) * 4096;
        let one = [&bdb[..page], &damaged(&bdb[page..page + 64], seed), &bdb[page + 64..]].concat();
        let _ = super::bdb::packages(&one);
    }
}
