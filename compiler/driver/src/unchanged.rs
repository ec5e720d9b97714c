//! Nothing changed, nothing to do: after a build the cache keeps a record of how everything that it read and
//! wrote looked, so that the next build of the same spec is one stat pass that reads no block of the base.
//!
//! The record is a hint that costs a build when it is lost. It is believed only where a change would have
//! shown: a file that changed just before the build, or meanwhile, makes no record, neither does a build that
//! warned (its warnings must be seen again) or one with an archive.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diag::Severity;
use lang::spec::{BaseRef, Spec};
use plan::decide::generation::hex;
use plan::platform::Arch;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::look::{Follow, Look};
use crate::pin::Pinned;
use crate::request::Run;
use crate::{Built, runtime, stdlib};

/// Another number is another format, and no record.
const FORMAT: u64 = 1;

/// What the last build of this spec gave, when a build now would give the same.
pub(crate) fn find(run: &Run<'_>) -> Option<Built> {
    if run.request.archive.is_some() {
        return None;
    }
    run.progress.step("looking for changes");
    let record = run.cache().ok()?.build_record(&name(run)?)?;
    let record: Value = serde_json::from_slice(&record).ok()?;
    let text = |field: &str| record.get(field).and_then(Value::as_str);
    let same = record.get("format").and_then(Value::as_u64) == Some(FORMAT)
        && text("key")? == key(run, fs::read(run.request.lock_path()).ok().as_deref())
        && text("read")? == read(&paths(record.get("paths")?)?, None)?
        && text("base")? == tree(text("base-path").map(Path::new), None)?
        && text("output")? == tree(Some(Path::new(text("output-path")?)), None)?;
    same.then(|| {
        let summary = format!("{}{:<11} since it was built; nothing had to be done\n", text("summary")?, "unchanged");
        Some(Built { output: text("output-path")?.into(), digest: text("digest")?.to_owned(), summary })
    })?
}

/// Keeps the record of a build, where one can be trusted.
pub(crate) fn remember(run: &Run<'_>, spec: &Spec, pinned: &Pinned, built: &Built) {
    // Its only effect is on the next build's speed.
    let _ = record(run, spec, pinned, built)
        .zip(name(run))
        .and_then(|(record, name)| run.cache().ok()?.keep_build_record(&name, record.as_bytes()).ok());
}

fn record(run: &Run<'_>, spec: &Spec, pinned: &Pinned, built: &Built) -> Option<String> {
    let quiet = run.diagnostics.borrow().iter().all(|one| one.severity == Severity::Note);
    if !quiet || run.request.archive.is_some() {
        return None;
    }
    let lock = match fs::read(run.request.lock_path()) {
        Ok(lock) => (lock == pinned.lock.print().into_bytes()).then_some(Some(lock))?,
        Err(error) => (error.kind() == io::ErrorKind::NotFound).then_some(None)?,
    };
    let began = Some(run.began);
    let mut seen = BTreeSet::new();
    for ((path, follow), look) in run.world.seen() {
        // What was there must still be what was read.
        let path = std::path::absolute(path).ok()?;
        if Look::at(&path, follow)? != look? {
            return None;
        }
        seen.insert((path, follow));
    }
    let base = match spec.image.base.value.path() {
        Some(path) => Some(std::path::absolute(path).ok()?),
        None => None,
    };
    // Links in a layout are followed when it is read; none is where tools write it.
    if matches!(spec.image.base.value, BaseRef::Oci { .. }) && has_link(base.as_deref()?)? {
        return None;
    }
    let output = std::path::absolute(&built.output).ok()?;
    let listed: Option<Vec<Value>> = seen.iter().map(|(path, follow)| Some(json!([path.to_str()?, follow]))).collect();
    let record = json!({
        "format": FORMAT,
        "key": key(run, lock.as_deref()),
        "paths": listed?,
        "read": read(&seen, began)?,
        "base-path": match &base { Some(path) => Some(path.to_str()?), None => None },
        "base": tree(base.as_deref(), began)?,
        "output-path": output.to_str()?,
        "output": tree(Some(&output), None)?,
        "summary": built.summary,
        "digest": built.digest,
    });
    Some(record.to_string())
}

/// The record's name: one for each spec and place of its output.
fn name(run: &Run<'_>) -> Option<String> {
    let mut hasher = Sha256::new();
    for path in [&run.request.spec, &run.request.out] {
        add(&mut hasher, std::path::absolute(path).ok()?.as_os_str().as_encoded_bytes());
    }
    Some(hex(&hasher.finalize()))
}

/// Everything but files that the result depends on, and how the user wrote what the summary shows.
fn key(run: &Run<'_>, lock: Option<&[u8]>) -> String {
    let mut hasher = Sha256::new();
    let request = run.request;
    add(&mut hasher, env!("CARGO_PKG_VERSION").as_bytes());
    let compiler = std::env::current_exe().ok().and_then(|path| Look::at(&path, true));
    add(&mut hasher, compiler.as_ref().map_or("", Look::text).as_bytes());
    add(&mut hasher, stdlib::digest().as_bytes());
    for arch in Arch::ALL {
        let k8or = runtime::k8or(arch).map(|bytes| Sha256::digest(bytes.as_ref()).to_vec());
        add(&mut hasher, &k8or.unwrap_or_default());
    }
    for path in [&request.spec, &request.out] {
        add(&mut hasher, path.as_os_str().as_encoded_bytes());
    }
    for (name, value) in &request.params {
        add(&mut hasher, name.as_bytes());
        add(&mut hasher, value.as_bytes());
    }
    match lock {
        Some(lock) => add(&mut hasher, lock),
        // Without a lock the build takes the epoch from where `lock` does.
        None => add(&mut hasher, std::env::var_os("SOURCE_DATE_EPOCH").unwrap_or_default().as_encoded_bytes()),
    }
    hex(&hasher.finalize())
}

fn paths(listed: &Value) -> Option<BTreeSet<(PathBuf, Follow)>> {
    let pair = |one: &Value| Some((PathBuf::from(one.get(0)?.as_str()?), one.get(1)?.as_bool()?));
    listed.as_array()?.iter().map(pair).collect()
}

/// A digest of how paths look. With `began`: only when each was settled then.
fn read(paths: &BTreeSet<(PathBuf, Follow)>, began: Option<SystemTime>) -> Option<String> {
    let mut hasher = Sha256::new();
    for (path, follow) in paths {
        let look = Look::at(path, *follow)?;
        began.is_none_or(|began| look.settled(began)).then_some(())?;
        add(&mut hasher, path.as_os_str().as_encoded_bytes());
        add(&mut hasher, look.text().as_bytes());
    }
    Some(hex(&hasher.finalize()))
}

/// A digest of how a file or a directory with all in it looks; of nothing where there is no path.
fn tree(top: Option<&Path>, began: Option<SystemTime>) -> Option<String> {
    let mut hasher = Sha256::new();
    if let Some(top) = top {
        let mut look = |path: &Path, follow: bool| {
            let look = Look::at(path, follow)?;
            began.is_none_or(|began| look.settled(began)).then_some(())?;
            add(&mut hasher, path.as_os_str().as_encoded_bytes());
            add(&mut hasher, look.text().as_bytes());
            Some(())
        };
        look(top, true)?;
        walk(top, &mut |path, _| look(path, false))?;
    }
    Some(hex(&hasher.finalize()))
}

fn has_link(top: &Path) -> Option<bool> {
    let mut found = false;
    walk(top, &mut |_, kind| {
        found |= kind.is_symlink();
        Some(())
    })?;
    Some(found)
}

/// Visits a path and all below it, names in their order.
fn walk(top: &Path, visit: &mut dyn FnMut(&Path, fs::FileType) -> Option<()>) -> Option<()> {
    let mut open = vec![top.to_owned()];
    while let Some(path) = open.pop() {
        let kind = fs::symlink_metadata(&path).ok()?.file_type();
        visit(&path, kind)?;
        if kind.is_dir() {
            let mut names: Vec<PathBuf> = fs::read_dir(&path)
                .ok()?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .ok()?;
            names.sort();
            open.append(&mut names);
        }
    }
    Some(())
}

/// With its length before it: no two lists of parts give one stream.
fn add(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}
