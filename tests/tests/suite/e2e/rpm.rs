//! After removal rpm's database is true: rpm itself is asked, on the tree as umoci unpacks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8orc_tests::peers::{Need, run};

use super::dpkg::deviations;
use super::{Case, LIMIT, Output, said};

/// An rpm, on another root.
struct Rpm {
    /// The program and its first arguments: with `chroot`, another system's.
    program: Vec<String>,
    /// The root that it looks at, as it sees it and as we do.
    inside: PathBuf,
    root: PathBuf,
}

impl Rpm {
    fn on(root: &Path) -> Option<Rpm> {
        let program = vec![Need::tool("rpm")?.display().to_string()];
        Some(Rpm { program, inside: root.to_owned(), root: root.to_owned() })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).args(["--dbpath", "/var/lib/rpm", "--root"]).arg(&self.inside);
        command.args(arguments).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Lines of `rpm -Va`, sorted; with unmet dependencies, if there are any.
    fn verify(&self) -> Vec<String> {
        let ran = run(&mut self.command(&["-Va"]), LIMIT);
        let mut lines: Vec<_> = ran.out().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// `rpm -qa` and the report name the same packages and versions; gives the names.
    fn check_packages(&self, output: &Output) -> BTreeSet<String> {
        let format = "%{NAME} %{ARCH} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\n";
        let there: BTreeSet<String> =
            said(&mut self.command(&["-qa", "--qf", format])).lines().map(str::to_owned).collect();
        let packages = output.image()["packages"].as_array().expect("a list");
        let word = |package: &serde_json::Value, key: &str| package[key].as_str().expect("text").to_owned();
        let kept = packages.iter().filter(|package| package["kept"] == true);
        let shown =
            |p: &serde_json::Value| format!("{} {} {}", word(p, "name"), word(p, "architecture"), word(p, "version"));
        assert_eq!(there, kept.clone().map(shown).collect());
        kept.map(|package| word(package, "name")).collect()
    }

    /// What rpm calls installed is there.
    fn check_lists(&self) {
        let listed = said(&mut self.command(&["-qsa"]));
        let lost = |line: &&str| {
            let path = line.split_once(" /").map(|(_, path)| path);
            line.starts_with("normal") && path.is_some_and(|path| self.root.join(path).symlink_metadata().is_err())
        };
        let count = listed.lines().filter(|line| line.starts_with("normal")).count();
        assert!(count > 500, "{count} files");
        crate::none(listed.lines().filter(lost).map(str::to_owned).collect());
    }
}

#[test]
fn the_database_is_true_on_a_root_of_rpm() {
    let Some(tar) = Need::path("K8ORC_TEST_RPM") else { return };
    let case = Case::on_tar("rpm", &tar);
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(rpm) = Rpm::on(&tree.root()) else { return };
    let announced = deviations(&output);
    let wanted = ["S.5....T.  c /etc/nginx/nginx.conf", ".M.......    /usr/bin/su"];
    assert_eq!(announced.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(wanted));
    assert_eq!(rpm.verify(), announced);
    let kept = rpm.check_packages(&output);
    assert!(kept.contains("bash") && kept.contains("nginx") && !kept.contains("perl-base"), "{kept:?}");
    rpm.check_lists();
    // A file that went belongs to nobody; one that stays, to its package.
    assert!(run(&mut rpm.command(&["-qf", "/etc/bash.bashrc"]), LIMIT).code() == 1);
    assert!(said(&mut rpm.command(&["-qf", "/usr/bin/bash"])).starts_with("bash-"));
    said(&mut rpm.command(&["--verifydb"]));
    let Some(sqlite) = Need::tool("sqlite3") else { return };
    let database = tree.root().join("var/lib/rpm/rpmdb.sqlite");
    let text = said(Command::new(sqlite).arg(database).arg("PRAGMA integrity_check; PRAGMA foreign_key_check"));
    assert_eq!(text, "ok\n");
}

/// Nothing of the base is replaced: rpm has nothing to complain about, and with every package kept the database is the
/// base's own.
#[test]
fn an_untouched_selection_of_rpms_verifies_silently() {
    let Some(tar) = Need::path("K8ORC_TEST_RPM") else { return };
    let case = Case::on_tar("rpm", &tar);
    case.edit("spec.kdl", "    copy \"./nginx.conf\" to=\"/etc/nginx/nginx.conf\"\n", "");
    case.edit("spec.kdl", "setuid \"strip\"", "setuid \"strip\" { keep \"/usr/bin/su\" }");
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(rpm) = Rpm::on(&tree.root()) else { return };
    assert_eq!(deviations(&output), Vec::<String>::new());
    assert_eq!(rpm.verify(), Vec::<String>::new());
    rpm.check_packages(&output);
}

#[test]
fn nginx_runs_on_a_root_of_rpm() {
    let Some(tar) = Need::path("K8ORC_TEST_RPM") else { return };
    let (Some(_), Some(())) = (Need::tool("runc"), Need::root()) else { return };
    let case = Case::on_tar("rpm", &tar);
    if case.build().is_some()
        && let Some(ran) = case.k8orc(&case.with_spec(&["test"]))
    {
        ran.ok();
    }
}

/// The same with NDB, which SUSE uses: trixie's rpm converts the base's database and judges the result.
#[test]
fn the_database_is_true_with_ndb() {
    let (Some(tar), Some(system)) = (Need::path("K8ORC_TEST_RPM"), Need::path("K8ORC_TEST_RPM_ROOT")) else { return };
    let (Some(chroot), Some(unpack), Some(cp)) = (Need::tool("chroot"), Need::tool("tar"), Need::tool("cp")) else {
        return;
    };
    let Some(()) = Need::root() else { return };
    let dir = tempfile::tempdir_in(system.join("tmp")).expect("a directory in the other system");
    let inside = Path::new("/").join(dir.path().strip_prefix(&system).expect("it lies there"));
    let base = dir.path().join("base");
    std::fs::create_dir(&base).expect("ours");
    said(Command::new(&unpack).arg("-C").arg(&base).arg("-xf").arg(&tar));
    let ndb = ["--define", "_db_backend ndb"];
    let convert = ["--dbpath", "/var/lib/rpm", "--rebuilddb", "--root"];
    said(Command::new(&chroot).arg(&system).arg("rpmdb").args(ndb).args(convert).arg(inside.join("base")));
    let _ = std::fs::remove_file(base.join("var/lib/rpm/rpmdb.sqlite"));
    let tar = dir.path().join("base.tar");
    said(Command::new(&unpack).arg("-C").arg(&base).arg("-cf").arg(&tar).arg("."));
    let case = Case::on_tar("rpm", &tar);
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    said(Command::new(cp).arg("-a").arg(tree.root()).arg(dir.path().join("result")));
    let program = [&chroot.display().to_string(), &system.display().to_string(), "rpm", ndb[0], ndb[1]];
    let root = dir.path().join("result");
    let rpm = Rpm { program: program.map(str::to_owned).into(), inside: inside.join("result"), root };
    let index = std::fs::read(rpm.root.join("var/lib/rpm/Index.db")).expect("an index");
    assert_eq!(rpm.verify(), deviations(&output));
    let kept = rpm.check_packages(&output);
    assert!(kept.contains("nginx") && !kept.contains("perl-base"), "{kept:?}");
    rpm.check_lists();
    assert_eq!(run(&mut rpm.command(&["-q", "perl-base"]), LIMIT).code(), 1);
    assert!(said(&mut rpm.command(&["-qf", "/usr/bin/bash"])).starts_with("bash-"));
    said(&mut rpm.command(&["--verifydb"]));
    assert!(std::fs::read(rpm.root.join("var/lib/rpm/Index.db")).is_ok_and(|now| now == index), "rpm made it anew");
}

/// A Berkeley DB is read, and nothing of its packages may go.
#[test]
fn a_berkeley_db_stays_whole_or_the_build_is_refused() {
    let (Some(bases), Some(program)) = (Need::path("K8ORC_TEST_BASES"), Need::tool("tar")) else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rpm = dir.path().join("root/var/lib/rpm");
    std::fs::create_dir_all(&rpm).expect("ours");
    std::fs::copy(bases.join("rpmdb-bdb/Packages"), rpm.join("Packages")).expect("a copy");
    let app = dir.path().join("root/app");
    std::fs::write(&app, "").expect("ours");
    std::fs::set_permissions(&app, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let tar = dir.path().join("base.tar");
    said(Command::new(program).arg("-C").arg(dir.path().join("root")).arg("-cf").arg(&tar).arg("."));
    let case = Case::on_tar("rpm", &tar);
    let spec = |packages: &str| {
        let head = "k8orc version=1\nimage \"bdb\" { base \"tar:base.tar\"; user \"65534\"; entrypoint \"/app\" }\n";
        let rest = "files { unowned \"keep\" }\nsyscalls { allow \"@runtime-default\" }\n";
        format!("{head}packages closure=\"depends\" {packages}\n{rest}")
    };
    case.write("spec.kdl", &spec(""));
    let Some(ran) = case.k8orc(&case.with_spec(&["build"])) else { return };
    let ran = ran.with_code(1);
    assert!(ran.err().contains("E0570") && ran.err().contains("Berkeley DB"), "{}", ran.err());
    case.write("spec.kdl", &spec("{ keep \"libuuid\" }"));
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let same = |name: &str| std::fs::read(tree.root().join("var/lib/rpm").join(name)).ok();
    assert!(same("Packages") == std::fs::read(rpm.join("Packages")).ok() && same("Packages").is_some());
}
