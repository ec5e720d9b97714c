//! Maintainer scripts worked out, never run: a script is read as the shell reads it, its first installation is followed
//! branch by branch, and the commands that are known do to our tree what they would do to a system. No process is
//! started. Whatever is not known on the way that is taken — a command, an option, a value on which something depends —
//! is noted with its line, and the script counts as not recognised (E0560): nothing is passed over.
//!
//! `syntax`, `parse`, `words`: the grammar. `expand`: words. `run`: control flow. `commands` and the others: what
//! commands do.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::apply::Scene;
use super::failure::Failure;
use super::script::Snippet;

mod apache;
mod commands;
mod debconf;
mod dpkg;
mod expand;
mod files;
mod parse;
mod run;
mod syntax;
mod test;
#[cfg(test)]
mod tests;
mod text;
mod users;
mod words;

pub(super) use debconf::Answers;

/// The command that stands for a generated block in the text of a script: its number follows. No script can hold it.
pub(super) const BLOCK: char = '\0';

/// A script to be followed.
pub(super) struct Input<'a> {
    /// Its text, every generated block replaced by [`BLOCK`] and its number.
    pub text: &'a str,
    /// What the blocks do.
    pub blocks: &'a [Vec<Snippet>],
    /// `preinst`, `postinst` or `config`.
    pub kind: &'a str,
    /// The package's.
    pub architecture: &'a str,
}

/// Lines that are not understood: number, counted from one, and text.
pub(super) type Unknown = Vec<(usize, String)>;

/// Follows a first installation.
///
/// # Errors
/// A known command that cannot be carried out.
pub(super) fn follow(input: &Input<'_>, scene: &mut Scene<'_>) -> Result<Unknown, Failure> {
    let lines: Vec<&str> = input.text.lines().collect();
    let first = lines.first().copied().unwrap_or_default();
    let interpreter: Vec<&str> = first.trim_start_matches("#!").split_whitespace().collect();
    let ours = match interpreter.as_slice() {
        ["/bin/sh" | "/bin/bash" | "/bin/dash" | "/usr/bin/sh" | "/usr/bin/bash", rest @ ..] => {
            rest.iter().all(|word| matches!(*word, "-e" | "-eu" | "-u" | "-ue" | "-x"))
        }
        _ => !first.starts_with("#!"),
    };
    // `&>` is bash's and means something else to sh.
    if !ours || input.text.contains("&>") {
        let many = lines.iter().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with(BLOCK));
        return Ok(many.map(|(at, line)| (at + 1, line.trim().to_owned())).collect());
    }
    let program = match parse::parse(input.text, 1, 0, true) {
        Ok(program) => program,
        Err(refused) => {
            let line = lines.get(refused.line.saturating_sub(1)).copied().unwrap_or_default();
            return Ok(vec![(refused.line, line.trim().to_owned())]);
        }
    };
    let name = scene.package.to_owned();
    let variable = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let mut shell = Shell {
        scene,
        blocks: input.blocks,
        kind: input.kind,
        lines: &lines,
        documents: program.documents.clone(),
        program: format!("/var/lib/dpkg/info/{name}.{}", input.kind),
        variables: BTreeMap::from([
            variable("DPKG_MAINTSCRIPT_PACKAGE", &name),
            variable("DPKG_MAINTSCRIPT_NAME", input.kind),
            variable("DPKG_MAINTSCRIPT_ARCH", input.architecture),
            variable("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            variable("DPKG_ROOT", ""),
            variable("DEBCONF_REDIR", ""),
        ]),
        arguments: match input.kind {
            "preinst" => vec!["install".into()],
            _ => vec!["configure".into(), String::new()],
        },
        functions: BTreeMap::new(),
        unknown: Vec::new(),
        failure: None,
        stops_at_failure: interpreter.iter().any(|word| word.starts_with('-') && word.contains('e')),
        output: Vec::new(),
        input: None,
        last: Some(true),
        steps: 0,
        line: 1,
        calls: 0,
        asking: false,
        temporary: Vec::new(),
    };
    shell.script(&program.list)?;
    for path in std::mem::take(&mut shell.temporary) {
        shell.scene.tree.remove_all(path.as_bytes())?;
    }
    Ok(shell.unknown)
}

/// Where a script is.
struct Shell<'a, 'b> {
    scene: &'a mut Scene<'b>,
    blocks: &'a [Vec<Snippet>],
    kind: &'a str,
    lines: &'a [&'a str],
    documents: Vec<syntax::Word>,
    /// `$0`
    program: String,
    /// None: a value that is not known.
    variables: BTreeMap<String, Option<String>>,
    arguments: Vec<String>,
    functions: BTreeMap<String, Rc<syntax::List>>,
    unknown: Unknown,
    /// Why the last command failed that is known and could not be carried out.
    failure: Option<Failure>,
    /// `set -e`
    stops_at_failure: bool,
    /// What is printed, innermost redirection last.
    output: Vec<Printed>,
    /// What a command reads; inner None: not known.
    input: Option<Option<String>>,
    /// The last status.
    last: Status,
    steps: usize,
    /// The line of the command that is followed.
    line: usize,
    calls: usize,
    /// Inside a condition: a failure is an answer.
    asking: bool,
    /// What mktemp made; it is gone when the script ends.
    temporary: Vec<String>,
}

/// Whether a command succeeded; None: not known.
type Status = Option<bool>;

/// Text that was printed, or None where it is not known.
type Printed = Option<String>;
