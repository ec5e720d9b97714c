//! The model: sectors, nodes with alias, name, FQID and version, edges `[start]-[end]-[order]`.

use std::collections::BTreeMap;

use plan::plan::{MountSource, Plan, StagePlan, VolumeKind, WorkloadPlan};

/// Titles of the eight sectors, in order.
pub const SECTORS: [&str; 8] = [
    "Credentials",
    "Manifests",
    "Pre-deployment",
    "StorageClass",
    "PersistentVolumeClaim",
    "Deployment → ReplicaSet → Pods",
    "Storage attachment",
    "Content migration",
];

/// The whole graph.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Name of the image.
    pub name: String,
    /// All eight, in order.
    pub sectors: Vec<Sector>,
    /// In the order in which a roll-out uses them.
    pub edges: Vec<Edge>,
}

/// One sector.
#[derive(Debug, Clone)]
pub struct Sector {
    /// Its title.
    pub title: &'static str,
    /// Whether the spec says anything about it (grey otherwise).
    pub said: bool,
    /// Its nodes.
    pub nodes: Vec<GraphNode>,
}

/// A resource.
#[derive(Debug, Clone)]
pub struct GraphNode {
    /// `c5pvc01`: sector, kind, number.
    pub alias: String,
    /// Its name.
    pub name: String,
    /// Fully qualified id: `prod/shop/PersistentVolumeClaim/data`.
    pub fqid: String,
    /// API version, digest or the like; may be empty.
    pub version: String,
    /// What it is, in words.
    pub kind: &'static str,
    /// False for a place that is drawn although the spec says nothing about it.
    pub said: bool,
}

/// A communication.
#[derive(Debug, Clone)]
pub struct Edge {
    /// `c4stc01-c5pvc01-e03`.
    pub id: String,
    /// Alias.
    pub from: String,
    /// Alias.
    pub to: String,
    /// From 1.
    pub order: usize,
    /// A verb.
    pub label: &'static str,
}

struct Builder {
    sectors: Vec<Sector>,
    counts: BTreeMap<(usize, &'static str), usize>,
    edges: Vec<Edge>,
}

impl Builder {
    fn node(
        &mut self,
        sector: usize,
        code: &'static str,
        kind: &'static str,
        name: &str,
        scope: &str,
        version: &str,
    ) -> String {
        let count = self.counts.entry((sector, code)).or_insert(0);
        *count += 1;
        let alias = format!("c{sector}{code}{count:02}");
        let fqid = [scope, kind, name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        let place = &mut self.sectors[sector - 1];
        place.said = true;
        place.nodes.push(GraphNode {
            alias: alias.clone(),
            name: name.to_owned(),
            fqid,
            version: version.to_owned(),
            kind,
            said: true,
        });
        alias
    }

    fn edge(&mut self, from: &str, to: &str, label: &'static str) {
        let order = self.edges.len() + 1;
        self.edges.push(Edge {
            id: format!("{from}-{to}-e{order:02}"),
            from: from.to_owned(),
            to: to.to_owned(),
            order,
            label,
        });
    }
}

/// The graph of a plan; `image_digest` is the version of the image's node.
pub fn model(plan: &Plan, image_digest: &str) -> Graph {
    let sectors = SECTORS.iter().map(|title| Sector { title, said: false, nodes: Vec::new() }).collect();
    let mut builder = Builder { sectors, counts: BTreeMap::new(), edges: Vec::new() };
    let image = plan.publish.as_ref().map(|name| builder.node(2, "img", "Image", name, "", image_digest));
    for stage in &plan.stages {
        self::stage(&mut builder, plan, stage, image.as_deref());
    }
    for (n, (code, kind, name)) in SILENT.iter().enumerate() {
        if !builder.sectors[n].said {
            builder.sectors[n].nodes.push(GraphNode {
                alias: format!("c{}{code}00", n + 1),
                name: (*name).to_owned(),
                fqid: String::new(),
                version: String::new(),
                kind,
                said: false,
            });
        }
    }
    Graph { name: plan.name.clone(), sectors: builder.sectors, edges: builder.edges }
}

/// What stands in a sector that the spec says nothing about.
const SILENT: [(&str, &str, &str); 8] = [
    ("crd", "Credentials", "none required"),
    ("man", "Manifests", "none: nothing is published"),
    ("nsp", "Namespace", "no stage"),
    ("stc", "StorageClass", "none"),
    ("pvc", "PersistentVolumeClaim", "none"),
    ("dep", "Deployment", "none"),
    ("vat", "VolumeAttachment", "none"),
    ("mig", "Migration", "none"),
];

fn stage(builder: &mut Builder, plan: &Plan, stage: &StagePlan, image: Option<&str>) {
    let scope = stage.name.as_str();
    let in_namespace = format!("{}/{}", stage.name, stage.namespace);
    let credentials: Vec<String> =
        stage.require.iter().map(|name| builder.node(1, "crd", "Credentials", name, scope, "")).collect();
    let manifests = plan.publish.is_some().then(|| {
        builder.node(
            2,
            "man",
            "Manifests",
            &format!("manifests/{}", stage.name),
            scope,
            "kustomize.config.k8s.io/v1beta1",
        )
    });
    let jump = stage.jump_host.as_ref().map(|host| builder.node(3, "jmp", "JumpHost", host, scope, ""));
    let cluster = match &stage.eks {
        Some((name, region)) => builder.node(3, "eks", "EKS", name, scope, region.as_deref().unwrap_or("")),
        None => builder.node(3, "cls", "Cluster", &stage.target, scope, ""),
    };
    let namespace = builder.node(3, "nsp", "Namespace", &stage.namespace, scope, "v1");
    let nodes: Vec<String> =
        stage.node_groups.iter().map(|name| builder.node(3, "nod", "NodeGroup", name, scope, "")).collect();

    for credential in &credentials {
        builder.edge(credential, jump.as_ref().unwrap_or(&cluster), "opens");
    }
    if let Some(jump) = &jump {
        builder.edge(jump, &cluster, "reaches");
    }
    builder.edge(&cluster, &namespace, "holds");
    for node in &nodes {
        builder.edge(&cluster, node, "runs");
    }
    if let (Some(image), Some(manifests)) = (image, &manifests) {
        builder.edge(image, manifests, "is pinned by");
        builder.edge(manifests, &namespace, "is applied to");
    }
    let classes: BTreeMap<&str, String> = stage
        .classes
        .iter()
        .map(|(name, class)| {
            let version = class.provisioner.as_deref().unwrap_or("existing");
            (name.as_str(), builder.node(4, "stc", "StorageClass", &class.name, scope, version))
        })
        .collect();
    let mut claims = BTreeMap::new();
    for volume in &plan.volumes {
        let (VolumeKind::Claim(claim) | VolumeKind::PerPod(claim)) = &volume.kind else { continue };
        let alias = builder.node(5, "pvc", "PersistentVolumeClaim", &volume.name, &in_namespace, &claim.size);
        if let Some(class) = classes.get(claim.class.as_str()) {
            builder.edge(class, &alias, "provisions");
        }
        claims.insert(volume.name.as_str(), alias);
    }
    for workload in &plan.workloads {
        self::workload(builder, plan, stage, workload, &claims, manifests.as_deref());
    }
}

fn workload(
    builder: &mut Builder,
    plan: &Plan,
    stage: &StagePlan,
    workload: &WorkloadPlan,
    claims: &BTreeMap<&str, String>,
    manifests: Option<&str>,
) {
    let scope = format!("{}/{}", stage.name, stage.namespace);
    let replicas = stage.replicas.get(&workload.name).copied().unwrap_or(workload.replicas);
    let deployment = builder.node(6, "dep", "Deployment", &workload.name, &scope, "apps/v1");
    let set = builder.node(6, "rps", "ReplicaSet", &workload.name, &scope, &format!("{replicas} replicas"));
    if let Some(manifests) = manifests {
        builder.edge(manifests, &deployment, "declares");
    }
    builder.edge(&deployment, &set, "owns");
    let pods: Vec<String> = (1..=replicas.min(3))
        .map(|n| builder.node(6, "pod", "Pod", &format!("{}-{n}", workload.name), &scope, "v1"))
        .collect();
    for pod in &pods {
        builder.edge(&set, pod, "owns");
    }
    for volume in plan.volumes.iter().filter(|volume| workload.volumes.contains(&volume.name)) {
        let Some(claim) = claims.get(volume.name.as_str()) else { continue };
        let attachment = builder.node(7, "vat", "VolumeAttachment", &volume.name, &scope, "storage.k8s.io/v1");
        builder.edge(claim, &attachment, "is bound by");
        for pod in &pods {
            builder.edge(&attachment, pod, "is mounted by");
        }
        for mount in &volume.mounts {
            let MountSource::Generation { digest, .. } = &mount.source else { continue };
            let short = format!("sha256-{}", digest.get(..12).unwrap_or(digest));
            let migration = builder.node(8, "mig", "Migration", &format!("{} → /mnt", mount.path), &scope, &short);
            for pod in &pods {
                builder.edge(pod, &migration, "runs first");
            }
            builder.edge(&migration, &attachment, "fills");
        }
    }
}
