//! The layer of a pin's packages: made when it is read, remembered by what it is made from.

use std::io::{self, PipeReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use diag::Diagnostics;
use formats::oci::Digest;
use image::debs::{DebInput, EffectsFile, Report};
use image::read::{LayerInput, Options};
use lang::spec::Spec;
use plan::platform::Arch;
use sources::{AptPin, Sources};

use crate::look::Look;
use crate::packages::{Effects, located, size};
use crate::request::Run;
use crate::stdlib;

/// How a layer is made, besides from what.
#[derive(Clone, Copy)]
pub(crate) struct Made<'a> {
    /// For messages.
    pub name: &'a str,
    /// Of the packages.
    pub arch: Arch,
    /// Time of what no package brings, in seconds since 1970.
    pub epoch: i64,
    /// The layers of the base that the packages are added to, and the digest that pins it; `None`: they are all.
    pub onto: Option<(&'a [LayerInput], &'a str)>,
}

/// The layer of a pin's packages: made when it is read, remembered by what it is made from.
pub(crate) struct Layer {
    /// For crate image.
    pub input: LayerInput,
    /// What went wrong while it was made.
    pub problems: Arc<Mutex<Diagnostics>>,
    recipe: String,
    /// Configuration files of the base that stayed.
    kept: Arc<Mutex<Vec<String>>>,
}

impl Layer {
    /// A layer that is made when nothing remembers it; packages are fetched only then.
    pub fn new(run: &Run<'_>, sources: &Arc<Sources>, pin: &AptPin, effects: &[Effects], made: &Made<'_>) -> Layer {
        let Made { name, arch, epoch, onto } = *made;
        let recipe = recipe(pin, effects, made);
        let known = sources.cache().build_record(&recipe);
        let diff_id = known.and_then(|bytes| Digest::parse(std::str::from_utf8(&bytes).ok()?).ok());
        if diff_id.is_none() {
            let (count, size) = (pin.packages.len(), report::human::bytes(size(pin)));
            run.progress.step(&format!("installing {count} packages ({size}) without running their scripts"));
        }
        let problems: Arc<Mutex<Diagnostics>> = Arc::default();
        let kept: Arc<Mutex<Vec<String>>> = Arc::default();
        let (sources, pin) = (Arc::clone(sources), pin.clone());
        let base = onto.map(|(layers, _)| (layers.to_vec(), Options::new(sources.cache().dir())));
        let plan = Plan { base, effects: effects.to_vec(), arch, epoch };
        let (found, stayed) = (Arc::clone(&problems), Arc::clone(&kept));
        let open = move || {
            let debs = sources.apt().open(&pin).map_err(|problem| {
                let error = io::Error::other(problem.message.clone());
                keep(&found, problem.into());
                error
            })?;
            let inputs = debs.iter().filter_map(|deb| {
                Some(DebInput { path: deb.path.clone(), sha256: *Digest::parse(&deb.sha256).ok()?.bytes() })
            });
            making(inputs.collect(), plan.clone(), (&found, &stayed))
        };
        let input = LayerInput { name: name.to_owned(), digest: None, size: None, diff_id, open: Arc::new(open) };
        Layer { input, problems, recipe, kept }
    }

    /// What is worth a line when it was made.
    pub fn notes(&self) -> Vec<String> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        let line = |path| format!("{path} of the base stays; the package's own lies beside it as {path}.dpkg-dist");
        kept.iter().map(line).collect()
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
    let Made { arch, epoch, onto, .. } = *made;
    let compiler = std::env::current_exe().ok().and_then(|path| Look::at(&path, true));
    let compiler = compiler.as_ref().map_or("", Look::text);
    let onto = onto.map_or("nothing", |(_, digest)| digest);
    let (packages, arch, stdlib) = (pin.digest(), arch.oci(), stdlib::digest());
    let mut text = format!("packages\n{packages}\n{arch}\n{epoch}\n{compiler}\n{stdlib}\n{onto}\n");
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
    kept: Arc<Mutex<Vec<String>>>,
}

/// From what a layer is made, besides packages.
#[derive(Clone)]
struct Plan {
    /// The base's layers, which are in the cache when this one is made: they are read before it.
    base: Option<(Vec<LayerInput>, Options)>,
    effects: Vec<Effects>,
    arch: Arch,
    epoch: i64,
}

impl Plan {
    fn write(&self, debs: &[DebInput], to: &mut dyn Write) -> Result<Report, Diagnostics> {
        let more: Vec<EffectsFile<'_>> =
            self.effects.iter().map(|file| EffectsFile { name: &file.name, text: &file.text }).collect();
        let Some((layers, options)) = &self.base else {
            return image::debs::layer_with(debs, self.arch, self.epoch, &more, to);
        };
        let base = image::read::read(layers, options)?;
        let base = image::debs::Base { tree: &base.tree, contents: &base.contents };
        image::debs::add(&base, debs, self.arch, self.epoch, &more, to)
    }
}

fn making(
    debs: Vec<DebInput>,
    plan: Plan,
    (problems, kept): (&Arc<Mutex<Diagnostics>>, &Arc<Mutex<Vec<String>>>),
) -> io::Result<Box<dyn Read + Send>> {
    let (from, to) = io::pipe()?;
    let thread = std::thread::Builder::new().name("packages".to_owned()).spawn(move || {
        let mut to = io::BufWriter::with_capacity(256 << 10, to);
        let report = plan.write(&debs, &mut to)?;
        // Whoever stopped reading has said why.
        let _ = to.flush();
        Ok(report)
    })?;
    let (problems, kept) = (Arc::clone(problems), Arc::clone(kept));
    Ok(Box::new(Making { from, thread: Some(thread), problems, kept }))
}

impl Read for Making {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        // The end of the pipe is the end of the archive only when its writer says so.
        if n > 0 || buffer.is_empty() {
            return Ok(n);
        }
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(0),
            Some(Ok(Ok(report))) => {
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(report.kept);
                Ok(0)
            }
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
