//! What the driver tells this crate about its surroundings: environment, policy, patience.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use diag::{Diagnostic, codes, text::printable};

/// What may be asked of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetPolicy {
    /// `--offline`: nothing is fetched.
    pub offline: bool,
    /// `--locked`: nothing may be resolved that the lock does not hold.
    pub locked: bool,
}

/// Surroundings of one run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Environment variables that are read: `HOME`, `XDG_*`, `DOCKER_CONFIG`, `K8ORC_CACHE`, `SSL_CERT_FILE`
    /// and the proxies'. Credential helpers are started with exactly these.
    pub env: BTreeMap<String, String>,
    /// A PEM file of certificates that are trusted besides the machine's.
    pub ca_file: Option<PathBuf>,
    /// What may be fetched and resolved.
    pub policy: NetPolicy,
    /// Where a distribution's archive is fetched from instead of its public host: the name of the archive
    /// (`debian`, `debian-security`, `ubuntu`, `ubuntu-ports`) and a base URL that has `dists/` and `pool/` below it.
    pub mirrors: BTreeMap<String, String>,
    /// Files of OpenPGP keys (binary or armoured) that are trusted for an archive besides the distribution's own:
    /// for a mirror that signs anew.
    pub keyrings: BTreeMap<String, PathBuf>,
    /// The only registries that are used, as host or host/path; `None`: all.
    pub registries: Option<Vec<String>>,
    /// Pause before the first repetition of a failed exchange; it doubles.
    pub backoff: Duration,
    /// How long a server may be silent: while connecting, answering, or between two reads.
    pub timeout: Duration,
}

impl Settings {
    /// The usual patience with this environment.
    pub fn new(env: BTreeMap<String, String>, policy: NetPolicy) -> Settings {
        Settings {
            env,
            ca_file: None,
            policy,
            mirrors: BTreeMap::new(),
            keyrings: BTreeMap::new(),
            registries: None,
            backoff: Duration::from_millis(500),
            timeout: Duration::from_secs(60),
        }
    }

    /// Whether the user file lets this repository (`docker.io/library/debian`) be read from and pushed to.
    ///
    /// # Errors
    /// E0417.
    pub(crate) fn allow(&self, repository: &str) -> Result<(), Diagnostic> {
        let Some(registries) = &self.registries else { return Ok(()) };
        let below = |prefix: &String| {
            repository.strip_prefix(prefix.trim_end_matches('/')).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        if registries.iter().any(below) {
            return Ok(());
        }
        let shown = printable(repository);
        Err(Diagnostic::new(codes::E0417, format!("{shown} is in no registry that your user file lists"))
            .note(format!("`registries` lists: {}", printable(&registries.join(", "))))
            .help("use an image of one of them, or add its registry to the user file if your team allows it"))
    }

    /// A variable that is set and not empty.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
