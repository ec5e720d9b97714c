//! `k8orc init IMAGE`: a commented starter spec from what an image is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use diag::text::printable;
use diag::{Diagnostic, codes};
use lang::spec::{BaseRef, SourcePath};
use plan::decide::config::{BaseConfig, base_config};
use plan::facts::{Facts, Family};
use plan::platform::Platform;

use crate::request::{Finished, Progress, Request, Run};
use crate::{pin, survey};

/// Reads the image and writes `to`, which must not exist.
pub fn init(image: &str, platform: &str, to: &Path, cache: Option<&Path>, progress: &dyn Progress) -> Finished<()> {
    let mut request = Request::new(to);
    request.cache = cache.map(Path::to_owned);
    Run::new(&request, progress).finish(|run| {
        if std::fs::symlink_metadata(to).is_ok() {
            let shown = printable(&to.display().to_string());
            return Err(Diagnostic::new(codes::E1041, format!("{shown} is there already and was left as it is"))
                .help("name another file with -o")
                .into());
        }
        let Some(platform) = Platform::parse(platform) else {
            return Err(Diagnostic::new(codes::E1012, format!("k8orc does not build for {}", printable(platform)))
                .help("it builds for linux/amd64 and linux/arm64")
                .into());
        };
        let base = parse(image, request.root())?;
        let sources = run.open_sources()?;
        let opened = survey::one(run, sources, &base, &pin::unnamed(run, &base, platform)?)?;
        let text = starter(image, &opened.facts);
        let formatted = lang::text::format(&text).map_err(|found| {
            let first = found.into_iter().next();
            first.unwrap_or_else(|| Diagnostic::new(codes::E1020, "the starter spec could not be formatted"))
        })?;
        Ok(crate::write_atomically(to, formatted.as_bytes())?)
    })
}

/// A base as it is typed on the command line. Paths are taken relative to the spec that is written.
fn parse(text: &str, root: &Path) -> Result<BaseRef, Diagnostic> {
    let source = |path: &str| SourcePath { root: root.to_owned(), path: path.trim_start_matches("./").into() };
    Ok(match text.split_once(':') {
        Some(("tar", path)) => BaseRef::Tar(source(path)),
        Some(("dir", path)) => BaseRef::Dir(source(path)),
        Some(("docker-archive", path)) => BaseRef::DockerArchive(source(path)),
        Some(("oci", rest)) => {
            let (dir, tag) = match rest.split_once(':') {
                Some((dir, tag)) => (dir, Some(tag.to_owned())),
                None => (rest, None),
            };
            BaseRef::Oci { dir: source(dir), tag }
        }
        Some(("apt", suite)) => BaseRef::Apt(suite.to_owned()),
        Some(("spec", _)) => {
            return Err(Diagnostic::new(codes::E0301, format!("{} is not built yet", printable(text)))
                .help("name an image of a registry, or apt:SUITE, oci:DIR, docker-archive:FILE, tar:FILE, dir:DIR"));
        }
        _ => BaseRef::Registry(text.to_owned()),
    })
}

fn starter(image: &str, facts: &Facts) -> String {
    let config = base_config(facts);
    let mut out = String::from("k8orc version=1\n\n");
    let name = name(image);
    let _ = writeln!(out, "// Written by `k8orc init {}`. It says what is kept; the rest goes.", comment(image));
    let _ = writeln!(out, "// `k8orc build` makes the image, the profile and the report; `k8orc test` runs it.");
    let _ = writeln!(out, "image {} {{", quote(&name));
    let _ = writeln!(out, "    base {}", quote(image));
    let _ = writeln!(out, "    // Manifests name the image there; without it there are none.");
    let _ = writeln!(out, "    // publish \"registry.example.com/team/{name}\"");
    user(&mut out, &config);
    program(&mut out, &config);
    let _ = writeln!(out, "}}\n");
    users(&mut out, facts, &config);
    packages(&mut out, facts);
    files(&mut out, facts);
    let _ = writeln!(
        out,
        "// What container runtimes allow by default; any other call kills the process. Narrow it when it runs.\n\
         syscalls {{\n    allow \"@runtime-default\"\n}}\n"
    );
    workload(&mut out, &name, &config);
    out
}

fn user(out: &mut String, config: &BaseConfig) {
    if config.user.is_empty() || config.user == "root" || config.user == "0" {
        let _ = writeln!(
            out,
            "    // The base runs as root. Kubernetes' \"restricted\" refuses that: this user is created below."
        );
        let _ = writeln!(out, "    user \"app\"");
    } else {
        let _ = writeln!(out, "    user {} // as in the base", quote(&config.user));
    }
}

fn program(out: &mut String, config: &BaseConfig) {
    let words: Vec<String> = config.entrypoint.iter().chain(&config.cmd).map(|word| quote(word)).collect();
    if words.is_empty() {
        let _ = writeln!(out, "    // The base does not say what it starts.");
        let _ = writeln!(out, "    // entrypoint \"/usr/bin/program\" \"--option\"");
    } else {
        let _ = writeln!(out, "    // As in the base; say it here to change it.");
        let _ = writeln!(out, "    // entrypoint {}", words.join(" "));
    }
    let _ = writeln!(out, "    // Programs that it starts besides: runs \"/usr/bin/openssl\"");
    for volume in &config.volumes {
        let _ = writeln!(out, "    // The base declares a volume at {}.", comment(volume));
    }
}

fn users(out: &mut String, facts: &Facts, config: &BaseConfig) {
    let mut owned: BTreeMap<u32, u64> = BTreeMap::new();
    for node in facts.tree.nodes.values() {
        *owned.entry(node.uid).or_insert(0) += 1;
    }
    let _ = writeln!(out, "// Accounts that stay; an account that a kept file belongs to stays by itself.");
    let _ = writeln!(out, "users {{");
    let mut keep = vec![quote("root")];
    for user in &facts.accounts.users {
        let named = config.user.split(':').next() == Some(user.name.as_str());
        if user.name == "nobody" || (named && user.name != "root") {
            keep.push(quote(&user.name));
        }
    }
    let _ = writeln!(out, "    keep {}", keep.join(" "));
    for (uid, count) in owned.iter().filter(|(uid, _)| **uid != 0) {
        let name = facts.accounts.users.iter().find(|user| user.uid == *uid).map_or("no account", |u| u.name.as_str());
        let _ = writeln!(
            out,
            "    // uid {uid} ({}) owns {count} {} in the base",
            comment(name),
            if *count == 1 { "name" } else { "names" }
        );
    }
    if config.user.is_empty() || config.user == "root" || config.user == "0" {
        let _ = writeln!(out, "    create \"app\" uid=auto gid=auto");
    }
    let _ = writeln!(out, "}}\n");
}

fn packages(out: &mut String, facts: &Facts) {
    if facts.packages.packages.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "// {} packages in the base. Those of the programs stay, with what they depend on; closure=\"files\" keeps only\n\
         // files that are reached, and is much smaller.",
        facts.packages.packages.len()
    );
    let _ = writeln!(out, "packages closure=\"depends\" {{");
    if facts.packages.family == Family::Dpkg {
        let _ = writeln!(out, "    // From the release's own archive, signatures checked: add \"nginx-light\"");
    }
    for name in ["ca-certificates", "tzdata", "base-files"] {
        if facts.packages.packages.iter().any(|package| package.name == name) {
            let _ = writeln!(out, "    keep {}", quote(name));
        }
    }
    let _ = writeln!(out, "}}\n");
}

fn files(out: &mut String, facts: &Facts) {
    let owned: std::collections::BTreeSet<_> =
        facts.packages.packages.iter().flat_map(|package| package.paths.iter()).collect();
    let (mut unowned, mut all) = (0_u64, 0_u64);
    for (path, node) in &facts.tree.nodes {
        all += node.size();
        if !owned.contains(path) && facts.tree.resolve(path).map_or(true, |(real, _)| !owned.contains(&real)) {
            unowned += node.size();
        }
    }
    let share = unowned.saturating_mul(100).checked_div(all).unwrap_or(0);
    let _ = writeln!(out, "files {{");
    let _ = writeln!(out, "    // {share} % of the bytes belong to no package.");
    let _ = writeln!(out, "    unowned \"keep\"");
    if !facts.packages.packages.is_empty() {
        let exists = |path: &str| {
            plan::path::ImagePath::parse(path.as_bytes()).is_ok_and(|path| facts.tree.get(&path).is_some())
        };
        for (path, glob) in [
            ("/usr/share/man", "/usr/share/man/**"),
            ("/usr/share/locale", "/usr/share/locale/**"),
            ("/var/lib/apt/lists", "/var/lib/apt/lists/**"),
            ("/var/cache/apt", "/var/cache/apt/**"),
        ] {
            let below = |glob: &str| {
                let dir = plan::path::ImagePath::parse(glob.trim_end_matches("/**").as_bytes());
                dir.is_ok_and(|dir| facts.tree.within(&dir).count() > 1)
            };
            if exists(path) && below(glob) {
                let _ = writeln!(out, "    remove {}", quote(glob));
            }
        }
    }
    let _ = writeln!(out, "}}\n");
}

fn workload(out: &mut String, name: &str, config: &BaseConfig) {
    // One that speaks TCP, as the probe and the service do.
    let tcp = |port: &String| match port.split_once('/') {
        Some((number, protocol)) => (protocol == "tcp").then(|| number.parse::<u16>().ok())?,
        None => port.parse().ok(),
    };
    let port = config.exposed.iter().find_map(tcp);
    let _ = writeln!(out, "// How it runs in a cluster. Nothing here changes the image.");
    let _ = writeln!(out, "// workload {} kind=\"Deployment\" {{", quote(name));
    let _ = writeln!(out, "//     port {} name=\"http\"", port.unwrap_or(8080));
    let _ = writeln!(out, "//     probe \"readiness\" {{ http \"/\" port=\"http\" }}");
    let _ = writeln!(out, "//     service port=80");
    let _ = writeln!(out, "// }}");
    let _ = writeln!(out, "// stage \"dev\" {{ target \"k3s\"; namespace {} }}", quote(name));
}

/// A DNS label from the last part of a reference.
fn name(image: &str) -> String {
    let path = image.split('@').next().unwrap_or(image);
    let last = path.rsplit('/').next().unwrap_or(path);
    let last = last.strip_prefix("tar:").or_else(|| last.strip_prefix("dir:")).unwrap_or(last);
    // A release is no name of what will run on it.
    let last = if last.starts_with("apt:") { "app" } else { last.split(['.', ':']).next().unwrap_or(last) };
    let label: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let label = label.trim_matches('-').chars().take(40).collect::<String>();
    match label.chars().next() {
        Some(c) if c.is_ascii_lowercase() => label,
        _ => "app".to_owned(),
    }
}

/// A KDL string of one line.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() || printable(&c.to_string()).len() > c.len_utf8() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text of an image in a comment: on one line, nothing that ends it.
fn comment(text: &str) -> String {
    printable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name("docker.io/library/nginx:1.27"), "nginx");
        assert_eq!(name("127.0.0.1:5000/shop/Web_App@sha256:00"), "web-app");
        assert_eq!(name("tar:base.tar"), "base");
        assert_eq!(name("dir:./1"), "app");
        assert_eq!(name("apt:trixie"), "app");
        assert_eq!(quote("a\"b\\c\n"), "\"a\\\"b\\\\c\\u{a}\"");
    }
}
