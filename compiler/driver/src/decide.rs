//! Steps 4 to 6: keep → rewrite → profiles → the Plan and its checks. Gate two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lang::spec::{Deliver, Spec};
use plan::decide::assemble::{Part, Profiles, assemble};
use plan::decide::keep;
use plan::decide::profile::profile;
use plan::plan::Plan;
use plan::platform::Arch;

use crate::pin::Pinned;
use crate::request::Run;
use crate::survey::Base;
use crate::{Stage, Stop, runtime};

/// Decides everything; stops at what the user must change.
pub(crate) fn plan(run: &Run<'_>, spec: &Spec, pinned: &Pinned, bases: &[Base]) -> Stage<Plan> {
    run.progress.step("deciding what stays");
    let archs: BTreeSet<Arch> = bases.iter().map(|base| base.facts.platform.arch).collect();
    let (image, found) = profile(&spec.syscalls, spec.image.span, &archs, "image");
    run.found(found);
    let workloads: BTreeMap<_, _> = spec
        .workloads
        .iter()
        .map(|workload| {
            let name = workload.name.value.clone();
            // Its complaints are the image's.
            (name.clone(), profile(&spec.syscalls, spec.image.span, &archs, &name).0)
        })
        .collect();
    let in_image = spec.syscalls.deliver.as_ref().is_none_or(|deliver| deliver.value == Deliver::InImage);

    let mut parts = Vec::new();
    for base in bases {
        let arch = base.facts.platform.arch;
        let inspect = image::survey::Programs(&base.contents);
        let input = keep::Input {
            spec,
            facts: &base.facts,
            inspect: &inspect,
            world: &run.world,
            ids: &pinned.ids,
            epoch: pinned.lock.epoch,
        };
        let (kept, found) = keep::keep(&input);
        run.found(found);
        let (kept, found) = image::rewrite::rewrite(kept, &base.facts, &base.contents);
        run.found(found);
        parts.push(Part {
            facts: &base.facts,
            kept,
            runtime: Arc::from(runtime::k8or(arch)?.as_ref()),
            filter: in_image.then(|| syscalls::write::filter::filter(&image, arch)),
        });
    }
    let (plan, found) = assemble(spec, parts, Profiles { image, workloads }, pinned.lock.epoch, &run.world);
    run.found(found);
    run.gate()?;
    plan.ok_or(Stop::Gate)
}
