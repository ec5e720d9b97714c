//! What no spec on the pages' base can provoke: file capabilities and setuid bits of a base, a cache that goes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use diag::{FileId, Span};
use serde_json::json;

use super::run;
use crate::facts::BaseIdentity;
use crate::kept::{Content, Entry, Kept, LayerKind, Removed};
use crate::path::ImagePath;
use crate::plan::*;
use crate::platform::{Arch, Platform};
use crate::profile::{DefaultAction, Profile};
use crate::reason::Reason;
use crate::tree::{ContentRef, FileNode, Node, NodeKind};

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

fn span(start: u32) -> Span {
    Span { file: FileId(0), start, end: start + 1 }
}

fn file(mode: u32) -> Entry {
    let at = ContentRef { layer: 0, offset: 0 };
    let kind = NodeKind::File(FileNode { size: 1, sha256: [0; 32], at, inode: None });
    let node = Node { kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() };
    Entry { node, content: Content::Base, layer: LayerKind::Os, reason: Reason::spec("runs", span(1)) }
}

/// One program of a base, in one pod.
fn plan() -> Plan {
    let program = path("/usr/bin/ping");
    let kept = Kept {
        entries: BTreeMap::from([(program.clone(), file(0o755))]),
        removed: BTreeMap::new(),
        packages: Vec::new(),
        users: Vec::new(),
        groups: Vec::new(),
        programs: vec![(program.clone(), Reason::spec("entrypoint", span(1)))],
        needed: BTreeMap::from([(program, BTreeSet::from([0]))]),
        setuid: Vec::new(),
        deviations: Vec::new(),
    };
    let command = vec!["/usr/bin/ping".to_owned()];
    let image = ImagePlan {
        platform: Platform { arch: Arch::X86_64, variant: None },
        base: BaseIdentity { reference: "tar:base.tar".into(), digest: None, created: None },
        kept,
        config: json!({"config": {"Env": ["PATH=/usr/bin"]}}),
        base_history: Vec::new(),
        annotations: BTreeMap::new(),
        user: Identity { uid: 1000, gid: 1000, groups: Vec::new(), name: None, home: None },
        command: command.clone(),
        generations: BTreeMap::new(),
        before: Totals::default(),
        after: Totals::default(),
    };
    let workload = WorkloadPlan {
        name: "ping".into(),
        span: span(2),
        replicas: 1,
        command,
        recreate: false,
        env: BTreeMap::new(),
        ports: Vec::new(),
        requests: BTreeMap::new(),
        limits: BTreeMap::new(),
        probes: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        secret_files: Vec::new(),
        configs: Vec::new(),
        volumes: Vec::new(),
        services: Vec::new(),
        patches: Vec::new(),
        grace: None,
        uid: 1000,
        gid: 1000,
        groups: Vec::new(),
    };
    let profile = Profile {
        name: "image".into(),
        otherwise: DefaultAction::KillProcess,
        calls: BTreeMap::new(),
        archs: BTreeSet::new(),
        widenings: Vec::new(),
        accepted: Vec::new(),
    };
    Plan {
        name: "ping".into(),
        epoch: 0,
        images: vec![image],
        publish: None,
        profile,
        deliver: Default::default(),
        workload_profiles: BTreeMap::new(),
        volumes: Vec::new(),
        workloads: vec![workload],
        stages: Vec::new(),
        checks: Vec::new(),
        said: Said { image: ImageSaid { span: Some(span(0)), ..Default::default() }, ..Default::default() },
    }
}

fn said(plan: &Plan) -> Vec<String> {
    run(plan)
        .iter()
        .map(|one| format!("{:?} {} {}", one.severity, one.code, one.primary.as_ref().map_or(99, |l| l.span.start)))
        .collect()
}

#[test]
fn nothing_is_wrong_with_a_plain_program() {
    assert_eq!(said(&plan()), [""; 0]);
}

#[test]
fn file_capabilities_forbid_execution() {
    let mut plan = plan();
    let entry = plan.images[0].kept.entries.get_mut(&path("/usr/bin/ping")).unwrap();
    // VFS_CAP_REVISION_2 with the effective flag, CAP_NET_RAW permitted.
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    entry.node.xattrs.insert(b"security.capability".to_vec(), value.clone());
    assert_eq!(said(&plan), ["Error E0913 1"]);
    let entry = plan.images[0].kept.entries.get_mut(&path("/usr/bin/ping")).unwrap();
    entry.node.xattrs.insert(b"security.capability".to_vec(), [&[0], &value[1..]].concat());
    assert_eq!(said(&plan), ["Warning E0913 1"]);
    plan.workloads.clear();
    assert_eq!(said(&plan), [""; 0]);
}

#[test]
fn setuid_bits_have_no_effect() {
    let mut plan = plan();
    plan.images[0].kept.setuid = vec![(path("/usr/bin/other"), 0o4755, true)];
    assert_eq!(said(&plan), [""; 0]);
    plan.images[0].kept.setuid = vec![(path("/usr/bin/ping"), 0o4755, true)];
    assert_eq!(said(&plan), ["Warning E0913 1"]);
    plan.images[0].kept.setuid = vec![(path("/usr/bin/other"), 0o4755, false)];
    plan.said.image.setuid_keep = vec![diag::Spanned::new("/usr/bin/other".into(), span(7))];
    assert_eq!(said(&plan), ["Error E0913 7"]);
}

#[test]
fn a_cache_that_leads_to_a_library_goes() {
    let mut plan = plan();
    let reason = Reason::spec("files remove", span(5));
    plan.images[0].kept.removed.insert(path("/etc/ld.so.cache"), Removed { size: 1, reason });
    assert_eq!(said(&plan), [""; 0]);
    plan.images[0].kept.needed.insert(path("/usr/local/lib/libpython3.so.1.0"), BTreeSet::from([0]));
    assert_eq!(said(&plan), ["Warning E0924 5"]);
    plan.images[0].config = json!({"config": {"Env": ["PATH=/usr/bin", "LD_LIBRARY_PATH=/usr/local/lib"]}});
    assert_eq!(said(&plan), [""; 0]);
}

#[test]
fn a_home_of_the_base_that_is_closed() {
    let mut plan = plan();
    plan.images[0].config = json!({"config": {"Env": ["PATH=/usr/bin", "HOME=/root", "TMPDIR=/tmp"]}});
    assert_eq!(said(&plan), ["Warning E0928 0"], "TMPDIR; an absent home is not looked at");
    let mut root = file(0o700);
    root.node.kind = NodeKind::Directory;
    plan.images[0].kept.entries.insert(path("/root"), root);
    assert_eq!(said(&plan), ["Warning E0928 0", "Warning E0928 0"]);
}

#[test]
fn a_volume_of_the_base_that_another_owns() {
    let mut plan = plan();
    plan.images[0].config = json!({"config": {"Volumes": {"/data": {}}}});
    let mut data = file(0o755);
    data.node.kind = NodeKind::Directory;
    plan.images[0].kept.entries.insert(path("/data"), data);
    assert_eq!(said(&plan), ["Warning E0923 2"]);
    plan.workloads.clear();
    assert_eq!(said(&plan), ["Warning E0904 0"]);
}

#[test]
fn a_port_that_the_untouched_base_does_not_expose() {
    let mut plan = plan();
    plan.images[0].config = json!({"config": {"ExposedPorts": {"8080/tcp": {}}}});
    plan.workloads[0].ports = vec![PortPlan { number: 9090, name: None, protocol: "TCP".into() }];
    assert_eq!(said(&plan), ["Warning E0912 2"]);
    plan.said.image.adds_files = true;
    assert_eq!(said(&plan), [""; 0], "a file may configure it");
}

#[test]
fn a_working_directory_with_dots() {
    for (text, wrong) in [("/srv/../proc", true), ("srv", true), ("", false), ("/", false), ("/proc/1/cwd", true)] {
        let mut plan = plan();
        plan.images[0].config = json!({"config": {"WorkingDir": text}});
        assert_eq!(said(&plan), if wrong { vec!["Error E0922 0"] } else { vec![] }, "{text}");
    }
}

/// Patches are somebody's YAML: whatever they hold, reading them ends.
#[test]
fn patches_that_are_no_patches() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    for text in
        ["", "---\n---\n", "{", "- 1\n- {op: add}\n", "- {op: add, path: /spec/template/spec/containers/0}\n", &deep]
    {
        let mut plan = plan();
        plan.workloads[0].patches = vec![("x.yaml".into(), text.as_bytes().to_vec())];
        assert_eq!(said(&plan), [""; 0], "{text:.40}");
    }
}
