//! Image ≠ environment: no edit of `workload` or `stage` changes the image's digest.
//!
//! The edits are in `environment_edits.rs`; that they are all is asked of the schema, so that a word that is new
//! in the language fails here until somebody has shown that it stays out of the image.

use std::collections::BTreeSet;

use driver::{Built, Quiet, build};
use k8orc_tests::fixture::Desk;
use k8orc_tests::peers::Need;
use lang::schema::{self, NodeDef};

use super::Case;
use super::environment_edits::{EDITS, Effect, SPEC, VOLUME_EDITS};

/// The spec with everything that the schema knows below `workload` and `stage`, and the files that it names.
fn desk() -> Desk {
    let desk = Desk::new(SPEC);
    desk.write("one.toml", b"mode = 1\n");
    desk.write("two.toml", b"mode = 2\n");
    for (name, value) in [("one.yaml", "1"), ("two.yaml", "2")] {
        let patch = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: front, annotations: {{example.com/patch: \"{value}\"}}}}\n"
        );
        desk.write(name, patch.as_bytes());
    }
    desk
}

/// Builds the spec with words replaced (they must be there): what came of it, and the digests of all but the provenance.
fn built(desk: &Desk, replace: &[(&str, &str)]) -> Result<(Built, String), String> {
    let mut text = SPEC.to_owned();
    for (from, to) in replace {
        if !text.contains(from) {
            return Err(format!("the spec does not hold {from}"));
        }
        text = text.replace(from, to);
    }
    desk.write("spec.kdl", text.as_bytes());
    let finished = build(&desk.request(), &Quiet);
    match finished.value {
        // The provenance holds the hash of the spec, so it tells nothing about what an edit did.
        Some(built) => {
            let seal = desk.read("out/hello/outputs.sha256");
            let others = seal.lines().filter(|line| !line.ends_with("  provenance.intoto.json"));
            Ok((built, others.collect::<Vec<_>>().join("\n")))
        }
        None => Err(format!("it does not build: {:#?}", finished.diagnostics)),
    }
}

#[test]
fn every_word_of_workload_and_stage_has_an_edit() {
    let mut wanted = BTreeSet::new();
    for top in ["workload", "stage"] {
        spots(schema::schema().node(top).expect("it is in the language"), top, &mut wanted);
    }
    let edited: BTreeSet<String> = EDITS.iter().map(|edit| edit.spot.to_owned()).collect();
    let missing: Vec<_> = wanted.difference(&edited).map(|spot| format!("no edit of {spot}")).collect();
    let stale: Vec<_> = edited.difference(&wanted).map(|spot| format!("{spot} is not in the schema")).collect();
    crate::none([missing, stale].concat());
    assert!(wanted.len() >= 50, "the schema was read: {wanted:?}");
}

/// `node/child:argument`, `node/child=property`, `node/child=*` for properties of any name. What is not built is
/// refused wherever it stands, so it cannot change anything.
fn spots(node: &NodeDef, path: &str, out: &mut BTreeSet<String>) {
    let built = |built: &schema::Built| *built == schema::Built::Yes;
    if !built(&node.built) {
        return;
    }
    out.extend(node.args.iter().map(|arg| format!("{path}:{}", arg.name)));
    out.extend(node.props.iter().filter(|prop| built(&prop.built)).map(|prop| format!("{path}={}", prop.name)));
    out.extend(node.entries.iter().map(|_| format!("{path}=*")));
    for child in &node.children {
        spots(child, &format!("{path}/{}", child.name), out);
    }
}

#[test]
fn no_edit_of_workload_or_stage_changes_the_image() {
    let desk = desk();
    let (before, seal) = built(&desk, &[]).expect("the spec builds");
    let mut complaints = Vec::new();
    for edit in EDITS {
        match built(&desk, edit.replace) {
            Err(why) => complaints.push(format!("{}: {why}", edit.spot)),
            Ok((after, _)) if after.digest != before.digest => {
                complaints.push(format!("{}: another image, {} and {}", edit.spot, before.digest, after.digest));
            }
            // An edit that changes nothing at all would prove nothing, or the word is not honoured.
            Ok((_, now)) if (now != seal) != (edit.effect == Effect::Seen) => {
                complaints.push(format!("{}: expected {:?} in the other outputs", edit.spot, edit.effect));
            }
            Ok(_) => {}
        }
    }
    crate::none(complaints);
}

#[test]
fn without_any_workload_or_stage_it_is_the_same_image() {
    let desk = desk();
    let (before, _) = built(&desk, &[]).expect("the spec builds");
    let bare = SPEC.split("workload \"front\"").next().expect("what stands before it").to_owned();
    let (after, _) = built(&desk, &[(SPEC, &bare)]).expect("the image alone builds");
    assert_eq!(after.digest, before.digest);
    assert!(!desk.path("out/hello/manifests").exists());
}

#[test]
fn volumes_change_the_image_only_by_what_is_sealed_in_it() {
    let desk = desk();
    let (before, seal) = built(&desk, &[]).expect("the spec builds");
    for (what, replace) in VOLUME_EDITS {
        let (after, now) = built(&desk, replace).unwrap_or_else(|why| panic!("{what}: {why}"));
        assert_eq!(after.digest, before.digest, "{what}");
        assert_ne!(now, seal, "{what} is seen in the manifests");
    }
    // The digest of a migrated tree is sealed in the image, so that `run` can tell whether it is complete.
    let from_image = [("mount \"/data\" owner=\"web:web\" mode=\"0750\"", "mount \"/usr\" from-image=#true")];
    let (after, _) = built(&desk, &from_image).expect("it builds");
    assert_ne!(after.digest, before.digest);
    // And back.
    let (again, now) = built(&desk, &[]).expect("the spec builds");
    assert_eq!((again.digest, now), (before.digest, seal));
}

/// The same with the real program on a real base: another cluster altogether, one image.
#[test]
fn a_real_image_stays_through_all_of_it() {
    let Some(tar) = Need::path("K8ORC_TEST_BOOKWORM") else { return };
    let case = Case::on_tar("plain", &tar);
    let Some(before) = case.build() else { return };
    let deployment = case.read("out/web/manifests/prod/deployment-web.yaml");
    for (from, to) in [
        ("replicas=1", "replicas=0"),
        ("cpu=\"50m\"", "cpu=\"2\""),
        ("memory=\"64Mi\"", "memory=\"1Gi\""),
        ("service port=80", "service port=8080"),
        ("YES=\"yes\"", "YES=\"no\""),
        ("patch \"./patch.yaml\"", "grace \"5s\""),
        ("probe \"readiness\" { http \"/healthz\" port=\"http\" }", ""),
        ("size=\"1Gi\"", "size=\"20Gi\""),
        ("stage \"prod\"", "stage \"live\""),
        ("provisioner=\"ebs.csi.aws.com\"", "provisioner=\"pd.csi.storage.gke.io\""),
        ("target \"k3s\"", "target \"gke\""),
    ] {
        case.edit("spec.kdl", from, to);
    }
    let Some(after) = case.build() else { return };
    assert_eq!(after.digest(), before.digest());
    let now = case.read("out/web/manifests/live/deployment-web.yaml");
    assert_ne!(now, deployment);
    assert!(now.contains(&before.digest()) && deployment.contains(&before.digest()));
    assert!(!case.path("out/web/manifests/prod").exists(), "no stage of the build before is left");
}
