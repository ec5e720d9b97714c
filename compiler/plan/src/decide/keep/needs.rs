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
}

/// Looks into programs and libraries; `image::survey` implements it on the base's contents.
pub trait Inspect {
    /// How a file of the base starts.
    fn base(&self, file: &FileNode) -> Result<Start, Diagnostic>;

    /// How a file with these bytes starts.
    fn bytes(&self, bytes: &[u8]) -> Result<Start, Diagnostic>;
}

/// Everything that must be there, each with why.
pub(super) type Needed = BTreeMap<ImagePath, Arc<Reason>>;

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
}

impl<'a> Closure<'a> {
    pub fn new(
        facts: &'a Facts,
        overlay: &'a Overlay<'a>,
        inspect: &'a dyn Inspect,
        env: &'a BTreeMap<String, String>,
    ) -> Self {
        Self { facts, overlay, inspect, env, seen: BTreeMap::new(), needed: Needed::new() }
    }

    /// What all `programs` need.
    pub fn of(mut self, programs: &[Program], out: &mut Diagnostics) -> Needed {
        for program in programs {
            self.program(program, out);
        }
        self.needed
    }

    /// Notes a path and each link on its way, and gives where it really is.
    fn need(&mut self, path: &ImagePath, reason: &Arc<Reason>) -> Result<ImagePath, ResolveError> {
        let (real, links) = self.overlay.resolve(path)?;
        for link in links {
            let why = || Reason::link(format!("it is a link on the way to {path}"), reason);
            self.needed.entry(link).or_insert_with(why);
        }
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
        let mut path = program.path.clone();
        let mut reason = Arc::clone(&program.reason);
        // The kernel follows at most four interpreters (BINPRM_MAX_RECURSION); one more is `env`'s program.
        for _ in 0..6 {
            let Ok(real) = self.need(&path, &reason) else { return };
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
        let search = Search::new(self.facts, self.overlay, &interpreter, self.env);
        let mut loaded: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut queue: VecDeque<Loaded> = VecDeque::new();
        queue.push_back((Arc::new(Origin::new(path, &elf, None)), Arc::clone(reason), elf.needed.clone()));
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
