//! `k8orc fmt`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use diag::SourceMap;

use crate::output::Output;

/// Formats each file in place; a file that does not parse is left as it is.
pub fn run(output: &Output, files: &[PathBuf], check: bool) -> u8 {
    files.iter().map(|file| one(output, file, check)).max().unwrap_or(0)
}

fn one(output: &Output, file: &Path, check: bool) -> u8 {
    let name = diag::text::printable(&file.display().to_string());
    let stdin = file == Path::new("-");
    let text = if stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            output.say(&format!("k8orc: {name} cannot be read: {error}"));
            return if error.kind() == std::io::ErrorKind::InvalidData { 1 } else { 3 };
        }
    };
    let formatted = match lang::text::format(&text) {
        Ok(formatted) => formatted,
        Err(diagnostics) => {
            let mut sources = SourceMap::new();
            sources.add(name, text);
            return output.diagnostics(&diagnostics, &sources).max(1);
        }
    };
    if stdin && !check {
        output.data(&formatted);
        return 0;
    }
    if formatted == text {
        return 0;
    }
    if check {
        output.say(&format!("{name} is not formatted; k8orc fmt {name} does it"));
        return 1;
    }
    match driver::write_atomically(file, formatted.as_bytes()) {
        Ok(()) => 0,
        Err(problem) => output.diagnostics(&problem.into(), &SourceMap::new()),
    }
}
