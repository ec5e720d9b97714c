//! The two registries that `tests/run` starts on 127.0.0.1.

use std::path::PathBuf;

use super::Need;

/// Addresses and credentials. What is in the registries: `tests/peers/registries.sh`.
#[derive(Debug, Clone)]
pub struct Registry {
    /// `127.0.0.1:PORT` of the one that asks for nothing. It holds `k8orc/bookworm-nginx:1`,
    /// `k8orc/trixie-nginx:1`, `k8orc/layers:{1,docker,zstd}` and the index `k8orc/multi:1`.
    pub open: String,
    /// `127.0.0.1:PORT` of the one with a password. It holds `private/bookworm-nginx:1`.
    pub auth: String,
    /// The user that `auth` knows.
    pub user: String,
    /// Their password.
    pub password: String,
    /// A directory for `DOCKER_CONFIG` whose config.json holds the credentials of `auth`.
    pub docker_config: PathBuf,
}

impl Registry {
    /// The registries, if `tests/run` started them.
    #[must_use]
    pub fn find() -> Option<Registry> {
        Some(Registry {
            open: Need::env("K8ORC_TEST_REGISTRY")?,
            auth: Need::env("K8ORC_TEST_REGISTRY_AUTH")?,
            user: Need::env("K8ORC_TEST_REGISTRY_USER")?,
            password: Need::env("K8ORC_TEST_REGISTRY_PASSWORD")?,
            docker_config: Need::path("K8ORC_TEST_DOCKER_CONFIG")?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::peers::{http_get, run};
    use std::process::Command;
    use std::time::Duration;

    fn port(address: &str) -> u16 {
        address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    #[test]
    fn one_is_open_and_one_asks() {
        let Some(registry) = Registry::find() else {
            return;
        };
        assert_eq!(http_get(port(&registry.open), "/v2/").unwrap().status, 200);
        let asked = http_get(port(&registry.auth), "/v2/").unwrap();
        assert_eq!(asked.status, 401);
        assert!(asked.head.to_lowercase().contains("www-authenticate: basic"), "{}", asked.head);
    }

    #[test]
    fn the_index_has_two_platforms_and_the_docker_image_its_health_check() {
        let Some(registry) = Registry::find() else {
            return;
        };
        let Some(skopeo) = Need::tool("skopeo") else {
            return;
        };
        let inspect = |name: &str, config: &[&str]| {
            let image = format!("docker://{}/k8orc/{name}", registry.open);
            let run = run(
                Command::new(&skopeo).args(["inspect", "--tls-verify=false", "--raw"]).args(config).arg(image),
                Duration::from_secs(60),
            );
            serde_json::from_slice::<serde_json::Value>(&run.ok().stdout).unwrap()
        };
        let index = inspect("multi:1", &[]);
        let platforms: Vec<_> =
            index["manifests"].as_array().unwrap().iter().map(|m| m["platform"]["architecture"].as_str()).collect();
        assert_eq!(platforms, [Some("amd64"), Some("arm64")]);
        assert!(inspect("layers:docker", &["--config"])["config"]["Healthcheck"].is_object());
        let zstd = inspect("layers:zstd", &[]);
        assert_eq!(zstd["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }

    #[test]
    fn both_ways_to_the_credentials_lead_in() {
        let Some(registry) = Registry::find() else {
            return;
        };
        let Some(skopeo) = Need::tool("skopeo") else {
            return;
        };
        let image = format!("docker://{}/private/bookworm-nginx:1", registry.auth);
        let try_with = |docker_config: Option<&PathBuf>| {
            let mut command = Command::new(&skopeo);
            command.args(["inspect", "--tls-verify=false", "--raw", &image]).env_remove("REGISTRY_AUTH_FILE");
            // An empty directory, so that nobody's own login counts.
            let nowhere = tempfile::tempdir().unwrap();
            command.env("XDG_RUNTIME_DIR", nowhere.path()).env("HOME", nowhere.path());
            command.env("DOCKER_CONFIG", docker_config.map_or(nowhere.path(), |p| p.as_path()));
            run(&mut command, Duration::from_secs(60))
        };
        assert_ne!(try_with(None).code(), 0);
        try_with(Some(&registry.docker_config)).ok();
        let helper = tempfile::tempdir().unwrap();
        let config = format!(r#"{{"credHelpers":{{"{}":"k8orc-test"}}}}"#, registry.auth);
        std::fs::write(helper.path().join("config.json"), config).unwrap();
        try_with(Some(&helper.path().to_path_buf())).ok();
    }
}
