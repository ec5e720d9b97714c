//! `workload` and `checks`, and whether names within a workload lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use diag::{Diagnostic, Diagnostics, Spanned, codes};

use super::{Reader, clash, port_ref, quantity, seconds, small, suggest};
use crate::schema::types::secret_ref;
use crate::spec::*;
use crate::tree::Node;

/// `workload`; a name that was refused left no node.
pub(super) fn workload(reader: &Reader<'_>, node: &Node) -> Workload {
    let resources = |name: &str| -> Vec<(Spanned<String>, Spanned<Quantity>)> {
        let entries = node.child("resources").map(|child| child.entries(name)).unwrap_or_default();
        entries.into_iter().filter_map(|(key, text)| Some((key, quantity(&text)?))).collect()
    };
    let volumes = node.child("volumes").map(|_| node.each("volumes"));
    let name = node.text(0).unwrap_or(Spanned::new(String::new(), node.span));
    Workload {
        span: node.span,
        kind: node.text_prop("kind").unwrap_or(Spanned::new("Deployment".to_owned(), name.span)),
        name,
        replicas: node.number_prop("replicas").and_then(small),
        command: node.child("command").map(Node::texts).unwrap_or_default(),
        ports: node.all("port").filter_map(port).collect(),
        requests: resources("request"),
        limits: resources("limit"),
        probes: node.all("probe").filter_map(probe).collect(),
        env: node.entries("env"),
        secrets: node.all("secret").filter_map(secret).collect(),
        configs: node
            .all("config")
            .filter_map(|child| Some(Config { from: reader.source(&child.text(0)?)?, to: child.text_prop("to")? }))
            .collect(),
        services: node.all("service").filter_map(service).collect(),
        patches: node.each("patch").iter().filter_map(|text| reader.source(text)).collect(),
        volumes,
        grace: node.child("grace").and_then(|child| child.text(0)).and_then(|text| seconds(&text)),
    }
}

fn port(node: &Node) -> Option<Port> {
    Some(Port {
        number: node.number(0).and_then(small)?,
        name: node.text_prop("name"),
        protocol: node.text_prop("protocol").map_or_else(|| "TCP".to_owned(), |text| text.value),
    })
}

fn probe(node: &Node) -> Option<Probe> {
    let action = if let Some(http) = node.child("http") {
        ProbeAction::Http { path: http.text(0)?, port: port_ref(http, "port")? }
    } else if let Some(tcp) = node.child("tcp") {
        ProbeAction::Tcp { port: port_ref(tcp, "port")? }
    } else {
        ProbeAction::Exec { argv: node.child("exec")?.texts() }
    };
    let time = |name: &str| node.text_prop(name).and_then(|text| seconds(&text));
    Some(Probe {
        kind: node.text(0)?,
        action,
        period: time("period"),
        timeout: time("timeout"),
        delay: time("delay"),
        failures: node.number_prop("failures").and_then(small),
    })
}

fn secret(node: &Node) -> Option<Secret> {
    let from = node.text_prop("from")?;
    let (object, key) = secret_ref(&from.value).ok()?;
    let to = node.text_prop("to")?;
    Some(Secret {
        name: node.text(0)?,
        object: Spanned::new(object.to_owned(), from.span),
        key: Spanned::new(key.to_owned(), from.span),
        to: match to.value.as_str() {
            "env" => SecretTarget::Env,
            _ => SecretTarget::File { path: to, mode: super::mode(node) },
        },
    })
}

fn service(node: &Node) -> Option<Service> {
    let port = node.number_prop("port").and_then(small)?;
    Some(Service { span: node.span, port, target: port_ref(node, "target") })
}

pub(super) fn checks(node: &Node) -> Vec<Check> {
    let one = |child: &Node| match child.def.name.as_str() {
        "exec" => Some(Check::Exec { span: child.span, argv: child.texts() }),
        _ => Some(Check::Http {
            span: child.span,
            port: child.number(0).and_then(small)?,
            path: child.text(1)?,
            status: child.number_prop("status").and_then(small),
        }),
    };
    node.children.iter().filter_map(one).collect()
}

pub(super) fn check(spec: &Spec, tree: &[Node], workloads_sound: bool, volumes_sound: bool, found: &mut Diagnostics) {
    let nodes = || tree.iter().filter(|node| node.def.name == "workload");
    for node in nodes().filter(|_| workloads_sound) {
        for probe in node.all("probe") {
            action(probe, found);
        }
        for secret in node.all("secret") {
            variable(secret, found);
        }
    }
    let names: BTreeSet<&str> = nodes()
        .filter_map(|node| node.args.first())
        .filter_map(|arg| match &arg.value {
            crate::tree::Scalar::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    for (name, _) in spec.stages.iter().flat_map(|stage| &stage.replicas).filter(|_| workloads_sound) {
        lead("workload", name, &names, found);
    }
    let volumes: BTreeSet<&str> = spec.volumes.iter().map(|volume| volume.name.value.as_str()).collect();
    for workload in &spec.workloads {
        for name in workload.volumes.iter().flatten().filter(|_| volumes_sound) {
            lead("volume", name, &volumes, found);
        }
        if workloads_sound {
            ports(workload, found);
        }
        amounts(workload, found);
    }
}

/// A name that must be one of `known`.
fn lead(what: &str, name: &Spanned<String>, known: &BTreeSet<&str>, found: &mut Diagnostics) {
    if known.contains(name.value.as_str()) {
        return;
    }
    let diagnostic = Diagnostic::new(codes::E0124, format!("there is no {what} `{}`", name.value));
    let near = suggest(found, &name.value, known.iter().copied());
    found.push(match near {
        Some(near) => diagnostic.at(name.span, format!("did you mean `{near}`?")),
        None if known.is_empty() => diagnostic.at(name.span, format!("the spec has no {what}")),
        None => diagnostic.at(name.span, "unknown").help(format!("there are: {}", list(known))),
    });
}

/// Names for a help, of a long list the first.
fn list(known: &BTreeSet<&str>) -> String {
    let mut shown = known.iter().take(12).copied().collect::<Vec<_>>().join(", ");
    if known.len() > 12 {
        shown.push_str(", …");
    }
    shown
}

fn action(probe: &Node, found: &mut Diagnostics) {
    let kind = probe.text(0).map(|text| text.value).unwrap_or_default();
    let mut asked: Vec<&Node> = probe.children.iter().collect();
    asked.sort_by_key(|node| node.span);
    match asked.as_slice() {
        [] => found.push(
            Diagnostic::new(codes::E0104, format!("probe `{kind}` asks nothing"))
                .at(probe.span, "one of `http`, `tcp`, `exec` is missing")
                .help(format!("probe \"{kind}\" {{ http \"/healthz\" port=\"http\" }}")),
        ),
        [_] => {}
        [first, second, ..] => {
            let message = format!("probe `{kind}` asks in two ways");
            found.push(clash(message, second.span, "the second", first.span, "the first").help("keep one of them"));
        }
    }
}

fn variable(secret: &Node, found: &mut Diagnostics) {
    let (Some(name), Some(to)) = (secret.text(0), secret.text_prop("to")) else { return };
    if to.value != "env" {
        return;
    }
    let sound = name.value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.value.starts_with(|c: char| c.is_ascii_digit());
    if !sound {
        found.push(
            Diagnostic::new(codes::E0111, format!("`{}` is not the name of a variable", name.value))
                .at(name.span, "letters, digits and `_`")
                .help("or make it a file: to=\"/k8or/secrets/NAME\""),
        );
    }
    if let Some(mode) = secret.prop("mode") {
        found.push(
            clash("a variable has no mode", mode.span, "of a file", to.span, "a variable").help("leave out mode="),
        );
    }
}

fn ports(workload: &Workload, found: &mut Diagnostics) {
    let mut names: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
    for name in workload.ports.iter().filter_map(|port| port.name.as_ref()) {
        if let Some(first) = names.insert(&name.value, name) {
            found.push(
                Diagnostic::new(codes::E0107, format!("two ports are called `{}`", name.value))
                    .at(name.span, "again here")
                    .label(first.span, "first here")
                    .help("give one another name"),
            );
        }
    }
    let known: BTreeSet<&str> = names.keys().copied().collect();
    let by_name = |text: &&Spanned<String>| text.value.parse::<u16>().is_err();
    let asked = workload.probes.iter().filter_map(|probe| match &probe.action {
        ProbeAction::Http { port, .. } | ProbeAction::Tcp { port } => Some(port),
        ProbeAction::Exec { .. } => None,
    });
    for port in asked.chain(workload.services.iter().filter_map(|service| service.target.as_ref())).filter(by_name) {
        lead("port", port, &known, found);
    }
    for service in workload.services.iter().filter(|service| service.target.is_none() && workload.ports.len() != 1) {
        let (message, help) = match workload.ports.len() {
            0 => ("a service leads to a workload without ports", "port 8080 name=\"http\"".to_owned()),
            _ => (
                "a service leads to a workload of several ports",
                format!("target=\"{}\"", known.first().unwrap_or(&"NAME")),
            ),
        };
        found.push(Diagnostic::new(codes::E0130, message).at(service.span, "which port?").help(help));
    }
}

/// Kubernetes refuses a pod that asks for more than it may use.
fn amounts(workload: &Workload, found: &mut Diagnostics) {
    for (name, request) in &workload.requests {
        let Some((_, limit)) = workload.limits.iter().find(|(other, _)| other.value == name.value) else { continue };
        if request.milli > limit.milli {
            let message = format!("more `{}` is asked for than may be used", name.value);
            found.push(
                clash(message, request.span, "asked for", limit.span, "the limit")
                    .help("raise the limit, or ask for less"),
            );
        }
    }
}
