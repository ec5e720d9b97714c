//! Programs that we did not write, for a second opinion: finding them, running them, and what they need
//! to work on this kind of machine.
//!
//! A test that needs a peer begins with `let Some(skopeo) = Need::tool("skopeo") else { return };`.
//! `tests/run` installs the peers, prepares their inputs and names them in `K8ORC_TEST_…` variables.

mod binary;
mod need;
mod net;
mod podman;
mod registry;
mod run;
mod runc;
mod scripts;
mod tree;

pub use binary::{k8orc, umoci_unpack};
pub use need::Need;
pub use net::{Response, free_port, http_get, wait_http};
pub use podman::{Podman, write_containers_conf};
pub use registry::Registry;
pub use run::{Run, run};
pub use runc::{Bundle, Config, Container, Mount};
pub use scripts::{docker_load, kube_play, look_at_report, validate_manifests, validate_provenance, validate_sbom};
pub use tree::list_tree;
