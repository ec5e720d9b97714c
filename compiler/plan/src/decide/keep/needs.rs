//! What a program needs to start: links on its way, interpreter, loader, libraries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use diag::{Diagnostic, Diagnostics, Span, codes};

use super::libraries::{Origin, Search};
use super::overlay::Overlay;
use crate::facts::Facts;
use crate::path::ImagePath;
use crate::reason::Reason;
use crate::tree::{FileNode, ResolveError};

/// What a file says about its own start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// `#!`
    Script {
        /// Absolute path, as written.
        interpreter: Vec<u8>,
        /// All that follows, one argument.
        argument: Option<Vec<u8>>,
    },
    /// ELF.
    Elf(Dynamic),
    /// Neither.
    Other,
}

/// The dynamic side of an ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// Class, byte order and machine: a library of another kind is passed over.
    pub kind: (u8, bool, u16),
    /// `PT_INTERP`
    pub interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Vec<u8>>,
    /// `DT_RPATH`
    pub rpath: Option<Vec<u8>>,
    /// `DT_RUNPATH`
    pub runpath: Option<Vec<u8>>,
    /// Which symbols of [`MENTIONS`] its symbol table names.
    pub mentions: Vec<&'static str>,
}

/// Symbols that the rules of `closure="files"` ask for.
pub const MENTIONS: [&str; 1] = ["iconv_open"];

/// Looks into programs and libraries; `image::survey` implements it on the base's contents.
pub trait Inspect {
    /// How a file of the base starts.
    fn base(&self, file: &FileNode) -> Result<Start, Diagnostic>;

    /// How a file with these bytes starts.
    fn bytes(&self, bytes: &[u8]) -> Result<Start, Diagnostic>;
}

/// Everything that must be there, each with why.
pub(super) type Needed = BTreeMap<ImagePath, Arc<Reason>>;

/// Which programs, by number, need each of these.
pub(super) type NeededBy = BTreeMap<ImagePath, BTreeSet<usize>>;

/// A program, resolved.
pub(super) struct Program {
    /// Where it really is.
    pub path: ImagePath,
    /// Why it is one.
    pub reason: Arc<Reason>,
    /// The line of the spec.
    pub span: Option<Span>,
}

/// A loaded file, why it is, and the names that it needs.
type Loaded = (Arc<Origin>, Arc<Reason>, Vec<Vec<u8>>);

/// Follows the programs.
pub(super) struct Closure<'a> {
    pub facts: &'a Facts,
    pub overlay: &'a Overlay<'a>,
    pub inspect: &'a dyn Inspect,
    /// Environment of the image: PATH, LD_LIBRARY_PATH.
    pub env: &'a BTreeMap<String, String>,
    seen: BTreeMap<ImagePath, Start>,
    needed: Needed,
    needed_by: NeededBy,
    /// Number of the program that is followed; what is needed for other reasons has none.
    current: Option<usize>,
    /// The loader of the first program: what is loaded by name has none of its own.
    loader: Option<Vec<u8>>,
}

impl<'a> Closure<'a> {
    pub fn new(
        facts: &'a Facts,
        overlay: &'a Overlay<'a>,
        inspect: &'a dyn Inspect,
        env: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            facts,
            overlay,
            inspect,
            env,
            seen: BTreeMap::new(),
            needed: Needed::new(),
            needed_by: NeededBy::new(),
            current: None,
            loader: None,
        }
    }

    /// Follows programs, and says which of them needs what to start.
    pub fn programs(&mut self, programs: &[Program], out: &mut Diagnostics) -> NeededBy {
        for (number, program) in programs.iter().enumerate() {
            self.current = Some(number);
            self.program(program, out);
        }
        self.current = None;
        std::mem::take(&mut self.needed_by)
    }

    /// Everything that is needed.
    pub fn into_needed(self) -> Needed {
        self.needed
    }

    /// The first needed path that fits, or that is an ELF file, counts and imports one of `symbols`.
    pub fn first(
        &self,
        fits: impl Fn(&ImagePath) -> bool,
        counts: impl Fn(&ImagePath) -> bool,
        symbols: &[String],
    ) -> Option<(ImagePath, Arc<Reason>)> {
        let mentions = |path: &ImagePath| match self.seen.get(path) {
            // The C library itself defines them.
            Some(Start::Elf(elf)) if !path.name().starts_with(b"libc.so") => {
                elf.mentions.iter().any(|name| symbols.iter().any(|wanted| wanted == name))
            }
            _ => false,
        };
        let mut all = self.needed.iter();
        let (path, reason) =
            all.find(|(path, _)| fits(path) || (!symbols.is_empty() && mentions(path) && counts(path)))?;
        Some((path.clone(), Arc::clone(reason)))
    }

    /// A file that is there for other reasons: what it needs to start is needed.
    pub fn lean(&mut self, path: &ImagePath, reason: &Arc<Reason>, out: &mut Diagnostics) {
        let Some(node) = self.overlay.get(path) else { return };
        let library = path.name().windows(3).any(|part| part == b".so");
        if node.mode & 0o111 == 0 && !library {
            return;
        }
        match self.start(path, out) {
            Start::Elf(elf) if elf.interpreter.is_some() => self.elf(path, elf, reason, None, out),
            Start::Elf(elf) => self.plugin(path, &elf, reason, out),
            Start::Script { .. } => {
                let program = Program { path: path.clone(), reason: Arc::clone(reason), span: None };
                self.interpreters(&program, out);
            }
            Start::Other => {}
        }
    }

    /// As [`Closure::lean`], for a file that no program of the image needs: what it lacks, it lacked in the base.
    pub fn quietly(&mut self, path: &ImagePath, reason: &Arc<Reason>, out: &mut Diagnostics) {
        let mut quiet = Diagnostics::new();
        self.lean(path, reason, &mut quiet);
        out.extend(quiet.into_iter().filter(|one| one.code != codes::E0602));
    }

    /// A path that is needed by a rule, and what it needs to start.
    pub fn take(&mut self, path: &ImagePath, reason: &Arc<Reason>, out: &mut Diagnostics) {
        // A link of the base that leads nowhere is nobody's loss.
        if let Ok(real) = self.need(path, reason) {
            self.quietly(&real, reason, out);
        }
    }

    /// The modules of the C library's name services, as `nsswitch.conf` names them.
    pub fn name_services(&mut self, reason: &Arc<Reason>, out: &mut Diagnostics) {
        let path = ImagePath::parse(b"/etc/nsswitch.conf").ok();
        let text = path.and_then(|path| self.facts.files.get(&path)).map_or(&b""[..], Vec::as_slice);
        let Some(loader) = self.loader.clone() else { return };
        for service in services(text) {
            let name = format!("libnss_{service}.so.2").into_bytes();
            let search = Search::new(self.facts, self.overlay, &loader, self.env);
            let none = Origin::new(&ImagePath::root(), &Dynamic::default(), None);
            let found = search.find(&name, &none, &mut |path| match self.start(path, out) {
                Start::Elf(found) => Some(found),
                _ => None,
            });
            for (place, _) in found {
                self.take(&place, &Reason::link(format!("nsswitch.conf names {service}"), reason), out);
            }
        }
    }

    /// A library that is loaded by name. What it lacks, it lacked in the base.
    fn plugin(&mut self, path: &ImagePath, elf: &Dynamic, reason: &Arc<Reason>, out: &mut Diagnostics) {
        if let Some(loader) = self.loader.clone() {
            let mut quiet = Diagnostics::new();
            self.libraries(path, elf, &loader, (reason, None), &mut quiet);
            out.extend(quiet.into_iter().filter(|one| one.code != codes::E0602));
        }
    }

    /// Notes a path and each link on its way, and gives where it really is.
    fn need(&mut self, path: &ImagePath, reason: &Arc<Reason>) -> Result<ImagePath, ResolveError> {
        let (real, links) = self.overlay.resolve(path)?;
        for link in links {
            let why = || Reason::link(format!("it is a link on the way to {path}"), reason);
            self.needed.entry(link.clone()).or_insert_with(why);
            self.needed_by.entry(link).or_default().extend(self.current);
        }
        self.needed_by.entry(real.clone()).or_default().extend(self.current);
        self.needed.entry(real.clone()).or_insert_with(|| Arc::clone(reason));
        Ok(real)
    }

    fn start(&mut self, path: &ImagePath, out: &mut Diagnostics) -> Start {
        if let Some(known) = self.seen.get(path) {
            return known.clone();
        }
        let start = self.overlay.start(path, self.inspect).unwrap_or_else(|diagnostic| {
            out.push(diagnostic.note(format!("the file is {path}")));
            Start::Other
        });
        self.seen.insert(path.clone(), start.clone());
        start
    }

    fn program(&mut self, program: &Program, out: &mut Diagnostics) {
        if self.need(&program.path, &program.reason).is_ok() {
            self.interpreters(program, out);
        }
    }

    /// What starts a program that is there.
    fn interpreters(&mut self, program: &Program, out: &mut Diagnostics) {
        let mut path = program.path.clone();
        let mut reason = Arc::clone(&program.reason);
        // The kernel follows at most four interpreters (BINPRM_MAX_RECURSION); one more is `env`'s program.
        for round in 0..6 {
            let found =
                if round == 0 { self.overlay.resolve(&path).map(|(real, _)| real) } else { self.need(&path, &reason) };
            let Ok(real) = found else { return };
            match self.start(&real, out) {
                Start::Elf(elf) => return self.elf(&real, elf, &reason, program.span, out),
                Start::Other => return,
                Start::Script { interpreter, argument } => {
                    let why = Reason::link(format!("it runs the script {real}"), &reason);
                    let Ok(next) = ImagePath::parse(&interpreter) else { return };
                    if self.overlay.resolve(&next).is_err() {
                        out.push(no_interpreter(program, &real, &next));
                        return;
                    }
                    if next.name() == b"env"
                        && let Some(word) = env_program(argument.as_deref())
                        && let Some(found) = self.overlay.in_path(&word, self.env)
                    {
                        let _ = self.need(&next, &why);
                        let chained = Program { path: next.clone(), reason: Arc::clone(&why), span: program.span };
                        self.env_itself(&chained, out);
                        path = found;
                    } else {
                        path = next;
                    }
                    reason = why;
                }
            }
        }
    }

    /// `/usr/bin/env`, which is a program of its own on the way to another.
    fn env_itself(&mut self, program: &Program, out: &mut Diagnostics) {
        let Ok(real) = self.need(&program.path, &program.reason) else { return };
        if let Start::Elf(elf) = self.start(&real, out) {
            self.elf(&real, elf, &program.reason, program.span, out);
        }
    }

    /// A program and all its libraries, in the loader's own order: breadth first.
    fn elf(&mut self, path: &ImagePath, elf: Dynamic, reason: &Arc<Reason>, span: Option<Span>, out: &mut Diagnostics) {
        let Some(interpreter) = elf.interpreter.clone() else { return };
        let why = Reason::link(format!("it loads {path}"), reason);
        match ImagePath::parse(&interpreter) {
            Ok(loader) if self.need(&loader, &why).is_ok() => {}
            _ => {
                let name = diag::text::printable_bytes(&interpreter);
                let message = format!("{path} is loaded by {name}, which is not in the base");
                out.push(
                    Diagnostic::new(codes::E0602, message)
                        .at_opt(span, "")
                        .note(reason.in_words())
                        .help("the program is for another libc or architecture; take the one of this base"),
                );
                return;
            }
        }
        self.loader.get_or_insert_with(|| interpreter.clone());
        self.libraries(path, &elf, &interpreter, (reason, span), out);
    }

    /// All libraries that a file loads.
    fn libraries(
        &mut self,
        path: &ImagePath,
        elf: &Dynamic,
        interpreter: &[u8],
        (reason, span): (&Arc<Reason>, Option<Span>),
        out: &mut Diagnostics,
    ) {
        let search = Search::new(self.facts, self.overlay, interpreter, self.env);
        let mut loaded: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut queue: VecDeque<Loaded> = VecDeque::new();
        queue.push_back((Arc::new(Origin::new(path, elf, None)), Arc::clone(reason), elf.needed.clone()));
        while let Some((origin, reason, needed)) = queue.pop_front() {
            for name in needed {
                // The loader itself counts as loaded (ld-linux is NEEDED by libc).
                if interpreter.ends_with(&[b"/", name.as_slice()].concat()) || !loaded.insert(name.clone()) {
                    continue;
                }
                let why =
                    Reason::link(format!("{} needs {}", origin.path, diag::text::printable_bytes(&name)), &reason);
                let found = search.find(&name, &origin, &mut |path| match self.start(path, out) {
                    Start::Elf(found) => (found.kind == elf.kind).then_some(found),
                    _ => None,
                });
                if found.is_empty() && !search.is_libc(&name) {
                    out.push(no_library(&name, &origin.path, &why, span));
                }
                for (place, library) in found {
                    let Ok(real) = self.need(&place, &why) else { continue };
                    let next = Arc::new(Origin::new(&real, &library, Some(&origin)));
                    queue.push_back((next, Arc::clone(&why), library.needed));
                }
            }
        }
    }
}

/// The program that `env` starts: options and assignments passed over (`-S` splits, as we do anyway).
fn env_program(argument: Option<&[u8]>) -> Option<Vec<u8>> {
    let words = argument?.split(u8::is_ascii_whitespace);
    words.filter(|w| !w.is_empty() && !w.starts_with(b"-") && !w.contains(&b'=')).map(<[u8]>::to_vec).next()
}

fn no_interpreter(program: &Program, script: &ImagePath, interpreter: &ImagePath) -> Diagnostic {
    Diagnostic::new(codes::E0602, format!("{script} is run by {interpreter}, which is not in the base"))
        .at_opt(program.span, "a script")
        .note(program.reason.in_words())
        .help("use a base that has the interpreter, or copy one to this place")
}

fn no_library(name: &[u8], by: &ImagePath, why: &Reason, span: Option<Span>) -> Diagnostic {
    let name = diag::text::printable_bytes(name);
    Diagnostic::new(codes::E0602, format!("{by} needs the library {name}, which is not in the base"))
        .at_opt(span, "cannot start without it")
        .note(why.in_words())
        .help("where the library lies in a directory of its own, say it: env LD_LIBRARY_PATH=\"/that/directory\"")
}

/// Services of an `nsswitch.conf`; those that glibc takes where it says nothing (nsswitch.conf(5)).
fn services(text: &[u8]) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = ["files", "dns"].map(str::to_owned).into();
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((_, words)) = line.split_once(':') else { continue };
        // `[NOTFOUND=return]` is an action.
        let words = words.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        all.extend(words.map(str::to_owned));
    }
    all
}
