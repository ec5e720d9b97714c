//! Plan + image digest → Kubernetes objects → YAML. A pure writer.
//!
//! Objects are typed ([`k8s_openapi`]), so that a misspelt field does not compile; they pass Pod Security
//! "restricted". `manifests/cluster/STAGE` is what outlives the application, `manifests/STAGE` the application.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod cluster;
mod objects;
mod patch;
mod pod;
mod yaml;

use std::collections::BTreeMap;

use plan::plan::Plan;
use serde::Serialize;

pub use yaml::Unwritable;

/// Files below `manifests/`, by relative path. Empty where the plan has no repository, workload or stage.
///
/// # Errors
/// A value that YAML cannot hold; never for a plan that came from a spec.
pub fn write(plan: &Plan, image_digest: &str) -> Result<BTreeMap<String, Vec<u8>>, Unwritable> {
    let mut files = BTreeMap::new();
    let Some(repository) = &plan.publish else { return Ok(files) };
    let image = format!("{repository}@{image_digest}");
    for stage in &plan.stages {
        let cluster = cluster::objects(stage)?;
        if !cluster.is_empty() {
            folder(&mut files, &format!("cluster/{}", stage.name), None, cluster, Vec::new())?;
        }
        if plan.workloads.is_empty() {
            continue;
        }
        let mut objects = Vec::new();
        for volume in &plan.volumes {
            objects.extend(objects::claim(plan, stage, volume)?);
        }
        for workload in &plan.workloads {
            objects.extend(objects::workload(plan, stage, workload, &image)?);
        }
        let known: Vec<String> = objects.iter().map(|(file, _)| file.clone()).collect();
        let mut patches = Vec::new();
        for workload in &plan.workloads {
            for (n, (name, bytes)) in workload.patches.iter().enumerate() {
                patches.extend(patch::aim(&workload.name, n + 1, name, bytes, &known, &stage.namespace));
            }
        }
        folder(&mut files, &stage.name, Some(&stage.namespace), objects, patches)?;
    }
    Ok(files)
}

/// An object and the name of its file.
type Object = (String, String);

fn object<T: Serialize>(kind: &str, name: &str, value: &T) -> Result<Object, Unwritable> {
    let file = if name.is_empty() { format!("{kind}.yaml") } else { format!("{kind}-{name}.yaml") };
    Ok((file, yaml::text(value)?))
}

/// Writes a folder of objects with its kustomization.
fn folder(
    files: &mut BTreeMap<String, Vec<u8>>,
    dir: &str,
    namespace: Option<&str>,
    objects: Vec<Object>,
    patches: Vec<patch::Patch>,
) -> Result<(), Unwritable> {
    let resources: Vec<&str> = objects.iter().map(|(file, _)| file.as_str()).collect();
    let mut kustomization = serde_json::json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    });
    if let Some(namespace) = namespace {
        kustomization["namespace"] = serde_json::json!(namespace);
    }
    if !patches.is_empty() {
        let entry = |patch: &patch::Patch| match &patch.target {
            Some(target) => serde_json::json!({ "path": patch.file, "target": target }),
            None => serde_json::json!({ "path": patch.file }),
        };
        kustomization["patches"] = patches.iter().map(entry).collect();
    }
    files.insert(format!("{dir}/kustomization.yaml"), yaml::text(&kustomization)?.into_bytes());
    for (file, text) in objects {
        files.insert(format!("{dir}/{file}"), text.into_bytes());
    }
    for patch in patches {
        files.insert(format!("{dir}/{}", patch.file), patch.bytes);
    }
    Ok(())
}
