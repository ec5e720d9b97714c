//! `report.html`: the whole report for people, one file without network, in light and dark, on a phone too.
//!
//! Everything but the list of removed paths is plain HTML, so that it is there without scripts; the script adds
//! search, order and pages. Every string of an input passes through `text`; a content security policy that names
//! the hashes of our own script and style is the second line.

mod groups;
mod policy;
mod removals;
mod tables;
mod text;
mod treemap;

use plan::plan::Plan;
use plan::profile::Profile;

use super::{bytes, summary};
use crate::{Made, Part};
use tables::Table;
use text::{Place, escape};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// Of the lists of removed paths, all platforms together, in bytes: most of the file.
const ROOM: usize = 2_000_000;

/// The page. `place` turns a span of the spec into `spec.kdl:3:5`.
pub fn report_html(made: &Made<'_>, place: &dyn Fn(diag::Span) -> String) -> String {
    let plan = made.plan;
    let name = escape(&plan.name);
    let mut body = String::new();
    body.push_str(&format!(
        "<header><h1>{name}</h1><p class=lead>What k8orc kept, what it removed, and why.</p>\
         <dl><dt>image</dt><dd><code>{}</code></dd>{}<dt>made by</dt><dd>k8orc {}</dd></dl></header>\n",
        escape(&made.outcome.digest),
        plan.publish.as_deref().map_or_else(String::new, |publish| {
            format!("<dt>published as</dt><dd><code>{}</code></dd>", escape(publish))
        }),
        escape(made.version),
    ));
    let parts = made.parts();
    body.push_str(&notices(plan));
    body.push_str(&navigation(&parts));
    body.push_str("<main>\n");
    for part in &parts {
        platform(&mut body, made, part, place, parts.len());
    }
    body.push_str(&heading("calls", "System calls"));
    body.push_str(&calls(&plan.profile, place).html());
    for (workload, profile) in &plan.workload_profiles {
        if profile.calls != plan.profile.calls {
            body.push_str(&format!("<h3>of the workload {}</h3>\n", escape(workload)));
            body.push_str(&calls(profile, place).html());
        }
    }
    body.push_str(&heading("requires", "What the cluster must have"));
    body.push_str(&tables::requires(&super::json::requires(plan)).html());
    body.push_str("</main>\n");
    let policy = policy::policy(&[SCRIPT], &[STYLE]);
    format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta http-equiv=content-security-policy content=\"{policy}\">\n\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n<meta name=referrer content=no-referrer>\n\
         <link rel=icon href=\"data:,\">\n<title>{name}: k8orc report</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}\
         <footer>The same in full, for machines: <code>report.json</code>. What is in the image: \
         <code>sbom.spdx.json</code>. What it was made from: <code>provenance.intoto.json</code>.</footer>\n\
         <script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// What a reader must see first: what is allowed beyond what was said, what was accepted.
fn notices(plan: &Plan) -> String {
    let profile = &plan.profile;
    let widened = profile.widenings.iter().map(|line| ("widened", line));
    let accepted = profile.accepted.iter().map(|line| ("accepted risk", line));
    let lines: String =
        widened.chain(accepted).map(|(kind, line)| format!("<li><b>{kind}:</b> {}</li>", escape(line))).collect();
    if lines.is_empty() { lines } else { format!("<ul class=notices>{lines}</ul>\n") }
}

/// The sections by their anchors; with several platforms each has its own set.
fn navigation(parts: &[Part<'_>]) -> String {
    const SECTIONS: [(&str, &str); 8] = [
        ("sizes", "Sizes"),
        ("map", "Where the bytes are"),
        ("packages", "Packages"),
        ("removed", "Removed paths"),
        ("written", "Written files"),
        ("accounts", "Accounts"),
        ("setuid", "Setuid"),
        ("verify", "Deviations"),
    ];
    let mut links = String::new();
    for part in parts {
        if parts.len() > 1 {
            links.push_str(&format!("<b>{}</b>", escape(&part.image.platform.to_string())));
        }
        for (anchor, title) in SECTIONS {
            links.push_str(&format!("<a href=\"#{anchor}-{}\">{title}</a>", part.number));
        }
    }
    format!("<nav aria-label=Sections>{links}<a href=#calls>System calls</a><a href=#requires>Cluster</a></nav>\n")
}

fn heading(anchor: &str, title: &str) -> String {
    format!("<h2 id=\"{anchor}\">{title}</h2>\n")
}

/// All that is said of one platform.
fn platform(out: &mut String, made: &Made<'_>, part: &Part<'_>, place: &Place<'_>, parts: usize) {
    let kept = &part.image.kept;
    let title = |anchor: &str, title: &str| heading(&format!("{anchor}-{}", part.number), title);
    if parts > 1 {
        out.push_str(&format!("<p class=platform>{}</p>\n", escape(&part.image.platform.to_string())));
    }
    out.push_str(&title("sizes", "Sizes"));
    let base = &part.image.base;
    out.push_str(&format!(
        "<p>{} from <code>{}</code>{}; runs as uid {} gid {}.</p>\n",
        escape(&part.image.platform.to_string()),
        escape(&base.reference),
        base.digest.as_deref().map_or_else(String::new, |digest| format!(" <code class=dim>{}</code>", escape(digest))),
        part.image.user.uid,
        part.image.user.gid,
    ));
    out.push_str(&sizes(made, part));
    out.push_str(&title("map", "Where the bytes are"));
    out.push_str(&treemap::section(part));
    out.push_str(&title("packages", "Packages"));
    out.push_str(&tables::packages(&kept.packages, place).html());
    out.push_str(&title("removed", "Removed paths"));
    out.push_str(&removals::section(part, ROOM / parts.max(1), place));
    out.push_str(&title("written", "Written files"));
    out.push_str(&tables::written(kept, place).html());
    out.push_str(&title("accounts", "Accounts"));
    out.push_str(&tables::accounts(kept, place).html());
    out.push_str(&title("setuid", "Setuid and setgid files"));
    out.push_str(&tables::setuid(kept).html());
    out.push_str(&title("verify", "Deviations"));
    out.push_str(
        "<p class=dim>What the family's verify command (<code>dpkg --verify</code>, <code>apk audit</code>, \
         <code>rpm --verify</code>) will say of the image, and no more.</p>\n",
    );
    out.push_str(&tables::deviations(kept).html());
}

/// Before and after, with a bar for what is left.
fn sizes(made: &Made<'_>, part: &Part<'_>) -> String {
    let (before, after) = (&part.image.before, &part.image.after);
    let compressed = |list: &[u64]| list.get(part.number).copied().unwrap_or(0);
    let (from, to) = (compressed(&made.outcome.base_compressed), compressed(&made.outcome.compressed));
    // A plain tar has no compressed size to compare with.
    let from = if from < before.bytes { from } else { 0 };
    let rows = [
        ("size", before.bytes, after.bytes, true),
        ("compressed", from, to, true),
        ("files", before.files, after.files, false),
        ("packages", before.packages, after.packages, false),
        ("users", before.users, after.users, false),
        ("groups", before.groups, after.groups, false),
        ("setuid and setgid", before.setuid, after.setuid, false),
    ];
    let mut out = String::from(
        "<table class=sizes><thead><tr><th scope=col>what</th><th scope=col class=n>before</th>\
         <th scope=col class=n>after</th><th scope=col>left</th></tr></thead><tbody>\n",
    );
    for (name, before, after, is_bytes) in rows {
        let show = |n: u64| if is_bytes { bytes(n) } else { n.to_string() };
        let left = after.saturating_mul(1000).checked_div(before);
        let bar = left.map_or_else(
            || "<span class=dim>–</span>".to_owned(),
            |left| {
                let tenths = left.min(1000);
                format!(
                    "<svg class=bar aria-hidden=true><rect class=gone width=\"100%\" height=\"100%\"/>\
                     <rect class=stay width=\"{}.{}%\" height=\"100%\"/></svg> {} %",
                    tenths / 10,
                    tenths % 10,
                    (left + 5) / 10,
                )
            },
        );
        let from = if is_bytes && before == 0 { "–".to_owned() } else { show(before) };
        out.push_str(&format!(
            "<tr><th scope=row>{name}</th><td class=n>{from}</td><td class=n>{}</td><td class=left>{bar}</td></tr>\n",
            show(after),
        ));
    }
    out.push_str("</tbody></table>\n");
    out
}

fn calls(profile: &Profile, place: &Place<'_>) -> Table {
    let otherwise = summary::otherwise(profile.otherwise);
    tables::calls(profile, otherwise, place)
}
