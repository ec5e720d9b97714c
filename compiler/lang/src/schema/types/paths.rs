//! Paths: in the image (absolute, normalised), beside the spec (relative, never out), and globs.

use diag::codes::{E0112, E0113, E0251};

use super::{Check, Fault};
use crate::glob;

pub(super) fn abs_path(text: &str) -> Check {
    let fail = |message: String, label: &str| Err(Fault::new(E0112, message, label));
    if !text.starts_with('/') {
        let hint = format!("\"/{}\"", text.trim_start_matches("./"));
        return fail(format!("`{text}` is not an absolute path"), "paths in the image begin with `/`")
            .map_err(|fault: Fault| fault.help(hint));
    }
    if text.len() > 4095 || text.split('/').any(|part| part.len() > 255) {
        return fail("a path is longer than Linux takes".to_owned(), "at most 4095 bytes, 255 between slashes");
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
        return fail("a path contains a control character".to_owned(), "not taken in paths that a spec names")
            .map_err(|fault: Fault| fault.at(at, at + c.len_utf8()));
    }
    let clean = normalised(text);
    if text.split('/').any(|part| part == "..") {
        return fail(format!("`{text}` goes up with `..`"), "write the path as it is in the image");
    }
    if clean != text {
        return fail(format!("`{text}` is not in its shortest form"), "no `.`, no `//`, no `/` at the end")
            .map_err(|fault: Fault| fault.help(format!("\"{clean}\"")));
    }
    Ok(())
}

/// `text` without empty and `.` components.
fn normalised(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

/// A file of the machine that k8orc runs on.
pub(super) fn host_path(text: &str) -> Check {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Fault::new(E0112, "this is no path of a file", "a file beside this one, or an absolute path"));
    }
    if text.starts_with('~') || text.contains('$') {
        let fault = Fault::new(E0112, format!("`{text}` is taken literally"), "no shell reads it");
        return Err(fault.help("write the absolute path, or one that starts at this file's directory"));
    }
    Ok(())
}

pub(super) fn file_path(text: &str) -> Check {
    abs_path(text)?;
    if let Some(magic) = ["/proc", "/sys", "/dev"].iter().find(|magic| is_below(text, magic)) {
        let fault = Fault::new(
            E0112,
            format!("`{text}` lies where the runtime mounts its own {magic}"),
            "nothing of the image is seen here",
        );
        return Err(fault);
    }
    if text == "/" {
        return Err(Fault::new(E0112, "the root directory cannot stand here", "a path below `/` is needed"));
    }
    Ok(())
}

/// Like [`file_path`]; shared memory is mounted where the runtime has its own.
pub(super) fn mount_path(text: &str) -> Check {
    if text == "/dev/shm" { Ok(()) } else { file_path(text) }
}

/// Whether `path` is `top` or lies below it.
fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

pub(super) fn program(text: &str) -> Check {
    if !text.starts_with('/') && text.contains(' ') {
        return Err(Fault::new(E0112, format!("`{text}` is not a program"), "a path, not a command line")
            .help("write each argument as a value of its own, the program by its absolute path"));
    }
    if !text.is_empty() && !text.contains('/') {
        return Err(Fault::new(E0112, format!("`{text}` is not an absolute path"), "no PATH is searched")
            .help(format!("write where it lies in the image, for example \"/usr/bin/{text}\"")));
    }
    file_path(text)
}

pub(super) fn glob(text: &str) -> Check {
    let wrong = match glob::check(text) {
        Ok(()) => return Ok(()),
        Err(wrong) => wrong,
    };
    let fault = Fault::new(E0113, format!("`{text}` is not a path or glob: {}", wrong.message), wrong.label);
    let fault = if wrong.at == (0..text.len()) { fault } else { fault.at(wrong.at.start, wrong.at.end) };
    Err(match wrong.help {
        Some(help) => fault.help(help),
        None => fault,
    })
}

pub(super) fn link_target(text: &str) -> Check {
    if text.is_empty() || text.len() > 4095 || text.chars().any(char::is_control) {
        return Err(Fault::new(
            E0112,
            "this cannot be the target of a link",
            "1 to 4095 bytes without control characters",
        ));
    }
    Ok(())
}

pub(super) fn http_path(text: &str) -> Check {
    let sound = text.starts_with('/') && text.len() <= 2048 && text.chars().all(|c| c.is_ascii_graphic());
    if sound {
        return Ok(());
    }
    let fault = Fault::new(E0112, format!("`{text}` is not a path of a URL"), "begins with `/`, without spaces");
    Err(match text.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, path)) => fault.help(format!("the path alone: \"/{path}\"")),
        None => fault,
    })
}

pub(super) fn source_path(text: &str) -> Check {
    source(text).map(|_| ())
}

/// The normalised relative path: never absolute, never with `..` (hostile class 32).
pub(crate) fn source(text: &str) -> Result<String, Fault> {
    if text.starts_with('/') || text.starts_with('~') {
        return Err(Fault::new(
            E0251,
            format!("`{text}` lies outside the spec's directory"),
            "only paths below this file's directory",
        )
        .help("put the file beside the spec and name it from there: \"./NAME\""));
    }
    if text.split('/').any(|part| part == "..") {
        return Err(Fault::new(E0251, format!("`{text}` goes up with `..`"), "only paths below this file's directory")
            .help("put the file beside the spec and name it from there: \"./NAME\""));
    }
    if text.len() > 4095 || text.chars().any(char::is_control) {
        return Err(Fault::new(
            E0251,
            "this cannot be a path beside the spec",
            "at most 4095 bytes without control characters",
        ));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() && text.is_empty() {
        return Err(Fault::new(E0251, "a path beside the spec is empty", "name a file"));
    }
    Ok(parts.join("/"))
}
