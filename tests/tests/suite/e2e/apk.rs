//! After removal apk's database is true: the base's own apk is asked, on the tree as umoci unpacks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8orc_tests::peers::Need;

use super::dpkg::deviations;
use super::{Case, Output, Tree, said};

/// The published Alpine root of this machine's architecture, unpacked from gzip.
fn alpine() -> Option<tempfile::NamedTempFile> {
    let bases = Need::path("K8ORC_TEST_BASES")?;
    let gzip = Need::tool("gzip")?;
    let name = format!("alpine-minirootfs-3.20.3-{}.tar.gz", std::env::consts::ARCH);
    let tar = tempfile::NamedTempFile::new().expect("a temporary file");
    let out = tar.reopen().expect("ours");
    assert!(Command::new(gzip).arg("-dc").arg(bases.join(name)).stdout(out).status().expect("gzip runs").success());
    Some(tar)
}

/// The base's apk, whole, with the result in a directory of its root.
struct Apk {
    chroot: PathBuf,
    dir: tempfile::TempDir,
}

impl Apk {
    fn on(base: &Path, tree: &Tree) -> Option<Apk> {
        let (chroot, tar) = (Need::tool("chroot")?, Need::tool("tar")?);
        let cp = Need::tool("cp")?;
        Need::root()?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        said(Command::new(tar).arg("-xf").arg(base).arg("-C").arg(dir.path()));
        said(Command::new(cp).arg("-a").arg(tree.root()).arg(dir.path().join("result")));
        let apk = Apk { chroot, dir };
        // Without repositories only the database is asked.
        fs::write(apk.root().join("etc/apk/repositories"), "").expect("ours");
        Some(apk)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("result")
    }

    fn apk(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.chroot);
        command.arg(self.dir.path()).args(["/sbin/apk", "--root", "/result", "--no-network"]);
        command.args(arguments);
        command
    }

    /// What the audits say of files that packages own, sorted.
    fn audit(&self) -> Vec<String> {
        let both = [["audit", "--full", "--check-permissions"].as_slice(), &["audit", "--check-permissions"]];
        let text: String = both.iter().map(|arguments| said(&mut self.apk(arguments))).collect();
        let owned = text.lines().filter(|line| !line.starts_with("A ") && !line.starts_with("D "));
        let mut lines: Vec<String> = owned.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// `apk info -L` of every package lists files that are there; gives the packages.
    fn check_lists(&self) -> BTreeSet<String> {
        let names: BTreeSet<String> = said(&mut self.apk(&["info"])).lines().map(str::to_owned).collect();
        let mut complaints = Vec::new();
        for name in &names {
            for path in said(&mut self.apk(&["info", "-qL", name])).lines().filter(|line| !line.is_empty()) {
                if self.root().join(path).symlink_metadata().is_err() {
                    complaints.push(format!("{name} lists {path}"));
                }
            }
        }
        crate::none(complaints);
        names
    }
}

fn kept(output: &Output) -> BTreeSet<String> {
    let packages = output.image()["packages"].as_array().expect("a list");
    let kept = packages.iter().filter(|package| package["kept"] == true);
    kept.map(|package| package["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_database_is_true_on_alpine() {
    let Some(tar) = alpine() else { return };
    let case = Case::on_tar("alpine", tar.path());
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(apk) = Apk::on(tar.path(), &tree) else { return };
    let announced = deviations(&output);
    assert_eq!(apk.audit(), announced);
    assert_eq!(announced, ["U etc/group", "U etc/motd", "U etc/passwd", "U etc/shadow"]);
    let names = apk.check_lists();
    assert_eq!(names, kept(&output));
    assert!(names.contains("busybox") && !names.contains("apk-tools") && !names.contains("libssl3"), "{names:?}");
    // What is left of the database is what the base had, line for line.
    let lines = |root: &Path, name: &str| fs::read_to_string(root.join(name)).expect("a file of the database");
    let base: BTreeSet<String> = lines(apk.dir.path(), "lib/apk/db/installed").lines().map(str::to_owned).collect();
    let now = lines(&apk.root(), "lib/apk/db/installed");
    assert!(now.lines().all(|line| base.contains(line)) && !now.contains("R:default.script"), "{now}");
    assert_eq!(lines(&apk.root(), "etc/apk/world"), "alpine-baselayout\nbusybox\nlibc-utils\nca-certificates-bundle\n");
    // apk takes the database for whole: nothing is to be added, removed or repaired.
    for action in [&["add", "--simulate"][..], &["fix", "--simulate"]] {
        let text = said(&mut apk.apk(action));
        assert!(text.starts_with("OK: ") && text.ends_with(&format!("in {} packages\n", names.len())), "{text}");
    }
}

#[test]
fn all_of_alpine_verifies_as_the_base_did() {
    let Some(tar) = alpine() else { return };
    let case = Case::on_tar("alpine", tar.path());
    let most = "keep \"alpine-baselayout\" \"ca-certificates-bundle\"";
    case.edit("spec.kdl", most, &format!("{most} \"apk-tools\" \"ssl_client\""));
    case.edit("spec.kdl", "    remove \"/etc/modprobe.d/**\" \"/usr/share/udhcpc/**\" \"/etc/network/**\"\n", "");
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(apk) = Apk::on(tar.path(), &tree) else { return };
    assert_eq!(apk.audit(), deviations(&output));
    assert_eq!(apk.check_lists(), kept(&output));
    // apk itself is in the result, and works there.
    let text = said(Command::new(&apk.chroot).arg(apk.root()).args(["/sbin/apk", "info", "--who-owns", "/sbin/apk"]));
    assert_eq!(text, "/sbin/apk is owned by apk-tools-2.14.4-r0\n");
}

#[test]
fn the_lean_alpine_runs() {
    let Some(tar) = alpine() else { return };
    let (Some(_), Some(())) = (Need::tool("runc"), Need::root()) else { return };
    let case = Case::on_tar("alpine", tar.path());
    if case.build().is_some()
        && let Some(ran) = case.k8orc(&case.with_spec(&["test"]))
    {
        ran.ok();
    }
}

/// Ours and apk's order of versions.
#[test]
fn versions_compare_as_apk_says() {
    let Some(tar) = alpine() else { return };
    let (Some(chroot), Some(program), Some(())) = (Need::tool("chroot"), Need::tool("tar"), Need::root()) else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    said(Command::new(program).arg("-xf").arg(tar.path()).arg("-C").arg(dir.path()));
    let all = [
        "0.1",
        "0.1_alpha",
        "0.1_beta2",
        "0.1_pre2",
        "0.1_rc1",
        "0.1-r0",
        "0.1-r1",
        "0.1_git20230424",
        "0.1_p1",
        "0.1a",
        "0.1.1",
        "1.01",
        "1.02",
        "1.1",
        "1.10",
        "1.2.5-r0",
        "1.2.5-r10",
        "1.36.1-r29",
        "1.36.1_p1-r0",
        "2",
        "10",
    ];
    let script: String =
        all.iter().flat_map(|a| all.iter().map(move |b| format!("apk version -t '{a}' '{b}'\n"))).collect();
    let text = said(Command::new(chroot).arg(dir.path()).args(["/bin/sh", "-c", &script]));
    let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (a, b)));
    let ours = pairs.map(|(a, b)| match formats::apk::order(a.as_bytes(), b.as_bytes()) {
        std::cmp::Ordering::Less => format!("{a} < {b}"),
        std::cmp::Ordering::Equal => format!("{a} = {b}"),
        std::cmp::Ordering::Greater => format!("{a} > {b}"),
    });
    let theirs = text.lines().zip(all.iter().flat_map(|a| all.iter().map(move |b| (a, b))));
    let theirs: Vec<String> = theirs.map(|(sign, (a, b))| format!("{a} {sign} {b}")).collect();
    assert_eq!(theirs.len(), all.len() * all.len());
    crate::none(ours.zip(theirs).filter(|(a, b)| a != b).map(|(a, b)| format!("{a}, and apk says {b}")).collect());
}
