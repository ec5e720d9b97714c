//! What gate one refuses already is refused here once more: decisions do not rely on who made the Spec.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use diag::{Diagnostics, codes};
use lang::spec::Spec;
use lang::world::{FileKind, World, WorldError};

use super::assemble::{lay_runtime, one_architecture};
use super::cluster::{self, ImageSide};
use crate::kept::Kept;
use crate::path::PathError;
use crate::plan::Identity;

const SPEC: &str = r#"k8orc version=1
image "hello" {
    base "scratch"
    entrypoint "/usr/bin/hello"
}
volumes { volume "usr" class="fast" size="1Gi" { mount "/usr" from-image=#true } }
workload "hello" {
    port 8080 name="http"
    service port=80
    config "./hello.toml" to="/etc/hello.toml"
}
"#;

/// The spec and one more file, while it is there.
struct Files(Option<&'static str>);

impl World for Files {
    fn stat(&self, _: &Path, path: &Path) -> Result<FileKind, WorldError> {
        self.read(Path::new(""), path, u64::MAX)
            .map(|bytes| FileKind::File { size: bytes.len() as u64, executable: false })
    }

    fn read(&self, _: &Path, path: &Path, _: u64) -> Result<Vec<u8>, WorldError> {
        match path.to_str() {
            Some("spec.kdl") => Ok(SPEC.into()),
            Some(name) if self.0 == Some(name.trim_start_matches("./")) => Ok(b"a = 1\n".to_vec()),
            _ => Err(WorldError::NotFound),
        }
    }

    fn list(&self, _: &Path, _: &Path) -> Result<Vec<String>, WorldError> {
        Ok(Vec::new())
    }

    fn module(&self, _: &str) -> Option<&str> {
        None
    }

    fn modules(&self) -> Vec<String> {
        Vec::new()
    }
}

fn spec() -> Spec {
    let world = Files(Some("hello.toml"));
    let loaded = lang::load(&world, Path::new("."), Path::new("spec.kdl"), &BTreeMap::new());
    assert!(!loaded.diagnostics.has_errors(), "{:?}", loaded.diagnostics);
    let (spec, found) = lang::read(&loaded);
    spec.unwrap_or_else(|| panic!("{found:?}"))
}

/// Decides on volumes and workloads and gives the codes back.
fn decided(spec: &Spec, world: &Files) -> Vec<&'static str> {
    let user = Identity { uid: 65534, gid: 65534, groups: Vec::new(), name: None, home: None };
    let (command, generations) = (["/usr/bin/hello".to_owned()], BTreeMap::new());
    let image = ImageSide { user: &user, command: &command, generations: &generations, users: &[], groups: &[] };
    let mut problems = Diagnostics::new();
    let volumes = cluster::volumes(spec, &image, &mut problems);
    cluster::workloads(spec, &image, &volumes, world, &mut problems);
    problems.iter().map(|one| one.code.id()).collect()
}

#[test]
fn a_claim_needs_class_and_size() {
    let world = Files(Some("hello.toml"));
    assert_eq!(decided(&spec(), &world), [""; 0]);
    let mut bad = spec();
    bad.volumes[0].size = None;
    assert_eq!(decided(&bad, &world), ["E0865"]);
    let mut bad = spec();
    bad.volumes[0].class = None;
    assert_eq!(decided(&bad, &world), ["E0865"]);
}

#[test]
fn a_service_leads_to_a_port() {
    let mut bad = spec();
    bad.workloads[0].ports.clear();
    assert_eq!(decided(&bad, &Files(Some("hello.toml"))), ["E0868"]);
}

#[test]
fn a_file_that_went_away() {
    assert_eq!(decided(&spec(), &Files(None)), ["E0870"]);
}

#[test]
fn one_claim_holds_one_architecture() {
    let mut problems = Diagnostics::new();
    one_architecture(&spec(), 1, &mut problems);
    assert_eq!(problems, Diagnostics::new());
    one_architecture(&spec(), 2, &mut problems);
    assert_eq!(problems.iter().map(|one| one.code).collect::<Vec<_>>(), [codes::E0864]);
}

/// An image without its runtime layer would have no filter: that is an error, never silence.
#[test]
fn the_runtime_layer_is_never_left_out() {
    let mut kept = Kept {
        entries: BTreeMap::new(),
        removed: BTreeMap::new(),
        packages: Vec::new(),
        users: Vec::new(),
        groups: Vec::new(),
        programs: Vec::new(),
        needed: BTreeMap::new(),
        setuid: Vec::new(),
        deviations: Vec::new(),
    };
    let mut problems = Diagnostics::new();
    lay_runtime(&mut kept, Err(PathError::TooLong), &spec(), &mut problems);
    let said: Vec<_> = problems.iter().map(|one| (one.code, one.primary.is_some())).collect();
    assert_eq!(said, [(codes::E0860, true)]);
}
