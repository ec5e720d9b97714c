//! Step 2: what may be used, by hash: from the lock, or by asking for names where it says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use diag::{Diagnostic, Severity, codes};
use lang::lock::{Declaration, IdKind, Lock, LockedBase};
use lang::spec::{BaseRef, IdChoice, Spec};
use plan::decide::keep::Ids;
use plan::platform::{Arch, Platform};
use sha2::{Digest as _, Sha256};
use sources::{AptPin, Pin};

use crate::packages::Onto;
use crate::request::Run;
use crate::{Stage, Stop, packages, runtime, stdlib, survey};

/// A base, pinned.
pub(crate) struct PinnedBase {
    pub platform: Platform,
    pub pin: Pin,
    /// What is installed onto it, or all that it is made of.
    pub packages: Option<AptPin>,
}

/// All that the lock decides.
pub(crate) struct Pinned {
    pub lock: Lock,
    pub bases: Vec<PinnedBase>,
    pub ids: Ids,
    /// What the file holds now; `None`: there is none.
    before: Option<String>,
}

/// Takes what the lock says and completes it.
pub(crate) fn pin(run: &Run<'_>, spec: &Spec) -> Stage<Pinned> {
    complete(run, spec, false)
}

/// Asks anew for every base.
pub(crate) fn renew(run: &Run<'_>, spec: &Spec) -> Stage<Pinned> {
    complete(run, spec, true)
}

/// Writes the lock if it changed; says so.
pub(crate) fn write_back(run: &Run<'_>, pinned: &Pinned) -> Stage<bool> {
    let text = pinned.lock.print();
    if pinned.before.as_deref() == Some(text.as_str()) || is_empty(&pinned.lock) && pinned.before.is_none() {
        return Ok(false);
    }
    let path = run.request.lock_path();
    let shown = diag::text::printable(&path.display().to_string());
    if run.request.locked {
        let what = if pinned.before.is_some() { "would have to change" } else { "does not exist" };
        return Err(Diagnostic::new(codes::E1010, format!("{shown} {what}, and --locked forbids it"))
            .help("run `k8orc lock` and commit the lock with the spec")
            .into());
    }
    crate::staging::write_atomically(&path, text.as_bytes())?;
    run.progress.note(&format!(
        "{shown} {}; commit it with the spec",
        if pinned.before.is_some() { "completed" } else { "written: it pins the base and the ids" }
    ));
    Ok(true)
}

/// A lock that pins nothing is not worth a file (a base from scratch without new accounts).
pub(crate) fn is_empty(lock: &Lock) -> bool {
    lock.bases.is_empty() && lock.selections.is_empty() && lock.ids.is_empty() && lock.retired.is_empty()
}

fn complete(run: &Run<'_>, spec: &Spec, renew: bool) -> Stage<Pinned> {
    run.progress.step("pinning the base");
    let (before, old) = read(run)?;
    let platforms = platforms(run, spec)?;
    let scope = scope(run);
    let mut lock = old.clone().unwrap_or_default().without(&scope);
    let mut bases = Vec::new();
    for platform in platforms {
        let pinned = one(run, spec, old.as_ref(), renew, platform)?;
        if let Some(packages) = &pinned.packages {
            lock.selections.push(packages::selection(packages, &scope, &pinned.pin.reference, &pinned.platform));
        }
        // What an archive's packages become is pinned by them.
        let by_packages = matches!(spec.image.base.value, BaseRef::Apt(_));
        if let Some(digest) = pinned.pin.digest.clone().filter(|_| !by_packages) {
            lock.bases.push(LockedBase {
                spec: scope.clone(),
                reference: pinned.pin.reference.clone(),
                platform: pinned.platform.to_string(),
                digest,
                index: pinned.pin.index.clone(),
                diff_id: pinned.pin.diff_id.clone(),
                created: pinned.pin.created,
            });
        }
        bases.push(pinned);
    }
    lock.bases.sort();
    lock.selections.sort();
    let (declared, taken) = declarations(run, spec);
    lock = lock.assign(&spec.image.name.value, &scope, &declared, &taken)?;
    let ids = ids(&lock, &declared);
    toolchain(run, &mut lock, old.as_ref(), &bases)?;
    lock.epoch = match &old {
        Some(old) if !renew => old.epoch,
        _ => epoch(&bases),
    };
    Ok(Pinned { lock, bases, ids, before })
}

fn read(run: &Run<'_>) -> Stage<(Option<String>, Option<Lock>)> {
    let path = run.request.lock_path();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None)),
        Err(error) => {
            let shown = diag::text::printable(&path.display().to_string());
            return Err(Diagnostic::new(codes::E1011, format!("{shown} cannot be read: {error}")).into());
        }
    };
    let file = run.sources.borrow_mut().add("k8orc.lock", text.as_str());
    match Lock::parse(&text, file) {
        Ok(lock) => Ok((Some(text), Some(lock))),
        Err(found) => {
            run.found(found);
            Err(crate::Stop::Gate)
        }
    }
}

fn platforms(run: &Run<'_>, spec: &Spec) -> Stage<Vec<Platform>> {
    let mut out = Vec::new();
    for text in &spec.image.platforms {
        match Platform::parse(&text.value) {
            Some(platform) => out.push(platform),
            None => run.found([Diagnostic::new(codes::E1012, format!("k8orc does not build for {}", text.value))
                .at(text.span, "this platform")
                .help("it builds for linux/amd64 and linux/arm64")]),
        }
    }
    run.gate()?;
    if out.is_empty() {
        out.push(Platform { arch: Arch::X86_64, variant: None });
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// The pin of one platform: what the lock says, unless it says nothing or is to be renewed.
fn one(run: &Run<'_>, spec: &Spec, old: Option<&Lock>, renew: bool, platform: Platform) -> Stage<PinnedBase> {
    let base = &spec.image.base;
    let name = sources::name(&base.value).map_err(|problem| problem.at(base.span, "this base"))?;
    if let BaseRef::Apt(suite) = &base.value {
        return made(run, spec, old, renew, platform, (&name, suite));
    }
    if base.value == BaseRef::Scratch && !spec.packages.add.is_empty() {
        return Err(packages::no_archive(spec, "there is nothing in it, and so no release of a distribution").into());
    }
    let locked = old.filter(|_| !renew).and_then(|lock| lock.base(&scope(run), &name, &platform.to_string()));
    let pin = match locked {
        Some(locked) => Pin {
            reference: locked.reference.clone(),
            platform: platform.clone(),
            digest: Some(locked.digest.clone()),
            index: locked.index.clone(),
            diff_id: locked.diff_id.clone(),
            created: locked.created,
        },
        None => {
            run.progress.step(&format!("asking for {name}"));
            run.open_sources()?.resolve(&base.value, &platform).map_err(|problem| match problem.primary {
                Some(_) => problem,
                None => problem.at(base.span, "this base"),
            })?
        }
    };
    let fresh = locked.is_none();
    let mut pinned = PinnedBase { platform, pin, packages: None };
    if !spec.packages.add.is_empty() {
        // What is chosen depends on what is installed: a base that was asked for anew has another choice.
        pinned.packages = Some(added(run, spec, old, fresh, &pinned)?);
    }
    Ok(pinned)
}

/// The packages that an image gets, and all that they need which it has not.
fn added(run: &Run<'_>, spec: &Spec, old: Option<&Lock>, fresh: bool, base: &PinnedBase) -> Stage<AptPin> {
    let (scope, roots, platform) = (scope(run), packages::wanted(spec), &base.platform);
    let name = base.pin.reference.as_str();
    if let Some(locked) = packages::locked(old.filter(|_| !fresh), &scope, name, platform, &roots) {
        return Ok(locked);
    }
    let ground = survey::ground(run, spec, base)?.map_err(|why| packages::no_archive(spec, &why))?;
    for suite in &ground.suites {
        let onto = Onto { reference: name, platform, suite, installed: Some(&ground.installed) };
        match packages::choose(run, Some(spec), old, &scope, &onto) {
            Err(Stop::With(problem)) if problem.code == codes::E0450 => {}
            other => return other,
        }
    }
    let release = ground.suites.join(" or ");
    Err(packages::no_archive(spec, &format!("it is {release}, a release whose archive k8orc does not know")).into())
}

/// A base that is made of packages.
fn made(
    run: &Run<'_>,
    spec: &Spec,
    old: Option<&Lock>,
    renew: bool,
    platform: Platform,
    (name, suite): (&str, &str),
) -> Stage<PinnedBase> {
    let (scope, roots) = (scope(run), packages::wanted(spec));
    let onto = Onto { reference: name, platform: &platform, suite, installed: None };
    let chosen = match packages::locked(old.filter(|_| !renew), &scope, name, &platform, &roots) {
        Some(locked) => locked,
        None => packages::choose(run, Some(spec), old, &scope, &onto)?,
    };
    Ok(of_packages(name, platform, chosen))
}

/// A base that no spec names: as it is now.
pub(crate) fn unnamed(run: &Run<'_>, base: &BaseRef, platform: Platform) -> Stage<PinnedBase> {
    if let BaseRef::Apt(suite) = base {
        let name = sources::name(base)?;
        let onto = Onto { reference: &name, platform: &platform, suite, installed: None };
        let chosen = packages::choose(run, None, None, "", &onto)?;
        return Ok(of_packages(&name, platform, chosen));
    }
    let pin = run.open_sources()?.resolve(base, &platform)?;
    Ok(PinnedBase { platform, pin, packages: None })
}

fn of_packages(name: &str, platform: Platform, chosen: AptPin) -> PinnedBase {
    let pin = Pin {
        reference: name.to_owned(),
        platform: platform.clone(),
        digest: Some(chosen.digest()),
        index: None,
        diff_id: None,
        created: packages::date(&chosen),
    };
    PinnedBase { platform, pin, packages: Some(chosen) }
}

/// Sites of this spec: its file's name, so that several specs may share a lock.
fn scope(run: &Run<'_>) -> String {
    run.request.spec.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Accounts that say `auto`, and the ids that others say.
fn declarations(run: &Run<'_>, spec: &Spec) -> (Vec<Declaration>, BTreeSet<u32>) {
    let scope = scope(run);
    let (mut declared, mut taken) = (Vec::new(), BTreeSet::new());
    let mut add = |kind, name: &str, choice: IdChoice| match choice {
        IdChoice::Fixed(id) => {
            taken.insert(id);
        }
        IdChoice::Auto => {
            declared.push(Declaration { kind, name: name.to_owned(), site: format!("{scope}#users/{name}") });
        }
    };
    for user in &spec.users.create {
        add(IdKind::User, &user.name.value, user.uid.value);
        add(IdKind::Group, &user.name.value, user.gid.value);
    }
    let (_, wanted) = plan::decide::keep::wanted_ids(spec);
    for group in &spec.users.groups {
        // A group of the base that only gets members needs no id.
        if wanted.contains(&group.name.value) || matches!(group.gid.value, IdChoice::Fixed(_)) {
            add(IdKind::Group, &group.name.value, group.gid.value);
        }
    }
    (declared, taken)
}

fn ids(lock: &Lock, declared: &[Declaration]) -> Ids {
    let mut ids = Ids::default();
    for declaration in declared {
        let Some(id) = lock.id(declaration) else { continue };
        match declaration.kind {
            IdKind::User => ids.users.insert(declaration.name.clone(), id),
            IdKind::Group => ids.groups.insert(declaration.name.clone(), id),
        };
    }
    ids
}

/// Compiler, standard library and runtime: what differs from the lock is a warning that names both, under
/// `--locked` an error.
fn toolchain(run: &Run<'_>, lock: &mut Lock, old: Option<&Lock>, bases: &[PinnedBase]) -> Stage<()> {
    let mut now = BTreeMap::from([
        ("compiler".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("standard library".to_owned(), stdlib::digest()),
    ]);
    for base in bases {
        let arch = base.platform.arch;
        let digest = Sha256::digest(runtime::k8or(arch)?.as_ref());
        let digest = format!("sha256:{}", plan::decide::generation::hex(&digest));
        now.insert(format!("k8or for {}", arch.kernel()), digest.clone());
        lock.runtime.insert(arch.kernel().to_owned(), digest);
    }
    if let Some(old) = old {
        let mut then = BTreeMap::from([
            ("compiler".to_owned(), old.compiler.clone()),
            ("standard library".to_owned(), old.stdlib.clone()),
        ]);
        then.extend(old.runtime.iter().map(|(arch, digest)| (format!("k8or for {arch}"), digest.clone())));
        for (what, now) in &now {
            let Some(then) = then.get(what).filter(|then| !then.is_empty() && *then != now) else { continue };
            let severity = if run.request.locked { Severity::Error } else { Severity::Warning };
            run.found([Diagnostic::new(codes::E1013, format!("the lock was made with another {what}"))
                .severity(severity)
                .note(format!("the lock names {then}, this is {now}"))
                .help(
                    "the same k8orc gives the same bytes; to go on with this one, run `k8orc lock` and commit the lock",
                )]);
        }
    }
    lock.compiler = env!("CARGO_PKG_VERSION").to_owned();
    lock.stdlib = stdlib::digest();
    run.gate()
}

/// When the base was made, or what is added to it; `SOURCE_DATE_EPOCH` overrules it, and is read here alone.
fn epoch(bases: &[PinnedBase]) -> i64 {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    // Packages that are added come from an archive of a later day than the base.
    let added = |base: &PinnedBase| base.packages.as_ref().and_then(packages::date);
    let times = bases.iter().flat_map(|base| [base.pin.created, added(base)]).flatten();
    said.unwrap_or_else(|| times.max().unwrap_or(0))
}
