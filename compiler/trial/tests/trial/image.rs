//! An output directory as `k8orc build` leaves it, with a plan to go with it, made by hand: the test's
//! own idea of both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use diag::{FileId, Span};
use formats::oci::Digest;
use formats::tar::{Entry, Kind, Writer};
use plan::calls::{self, groups};
use plan::facts::BaseIdentity;
use plan::kept::Kept;
use plan::plan::*;
use plan::platform::{Arch, Platform};
use plan::profile::{Action, CallDecision, DefaultAction, Profile};
use plan::reason::Reason;
use serde_json::{Value, json};

use crate::harness::{k8or, program};

pub const UID: u32 = 10001;

/// A span that tests can recognise.
pub fn span(start: u32) -> Span {
    Span { file: FileId(0), start, end: start + 1 }
}

/// An image that was written.
pub struct Image {
    pub plan: Plan,
    directory: tempfile::TempDir,
}

impl Image {
    pub fn output(&self) -> &Path {
        self.directory.path()
    }
}

/// An image to be written.
pub struct Draft {
    /// Arguments of the program.
    pub words: Vec<String>,
    /// Calls that both filters lack.
    pub without: BTreeSet<&'static str>,
    /// Of those, what the node's filter has nevertheless.
    pub node_has: BTreeSet<&'static str>,
    /// Tree digests of `/content`, as they are sealed.
    pub generation: Option<String>,
    pub config: Value,
    pub workload: WorkloadPlan,
    pub volumes: Vec<VolumePlan>,
    pub checks: Vec<CheckPlan>,
}

pub fn arch() -> Arch {
    Arch::parse(std::env::consts::ARCH).unwrap()
}

impl Draft {
    pub fn new(words: &[&str]) -> Draft {
        let words = words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let command = [&["/bin/program".to_owned()], words.as_slice()].concat();
        let entrypoint = ["/k8or/k8or", "run", "--", "/bin/program"];
        Draft {
            config: json!({"Entrypoint": entrypoint, "Cmd": words, "Env": ["LANG=C.UTF-8", "CHANGED=image"]}),
            words,
            without: BTreeSet::from(["personality", "sethostname"]),
            node_has: BTreeSet::new(),
            generation: None,
            workload: WorkloadPlan {
                name: "web".to_owned(),
                span: span(100),
                replicas: 1,
                command,
                recreate: false,
                env: BTreeMap::new(),
                ports: Vec::new(),
                requests: BTreeMap::new(),
                limits: BTreeMap::new(),
                probes: BTreeMap::new(),
                secret_env: BTreeMap::new(),
                secret_files: Vec::new(),
                configs: Vec::new(),
                volumes: Vec::new(),
                services: Vec::new(),
                patches: Vec::new(),
                grace: Some(2),
                uid: UID,
                gid: UID,
                groups: Vec::new(),
            },
            volumes: Vec::new(),
            checks: Vec::new(),
        }
    }

    pub fn probe(mut self, kind: &str, action: ProbeActionPlan) -> Draft {
        let probe = ProbePlan { action, period: None, timeout: None, delay: None, failures: None };
        self.workload.probes.insert(kind.to_owned(), probe);
        self
    }

    pub fn ready_on_8080(self) -> Draft {
        self.probe("readiness", ProbeActionPlan::Http { path: "/healthz".to_owned(), port: 8080 })
    }

    pub fn exec(mut self, words: &[&str]) -> Draft {
        let argv = ["/bin/program"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        self.checks.push(CheckPlan::Exec { span: span(200 + self.checks.len() as u32), argv });
        self
    }

    pub fn volume(mut self, name: &str, kind: VolumeKind, path: &str, source: MountSource) -> Draft {
        let read_only = matches!(source, MountSource::Generation { .. });
        let mount = MountPlan { path: path.to_owned(), source, read_only };
        self.volumes.push(VolumePlan { name: name.to_owned(), span: span(300), kind, mounts: vec![mount] });
        self.workload.volumes.push(name.to_owned());
        self
    }

    fn allowed(&self) -> BTreeSet<&'static str> {
        let names = [groups::RUNTIME_DEFAULT, groups::RUNC, groups::K8OR].into_iter().flat_map(groups::calls);
        // The real profile refuses clone3 with ENOSYS; this simple one knows no refusals.
        let names = names.copied().chain(["clone3"]);
        names.filter(|name| !self.without.contains(name)).collect()
    }

    pub fn write(self) -> Image {
        let directory = tempfile::tempdir().unwrap();
        let filter = filter(&self.allowed());
        let mut sealed = format!(
            "k8or 1\narch {}\nuid {UID}\ngid {UID}\nfilter /k8or/filter.bpf {} {}\non-violation kill-process\n",
            arch().kernel(),
            Digest::of(&filter),
            filter.len() / 8
        );
        if let Some(digest) = &self.generation {
            sealed.push_str(&format!("generation /content sha256:{digest}\n"));
        }
        write_layout(directory.path(), &self.config, &filter, &sealed);
        std::fs::create_dir(directory.path().join("seccomp")).unwrap();
        let names = self.allowed().into_iter().chain(self.node_has.iter().copied()).collect::<BTreeSet<_>>();
        let architecture = match arch() {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
        };
        let profile = json!({
            "defaultAction": "SCMP_ACT_KILL_PROCESS",
            "architectures": [architecture],
            "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
        });
        std::fs::write(directory.path().join("seccomp/web.json"), profile.to_string()).unwrap();
        Image { plan: self.plan(), directory }
    }

    /// The plan alone.
    pub fn plan(self) -> Plan {
        let user = Identity { uid: UID, gid: UID, groups: Vec::new(), name: None, home: None };
        // The plan says what the image's filter allows, as a decided one does: only other calls count as held.
        let reason = Reason::fact("the draft allows it");
        let allow = |name: &str| (name.to_owned(), CallDecision { action: Action::Allow, reason: Arc::clone(&reason) });
        let calls = self.allowed().into_iter().map(allow).collect();
        Plan {
            name: "shop".to_owned(),
            epoch: 0,
            images: vec![ImagePlan {
                platform: Platform { arch: arch(), variant: None },
                base: BaseIdentity { reference: "scratch".to_owned(), digest: None, created: None },
                kept: Kept {
                    entries: BTreeMap::new(),
                    removed: BTreeMap::new(),
                    packages: Vec::new(),
                    users: Vec::new(),
                    groups: Vec::new(),
                    programs: Vec::new(),
                    needed: BTreeMap::new(),
                    setuid: Vec::new(),
                    deviations: Vec::new(),
                },
                config: Value::Null,
                base_history: Vec::new(),
                annotations: BTreeMap::new(),
                user,
                command: [&["/bin/program".to_owned()], self.words.as_slice()].concat(),
                generations: BTreeMap::new(),
                before: Totals::default(),
                after: Totals::default(),
            }],
            publish: None,
            profile: Profile {
                name: "image".to_owned(),
                otherwise: DefaultAction::KillProcess,
                calls,
                archs: BTreeSet::from([arch()]),
                widenings: Vec::new(),
                accepted: Vec::new(),
            },
            deliver: Default::default(),
            workload_profiles: BTreeMap::new(),
            volumes: self.volumes,
            workloads: vec![self.workload],
            stages: Vec::new(),
            checks: self.checks,
            said: Said::default(),
        }
    }
}

/// Allows these calls and kills at others: the simplest program that does it.
fn filter(allowed: &BTreeSet<&'static str>) -> Vec<u8> {
    let audit = match arch() {
        Arch::X86_64 => 0xc000_003e,
        Arch::Aarch64 => 0xc000_00b7,
    };
    let mut filter = Vec::new();
    let mut push = |code: u16, yes: u8, no: u8, operand: u32| {
        filter.extend_from_slice(&code.to_le_bytes());
        filter.extend_from_slice(&[yes, no]);
        filter.extend_from_slice(&operand.to_le_bytes());
    };
    push(0x20, 0, 0, 4);
    push(0x15, 1, 0, audit);
    push(0x06, 0, 0, 0x8000_0000);
    push(0x20, 0, 0, 0);
    for number in allowed.iter().filter_map(|name| calls::number(arch(), name)) {
        push(0x15, 0, 1, number);
        push(0x06, 0, 0, 0x7fff_0000);
    }
    push(0x06, 0, 0, 0x8000_0000);
    filter
}

/// The content of `/content`, and its tree digest by the documented rule.
pub fn content_digest() -> String {
    let file = Digest::of(b"from the image");
    let records = format!("d 0555 deep\0\nf 0444 deep/file\0{}\n", file.hex());
    Digest::of(records.as_bytes()).hex()
}

fn write_layout(output: &Path, config: &Value, filter: &[u8], sealed: &str) {
    let blobs = output.join("image/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let mut writer = Writer::new(Vec::new());
    let mut add = |path: &str, kind: Kind, mode: u32, bytes: &[u8]| {
        let mut entry = Entry::new(path, kind);
        (entry.mode, entry.size) = (mode, bytes.len() as u64);
        writer.append(&entry, &mut &*bytes).unwrap();
    };
    for directory in ["bin/", "etc/", "k8or/", "content/", "content/deep/"] {
        add(directory, Kind::Directory, 0o755, b"");
    }
    add("bin/program", Kind::File, 0o755, program());
    add("etc/plain", Kind::File, 0o644, b"plain");
    add("content/deep/file", Kind::File, 0o644, b"from the image");
    let marker = format!("k8or-generation 1 sha256:{}\n", content_digest());
    add("content/.k8or-generation", Kind::File, 0o444, marker.as_bytes());
    add("k8or/k8or", Kind::File, 0o755, k8or());
    add("k8or/filter.bpf", Kind::File, 0o444, filter);
    add("k8or/sealed.conf", Kind::File, 0o444, sealed.as_bytes());
    let layer = writer.finish().unwrap();
    let blob = |bytes: &[u8], kind: &str| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest.to_string(), "size": bytes.len()})
    };
    let document = |value: Value, kind: &str| blob(value.to_string().as_bytes(), kind);
    let diff = Digest::of(&layer).to_string();
    let config = document(
        json!({"architecture": arch().oci(), "os": "linux", "config": config,
               "rootfs": {"type": "layers", "diff_ids": [diff]}}),
        "config.v1+json",
    );
    let layers = [blob(&layer, "layer.v1.tar")];
    let manifest = document(
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
               "config": config, "layers": layers}),
        "manifest.v1+json",
    );
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]});
    std::fs::write(output.join("image/index.json"), index.to_string()).unwrap();
}
