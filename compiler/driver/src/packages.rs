//! Packages of Debian archives: what the lock pins of them, and the layer that they become.

use std::collections::BTreeSet;
use std::io::{self, PipeReader, Read, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Span, codes};
use formats::oci::Digest;
use image::debs::{DebInput, EffectsFile, Report};
use image::read::LayerInput;
use lang::lock::{Lock, LockedArchive, LockedPackage, LockedSelection};
use lang::spec::Spec;
use lang::text::MAX_BYTES;
use lang::world::World as _;
use plan::platform::{Arch, Platform};
use sources::{AptPin, AptRequest, PinnedArchive, PinnedPackage, Sources};

use crate::look::Look;
use crate::request::Run;
use crate::{Stage, stdlib};

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

/// Asks the archives; what the lock has must not be newer than what they serve.
pub(crate) fn choose(run: &Run<'_>, spec: &Spec, old: Option<&Lock>, scope: &str, onto: &Onto<'_>) -> Stage<AptPin> {
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
        roots: &wanted(spec),
        installed: onto.installed,
        since: &since,
        now: i64::try_from(now).unwrap_or(i64::MAX),
        accept_expired: run.user()?.mirrors.values().any(|mirror| mirror.snapshot),
    };
    Ok(sources.apt().resolve(&request).map_err(|problem| located(problem, spec))?)
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
    name: String,
    text: String,
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

/// How a layer is made, besides from what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made<'a> {
    /// For messages.
    pub name: &'a str,
    /// Of the packages.
    pub arch: Arch,
    /// Time of what no package brings, in seconds since 1970.
    pub epoch: i64,
}

/// The layer of a pin's packages: made when it is read, remembered by what it is made from.
pub(crate) struct Layer {
    /// For crate image.
    pub input: LayerInput,
    /// What went wrong while it was made.
    pub problems: Arc<Mutex<Diagnostics>>,
    recipe: String,
}

impl Layer {
    /// A layer that is made when nothing remembers it; packages are fetched only then.
    pub fn new(run: &Run<'_>, sources: &Arc<Sources>, pin: &AptPin, effects: &[Effects], made: &Made<'_>) -> Layer {
        let Made { name, arch, epoch } = *made;
        let recipe = recipe(pin, effects, made);
        let known = sources.cache().build_record(&recipe);
        let diff_id = known.and_then(|bytes| Digest::parse(std::str::from_utf8(&bytes).ok()?).ok());
        if diff_id.is_none() {
            let (count, size) = (pin.packages.len(), report::human::bytes(size(pin)));
            run.progress.step(&format!("installing {count} packages ({size}) without running their scripts"));
        }
        let problems: Arc<Mutex<Diagnostics>> = Arc::default();
        let (sources, pin, kept) = (Arc::clone(sources), pin.clone(), Arc::clone(&problems));
        let effects = effects.to_vec();
        let open = move || {
            let debs = sources.apt().open(&pin).map_err(|problem| {
                let error = io::Error::other(problem.message.clone());
                keep(&kept, problem.into());
                error
            })?;
            let inputs = debs.iter().filter_map(|deb| {
                Some(DebInput { path: deb.path.clone(), sha256: *Digest::parse(&deb.sha256).ok()?.bytes() })
            });
            making(inputs.collect(), effects.clone(), (arch, epoch), &kept)
        };
        let input = LayerInput { name: name.to_owned(), digest: None, size: None, diff_id, open: Arc::new(open) };
        Layer { input, problems, recipe }
    }

    /// Remembers what it became.
    pub fn remember(&self, sources: &Sources, diff_id: Option<&Digest>) {
        if let (None, Some(diff_id)) = (self.input.diff_id, diff_id) {
            // Its only effect is on the next build's speed.
            let _ = sources.cache().keep_build_record(&self.recipe, diff_id.to_string().as_bytes());
        }
    }
}

fn keep(place: &Mutex<Diagnostics>, more: Diagnostics) {
    place.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
}

/// Everything that the layer depends on. The compiler counts by how its file looks: a newer one may know more effects.
fn recipe(pin: &AptPin, effects: &[Effects], made: &Made<'_>) -> String {
    let Made { arch, epoch, .. } = *made;
    let compiler = std::env::current_exe().ok().and_then(|path| Look::at(&path, true));
    let compiler = compiler.as_ref().map_or("", Look::text);
    let mut text = format!("packages\n{}\n{}\n{epoch}\n{compiler}\n{}\n", pin.digest(), arch.oci(), stdlib::digest());
    for file in effects {
        text.push_str(&format!("{} {}\n", Digest::of(file.text.as_bytes()), file.name));
    }
    Digest::of(text.as_bytes()).hex()
}

/// The archive of a layer while a thread writes it.
struct Making {
    from: PipeReader,
    thread: Option<JoinHandle<Result<Report, Diagnostics>>>,
    problems: Arc<Mutex<Diagnostics>>,
}

fn making(
    debs: Vec<DebInput>,
    effects: Vec<Effects>,
    (arch, epoch): (Arch, i64),
    problems: &Arc<Mutex<Diagnostics>>,
) -> io::Result<Box<dyn Read + Send>> {
    let (from, to) = io::pipe()?;
    let thread = std::thread::Builder::new().name("packages".to_owned()).spawn(move || {
        let mut to = io::BufWriter::with_capacity(256 << 10, to);
        let more: Vec<EffectsFile<'_>> =
            effects.iter().map(|file| EffectsFile { name: &file.name, text: &file.text }).collect();
        let report = image::debs::layer_with(&debs, arch, epoch, &more, &mut to)?;
        // Whoever stopped reading has said why.
        let _ = to.flush();
        Ok(report)
    })?;
    Ok(Box::new(Making { from, thread: Some(thread), problems: Arc::clone(problems) }))
}

impl Read for Making {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        // The end of the pipe is the end of the archive only when its writer says so.
        if n > 0 || buffer.is_empty() {
            return Ok(n);
        }
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(_))) => Ok(0),
            Some(Ok(Err(found))) => {
                keep(&self.problems, found);
                Err(io::Error::other("the packages cannot be installed"))
            }
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

/// E0560 to E0568 with the place in the spec that brought the package, and E0567 when packages cannot be had.
pub(crate) fn problems(layer: &Layer, spec: Option<&Spec>) -> Diagnostics {
    let found = std::mem::take(&mut *layer.problems.lock().unwrap_or_else(PoisonError::into_inner));
    let mut out = Diagnostics::new();
    out.extend(found.into_iter().map(|problem| match spec {
        Some(spec) => located(problem, spec),
        None => problem,
    }));
    out
}

/// E0569: packages for a base that has no archive behind it.
pub(crate) fn no_archive(spec: &Spec, why: &str) -> Diagnostic {
    let span = spec.packages.add.first().map_or(spec.image.base.span, |name| name.span);
    Diagnostic::new(codes::E0569, format!("packages cannot be added to this base: {why}"))
        .at(span, "from which archive?")
        .label(base(spec), "the base")
        .help("use `base \"apt:SUITE\"`, or an image of Debian or Ubuntu")
}
