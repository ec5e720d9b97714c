//! `report.json`: before and after, every removal with its reason, what must be there at deployment.

use std::collections::BTreeMap;

use plan::kept::{AccountDecision, AccountFate, Content};
use plan::plan::{ImagePlan, Plan, Totals};
use plan::profile::{Action, Profile};
use plan::reason::Reason;
use serde_json::{Value, json};

use super::Outcome;

/// The whole report. `place` turns a span of the spec into `spec.kdl:3:5`.
pub fn report_json(plan: &Plan, outcome: &Outcome, place: &dyn Fn(diag::Span) -> String) -> Value {
    json!({
        "version": 1,
        "name": plan.name,
        "image": outcome.digest,
        "tested": false,
        "images": plan.images.iter().enumerate().map(|(n, image)| self::image(image, n, outcome, place)).collect::<Vec<_>>(),
        "syscalls": profile(&plan.profile, place),
        "workloads": plan.workload_profiles.iter().map(|(name, p)| (name.clone(), profile(p, place))).collect::<BTreeMap<_, _>>(),
        "requires": requires(plan),
    })
}

fn image(image: &ImagePlan, n: usize, outcome: &Outcome, place: &dyn Fn(diag::Span) -> String) -> Value {
    let kept = &image.kept;
    json!({
        "platform": image.platform.to_string(),
        "base": { "reference": image.base.reference, "digest": image.base.digest },
        "compressed": { "before": outcome.base_compressed.get(n), "after": outcome.compressed.get(n) },
        "before": totals(&image.before),
        "after": totals(&image.after),
        "user": { "uid": image.user.uid, "gid": image.user.gid, "groups": image.user.groups, "name": image.user.name },
        "programs": kept.programs.iter().map(|(path, why)| json!({ "path": path.to_string(), "reason": reason(why, place) })).collect::<Vec<_>>(),
        "packages": kept.packages.iter().map(|package| json!({
            "name": package.name, "architecture": package.arch, "version": package.version, "source": package.source,
            "kept": package.kept, "bytes": package.size, "reason": reason(&package.reason, place),
            "missing": package.missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "users": accounts(&kept.users, |user| json!({ "name": user.name, "uid": user.uid, "gid": user.gid }), place),
        "groups": accounts(&kept.groups, |group| json!({ "name": group.name, "gid": group.gid, "members": group.members }), place),
        "setuid": kept.setuid.iter().map(|(path, mode, stripped)| json!({
            "path": path.to_string(), "mode": format!("{mode:04o}"), "stripped": stripped,
        })).collect::<Vec<_>>(),
        "deviations": kept.deviations.iter().map(|d| json!({
            "path": d.path.to_string(), "verify": d.line, "why": d.why,
        })).collect::<Vec<_>>(),
        "generations": image.generations.iter().map(|(mount, generation)| (mount.clone(), json!({
            "digest": format!("sha256:{}", generation.digest), "entries": generation.entries, "bytes": generation.bytes,
        }))).collect::<BTreeMap<_, _>>(),
        "added": kept.entries.iter().filter(|(_, entry)| entry.content != Content::Base && !entry.node.is_directory()).map(|(path, entry)| json!({
            "path": path.to_string(), "bytes": entry.node.size(), "reason": reason(&entry.reason, place),
        })).collect::<Vec<_>>(),
        "removed": kept.removed.iter().map(|(path, removed)| json!({
            "path": path.to_string(), "bytes": removed.size, "reason": reason(&removed.reason, place),
        })).collect::<Vec<_>>(),
    })
}

fn totals(totals: &Totals) -> Value {
    json!({
        "bytes": totals.bytes, "files": totals.files, "entries": totals.entries, "packages": totals.packages,
        "users": totals.users, "groups": totals.groups, "setuid": totals.setuid,
    })
}

fn accounts<T>(
    list: &[AccountDecision<T>],
    show: impl Fn(&T) -> Value,
    place: &dyn Fn(diag::Span) -> String,
) -> Vec<Value> {
    list.iter()
        .map(|decision| {
            let fate = match decision.fate {
                AccountFate::Kept => "kept",
                AccountFate::Removed => "removed",
                AccountFate::Created => "created",
            };
            let mut value = show(&decision.account);
            value["fate"] = json!(fate);
            value["reason"] = reason(&decision.reason, place);
            value
        })
        .collect()
}

fn profile(profile: &Profile, place: &dyn Fn(diag::Span) -> String) -> Value {
    json!({
        "otherwise": format!("{:?}", profile.otherwise),
        "architectures": profile.archs.iter().map(|arch| arch.kernel()).collect::<Vec<_>>(),
        "calls": profile.calls.iter().map(|(name, call)| (name.clone(), json!({
            "action": match call.action { Action::Allow => "allow".to_owned(), Action::Errno(n) => format!("errno {n}") },
            "reason": reason(&call.reason, place),
        }))).collect::<BTreeMap<_, _>>(),
        "widenings": profile.widenings,
        "accepted": profile.accepted,
    })
}

/// What must be there before the manifests are applied.
pub(super) fn requires(plan: &Plan) -> Value {
    let mut secrets: Vec<String> = plan
        .workloads
        .iter()
        .flat_map(|w| {
            let env = w.secret_env.values().map(|(object, key)| format!("{object}/{key}"));
            env.chain(w.secret_files.iter().map(|file| format!("{}/{}", file.object, file.key))).collect::<Vec<_>>()
        })
        .collect();
    secrets.sort();
    secrets.dedup();
    let node_profiles: Vec<String> = if plan.profile_in_image() {
        Vec::new()
    } else {
        plan.workloads.iter().map(|w| format!("k8orc/{}-{}.json", plan.name, w.name)).collect()
    };
    json!({
        "secrets": secrets,
        "node_profiles": node_profiles,
        "stages": plan.stages.iter().map(|stage| (stage.name.clone(), json!({
            "target": stage.target,
            "namespace": { "name": stage.namespace, "created": stage.create_namespace },
            "storage_classes": stage.classes.values().filter(|c| c.provisioner.is_none()).map(|c| c.name.clone()).collect::<Vec<_>>(),
            "provisioners": stage.classes.values().filter_map(|c| c.provisioner.clone()).collect::<Vec<_>>(),
            "credentials": stage.require,
        }))).collect::<BTreeMap<_, _>>(),
    })
}

fn reason(reason: &Reason, place: &dyn Fn(diag::Span) -> String) -> Value {
    json!({ "because": reason.chain().map(|link| link.text.clone()).collect::<Vec<_>>(), "at": reason.span().map(place) })
}
