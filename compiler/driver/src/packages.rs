//! Packages of Debian archives: what the lock pins of them, and the layer that they become.

use std::collections::BTreeSet;
use std::time::SystemTime;

use diag::text::printable;
use diag::{Diagnostic, Span, codes};
use lang::lock::{Lock, LockedArchive, LockedPackage, LockedSelection};
use lang::spec::Spec;
use lang::text::MAX_BYTES;
use lang::world::World as _;
use plan::platform::Platform;
use sources::{AptPin, AptRequest, PinnedArchive, PinnedPackage};

use crate::Stage;
use crate::request::Run;

/// Names that the spec adds, sorted, each once.
pub(crate) fn wanted(spec: &Spec) -> Vec<String> {
    let names: BTreeSet<String> = spec.packages.add.iter().map(|name| name.value.clone()).collect();
    names.into_iter().collect()
}

/// Where packages go.
pub(crate) struct Onto<'a> {
    /// The base as the lock calls it.
    pub reference: &'a str,
    /// For which platform.
    pub platform: &'a Platform,
    /// Code name of the suite.
    pub suite: &'a str,
    /// dpkg's status of the base; `None` for a base from nothing.
    pub installed: Option<&'a [u8]>,
}

/// The packages that the lock names for this spec and base.
pub(crate) fn locked(
    old: Option<&Lock>,
    scope: &str,
    reference: &str,
    platform: &Platform,
    roots: &[String],
) -> Option<AptPin> {
    let found = old?.selection(scope, reference, &platform.to_string(), roots)?;
    let archive = |a: &LockedArchive| PinnedArchive {
        archive: a.name.clone(),
        suite: a.suite.clone(),
        sha256: a.release.clone(),
        date: a.date,
    };
    let package = |p: &LockedPackage| PinnedPackage {
        name: p.name.clone(),
        architecture: p.architecture.clone(),
        version: p.version.clone(),
        sha256: p.digest.clone(),
        size: p.size,
        filename: p.filename.clone(),
        archive: p.archive.clone(),
    };
    Some(AptPin {
        suite: found.suite.clone(),
        architecture: platform.arch.oci().to_owned(),
        roots: found.roots.clone(),
        archives: found.archives.iter().map(archive).collect(),
        packages: found.packages.iter().map(package).collect(),
    })
}

/// Asks the archives; what the lock has must not be newer than what they serve. Without a spec: the essential packages.
pub(crate) fn choose(
    run: &Run<'_>,
    spec: Option<&Spec>,
    old: Option<&Lock>,
    scope: &str,
    onto: &Onto<'_>,
) -> Stage<AptPin> {
    run.progress.step(&format!("asking the archives of {} what they have", onto.suite));
    let before = old.map_or(&[][..], |lock| lock.releases(scope, onto.reference, &onto.platform.to_string()));
    let since: Vec<PinnedArchive> = before
        .iter()
        .map(|a| PinnedArchive {
            archive: a.name.clone(),
            suite: a.suite.clone(),
            sha256: a.release.clone(),
            date: a.date,
        })
        .collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let sources = run.open_sources()?;
    let request = AptRequest {
        suite: onto.suite,
        architecture: onto.platform.arch.oci(),
        roots: &spec.map(wanted).unwrap_or_default(),
        installed: onto.installed,
        since: &since,
        now: i64::try_from(now).unwrap_or(i64::MAX),
        accept_expired: run.user()?.mirrors.values().any(|mirror| mirror.snapshot),
    };
    let found = sources.apt().resolve(&request);
    Ok(found.map_err(|problem| match spec {
        Some(spec) => located(problem, spec),
        None => problem,
    })?)
}

/// As the lock holds it.
pub(crate) fn selection(pin: &AptPin, scope: &str, reference: &str, platform: &Platform) -> LockedSelection {
    let archive = |a: &PinnedArchive| LockedArchive {
        name: a.archive.clone(),
        suite: a.suite.clone(),
        release: a.sha256.clone(),
        date: a.date,
    };
    let package = |p: &PinnedPackage| LockedPackage {
        name: p.name.clone(),
        version: p.version.clone(),
        architecture: p.architecture.clone(),
        archive: p.archive.clone(),
        size: p.size,
        digest: p.sha256.clone(),
        filename: p.filename.clone(),
    };
    LockedSelection {
        spec: scope.to_owned(),
        reference: reference.to_owned(),
        platform: platform.to_string(),
        suite: pin.suite.clone(),
        roots: pin.roots.clone(),
        archives: pin.archives.iter().map(archive).collect(),
        packages: pin.packages.iter().map(package).collect(),
    }
}

/// When the suite was last published: the Date of its own Release.
pub(crate) fn date(pin: &AptPin) -> Option<i64> {
    let own = pin.archives.iter().find(|archive| archive.suite == pin.suite);
    own.or(pin.archives.first()).map(|archive| archive.date)
}

/// Bytes of the packages as they are fetched.
pub(crate) fn size(pin: &AptPin) -> u64 {
    pin.packages.iter().fold(0, |sum, package| sum.saturating_add(package.size))
}

/// Points at the line that names the package which a complaint is about, else at the base.
pub(crate) fn located(problem: Diagnostic, spec: &Spec) -> Diagnostic {
    if problem.primary.is_some() {
        return problem;
    }
    let words: Vec<&str> = problem.message.split(|c: char| c.is_whitespace() || matches!(c, '`' | ':' | ',')).collect();
    let named = spec.packages.add.iter().find(|name| words.contains(&name.value.as_str()));
    match named {
        Some(name) => problem.at(name.span, "added here"),
        None => problem.at(base(spec), "this base"),
    }
}

fn base(spec: &Spec) -> Span {
    spec.image.base.span
}

/// A file of the user's that declares effects.
#[derive(Debug, Clone)]
pub(crate) struct Effects {
    /// For messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads the spec's declarations of effects.
///
/// # Errors
/// E0565 for one that is no text or too large.
pub(crate) fn effects(run: &Run<'_>, spec: &Spec) -> Stage<Vec<Effects>> {
    let mut all = Vec::new();
    for file in &spec.packages.effects {
        let name = file.value.path.display().to_string();
        let broken = |why: String| {
            let message = format!("the effects file {} cannot be read: {why}", printable(&name));
            Diagnostic::new(codes::E0565, message).at(file.span, "this file").help("give a text of at most 1 MiB")
        };
        let bytes = run.world.read(&file.value.root, &file.value.path, MAX_BYTES as u64);
        let bytes = bytes.map_err(|error| broken(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| broken("it is not UTF-8".to_owned()))?;
        all.push(Effects { name, text });
    }
    Ok(all)
}

/// E0569: packages for a base that has no archive behind it.
pub(crate) fn no_archive(spec: &Spec, why: &str) -> Diagnostic {
    let span = spec.packages.add.first().map_or(spec.image.base.span, |name| name.span);
    Diagnostic::new(codes::E0569, format!("packages cannot be added to this base: {why}"))
        .at(span, "from which archive?")
        .label(base(spec), "the base")
        .help("use `base \"apt:SUITE\"`, or an image of Debian or Ubuntu")
}
