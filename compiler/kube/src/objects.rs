//! The application's objects: claims, service account, config map, deployment, services.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, Service, ServiceAccount, ServicePort,
    ServiceSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plan::plan::{ClaimPlan, Plan, StagePlan, VolumeKind, VolumePlan, WorkloadPlan};
use sha2::{Digest as _, Sha256};

use crate::pod;
use crate::yaml::Unwritable;
use crate::{Object, object};

/// Labels that select a workload's pods; immutable in a Deployment, so never more than these two.
pub fn selector(plan: &Plan, workload: &WorkloadPlan) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), workload.name.clone()),
        ("app.kubernetes.io/instance".to_owned(), plan.name.clone()),
    ])
}

fn labels(plan: &Plan, workload: &WorkloadPlan) -> BTreeMap<String, String> {
    let mut labels = selector(plan, workload);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), "k8orc".to_owned());
    labels
}

/// Name of a volume's claim.
pub fn claim_name(plan: &Plan, volume: &VolumePlan) -> String {
    format!("{}-{}", plan.name, volume.name)
}

/// What is claimed in a stage.
pub fn claim_spec(stage: &StagePlan, claim: &ClaimPlan) -> PersistentVolumeClaimSpec {
    let class = stage.classes.get(&claim.class).map_or_else(|| claim.class.clone(), |class| class.name.clone());
    PersistentVolumeClaimSpec {
        access_modes: Some(vec![claim.access.clone()]),
        storage_class_name: Some(class),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(claim.size.clone()))])),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The claim of a volume, where it has one.
pub fn claim(plan: &Plan, stage: &StagePlan, volume: &VolumePlan) -> Result<Vec<Object>, Unwritable> {
    let VolumeKind::Claim(claim) = &volume.kind else { return Ok(Vec::new()) };
    let value = PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim_name(plan, volume)),
            namespace: Some(stage.namespace.clone()),
            labels: Some(BTreeMap::from([
                ("app.kubernetes.io/instance".to_owned(), plan.name.clone()),
                ("app.kubernetes.io/managed-by".to_owned(), "k8orc".to_owned()),
            ])),
            ..Default::default()
        },
        spec: Some(claim_spec(stage, claim)),
        ..Default::default()
    };
    Ok(vec![object("persistentvolumeclaim", &volume.name, &value)?])
}

/// Name of a workload's config map: it changes with the content, so that an edit rolls the pods.
pub fn config_name(workload: &WorkloadPlan) -> String {
    let mut hasher = Sha256::new();
    for config in &workload.configs {
        hasher.update(config.key.as_bytes());
        hasher.update([0]);
        hasher.update(config.text.as_bytes());
        hasher.update([0]);
    }
    let hash: String = hasher.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", workload.name)
}

/// All objects of a workload.
pub fn workload(
    plan: &Plan,
    stage: &StagePlan,
    workload: &WorkloadPlan,
    image: &str,
) -> Result<Vec<Object>, Unwritable> {
    let metadata = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(stage.namespace.clone()),
        labels: Some(labels(plan, workload)),
        ..Default::default()
    };
    let mut out = Vec::new();
    let account = ServiceAccount {
        metadata: metadata(&workload.name),
        automount_service_account_token: Some(false),
        ..Default::default()
    };
    out.push(object("serviceaccount", &workload.name, &account)?);
    if !workload.configs.is_empty() {
        let data = workload.configs.iter().map(|config| (config.key.clone(), config.text.clone())).collect();
        let map = ConfigMap {
            metadata: metadata(&config_name(workload)),
            data: Some(data),
            immutable: Some(true),
            ..Default::default()
        };
        out.push(object("configmap", &workload.name, &map)?);
    }
    let replicas = stage.replicas.get(&workload.name).copied().unwrap_or(workload.replicas);
    let deployment = Deployment {
        metadata: metadata(&workload.name),
        spec: DeploymentSpec {
            replicas: Some(i32::try_from(replicas).unwrap_or(i32::MAX)),
            selector: LabelSelector { match_labels: Some(selector(plan, workload)), ..Default::default() },
            strategy: workload
                .recreate
                .then(|| DeploymentStrategy { type_: Some("Recreate".to_owned()), ..Default::default() }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels(plan, workload)), ..Default::default() }),
                spec: Some(pod::spec(plan, stage, workload, image)),
            },
            ..Default::default()
        },
        ..Default::default()
    };
    out.push(object("deployment", &workload.name, &deployment)?);
    if !workload.services.is_empty() {
        let ports = workload.services.iter().map(|service| ServicePort {
            name: Some(service.name.clone().unwrap_or_else(|| format!("port-{}", service.port))),
            port: i32::from(service.port),
            target_port: Some(match &service.name {
                Some(name) => IntOrString::String(name.clone()),
                None => IntOrString::Int(i32::from(service.target)),
            }),
            ..Default::default()
        });
        let service = Service {
            metadata: metadata(&workload.name),
            spec: Some(ServiceSpec {
                ports: Some(ports.collect()),
                selector: Some(selector(plan, workload)),
                ..Default::default()
            }),
            ..Default::default()
        };
        out.push(object("service", &workload.name, &service)?);
    }
    Ok(out)
}
