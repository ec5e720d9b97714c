//! The whole product on real images, judged by programs that we did not write.
//!
//! The specs are in `tests/cases/e2e`. Each names its base by the param `base`, so that one spec is built on
//! a tar, on a layout, and on what a registry has.

mod added;
mod apk;
mod dpkg;
mod enforce;
mod environment;
mod environment_edits;
mod examples;
mod inspect;
mod manifests;
mod readers;
mod registry;
mod rpm;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8orc_tests::peers::{Need, Run, k8orc, run, umoci_unpack};
use serde_json::Value;

/// More than anything here takes, also where builds share a slow machine.
const LIMIT: Duration = Duration::from_secs(600);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A copy of a case, with a home directory (and so a cache) of its own; gone with the value.
struct Case {
    dir: tempfile::TempDir,
    /// Value of the param `base`; where there is none, the spec's default.
    base: Option<String>,
}

/// `OUT/NAME`, read.
struct Output {
    dir: PathBuf,
    report: Value,
}

impl Case {
    /// `tests/cases/e2e/NAME`.
    fn new(name: &str) -> Case {
        Case::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/e2e").join(name))
    }

    /// `examples/NAME`, as it is committed.
    fn example(name: &str) -> Case {
        let case = Case::of(&k8orc_tests::tidy::tree::root().join("examples").join(name));
        for stray in ["k8orc.lock", "out"] {
            let path = case.path(stray);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        case
    }

    fn of(from: &Path) -> Case {
        // podman makes a name of the path of a layout, and names have no capitals.
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("k8orc-e2e-{}-{next}", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).rand_bytes(0).tempdir().expect("a temporary directory");
        let case = Case { dir, base: None };
        copy_tree(from, case.dir.path());
        case
    }

    /// The case on a tar: a hard link where that can be, as it is large.
    fn on_tar(name: &str, tar: &Path) -> Case {
        let case = Case::new(name);
        let to = case.path("base.tar");
        if fs::hard_link(tar, &to).is_err() {
            fs::copy(tar, &to).expect("room for a base");
        }
        case
    }

    /// The case on another base.
    fn on(name: &str, base: String) -> Case {
        Case { base: Some(base), ..Case::new(name) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Replaces `from`, which must be there.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} holds {from}:\n{text}");
        self.write(name, &text.replace(from, to));
    }

    /// `k8orc ARGS`, in the case's directory.
    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Option<Command> {
        let mut command = k8orc(&self.path("home"))?;
        command.current_dir(self.dir.path()).args(args);
        Some(command)
    }

    /// Runs `k8orc ARGS` to its end.
    fn k8orc<S: AsRef<OsStr>>(&self, args: &[S]) -> Option<Run> {
        Some(run(&mut self.command(args)?, LIMIT))
    }

    /// Arguments of a verb that reads the spec.
    fn with_spec(&self, verb: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
        args.push("spec.kdl".into());
        args.extend(self.base.iter().flat_map(|base| ["-p".into(), format!("base={base}")]));
        args
    }

    /// `k8orc build`, which must succeed.
    fn build(&self) -> Option<Output> {
        self.build_with(&[])
    }

    /// `k8orc build` with further options.
    fn build_with(&self, options: &[&str]) -> Option<Output> {
        self.k8orc(&self.with_spec(&[&["build"], options].concat()))?.ok();
        Some(self.output())
    }

    /// The only output in `out`.
    fn output(&self) -> Output {
        let mut found =
            fs::read_dir(self.path("out")).expect("there is an output").map(|e| e.expect("readable").path());
        let dir = found.next().expect("there is an output");
        assert!(found.next().is_none(), "one output, and nothing left behind");
        Output::read(dir)
    }
}

impl Output {
    fn read(dir: PathBuf) -> Output {
        let report = json(&dir.join("report.json"));
        Output { dir, report }
    }

    fn layout(&self) -> PathBuf {
        self.dir.join("image")
    }

    /// For skopeo and podman.
    fn reference(&self) -> String {
        format!("oci:{}", self.layout().display())
    }

    /// `sha256:…` of the manifest, as the report says it.
    fn digest(&self) -> String {
        self.report["image"].as_str().expect("the report names the image").to_owned()
    }

    /// The first (in these cases the only) platform of the report.
    fn image(&self) -> &Value {
        &self.report["images"][0]
    }

    /// Ids of the image's user.
    fn user(&self) -> (u32, u32) {
        let id = |name: &str| u32::try_from(self.image()["user"][name].as_u64().expect("a number")).expect("an id");
        (id("uid"), id("gid"))
    }

    /// The tree, as umoci makes it of the layers: `bundle/rootfs` in the directory.
    fn unpack(&self) -> Option<Tree> {
        let index = json(&self.layout().join("index.json"));
        let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str();
        umoci_unpack(&self.layout(), tag.expect("the layout's image has a tag")).map(Tree)
    }
}

/// An unpacked image; gone with the value.
struct Tree(tempfile::TempDir);

impl Tree {
    fn root(&self) -> PathBuf {
        self.0.path().join("bundle/rootfs")
    }
}

fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a peer, which must succeed, and gives what it printed.
fn said(command: &mut Command) -> String {
    run(command, LIMIT).ok().out()
}

/// `skopeo ARGS`, on registries without TLS.
fn skopeo(args: &[&str]) -> Option<Command> {
    let mut command = Command::new(Need::tool("skopeo")?);
    command.args(args).env_remove("REGISTRY_AUTH_FILE");
    Some(command)
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            fs::create_dir(&target).expect("ours");
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("ours");
        }
    }
}
