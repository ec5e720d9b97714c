//! `report.json`: before and after, every removal with its reason, what must be there at deployment.

use std::collections::BTreeMap;

use plan::kept::{AccountDecision, AccountFate, Content};
use plan::path::ImagePath;
use plan::plan::{ImagePlan, Plan, Totals};
use plan::profile::{Action, Profile};
use plan::reason::Reason;
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;

/// The whole report, its fields in the order of their names. Most of it are thousands of removed paths: these are
/// written as they are, other parts are small enough to be JSON values first.
#[derive(Serialize)]
pub struct Report<'a> {
    image: &'a str,
    images: Vec<Image<'a>>,
    name: &'a str,
    requires: Value,
    syscalls: Value,
    tested: bool,
    version: u32,
    workloads: BTreeMap<&'a str, Value>,
}

#[derive(Serialize)]
struct Image<'a> {
    added: Vec<Change<'a>>,
    after: Value,
    base: Value,
    before: Value,
    compressed: Value,
    deviations: Value,
    generations: Value,
    groups: Vec<Value>,
    packages: Vec<Package<'a>>,
    platform: String,
    programs: Value,
    removed: Vec<Change<'a>>,
    setuid: Value,
    user: Value,
    users: Vec<Value>,
}

#[derive(Serialize)]
struct Change<'a> {
    bytes: u64,
    path: String,
    reason: Why<'a>,
}

#[derive(Serialize)]
struct Package<'a> {
    architecture: &'a str,
    bytes: u64,
    kept: bool,
    missing: Vec<String>,
    name: &'a str,
    reason: Why<'a>,
    source: Option<&'a str>,
    version: &'a str,
}

#[derive(Serialize)]
struct Why<'a> {
    at: Option<String>,
    because: Vec<&'a str>,
}

/// Where a span of the spec is: `spec.kdl:3:5`.
type Place<'a> = &'a dyn Fn(diag::Span) -> String;

/// The report of a plan. `place` turns a span of the spec into `spec.kdl:3:5`.
pub fn report_json<'a>(plan: &'a Plan, outcome: &'a Outcome, place: Place<'_>) -> Report<'a> {
    Report {
        image: &outcome.digest,
        images: plan.images.iter().enumerate().map(|(n, image)| self::image(image, n, outcome, place)).collect(),
        name: &plan.name,
        requires: requires(plan),
        syscalls: profile(&plan.profile, place),
        tested: false,
        version: 1,
        workloads: plan.workload_profiles.iter().map(|(name, p)| (name.as_str(), profile(p, place))).collect(),
    }
}

fn image<'a>(image: &'a ImagePlan, n: usize, outcome: &Outcome, place: Place<'_>) -> Image<'a> {
    let kept = &image.kept;
    let change = |path: &ImagePath, bytes, reason: &'a Reason| Change {
        bytes,
        path: path.to_string(),
        reason: why(reason, place),
    };
    Image {
        added: kept
            .entries
            .iter()
            .filter(|(_, entry)| entry.content != Content::Base && !entry.node.is_directory())
            .map(|(path, entry)| change(path, entry.node.size(), &entry.reason))
            .collect(),
        after: totals(&image.after),
        base: json!({ "reference": image.base.reference, "digest": image.base.digest }),
        before: totals(&image.before),
        compressed: json!({ "before": outcome.base_compressed.get(n), "after": outcome.compressed.get(n) }),
        deviations: kept
            .deviations
            .iter()
            .map(|d| {
                json!({
                    "path": d.path.to_string(), "verify": d.line, "why": d.why,
                })
            })
            .collect(),
        generations: json!(image.generations.iter().map(|(mount, generation)| (mount.clone(), json!({
            "digest": format!("sha256:{}", generation.digest), "entries": generation.entries, "bytes": generation.bytes,
        }))).collect::<BTreeMap<_, _>>()),
        groups: accounts(
            &kept.groups,
            |group| json!({ "name": group.name, "gid": group.gid, "members": group.members }),
            place,
        ),
        packages: kept
            .packages
            .iter()
            .map(|package| Package {
                architecture: &package.arch,
                bytes: package.size,
                kept: package.kept,
                missing: package.missing.iter().map(ToString::to_string).collect(),
                name: &package.name,
                reason: why(&package.reason, place),
                source: package.source.as_deref(),
                version: &package.version,
            })
            .collect(),
        platform: image.platform.to_string(),
        programs: kept
            .programs
            .iter()
            .map(|(path, why)| json!({ "path": path.to_string(), "reason": reason(why, place) }))
            .collect(),
        removed: kept.removed.iter().map(|(path, removed)| change(path, removed.size, &removed.reason)).collect(),
        setuid: kept
            .setuid
            .iter()
            .map(|(path, mode, stripped)| {
                json!({
                    "path": path.to_string(), "mode": format!("{mode:04o}"), "stripped": stripped,
                })
            })
            .collect(),
        user: json!({ "uid": image.user.uid, "gid": image.user.gid, "groups": image.user.groups, "name": image.user.name }),
        users: accounts(&kept.users, |user| json!({ "name": user.name, "uid": user.uid, "gid": user.gid }), place),
    }
}

fn why<'a>(reason: &'a Reason, place: Place<'_>) -> Why<'a> {
    Why { at: reason.span().map(place), because: reason.chain().map(|link| link.text.as_str()).collect() }
}

fn totals(totals: &Totals) -> Value {
    json!({
        "bytes": totals.bytes, "files": totals.files, "entries": totals.entries, "packages": totals.packages,
        "users": totals.users, "groups": totals.groups, "setuid": totals.setuid,
    })
}

fn accounts<T>(list: &[AccountDecision<T>], show: impl Fn(&T) -> Value, place: Place<'_>) -> Vec<Value> {
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

fn profile(profile: &Profile, place: Place<'_>) -> Value {
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
fn requires(plan: &Plan) -> Value {
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

fn reason(reason: &Reason, place: Place<'_>) -> Value {
    json!(why(reason, place))
}
