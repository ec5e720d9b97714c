//! What a workload's kustomize patches change of its own container: the language does not see it, the pod has it.

use std::collections::BTreeSet;

use diag::Span;
use serde_json::{Map, Value, json};

use crate::plan::{WorkloadPlan, WorkloadSaid};

/// A hook, a probe or the command of the container, as a patch says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exec {
    /// `command`, `preStop`, `livenessProbe` …
    pub what: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The patch's file.
    pub file: String,
    /// The `patch` line.
    pub span: Span,
}

/// All changes that matter to a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Patched {
    /// Mounts: path, read-only.
    pub mounts: Vec<(String, bool)>,
    /// Variables that are set.
    pub env: BTreeSet<String>,
    /// Ports that are declared.
    pub ports: BTreeSet<u64>,
    /// `net.ipv4.ip_unprivileged_port_start`.
    pub unprivileged_from: Option<u32>,
    /// The container's `command`, where it is replaced.
    pub commands: Vec<Exec>,
    /// Hooks and probes.
    pub hooks: Vec<Exec>,
}

impl Patched {
    /// Reads the patches of a workload; what is no YAML is left to kustomize.
    pub fn read(workload: &WorkloadPlan, said: Option<&WorkloadSaid>) -> Self {
        let mut out = Self::default();
        for (number, (file, bytes)) in workload.patches.iter().enumerate() {
            let span = said.and_then(|said| said.patches.get(number)).copied().unwrap_or(workload.span);
            let Ok(text) = std::str::from_utf8(bytes) else { continue };
            for document in documents(text) {
                let Ok(value) = serde_saphyr::from_str::<Value>(&document) else { continue };
                for pod in pods(&value, workload) {
                    out.pod(&pod, workload, file, span);
                }
            }
        }
        out
    }

    fn pod(&mut self, pod: &Value, workload: &WorkloadPlan, file: &str, span: Span) {
        for sysctl in list(pod.pointer("/securityContext/sysctls")) {
            if sysctl.get("name").and_then(Value::as_str) == Some("net.ipv4.ip_unprivileged_port_start") {
                let value = sysctl.get("value");
                let number = value.and_then(Value::as_str).and_then(|text| text.parse().ok());
                self.unprivileged_from = number.or(value.and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()));
            }
        }
        let own = |container: &&Value| container.get("name").and_then(Value::as_str) == Some(&workload.name);
        for container in list(pod.get("containers")).filter(own) {
            for mount in list(container.get("volumeMounts")) {
                let Some(path) = mount.get("mountPath").and_then(Value::as_str) else { continue };
                let read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
                self.mounts.push((path.to_owned(), read_only));
            }
            let names = list(container.get("env")).filter_map(|one| one.get("name")?.as_str());
            self.env.extend(names.map(str::to_owned));
            self.ports.extend(list(container.get("ports")).filter_map(|one| one.get("containerPort")?.as_u64()));
            let exec = |what: &str, argv: Option<&Value>| {
                let argv: Vec<String> = list(argv).filter_map(|word| word.as_str().map(str::to_owned)).collect();
                (!argv.is_empty()).then(|| Exec { what: what.to_owned(), argv, file: file.to_owned(), span })
            };
            self.commands.extend(exec("command", container.get("command")));
            for what in ["preStop", "postStart"] {
                self.hooks.extend(exec(what, container.pointer(&format!("/lifecycle/{what}/exec/command"))));
            }
            for what in ["livenessProbe", "readinessProbe", "startupProbe"] {
                self.hooks.extend(exec(what, container.pointer(&format!("/{what}/exec/command"))));
            }
        }
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// The documents of a file: a line of `---` parts them, and content cannot stand there.
fn documents(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.starts_with("---") {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(line);
        }
    }
    parts
}

/// The pod specs that a document speaks of, as a part of the workload's own.
fn pods(document: &Value, workload: &WorkloadPlan) -> Vec<Value> {
    if let Some(operations) = document.as_array() {
        return operations.iter().filter_map(|operation| operated(operation, &workload.name)).collect();
    }
    let is = |pointer: &str, text: &str| document.pointer(pointer).and_then(Value::as_str) == Some(text);
    if !is("/kind", "Deployment") || !is("/metadata/name", &workload.name) {
        return Vec::new();
    }
    document.pointer("/spec/template/spec").cloned().into_iter().collect()
}

/// A JSON 6902 operation as the merge that it amounts to: `/…/containers/0/command` is the container's.
fn operated(operation: &Value, container: &str) -> Option<Value> {
    let op = operation.get("op")?.as_str()?;
    let path = operation.get("path")?.as_str()?.strip_prefix("/spec/template/spec/")?;
    if !matches!(op, "add" | "replace") || path.split('/').count() > 16 {
        return None;
    }
    let mut value = operation.get("value")?.clone();
    let parts: Vec<&str> = path.split('/').collect();
    for (depth, part) in parts.iter().enumerate().rev() {
        let place = part.parse::<usize>();
        value = if depth == 1 && place == Ok(0) && parts.first() == Some(&"containers") {
            if let Some(map) = value.as_object_mut() {
                map.entry("name").or_insert_with(|| json!(container));
            }
            json!([value])
        } else if *part == "-" || place.is_ok() {
            json!([value])
        } else {
            Value::Object(Map::from_iter([((*part).to_owned(), value)]))
        };
    }
    Some(value)
}
