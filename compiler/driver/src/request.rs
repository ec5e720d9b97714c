//! What a run is asked for, what it carries, what it gives back.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use diag::{Diagnostic, Diagnostics, SourceMap};
use lang::user::UserFile;
use sources::{Cache, NetPolicy, Settings, Sources};

use crate::{OsWorld, Stage, Stop, user};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The spec's path.
    pub spec: PathBuf,
    /// `-p name=value`.
    pub params: BTreeMap<String, String>,
    /// Directory for the output.
    pub out: PathBuf,
    /// Directory of the cache; the usual place where `None`.
    pub cache: Option<PathBuf>,
    /// The lock may not change.
    pub locked: bool,
    /// Nothing is fetched.
    pub offline: bool,
    /// Threads that compress; one a core where `None`.
    pub jobs: Option<usize>,
    /// Also a docker-archive.
    pub archive: Option<PathBuf>,
}

impl Request {
    /// A spec with the usual options: output in `out`.
    pub fn new(spec: impl Into<PathBuf>) -> Self {
        Self {
            spec: spec.into(),
            params: BTreeMap::new(),
            out: PathBuf::from("out"),
            cache: None,
            locked: false,
            offline: false,
            jobs: None,
            archive: None,
        }
    }

    /// Directory of the spec: where the lock lies and sources start from.
    pub fn root(&self) -> &Path {
        match self.spec.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// The lock's path.
    pub fn lock_path(&self) -> PathBuf {
        // `k8orc.lock`, not `./k8orc.lock`: this is how it is shown.
        self.spec.with_file_name("k8orc.lock")
    }

    /// Threads.
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.jobs.unwrap_or(cores).clamp(1, 64)
    }
}

/// Who is told what goes on.
pub trait Progress {
    /// A step began.
    fn step(&self, what: &str);
    /// A line that is worth a line.
    fn note(&self, line: &str);
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Progress for Quiet {
    fn step(&self, _: &str) {}
    fn note(&self, _: &str) {}
}

/// What a run gives back.
#[derive(Debug)]
pub struct Finished<T> {
    /// The result, unless something stopped it.
    pub value: Option<T>,
    /// All that was found, sorted by place.
    pub diagnostics: Diagnostics,
    /// Texts that spans point into.
    pub sources: SourceMap,
}

/// One run: its request, its doors, what it found so far.
pub(crate) struct Run<'a> {
    pub request: &'a Request,
    pub progress: &'a dyn Progress,
    pub world: OsWorld,
    /// When it began: what changed later is not what was read.
    pub began: SystemTime,
    pub sources: RefCell<SourceMap>,
    pub diagnostics: RefCell<Diagnostics>,
    /// Texts of spec and modules, in reading order: name → SHA-256, for keys and provenance.
    pub units: RefCell<Vec<(String, String)>>,
    user: OnceCell<UserFile>,
    opened: OnceCell<Arc<Sources>>,
}

impl<'a> Run<'a> {
    pub fn new(request: &'a Request, progress: &'a dyn Progress) -> Self {
        Self {
            request,
            progress,
            world: OsWorld::default(),
            began: SystemTime::now(),
            sources: RefCell::default(),
            diagnostics: RefCell::default(),
            units: RefCell::default(),
            user: OnceCell::new(),
            opened: OnceCell::new(),
        }
    }

    /// Runs the stages and joins what they found.
    pub fn finish<T>(self, stages: impl FnOnce(&Self) -> Stage<T>) -> Finished<T> {
        let result = stages(&self);
        let mut sources = self.sources.into_inner();
        // Artifacts name files from the spec's directory, the same everywhere; people are shown where they are.
        let root = self.request.root();
        let whole = |name: &str| root.join(name).display().to_string();
        if root != Path::new(".") {
            sources.rename(|name| if name.starts_with("std/") { name.to_owned() } else { whole(name) });
        }
        crate::close(result, self.diagnostics.into_inner(), sources)
    }

    /// Keeps what a stage found.
    pub fn found(&self, more: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.borrow_mut().extend(more);
    }

    /// A gate: closed when an error was found so far.
    pub fn gate(&self) -> Stage<()> {
        if self.diagnostics.borrow().has_errors() { Err(Stop::Gate) } else { Ok(()) }
    }

    /// The user file; read after the spec, whose files are the first of the source map.
    pub fn user(&self) -> Stage<&UserFile> {
        if let Some(user) = self.user.get() {
            return Ok(user);
        }
        let read = user::read(&environment(), &mut self.sources.borrow_mut());
        let user = read.map_err(|found| {
            self.found(found);
            Stop::Gate
        })?;
        Ok(self.user.get_or_init(|| user))
    }

    /// The sources under the request's policy and the user file.
    pub fn open_sources(&self) -> Stage<&Arc<Sources>> {
        if let Some(sources) = self.opened.get() {
            return Ok(sources);
        }
        let policy = NetPolicy { offline: self.request.offline, locked: self.request.locked };
        let sources = sources(self.request.cache.as_deref(), policy, self.user()?)?;
        Ok(self.opened.get_or_init(|| Arc::new(sources)))
    }

    /// The cache alone.
    pub fn cache(&self) -> Result<Cache, Diagnostic> {
        cache(self.request.cache.as_deref())
    }
}

/// Sources with the usual environment.
pub(crate) fn sources(dir: Option<&Path>, policy: NetPolicy, user: &UserFile) -> Result<Sources, Diagnostic> {
    let mut settings = Settings::new(environment(), policy);
    user::apply(user, &mut settings);
    Ok(Sources::new(cache(dir)?, settings))
}

/// The cache in `dir`, or in the usual place.
pub(crate) fn cache(dir: Option<&Path>) -> Result<Cache, Diagnostic> {
    Cache::at(match dir {
        Some(dir) => dir.to_owned(),
        None => Cache::locate(&Settings::new(environment(), NetPolicy::default()))?,
    })
}

/// The only place where the compiler reads its environment.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
