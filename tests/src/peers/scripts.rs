//! The opinions that take more than one command: the scripts in `tests/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Need, Run, run};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// Whether every document of these files and directories satisfies `kubernetes-validate --strict`, and
/// reads the same in YAML 1.1 and 1.2: exit status 0, and one line for each document.
#[must_use]
pub fn validate_manifests(paths: &[&Path]) -> Option<Run> {
    let python = Need::path("K8ORC_TEST_PYTHON")?;
    let mut command = Command::new(python);
    command.arg(script("validate_manifests.py")).args(paths);
    Some(run(&mut command, Duration::from_secs(120)))
}

/// Whether spdx-tools finds nothing to say against an SBOM: exit status 0, and its package URLs on stdout.
#[must_use]
pub fn validate_sbom(file: &Path) -> Option<Run> {
    validate_supply("sbom", file)
}

/// Whether in-toto's types take a provenance statement: exit status 0, and the resolved dependencies on stdout.
#[must_use]
pub fn validate_provenance(file: &Path) -> Option<Run> {
    validate_supply("provenance", file)
}

fn validate_supply(kind: &str, file: &Path) -> Option<Run> {
    let mut command = Command::new(Need::path("K8ORC_TEST_PYTHON")?);
    command.arg(script("validate_supply.py")).arg(kind).arg(file);
    Some(run(&mut command, Duration::from_secs(120)))
}

/// Opens a report in Chromium as `look_at_report.py` says: the list of removed paths must find `needle` in so many
/// rows. Exit status 0, and what was seen on stdout; pictures go to a directory.
#[must_use]
pub fn look_at_report(report: &Path, pictures: &Path, needle: &str, times: usize) -> Option<Run> {
    Need::tool("chromium")?;
    Need::tool("chromedriver")?;
    let mut command = Command::new(Need::tool("python3")?);
    command.arg(script("look_at_report.py")).arg(report).arg(pictures).arg(needle).arg(times.to_string());
    Some(run(&mut command, Duration::from_secs(300)))
}

/// Plays manifests (a file or a directory) with podman and asks for `http://127.0.0.1:port/path` in the
/// pod: exit status 0 and the body on stdout when it was there. `image` is what skopeo reads; it is put
/// in place of every image that the manifests name.
#[must_use]
pub fn kube_play(manifests: &Path, port: u16, path: &str, image: Option<&str>) -> Option<Run> {
    for tool in ["podman", "runc", "catatonit", "slirp4netns", "skopeo", "curl", "ip"] {
        Need::tool(tool)?;
    }
    Need::root()?;
    let mut command = Command::new(script("kube_play.sh"));
    command.arg(manifests).arg(port.to_string()).arg(path).args(image);
    Some(run(&mut command, Duration::from_secs(300)))
}

/// Loads a docker-archive into a Docker daemon started for this. Without `args` stdout is what
/// `docker image inspect` prints; else the image runs with them, after `entrypoint` if there is one.
#[must_use]
pub fn docker_load(archive: &Path, entrypoint: Option<&str>, args: &[&str]) -> Option<Run> {
    Need::tool("dockerd")?;
    Need::tool("docker")?;
    Need::root()?;
    let mut command = Command::new(script("docker_load.sh"));
    command.arg(archive).args(args);
    command.envs(entrypoint.map(|program| ("DOCKER_LOAD_ENTRYPOINT", program)));
    Some(run(&mut command, Duration::from_secs(300)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// As k8orc writes them: restricted, pinned by digest, a claim that only fsGroup makes writable.
    const MANIFESTS: &str = r#"apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: web-data
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: fast
  resources:
    requests:
      storage: 1Gi
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 1
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 33
        runAsGroup: 33
        fsGroup: 33
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: web
          image: registry.example.com/shop/web@DIGEST
          command: [/bin/sh, -c, "echo written > /srv/data/it && exec /usr/sbin/nginx -g 'daemon off;'"]
          ports:
            - {name: http, containerPort: 8080}
          readinessProbe:
            httpGet: {path: /healthz, port: http}
          resources:
            requests: {cpu: 50m, memory: 32Mi}
            limits: {memory: 64Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: data, mountPath: /srv/data}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: data
          persistentVolumeClaim: {claimName: web-data}
        - name: tmp
          emptyDir: {sizeLimit: 16Mi}
"#;

    #[test]
    fn a_deployment_with_a_claim_answers() {
        let Some(images) = Need::path("K8ORC_TEST_IMAGES") else {
            return;
        };
        let Some(skopeo) = Need::tool("skopeo") else {
            return;
        };
        let image = format!("oci:{}:layers", images.join("layout").display());
        let mut inspect = Command::new(skopeo);
        inspect.args(["inspect", "--format", "{{.Digest}}", &image]);
        let digest = run(&mut inspect, Duration::from_secs(60)).ok().out();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.yaml");
        std::fs::write(&file, MANIFESTS.replace("DIGEST", digest.trim())).unwrap();

        if let Some(validated) = validate_manifests(&[&file]) {
            let lines = validated.ok().out();
            assert!(lines.lines().count() == 2 && lines.contains("Deployment web"), "{lines}");
        }
        if let Some(played) = kube_play(dir.path(), 8080, "/healthz", Some(&image)) {
            assert_eq!(played.ok().out(), "ok\n");
        }
    }

    #[test]
    fn docker_loads_and_runs_what_podman_saved() {
        let Some(images) = Need::path("K8ORC_TEST_IMAGES") else {
            return;
        };
        let archive = images.join("layers.docker.tar");
        if let Some(inspected) = docker_load(&archive, None, &[]) {
            let said: serde_json::Value = serde_json::from_slice(&inspected.ok().stdout).unwrap();
            assert_eq!(said[0]["Config"]["User"], "www-data");
        }
        if let Some(ran) = docker_load(&archive, Some("/bin/sh"), &["-c", "id -u; exit 3"]) {
            assert_eq!(ran.with_code(3).out(), "33\n");
        }
    }
}
