//! The manifests: every reader reads the same, kustomize builds them, and a pod that they describe answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use k8orc_tests::peers::{Need, kube_play, run, validate_manifests};
use serde_json::Value;

use super::{Case, LIMIT, Output, said};

fn plain() -> Option<(Case, Output)> {
    let tar = Need::path("K8ORC_TEST_BOOKWORM")?;
    let case = Case::on_tar("plain", &tar);
    let output = case.build()?;
    Some((case, output))
}

/// The folders that hold a kustomization.
fn folders(output: &Output) -> Vec<PathBuf> {
    let manifests = output.dir.join("manifests");
    let below = |dir: PathBuf| {
        let mut found: Vec<_> = fs::read_dir(dir).expect("a directory").map(|e| e.expect("readable").path()).collect();
        found.sort();
        found
    };
    let cluster = below(manifests.join("cluster"));
    let stages = below(manifests.clone()).into_iter().filter(|dir| !dir.ends_with("cluster"));
    let all: Vec<_> = cluster.into_iter().chain(stages).collect();
    assert!(all.iter().all(|dir| dir.join("kustomization.yaml").is_file()), "{all:?}");
    all
}

/// `strict`, and the same in YAML 1.1 and 1.2; every value of the environment is the text of the spec.
#[test]
fn every_reader_reads_what_the_spec_says() {
    let Some((_case, output)) = plain() else { return };
    let manifests = output.dir.join("manifests");
    let Some(validated) = validate_manifests(&[&manifests]) else { return };
    let lines = validated.ok().out();
    for wanted in [
        "StorageClass fast",
        "Namespace shop-dev",
        "PersistentVolumeClaim web-data",
        "Deployment web",
        "Service web",
        "ServiceAccount web",
    ] {
        assert!(lines.contains(wanted), "{wanted} in\n{lines}");
    }
    // The reader of YAML 1.1 that kubectl's resembles.
    let file = manifests.join("prod/deployment-web.yaml");
    let Some(deployment) = yaml_11(&file) else { return };
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let env: BTreeMap<&str, &str> = container["env"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            (one["name"].as_str().expect("text"), one["value"].as_str().unwrap_or_else(|| panic!("text: {one}")))
        })
        .collect();
    let wanted = BTreeMap::from([
        ("YES", "yes"),
        ("EXPONENT", "1e3"),
        ("OCTAL", "0o755"),
        ("OLD_OCTAL", "0755"),
        ("DATE", "2024-01-01"),
        ("NULL", "~"),
        ("TIME", "12:30:45"),
        ("NUMBER", "1_000"),
        ("HEX", "0x1F"),
        ("EMPTY", ""),
        ("COLON", "a: b"),
        ("HASH", "a #b"),
        ("SPACES", " x "),
        ("LETTER", "y"),
        ("NOT_A_NUMBER", ".nan"),
        ("TAG", "!x"),
        ("MERGE", "<<"),
        ("QUOTES", "it's \"so\""),
        ("LINES", "a\nb\n"),
        ("TAB", "a\tb"),
    ]);
    assert_eq!(env, wanted);
    assert_eq!(deployment["metadata"]["namespace"], "on");
    let Some(class) = yaml_11(&manifests.join("cluster/prod/storageclass-fast.yaml")) else { return };
    let parameters = serde_json::json!({ "type": "gp3", "iops": "3000", "encrypted": "true", "since": "2024-01-01" });
    assert_eq!(class["parameters"], parameters);
}

/// A file as a YAML 1.1 reader takes it.
fn yaml_11(file: &std::path::Path) -> Option<Value> {
    let python = Need::path("K8ORC_TEST_PYTHON")?;
    let script = "import json, sys, yaml\nprint(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let text = said(Command::new(python).args(["-c", script]).arg(file));
    Some(serde_json::from_str(&text).expect("JSON"))
}

/// `kubectl kustomize` of every folder: everything is in it, in the stage's namespace, and the patch is applied
/// in every stage, whatever its namespace.
#[test]
fn kustomize_builds_every_folder() {
    let Some(kubectl) = Need::tool("kubectl") else { return };
    let Some((_case, output)) = plain() else { return };
    let mut patched = 0;
    for folder in folders(&output) {
        let built = said(Command::new(&kubectl).arg("kustomize").arg(&folder));
        let files = fs::read_dir(&folder).expect("a directory").filter(|e| {
            let name = e.as_ref().expect("readable").file_name();
            let name = name.to_string_lossy();
            name != "kustomization.yaml" && !name.starts_with("patch-")
        });
        assert_eq!(built.lines().filter(|line| line.starts_with("kind: ")).count(), files.count(), "{built}");
        if built.contains("kind: Deployment") {
            assert!(built.contains("example.com/patched: \"yes\""), "{built}");
            assert!(built.contains(&output.digest()), "{built}");
            patched += 1;
        }
    }
    assert_eq!(patched, 2, "both stages");
}

/// Operations and several documents in one patch; a patch of an object that is not there is refused.
#[test]
fn kustomize_applies_every_kind_of_patch() {
    let Some(kubectl) = Need::tool("kubectl") else { return };
    let Some(tar) = Need::path("K8ORC_TEST_TRIXIE") else { return };
    let case = Case::on_tar("plain", &tar);
    let part = |kind: &str, group: &str, value: &str| {
        format!(
            "---\napiVersion: {group}\nkind: {kind}\nmetadata:\n  name: web\n  annotations: {{example.com/p: \"{value}\"}}\n"
        )
    };
    case.write("patch.yaml", &(part("Deployment", "apps/v1", "no") + &part("Service", "v1", "off")));
    case.write("operations.yaml", "- op: replace\n  path: /spec/replicas\n  value: 3\n");
    case.edit("spec.kdl", "patch \"./patch.yaml\"", "patch \"./patch.yaml\" \"./operations.yaml\"");
    let Some(output) = case.build() else { return };
    let folder = output.dir.join("manifests/prod");
    let built = said(Command::new(&kubectl).arg("kustomize").arg(&folder));
    for wanted in ["example.com/p: \"no\"", "example.com/p: \"off\"", "replicas: 3"] {
        assert!(built.contains(wanted), "{wanted} in\n{built}");
    }
    case.write("patch.yaml", &part("Deployment", "apps/v1", "x").replace("name: web", "name: wbe"));
    let Some(output) = case.build() else { return };
    let refused = run(Command::new(&kubectl).arg("kustomize").arg(output.dir.join("manifests/prod")), LIMIT);
    assert!(refused.code() != 0 && refused.err().contains("wbe"), "{refused}");
}

/// Deployment and claim under podman. It mounts a claim whole (no subPath), so that this says that the pod starts,
/// its init container makes its directory, and it answers.
#[test]
fn a_deployment_with_a_claim_answers_under_podman() {
    let Some((_case, output)) = plain() else { return };
    let folder = output.dir.join("manifests/dev");
    let Some(played) = kube_play(&folder, 8080, "/healthz", Some(&output.reference())) else { return };
    assert_eq!(played.ok().out(), "ok\n");
}
