//! podman with a configuration that works on this kind of machine, and a store of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Need, run};

/// A podman whose images and containers live in a temporary directory, and go with this value.
pub struct Podman {
    program: PathBuf,
    dir: tempfile::TempDir,
}

impl Podman {
    /// podman, if it is here and we are root: its networks and mounts need that on a hybrid cgroup host.
    ///
    /// # Panics
    /// When the temporary directory cannot be made.
    #[must_use]
    pub fn find() -> Option<Podman> {
        let program = Need::tool("podman")?;
        Need::tool("runc")?;
        Need::root()?;
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory for podman: {error}"));
        write_containers_conf(&dir.path().join("containers.conf"));
        Some(Podman { program, dir })
    }

    /// `podman`, to which the verb and its arguments are still to be added.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("CONTAINERS_CONF", self.dir.path().join("containers.conf"))
            .arg("--root")
            .arg(self.dir.path().join("root"))
            .arg("--runroot")
            .arg(self.dir.path().join("run"));
        command
    }

    /// The name by which skopeo finds `image` in this store.
    #[must_use]
    pub fn skopeo_reference(&self, image: &str) -> String {
        let dir = self.dir.path().display();
        format!("containers-storage:[overlay@{dir}/root+{dir}/run]{image}")
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let limit = Duration::from_secs(60);
        let _ = run(self.command().args(["pod", "rm", "--all", "--force", "--time", "1"]), limit);
        let _ = run(self.command().args(["rm", "--all", "--force", "--time", "1"]), limit);
        let _ = run(self.command().args(["rmi", "--all", "--force"]), limit);
        // podman keeps its own directory mounted on itself; the temporary directory could not be removed.
        let _ = run(Command::new("umount").arg(self.dir.path().join("root/overlay")), limit);
    }
}

/// Writes a containers.conf with runc (crun refuses hybrid cgroups) and limits that a root without
/// `CAP_SYS_RESOURCE` can set (raising them is not permitted there).
///
/// # Panics
/// When the file cannot be written.
pub fn write_containers_conf(file: &Path) {
    let conf = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
    std::fs::write(file, conf).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::fs;

    #[test]
    fn a_container_runs_in_a_store_that_leaves_nothing() {
        let Some(podman) = Podman::find() else { return };
        let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else {
            return;
        };
        let limit = Duration::from_secs(120);
        run(podman.command().args(["import", "--quiet"]).arg(tar).arg("localhost/base:1"), limit).ok();
        let run = run(
            podman.command().args([
                "run",
                "--rm",
                "--network",
                "host",
                "--user",
                "www-data",
                "localhost/base:1",
                "id",
                "-u",
            ]),
            limit,
        );
        assert_eq!(run.ok().out(), "33\n");
        let dir = podman.dir.path().to_path_buf();
        drop(podman);
        assert!(!dir.exists(), "{} is left", dir.display());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(dir.to_str().unwrap()), "mounts are left:\n{mounts}");
    }
}
