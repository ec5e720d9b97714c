//! The `k8orc` that was built with these tests, and images unpacked by umoci.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Need, run};

/// The `k8orc` binary, ready for arguments: the one that `K8ORC_TEST_BIN` names, else the one beside this
/// test in the target directory. Nothing of the caller's environment reaches it but `PATH`; `HOME` and the
/// cache are under `home`, so that tests neither see nor touch a user's own. Archives are those that
/// `K8ORC_TEST_USER_FILE` names, the public ones where it is unset.
///
/// # Panics
/// When the variable names nothing.
#[must_use]
pub fn k8orc(home: &Path) -> Option<Command> {
    let program = if std::env::var_os("K8ORC_TEST_BIN").is_some() {
        Need::path("K8ORC_TEST_BIN")?
    } else {
        beside_this_test().or_else(|| Need::path("K8ORC_TEST_BIN"))?
    };
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("XDG_CACHE_HOME", home.join("cache"));
    if let Some(file) = std::env::var_os("K8ORC_TEST_USER_FILE") {
        command.env("K8ORC_CONFIG", file);
    }
    Some(command)
}

/// Tests are in `target/PROFILE/deps`, binaries in `target/PROFILE`.
fn beside_this_test() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.parent()?.parent()?.join("k8orc");
    program.is_file().then_some(program)
}

/// Unpacks `tag` of the OCI layout `layout` into a new directory; its tree is `rootfs` in it. Ownership
/// and extended attributes need root.
///
/// # Panics
/// When umoci refuses the image.
#[must_use]
pub fn umoci_unpack(layout: &Path, tag: &str) -> Option<tempfile::TempDir> {
    let umoci = Need::tool("umoci")?;
    Need::root()?;
    let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory for umoci: {error}"));
    let image = format!("{}:{tag}", layout.display());
    let bundle = dir.path().join("bundle");
    run(Command::new(umoci).args(["unpack", "--image", &image]).arg(&bundle), Duration::from_secs(300)).ok();
    Some(dir)
}
