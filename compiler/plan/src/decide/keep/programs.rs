//! Programs: what the image starts, the roots of everything that is needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Span, codes};
use lang::spec::{Check, ProbeAction, Spanned};
use serde_json::Value;

use super::Input;
use super::needs::{Program, Start};
use super::overlay::Overlay;
use crate::decide::config::base_config;
use crate::path::ImagePath;
use crate::platform::Arch;
use crate::reason::Reason;
use crate::tree::{NodeKind, ResolveError};

/// What an image finds where neither base nor spec says a PATH (runc's default).
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The image's environment: the base's with the spec's over it.
pub(super) fn environment(input: &Input<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for one in words(&input.facts.config, "Env") {
        if let Some((name, value)) = one.split_once('=') {
            env.insert(name.to_string(), value.to_string());
        }
    }
    for (name, value) in &input.spec.image.env {
        env.insert(name.value.clone(), value.value.clone());
    }
    env
}

/// A list of the base's config.
fn words<'a>(config: &'a Value, name: &str) -> Vec<&'a str> {
    let list = config.get("config").and_then(|c| c.get(name)).and_then(Value::as_array);
    list.map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// All programs: the command of the image, `runs`, `checks exec`.
pub(super) fn programs(
    input: &Input<'_>,
    overlay: &Overlay<'_>,
    env: &BTreeMap<String, String>,
    out: &mut Diagnostics,
) -> Vec<Program> {
    let mut roots: Vec<(String, Arc<Reason>, Option<Span>)> = Vec::new();
    let mut add = |what: &str, word: &Spanned<String>| {
        let text = format!("{what} \"{}\"", printable(&word.value));
        roots.push((word.value.clone(), Reason::spec(text, word.span), Some(word.span)));
    };
    let image = &input.spec.image;
    let base = base_config(input.facts);
    let mut started = None;
    if let Some(word) = image.entrypoint.first() {
        add("entrypoint", word);
    } else if let Some(word) = base.entrypoint.first() {
        started = Some((word.clone(), Reason::fact("it is the entrypoint of the base"), None));
    } else if let Some(command) = &image.command {
        command.first().into_iter().for_each(|word| add("command", word));
    } else if let Some(word) = base.cmd.first() {
        started = Some((word.clone(), Reason::fact("it is the command of the base"), None));
    }
    for word in &image.runs {
        add("runs", word);
    }
    for check in &input.spec.checks {
        if let Check::Exec { argv, .. } = check
            && let Some(word) = argv.first()
        {
            add("checks exec", word);
        }
    }
    roots.splice(0..0, started);
    let mut all: Vec<Program> = Vec::new();
    for (word, reason, span) in roots {
        match find(input, overlay, env, &word) {
            Ok(path) => all.push(Program { path, reason, span }),
            Err(why) => {
                let message = format!("the program \"{}\" {why}", printable(&word));
                let one = Diagnostic::new(codes::E0600, message).at_opt(span, "").note(reason.in_words());
                // A hostile spec names thousands; nobody reads that far.
                let near = if out.iter().take(20).count() < 20 { near(input, &word) } else { None };
                out.push(one.help(match near {
                    Some(path) => format!("did you mean \"{path}\"?"),
                    None => "name a program that is in the base, or copy it there with files { copy … }".to_owned(),
                }));
            }
        }
    }
    all
}

/// The program of the base that was meant: of the same name elsewhere, or of nearly the same name.
fn near(input: &Input<'_>, word: &str) -> Option<ImagePath> {
    let name = word.rsplit('/').next()?;
    let root = ImagePath::root();
    let programs = || {
        let all = input.facts.tree.within(&root);
        all.filter(|(_, node)| matches!(node.kind, NodeKind::File(_) | NodeKind::Symlink(_)) && node.mode & 0o111 != 0)
            .map(|(path, _)| path)
            .filter(|path| path.parent().is_some_and(|dir| dir.name().ends_with(b"bin")) && path.to_str().is_some())
    };
    let other = |path: &ImagePath| path.as_bytes() != word.as_bytes();
    programs().find(|path| path.name() == name.as_bytes() && other(path)).cloned().or_else(|| {
        // Few names are compared; a slip at the first letter is rare.
        let names = programs().filter_map(|path| std::str::from_utf8(path.name()).ok());
        let names = names.filter(|other| other.chars().next() == name.chars().next());
        let near = lang::schema::nearest(name, names)?;
        programs().find(|path| path.name() == near.as_bytes() && other(path)).cloned()
    })
}

/// Where a word of a command line is in the tree, and that it can be run.
fn find(
    input: &Input<'_>,
    overlay: &Overlay<'_>,
    env: &BTreeMap<String, String>,
    word: &str,
) -> Result<ImagePath, String> {
    let path = if word.starts_with('/') {
        ImagePath::parse(word.as_bytes()).map_err(|e| e.to_string())?
    } else if word.contains('/') {
        let said = input.spec.image.workdir.as_ref().map(|w| w.value.clone());
        let directory = said.or(base_config(input.facts).workdir).unwrap_or_else(|| "/".into());
        ImagePath::parse(format!("{directory}/{word}").as_bytes()).map_err(|e| e.to_string())?
    } else {
        overlay.in_path(word.as_bytes(), env).ok_or("is in no directory of PATH")?
    };
    let (real, _) = overlay.resolve(&path).map_err(|error| match error {
        ResolveError::Missing(at) if path.is_within(&at) => "is not in the base".to_string(),
        ResolveError::Missing(at) => format!("leads to {at}, which is not in the base"),
        ResolveError::Loop => "leads through more than 40 links".into(),
        ResolveError::NotADirectory(at) => format!("lies below {at}, which is no directory"),
    })?;
    let Some(node) = overlay.get(&real) else { return Err("is a directory".into()) };
    match node.kind {
        NodeKind::File(_) if node.mode & 0o111 != 0 => {}
        NodeKind::File(_) => return Err("is not executable (no x bit)".into()),
        NodeKind::Directory => return Err("is a directory".into()),
        _ => return Err("is no file".into()),
    }
    if let Ok(Start::Elf(elf)) = overlay.start(&real, input.inspect) {
        let wanted = match input.facts.platform.arch {
            Arch::X86_64 => 62,
            Arch::Aarch64 => 183,
        };
        // 32-bit programs of the same family run, too: i386, arm.
        let cousin = matches!((wanted, elf.kind.2), (62, 3) | (183, 40));
        if elf.kind.2 != wanted && !cousin {
            return Err(format!("is for another architecture (ELF machine {})", elf.kind.2));
        }
    }
    Ok(path)
}

/// Notes programs that are scripts: what they start is not followed.
pub(super) fn complain_scripts(input: &Input<'_>, overlay: &Overlay<'_>, programs: &[Program], out: &mut Diagnostics) {
    for program in programs {
        let Ok((real, _)) = overlay.resolve(&program.path) else { continue };
        if let Ok(Start::Script { interpreter, .. }) = overlay.start(&real, input.inspect) {
            let name = diag::text::printable_bytes(&interpreter);
            let message =
                format!("{} is a script for {name}: the programs that it starts are not followed", program.path);
            out.push(
                Diagnostic::new(codes::E0604, message)
                    .at_opt(program.span, "a script")
                    .note(program.reason.in_words())
                    .help("name each program that it starts: image { runs \"/usr/bin/…\" }"),
            );
        }
    }
}

/// A workload's command and its exec probes must be programs, else nothing keeps what they need.
pub(super) fn complain_workloads(
    input: &Input<'_>,
    overlay: &Overlay<'_>,
    env: &BTreeMap<String, String>,
    programs: &[Program],
    out: &mut Diagnostics,
) {
    let real = |path: &ImagePath| overlay.resolve(path).map(|(real, _)| real).ok();
    let known: Vec<Option<ImagePath>> = programs.iter().map(|p| real(&p.path)).collect();
    for workload in &input.spec.workloads {
        let probes = workload.probes.iter().filter_map(|probe| match &probe.action {
            ProbeAction::Exec { argv } => argv.first(),
            _ => None,
        });
        for word in workload.command.first().into_iter().chain(probes) {
            let found = find(input, overlay, env, &word.value).ok().map(|path| real(&path));
            if found.is_some_and(|found| found.is_some() && known.contains(&found)) {
                continue;
            }
            let message = format!("\"{}\" is not among the programs of the image", printable(&word.value));
            out.push(
                Diagnostic::new(codes::E0603, message)
                    .at(word.span, "")
                    .note("programs are the entrypoint, runs and checks exec: all that they need stays, and the filter allows it")
                    .help(format!("image {{ runs \"{}\" }}", printable(&word.value))),
            );
        }
    }
}
