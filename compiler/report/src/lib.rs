//! What people and other tools read about a build: summary, `report.json`, `report.html`, the deployment graph,
//! SBOM and provenance.
//!
//! Pure functions of the Plan, the Facts and of the digests that the driver hands over.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod graph;
pub mod human;
pub mod supply;

use plan::facts::Facts;
use plan::plan::{ImagePlan, Plan};

use human::Outcome;

/// A finished build, as the documents about it see it.
#[derive(Debug, Clone)]
pub struct Made<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// The bases, by platform in the plan's order.
    pub facts: Vec<&'a Facts>,
    /// What came out.
    pub outcome: &'a Outcome,
    /// Digests of the manifests (`sha256:…`), by platform in the plan's order.
    pub manifests: Vec<String>,
    /// Version of the compiler.
    pub version: &'a str,
}

/// One platform of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Its number, from 0.
    pub number: usize,
    /// What was decided.
    pub image: &'a ImagePlan,
    /// Its base.
    pub facts: &'a Facts,
    /// Digest of its manifest.
    pub manifest: &'a str,
}

impl Made<'_> {
    /// The platforms; one whose base or manifest is not there is left out, which is a mistake of the caller.
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        let all = self.plan.images.iter().zip(&self.facts).zip(&self.manifests).enumerate();
        all.map(|(number, ((image, facts), manifest))| Part { number, image, facts, manifest }).collect()
    }
}
