//! `closure="files"`: what is reached beyond links, interpreters and libraries. Rules that are data
//! (`stdlib/closure/reach.rules`) say what a needed file needs besides; what a line of the spec keeps needs its own
//! libraries, too.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use diag::Diagnostics;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use lang::spec::{Closure as Far, Spec};

use super::globs::Globs;
use super::needs::Closure;
use super::packages::Verdict;
use super::{Index, Input, known};
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::NodeKind;

/// How far dependencies are followed.
pub(super) fn far(spec: &Spec) -> Far {
    spec.packages.closure.as_ref().map(|far| far.value).unwrap_or_default()
}

/// Whether only what is reached stays.
pub(super) fn by_files(spec: &Spec) -> bool {
    far(spec) == Far::Files
}

/// Whether dependencies that serve only maintainer scripts are passed over.
pub(super) fn at_run_time(spec: &Spec) -> bool {
    far(spec) == Far::Runtime
}

/// What the files of kept packages need to start; `false` when that is all there already. With
/// `closure="runtime"` it proves that no program misses what was passed over.
pub(super) fn prove(
    closure: &mut Closure<'_>,
    input: &Input<'_>,
    index: &Index<'_>,
    verdicts: &[Verdict],
    out: &mut Diagnostics,
) -> bool {
    let before = closure.count();
    for ((package, listed), verdict) in input.facts.packages.packages.iter().zip(&index.listed).zip(verdicts) {
        if !verdict.kept {
            continue;
        }
        let reason = Reason::link(format!("it is a file of {}", diag::text::printable(&package.name)), &verdict.reason);
        for name in listed.iter().flatten().filter_map(|at| index.names.get(*at)) {
            closure.quietly(name, &reason, out);
        }
    }
    closure.count() > before
}

/// A rule.
#[derive(Debug, Default)]
struct Rule {
    when: Vec<String>,
    mentions: Vec<String>,
    except: Vec<String>,
    because: String,
    keep: Vec<String>,
    nss: bool,
}

/// A rule with its globs.
struct Compiled {
    rule: Rule,
    when: GlobSet,
    except: GlobSet,
    keep: GlobSet,
}

/// The rules. A mistake in the file is a failing test of this module.
fn rules() -> &'static [Compiled] {
    static RULES: OnceLock<Vec<Compiled>> = OnceLock::new();
    RULES.get_or_init(|| {
        let all = parse(include_str!("../../../../../stdlib/closure/reach.rules")).unwrap_or_default();
        let compiled =
            |rule: Rule| Compiled { when: set(&rule.when), except: set(&rule.except), keep: set(&rule.keep), rule };
        all.into_iter().map(compiled).collect()
    })
}

/// Rules with an empty line between them.
fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let mut all = Vec::new();
    let mut rule = Rule::default();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = || rest.split_whitespace().map(str::to_owned);
        match word {
            "when" => rule.when.extend(words()),
            "mentions" => rule.mentions.extend(words()),
            "except" => rule.except.extend(words()),
            "because" => rest.clone_into(&mut rule.because),
            "keep" => rule.keep.extend(words()),
            "nss" => rule.nss = true,
            "" if rule.when.is_empty() && rule.mentions.is_empty() => {}
            "" if rule.because.is_empty() || rule.keep.is_empty() => return Err(format!("{rule:?} is not whole")),
            "" => all.push(std::mem::take(&mut rule)),
            other => return Err(format!("`{other}` is no word of a rule")),
        }
    }
    for glob in all.iter().flat_map(|rule| rule.when.iter().chain(&rule.keep).chain(&rule.except)) {
        build(glob).map_err(|error| format!("{glob}: {error}"))?;
    }
    Ok(all)
}

fn build(glob: &str) -> Result<globset::Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).build()
}

fn set(globs: &[String]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in globs.iter().filter_map(|glob| build(glob).ok()) {
        builder.add(glob);
    }
    builder.build().unwrap_or_default()
}

/// Follows what lines of the spec keep, then the rules, until nothing new is reached. What is reached is needed.
pub(super) fn follow(closure: &mut Closure<'_>, input: &Input<'_>, index: &Index<'_>, out: &mut Diagnostics) {
    for (at, reason) in kept(input, index) {
        if let Some(name) = index.names.get(at) {
            closure.lean(name, &reason, out);
        }
    }
    let mut fired = BTreeSet::new();
    loop {
        let before = fired.len();
        for (number, Compiled { rule, when, except, keep }) in rules().iter().enumerate() {
            if fired.contains(&number) {
                continue;
            }
            let Some((path, reason)) =
                closure.first(|path| when.is_match(bytes(path)), |path| !except.is_match(bytes(path)), &rule.mentions)
            else {
                continue;
            };
            fired.insert(number);
            let why = Reason::link(format!("{path}: {}", rule.because), &reason);
            for (name, node) in index.names.iter().zip(&index.nodes) {
                if !node.is_directory() && keep.is_match(bytes(name)) {
                    closure.take(name, &why, out);
                }
            }
            if rule.nss {
                closure.name_services(&why, out);
            }
        }
        if fired.len() == before {
            return;
        }
    }
}

fn bytes(path: &ImagePath) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

/// Files that a line of the spec keeps, and those of packages that it keeps, each with why.
fn kept(input: &Input<'_>, index: &Index<'_>) -> Vec<(usize, Arc<Reason>)> {
    let spec = input.spec;
    let mut all = Vec::new();
    // Whoever decides the files complains of the globs.
    let globs = Globs::new(spec.files.keep.iter(), &mut Diagnostics::new()).over(index);
    for (at, lines) in globs.iter().enumerate() {
        if let Some(glob) = lines.first().and_then(|line| spec.files.keep.get(*line)) {
            let text = format!("files keep \"{}\"", diag::text::printable(&glob.value));
            all.push((at, Reason::spec(text, glob.span)));
        }
    }
    for name in &spec.packages.keep {
        let plain = name.value.split(':').next().unwrap_or_default();
        let text = format!("packages keep \"{}\"", diag::text::printable(&name.value));
        let reason = Reason::spec(text, name.span);
        for (package, listed) in input.facts.packages.packages.iter().zip(&index.listed) {
            if package.name == plain {
                all.extend(listed.iter().flatten().map(|at| (*at, Arc::clone(&reason))));
            }
        }
    }
    let file = |at: &usize| index.nodes.get(*at).is_some_and(|node| matches!(node.kind, NodeKind::File(_)));
    all.retain(|(at, _)| file(at));
    all
}

/// Packages whose record stays because a file of theirs does: a line of the spec keeps it, or every image has it.
pub(super) fn owners(input: &Input<'_>, index: &Index<'_>) -> Vec<(usize, Arc<Reason>)> {
    let globs = Globs::new(input.spec.files.keep.iter(), &mut Diagnostics::new()).over(index);
    let mut all = Vec::new();
    for (at, (name, owners)) in index.names.iter().zip(&index.owners).enumerate() {
        if index.nodes.get(at).is_none_or(|node| node.is_directory()) {
            continue;
        }
        let line = globs.get(at).and_then(|lines| lines.first()).and_then(|line| input.spec.files.keep.get(*line));
        let reason = match line {
            Some(glob) => Reason::spec(format!("files keep \"{}\"", diag::text::printable(&glob.value)), glob.span),
            None if known::is_place(name) => Reason::fact(format!("{name} stays in every image")),
            None => continue,
        };
        all.extend(owners.iter().map(|owner| (*owner, Reason::link(format!("it owns {name}"), &reason))));
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rules_are_whole() {
        let all = parse(include_str!("../../../../../stdlib/closure/reach.rules")).unwrap();
        assert!(all.len() > 15, "{}", all.len());
        for glob in all.iter().flat_map(|rule| rule.when.iter().chain(&rule.keep).chain(&rule.except)) {
            assert!(glob.starts_with('/'), "{glob}");
        }
        assert_eq!(rules().len(), all.len());
    }

    #[test]
    fn a_broken_rule_is_named() {
        assert!(parse("when /a\nbecause x\n").unwrap_err().contains("not whole"));
        assert!(parse("whenever /a\n").unwrap_err().contains("whenever"));
        assert!(parse("when /a[\nbecause x\nkeep /b\n").unwrap_err().contains("/a["));
    }
}
