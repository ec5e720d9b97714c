//! Mistake 12: ports that contradict each other: a probe or service asks where nothing listens, `expose` or the
//! variable PORT says another number than the workload.

use diag::{Diagnostic, Diagnostics, Span, codes};

use super::view::{View, Whose, keys};
use crate::plan::{Plan, ProbeActionPlan, WorkloadPlan};

/// Every pod that says its ports.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for (view, workload) in View::pods(plan) {
        let said = view.said();
        let known = |number: u16| {
            workload.ports.iter().any(|port| port.number == number) || view.patched.ports.contains(&u64::from(number))
        };
        let Some(first) = workload.ports.first() else { continue };
        let place = said.and_then(|said| said.ports.get(&first.number)).copied().unwrap_or(workload.span);
        for (kind, probe) in &workload.probes {
            let (ProbeActionPlan::Http { port, .. } | ProbeActionPlan::Tcp { port }) = probe.action else { continue };
            if !known(port) {
                let span = said.and_then(|said| said.probes.get(kind)).copied().unwrap_or(workload.span);
                let message =
                    format!("the {kind} probe asks port {port}, on which workload `{}` does not listen", workload.name);
                found.push(asked(message, port, span, place, workload));
            }
        }
        for service in workload.services.iter().filter(|service| !known(service.target)) {
            let span = said.and_then(|said| said.services.get(&service.port)).copied().unwrap_or(workload.span);
            let (port, target) = (service.port, service.target);
            let message =
                format!("service {port} leads to port {target}, on which workload `{}` does not listen", workload.name);
            found.push(asked(message, target, span, place, workload));
        }
        exposed(&view, workload, place, found);
        variable(&view, workload, place, found);
    }
}

fn asked(message: String, port: u16, span: Span, place: Span, workload: &WorkloadPlan) -> Diagnostic {
    let ports: Vec<String> = workload.ports.iter().map(|port| port.number.to_string()).collect();
    Diagnostic::new(codes::E0912, message)
        .at(span, "no such port")
        .label(place, format!("it listens on {}", ports.join(", ")))
        .help(format!("ask one of these, or say that it listens there too: port {port} name=\"…\""))
}

/// `expose` of the spec; or the base's, where nothing in the spec could have changed what the program does.
fn exposed(view: &View<'_>, workload: &WorkloadPlan, place: Span, found: &mut Diagnostics) {
    let image = &view.plan.said.image;
    let number = |text: &str| text.split('/').next().and_then(|n| n.parse::<u16>().ok());
    let listens = |text: &str| number(text).is_none_or(|n| workload.ports.iter().any(|port| port.number == n));
    if workload.command != view.image.command {
        return;
    }
    let message = |ports: &str| {
        format!("the image exposes {ports}, but workload `{}` listens on none of these ports", workload.name)
    };
    if let Some(one) = image.expose.first() {
        if !image.expose.iter().any(|port| listens(&port.value)) {
            let ports: Vec<&str> = image.expose.iter().map(|port| port.value.as_str()).collect();
            found.push(
                Diagnostic::new(codes::E0912, message(&ports.join(", ")))
                    .at(place, "another port")
                    .label(one.span, "exposed here")
                    .help(format!(
                        "expose \"{}/tcp\", or a port line of what is exposed",
                        workload.ports.first().map_or(0, |p| p.number)
                    )),
            );
        }
        return;
    }
    let untouched = !image.adds_files
        && image.program.is_none()
        && image.env.is_empty()
        && workload.env.is_empty()
        && workload.secret_env.is_empty()
        && workload.configs.is_empty()
        && workload.secret_files.is_empty()
        && workload.patches.is_empty();
    let ports = keys(view.image, "ExposedPorts");
    if untouched && !ports.is_empty() && !ports.iter().any(|port| listens(port)) {
        found.push(
            Diagnostic::new(codes::E0912, message(&ports.join(", ")))
                .at(place, "another port")
                .note("EXPOSE of the base, and nothing in the spec configures the program")
                .help(format!(
                    "port {}, or say how the program is configured",
                    ports.iter().find_map(|p| number(p)).unwrap_or(80)
                )),
        );
    }
}

/// The variable PORT, by convention the port that the program listens on.
fn variable(view: &View<'_>, workload: &WorkloadPlan, place: Span, found: &mut Diagnostics) {
    let Some(setting) = view.environment().remove("PORT") else { return };
    let Ok(port) = setting.value.parse::<u16>() else { return };
    // The image's variable is for the image's command.
    if !workload.env.contains_key("PORT") && workload.command != view.image.command {
        return;
    }
    if port == 0 || workload.ports.iter().any(|one| one.number == port) || setting.whose == Whose::Base {
        return;
    }
    found.push(
        Diagnostic::new(
            codes::E0912,
            format!("PORT is {port}, but workload `{}` listens on another port", workload.name),
        )
        .at_opt(setting.span, "by convention the port that the program listens on")
        .label(place, "another port")
        .help(format!("make the two lines agree: port {port}")),
    );
}
