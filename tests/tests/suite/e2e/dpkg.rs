//! After removal dpkg's database is true: dpkg itself is asked, on the tree as umoci unpacks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use k8orc_tests::peers::Need;

use super::{Case, Output, said};

#[test]
fn the_database_is_true_on_bookworm() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    lean(&tar);
}

#[test]
fn the_database_is_true_on_trixie() {
    let Some(tar) = Need::path("K8ORC_TEST_TRIXIE") else { return };
    lean(&tar);
}

/// Everything at once: see the spec.
fn lean(tar: &Path) {
    let case = Case::on_tar("lean", tar);
    let Some(before) = base_lists(tar) else { return };
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(dpkg) = Dpkg::on(&tree.root()) else { return };

    // What `dpkg --verify` complains about is what the report announces, to the byte and in no other number.
    let announced = deviations(&output);
    assert_eq!(dpkg.verify(), announced);
    let paths: BTreeSet<_> = announced.iter().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(paths, BTreeSet::from(["/etc/issue", "/etc/nginx/nginx.conf", "/usr/share/base-files/motd"]));

    let kept = dpkg.check_packages(&output);
    assert!(kept.contains("bash") && kept.contains("dpkg") && kept.contains("ca-certificates"), "{kept:?}");
    assert!(!kept.contains("perl-base") && !kept.contains("apt"), "{kept:?}");
    dpkg.check_lists(&before);

    // The globs took what they say; the licence texts stay.
    let root = tree.root();
    assert!(!root.join("etc/bash.bashrc").exists());
    assert!(root.join("usr/share/doc/bash/copyright").exists());
    let man = files_below(&root.join("usr/share/man"));
    assert_eq!(man, Vec::<String>::new());
    let listed = dpkg.list("bash");
    assert!(listed.contains("/etc/skel/.bashrc") && !listed.contains("/etc/bash.bashrc"), "{listed:?}");
    // A conffile that is gone would be "obsolete" or "deleted" to dpkg; here it was never part of the package.
    let conffiles = said(dpkg.query().args(["-W", "-f", "${Conffiles}", "bash"]));
    assert!(conffiles.contains("/etc/skel/.bashrc") && !conffiles.contains("bash.bashrc"), "{conffiles}");
}

#[test]
fn no_setuid_bit_is_left_but_those_that_are_named() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let case = Case::on_tar("lean", &tar);
    case.edit("spec.kdl", "setuid \"strip\"", "setuid \"strip\" { keep \"/usr/bin/su\" }");
    let Some(output) = case.build() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(find) = Need::tool("find") else { return };
    let found = said(Command::new(find).current_dir(tree.root()).args([".", "-type", "f", "-perm", "/6000"]));
    assert_eq!(found, "./usr/bin/su\n");
    let stripped = output.image()["setuid"].as_array().expect("a list");
    let fates: BTreeMap<_, _> =
        stripped.iter().map(|one| (one["path"].as_str().expect("a path"), one["stripped"].as_bool())).collect();
    assert_eq!(fates, BTreeMap::from([("/usr/bin/su", Some(false)), ("/usr/sbin/unix_chkpwd", Some(true))]));
    let Some(dpkg) = Dpkg::on(&tree.root()) else { return };
    assert_eq!(dpkg.verify(), deviations(&output), "dpkg records no modes, so that none is missed");
}

/// Nothing of the base is replaced: dpkg has nothing to complain about.
#[test]
fn an_untouched_selection_verifies_silently() {
    for variable in ["K8ORC_TEST_BOOKWORM", "K8ORC_TEST_TRIXIE"] {
        let Some(tar) = Need::path(variable) else { return };
        let Some(before) = base_lists(&tar) else { return };
        let case = Case::on_tar("probe", &tar);
        let Some(output) = case.build() else { return };
        let Some(tree) = output.unpack() else { return };
        let Some(dpkg) = Dpkg::on(&tree.root()) else { return };
        assert_eq!(deviations(&output), Vec::<String>::new(), "{variable}");
        assert_eq!(dpkg.verify(), Vec::<String>::new(), "{variable}");
        assert!(dpkg.check_packages(&output).contains("perl-base"), "{variable}");
        dpkg.check_lists(&before);
    }
}

/// The lines that the report announces, sorted.
pub(super) fn deviations(output: &Output) -> Vec<String> {
    let list = output.image()["deviations"].as_array().expect("a list");
    let mut lines: Vec<_> = list.iter().map(|one| one["verify"].as_str().expect("a line").to_owned()).collect();
    lines.sort();
    lines
}

/// The machine's dpkg, on another root.
pub(super) struct Dpkg {
    dpkg: std::path::PathBuf,
    query: std::path::PathBuf,
    root: std::path::PathBuf,
}

impl Dpkg {
    pub(super) fn on(root: &Path) -> Option<Dpkg> {
        Some(Dpkg { dpkg: Need::tool("dpkg")?, query: Need::tool("dpkg-query")?, root: root.to_owned() })
    }

    pub(super) fn query(&self) -> Command {
        let mut command = Command::new(&self.query);
        command.arg("--admindir").arg(self.root.join("var/lib/dpkg"));
        command
    }

    /// Lines of `dpkg --verify`, sorted.
    pub(super) fn verify(&self) -> Vec<String> {
        let text = said(Command::new(&self.dpkg).arg("--root").arg(&self.root).arg("--verify"));
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// What `dpkg -L` lists; diversions are sentences, not paths.
    pub(super) fn list(&self, package: &str) -> BTreeSet<String> {
        let text = said(self.query().args(["-L", package]));
        text.lines().filter(|line| line.starts_with('/') && *line != "/.").map(str::to_owned).collect()
    }

    /// `dpkg-query -W` and the report name the same packages, versions, and states; gives the names.
    pub(super) fn check_packages(&self, output: &Output) -> BTreeSet<String> {
        let format = "${Package} ${Architecture} ${Version} ${db:Status-Status}\n";
        let text = said(self.query().args(["-W", "-f", format]));
        let there: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        let packages = output.image()["packages"].as_array().expect("a list");
        let word = |package: &serde_json::Value, key: &str| package[key].as_str().expect("text").to_owned();
        let kept: Vec<_> = packages.iter().filter(|package| package["kept"] == true).collect();
        let said: BTreeSet<String> = kept
            .iter()
            .map(|p| format!("{} {} {} installed", word(p, "name"), word(p, "architecture"), word(p, "version")))
            .collect();
        assert_eq!(there, said);
        kept.iter().map(|package| word(package, "name")).collect()
    }

    /// `dpkg -L` of every package lists what is there and nothing else; what is there of the base's list of
    /// a package is still listed.
    pub(super) fn check_lists(&self, before: &BTreeMap<String, BTreeSet<String>>) {
        let names = said(self.query().args(["-W", "-f", "${binary:Package}\n"]));
        let mut complaints = Vec::new();
        for name in names.lines() {
            let now = self.list(name);
            let there = |path: &str| self.root.join(path.trim_start_matches('/')).symlink_metadata().is_ok();
            complaints.extend(now.iter().filter(|path| !there(path)).map(|path| format!("{name} lists {path}")));
            let base = before.get(name.split(':').next().unwrap_or(name));
            let forgotten = base.into_iter().flatten().filter(|path| there(path) && !now.contains(*path));
            complaints.extend(forgotten.map(|path| format!("{name} no longer lists {path}")));
        }
        crate::none(complaints);
    }
}

/// Package → paths, of the `.list` files in a tar.
fn base_lists(tar: &Path) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let program = Need::tool("tar")?;
    let dir = tempfile::tempdir().expect("a temporary directory");
    said(Command::new(program).arg("-xf").arg(tar).arg("-C").arg(dir.path()).arg("./var/lib/dpkg/info"));
    let info = dir.path().join("var/lib/dpkg/info");
    let mut lists = BTreeMap::new();
    for entry in fs::read_dir(info).expect("the database") {
        let path = entry.expect("readable").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".list")) else { continue };
        let text = fs::read_to_string(&path).expect("a list");
        let paths = text.lines().filter(|line| *line != "/.").map(str::to_owned).collect();
        lists.insert(name.split(':').next().unwrap_or(name).to_owned(), paths);
    }
    assert!(lists.len() > 50, "a whole system");
    Some(lists)
}

/// Names of all that are no directories.
pub(super) fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.expect("readable");
            if entry.file_type().expect("readable").is_dir() {
                queue.push(entry.path());
            } else {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}
