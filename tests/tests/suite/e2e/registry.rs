//! From a registry, and back to one: by tag, by digest, with a password.

use std::path::Path;

use k8orc_tests::peers::{Registry, Run, run};
use serde_json::Value;

use super::{Case, LIMIT, Output, said, skopeo};

/// Digest of an image in a registry, in skopeo's opinion.
fn digest(reference: &str, more: &[&str]) -> Option<String> {
    let args = [&["inspect", "--tls-verify=false", "--format", "{{.Digest}}"], more, &[reference]].concat();
    Some(said(&mut skopeo(&args)?).trim().to_owned())
}

#[test]
fn by_tag_by_digest_and_back() {
    let Some(registry) = Registry::find() else { return };
    let name = format!("{}/k8orc/bookworm-nginx", registry.open);
    let Some(base) = digest(&format!("docker://{name}:1"), &[]) else { return };

    let tagged = Case::on("plain", format!("{name}:1"));
    let Some(output) = tagged.build() else { return };
    assert_eq!(output.image()["base"]["digest"], base.as_str(), "what the report names is what skopeo sees");
    assert!(tagged.read("k8orc.lock").contains(&base), "the lock pins the base by its digest");

    // The same base by digest alone: the same content, under another name.
    let pinned = Case::on("plain", format!("{name}@{base}"));
    let Some(by_digest) = pinned.build() else { return };
    assert_eq!(layers(&by_digest), layers(&output));

    // Pushed, and looked at by another client.
    let target = format!("{}/e2e/web:by-tag", registry.open);
    let Some(pushed) = tagged.k8orc(&["push", "out/web", &target]) else { return };
    let repository = target.trim_end_matches(":by-tag");
    assert_eq!(pushed.ok().out(), format!("{repository}@{}\n", output.digest()));
    assert_eq!(digest(&format!("docker://{target}"), &[]).as_deref(), Some(output.digest().as_str()));

    // Pulled back: the same bytes, so the same digest in a layout.
    let back = format!("oci:{}:web", tagged.path("back").display());
    let Some(mut copy) = skopeo(&[
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        "--preserve-digests",
        &format!("docker://{target}"),
        &back,
    ]) else {
        return;
    };
    said(&mut copy);
    assert_eq!(digest(&back, &[]).as_deref(), Some(output.digest().as_str()));
    for blob in std::fs::read_dir(tagged.path("back/blobs/sha256")).expect("a layout") {
        let blob = blob.expect("readable");
        let ours = output.layout().join("blobs/sha256").join(blob.file_name());
        assert!(std::fs::read(blob.path()).expect("readable") == std::fs::read(ours).expect("the same blob is ours"));
    }

    // A second time, under another tag: every blob is there, and the answer is the same.
    let again = format!("{repository}:again");
    let Some(pushed) = tagged.k8orc(&["push", "out/web", &again]) else { return };
    assert_eq!(pushed.ok().out(), format!("{repository}@{}\n", output.digest()));
    assert_eq!(digest(&format!("docker://{again}"), &[]).as_deref(), Some(output.digest().as_str()));
}

/// What the manifest lists as layers.
fn layers(output: &Output) -> Value {
    let digest = output.digest();
    let blob = output.layout().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    super::json(&blob)["layers"].clone()
}

/// An index in which each platform has its manifest: the one that is built for is taken.
#[test]
fn from_an_index() {
    let Some(registry) = Registry::find() else { return };
    let case = Case::on("probe", format!("{}/k8orc/multi:1", registry.open));
    let Some(output) = case.build() else { return };
    let single = format!("docker://{}/k8orc/bookworm-nginx:1", registry.open);
    let Some(amd64) = digest(&single, &[]) else { return };
    assert_eq!(output.image()["base"]["digest"], amd64.as_str());
    assert_eq!(output.image()["platform"], "linux/amd64");
}

#[test]
fn a_password_is_taken_from_dockers_configuration() {
    let Some(registry) = Registry::find() else { return };
    let base = format!("{}/private/bookworm-nginx:1", registry.auth);
    let case = Case::on("probe", base);

    // Without credentials: refused, with the name of the registry and what to do, and nothing is written.
    let Some(refused) = case.k8orc(&case.with_spec(&["build"])) else { return };
    assert!(refused.code() == 1 || refused.code() == 3, "{refused}");
    assert!(refused.err().contains(&registry.auth) && refused.err().contains("docker login"), "{refused}");
    assert!(!case.path("out").exists() && !case.path("k8orc.lock").exists());

    let with = |config: &Path, args: &[String]| -> Option<Run> {
        let mut command = case.command(args)?;
        command.env("DOCKER_CONFIG", config);
        Some(run(&mut command, LIMIT))
    };
    // Credentials as `docker login` leaves them, and a push with the same.
    let Some(built) = with(&registry.docker_config, &case.with_spec(&["build"])) else { return };
    let built = built.ok();
    let output = case.output();
    let target = format!("{}/private/probe:1", registry.auth);
    let push = ["push", "out/probe", &target].map(String::from);
    let Some(pushed) = with(&registry.docker_config, &push) else { return };
    let pushed = pushed.ok();
    let credentials = format!("{}:{}", registry.user, registry.password);
    assert_eq!(digest(&format!("docker://{target}"), &["--creds", &credentials]), Some(output.digest()));

    // A credential helper, as `credHelpers` names it.
    let helper = case.path("helper");
    std::fs::create_dir(&helper).expect("ours");
    let config = format!(r#"{{"credHelpers":{{"{}":"k8orc-test"}}}}"#, registry.auth);
    std::fs::write(helper.join("config.json"), config).expect("ours");
    let fresh = Case::on("probe", case.base.clone().unwrap_or_default());
    let Some(mut command) = fresh.command(&fresh.with_spec(&["build"])) else { return };
    command.env("DOCKER_CONFIG", &helper);
    command.env("K8ORC_TEST_REGISTRY_USER", &registry.user).env("K8ORC_TEST_REGISTRY_PASSWORD", &registry.password);
    command.env("K8ORC_TEST_REGISTRY_AUTH", &registry.auth);
    run(&mut command, LIMIT).ok();
    assert_eq!(fresh.output().digest(), output.digest());

    // The password is in nothing that we wrote or said.
    for text in [built.err(), built.out(), pushed.err(), pushed.out(), case.read("k8orc.lock")] {
        assert!(!text.contains(&registry.password));
    }
    assert!(!output.report.to_string().contains(&registry.password));
    // A wrong one is refused too.
    let wrong = case.path("wrong");
    std::fs::create_dir(&wrong).expect("ours");
    // "tester:wrong"
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dGVzdGVyOndyb25n"}}}}}}"#, registry.auth);
    std::fs::write(wrong.join("config.json"), config).expect("ours");
    let Some(refused) = with(&wrong, &push) else { return };
    assert!(refused.code() != 0 && refused.err().contains(&registry.auth), "{refused}");
}
