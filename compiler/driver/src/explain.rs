//! `k8orc explain`: the chain of reasons from a thing to a line of the spec.

use std::fmt::Write as _;

use diag::{Diagnostic, SourceMap, codes};
use plan::kept::{AccountFate, Content};
use plan::path::ImagePath;
use plan::plan::{ImagePlan, Plan};
use plan::profile::Action;
use plan::reason::Reason;

use crate::request::{Finished, Progress, Request, Run};
use crate::{decide, load, pin, survey};

/// Answers for `/path`, `package:NAME`, `user:NAME`, `group:NAME`, `syscall:NAME`, `image:NAME`.
pub fn explain(request: &Request, thing: &str, progress: &dyn Progress) -> Finished<String> {
    Run::new(request, progress).finish(|run| {
        let spec = load::spec(run)?;
        let pinned = pin::pin(run, &spec)?;
        let bases = survey::bases(run, &spec, &pinned)?;
        let plan = decide::plan(run, &spec, &pinned, &bases)?;
        let mut out = String::new();
        for (image, base) in plan.images.iter().zip(&bases) {
            if plan.images.len() > 1 {
                let _ = writeln!(out, "{}:", image.platform);
            }
            out.push_str(&answer(&plan, image, &base.facts, thing, &run.sources.borrow())?);
        }
        Ok(out)
    })
}

fn answer(
    plan: &Plan,
    image: &ImagePlan,
    facts: &plan::facts::Facts,
    thing: &str,
    sources: &SourceMap,
) -> Result<String, Diagnostic> {
    if thing.starts_with('/') {
        return path(image, thing, sources);
    }
    let (kind, name) = thing.split_once(':').unwrap_or(("package", thing));
    match kind {
        "package" => package(image, name, sources),
        "user" => image
            .kept
            .users
            .iter()
            .find(|user| user.account.name == name)
            .map(|user| account("user", name, user.fate, &user.reason, sources))
            .ok_or_else(|| unknown(thing, "neither the base nor the spec has this user")),
        "group" => image
            .kept
            .groups
            .iter()
            .find(|group| group.account.name == name)
            .map(|group| account("group", name, group.fate, &group.reason, sources))
            .ok_or_else(|| unknown(thing, "neither the base nor the spec has this group")),
        "syscall" => syscall(plan, name, sources),
        "image" => Ok(config(image, facts)),
        _ => Err(unknown(thing, "explain takes /a/path, package:, user:, group:, syscall:, image: or a code")),
    }
}

fn path(image: &ImagePlan, text: &str, sources: &SourceMap) -> Result<String, Diagnostic> {
    let wanted = ImagePath::parse(text.as_bytes()).map_err(|error| unknown(text, &error.to_string()))?;
    let kept = &image.kept;
    if let Some(entry) = kept.entries.get(&wanted) {
        let verb = if entry.content == Content::Base { "stays" } else { "is written" };
        return Ok(chain(&format!("{wanted} {verb}"), &entry.reason, sources));
    }
    if let Some(removed) = kept.removed.get(&wanted) {
        return Ok(chain(&format!("{wanted} is removed"), &removed.reason, sources));
    }
    let below = kept.removed.range(wanted.clone()..).take_while(|(path, _)| path.is_within(&wanted)).count();
    if below > 0 {
        return Ok(format!("{wanted} goes with the last of the {below} names in it\n"));
    }
    Err(unknown(text, "neither the base nor the result has this path (links are not followed)"))
}

fn package(image: &ImagePlan, name: &str, sources: &SourceMap) -> Result<String, Diagnostic> {
    let package = image.kept.packages.iter().find(|package| package.name == name);
    let package = package.ok_or_else(|| unknown(name, "the base has no package of this name"))?;
    let verb = if package.kept { "stays" } else { "is removed" };
    let mut out = chain(&format!("package {} {} {verb}", package.name, package.version), &package.reason, sources);
    if package.kept && !package.missing.is_empty() {
        let _ = writeln!(out, "without {} of its files", package.missing.len());
    }
    Ok(out)
}

fn account(kind: &str, name: &str, fate: AccountFate, reason: &Reason, sources: &SourceMap) -> String {
    let verb = match fate {
        AccountFate::Kept => "stays",
        AccountFate::Removed => "is removed",
        AccountFate::Created => "is created",
    };
    chain(&format!("{kind} {name} {verb}"), reason, sources)
}

fn syscall(plan: &Plan, name: &str, sources: &SourceMap) -> Result<String, Diagnostic> {
    if let Some(call) = plan.profile.calls.get(name) {
        let verb = match call.action {
            Action::Allow => "is allowed".to_owned(),
            Action::Errno(number) => match plan::calls::errno::name(number) {
                Some(errno) => format!("is answered with {errno}"),
                None => format!("is answered with error {number}"),
            },
        };
        return Ok(chain(&format!("{name} {verb}"), &call.reason, sources));
    }
    if plan::calls::known(name) {
        return Ok(format!("{name} is not in the profile: {:?}\n", plan.profile.otherwise));
    }
    let problem = unknown(name, "there is no system call of this name");
    Err(match plan::calls::nearest(name) {
        Some(near) => problem.help(format!("did you mean syscall:{near}?")),
        None => problem,
    })
}

/// What of the config is inherited and what is replaced.
fn config(image: &ImagePlan, facts: &plan::facts::Facts) -> String {
    let mut out = format!("base {}", image.base.reference);
    if let Some(digest) = &image.base.digest {
        let _ = write!(out, " ({digest})");
    }
    out.push('\n');
    let empty = serde_json::Map::new();
    let object = |value: &serde_json::Value| {
        value.get("config").and_then(serde_json::Value::as_object).cloned().unwrap_or_else(|| empty.clone())
    };
    let (old, new) = (object(&facts.config), object(&image.config));
    for (key, value) in &new {
        let said = diag::text::printable(&value.to_string());
        let _ = match old.get(key) {
            Some(before) if before == value => writeln!(out, "{key:<13} inherited  {said}"),
            Some(before) => {
                writeln!(out, "{key:<13} replaced   {said}  (was {})", diag::text::printable(&before.to_string()))
            }
            None => writeln!(out, "{key:<13} added      {said}"),
        };
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        let _ = writeln!(out, "{key:<13} dropped");
    }
    out
}

/// The headline and one line a link: `because …`, with the place in the spec at the end.
fn chain(headline: &str, reason: &Reason, sources: &SourceMap) -> String {
    let mut out = format!("{headline}\n");
    for link in reason.chain() {
        let place = link.span.map(|span| format!("  [{}]", sources.place(span))).unwrap_or_default();
        let _ = writeln!(out, "  because {}{place}", diag::text::printable(&link.text));
    }
    out
}

fn unknown(thing: &str, why: &str) -> Diagnostic {
    Diagnostic::new(codes::E1040, format!("nothing to explain about {}: {why}", diag::text::printable(thing)))
}
