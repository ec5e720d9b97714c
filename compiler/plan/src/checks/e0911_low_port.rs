//! Mistake 11: a port below 1024 without CAP_NET_BIND_SERVICE (docker-nginx #571, containerd #8956).

use diag::{Diagnostic, Diagnostics, codes};

use super::view::View;
use crate::plan::Plan;

/// Linux' default of `net.ipv4.ip_unprivileged_port_start`.
const FIRST: u32 = 1024;

/// Every port of every pod: none runs as root (E0867), all drop all capabilities.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for (view, workload) in View::pods(plan) {
        let first = view.patched.unprivileged_from.unwrap_or(FIRST);
        for port in workload.ports.iter().filter(|port| u32::from(port.number) < first && workload.uid != 0) {
            let span = view.said().and_then(|said| said.ports.get(&port.number)).copied().unwrap_or(workload.span);
            let other = u32::from(port.number) + 8000;
            let mut one = Diagnostic::new(
                codes::E0911,
                format!("uid {} without capabilities cannot listen on port {}", workload.uid, port.number),
            )
            .at(span, "below 1024");
            if let Some(user) = plan.said.image.user {
                one = one.label(user, "programs run as this user; the pod drops all capabilities");
            }
            found.push(
                one.note("some runtimes allow it (containerd 2, Docker), others do not (containerd 1, CRI-O)")
                    .help(format!("let the program listen on {other}: port {other} name=\"…\"; service port={} stays", port.number))
                    .help(format!(
                        "or allow it by a patch of the pod: securityContext: {{ sysctls: [{{ name: net.ipv4.ip_unprivileged_port_start, value: \"{}\" }}] }}",
                        port.number
                    )),
            );
        }
    }
}
