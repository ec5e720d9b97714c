//! What outlives the application: storage classes, and the namespace where the stage says so.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::plan::StagePlan;

use crate::yaml::Unwritable;
use crate::{Object, object};

/// Objects of one stage's cluster.
pub fn objects(stage: &StagePlan) -> Result<Vec<Object>, Unwritable> {
    let mut out = Vec::new();
    if stage.create_namespace {
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(stage.namespace.clone()),
                labels: Some(BTreeMap::from([
                    ("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned()),
                    ("app.kubernetes.io/managed-by".to_owned(), "k8orc".to_owned()),
                ])),
                ..Default::default()
            },
            ..Default::default()
        };
        out.push(object("namespace", "", &namespace)?);
    }
    for class in stage.classes.values() {
        let Some(provisioner) = &class.provisioner else { continue };
        let some = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
        let value = StorageClass {
            metadata: ObjectMeta {
                name: Some(class.name.clone()),
                labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "k8orc".to_owned())])),
                ..Default::default()
            },
            provisioner: provisioner.clone(),
            parameters: some(&class.parameters),
            // A claim that waits for its pod lands in the pod's zone.
            volume_binding_mode: Some(class.binding.clone().unwrap_or_else(|| "WaitForFirstConsumer".to_owned())),
            reclaim_policy: class.reclaim.clone(),
            allow_volume_expansion: class.expand,
            mount_options: (!class.mount_options.is_empty()).then(|| class.mount_options.clone()),
            ..Default::default()
        };
        out.push(object("storageclass", &class.name, &value)?);
    }
    Ok(out)
}
