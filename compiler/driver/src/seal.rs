//! Step 8: hash everything that was written, read it back, publish.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use diag::text::printable;
use diag::{Diagnostic, codes};
use plan::decide::generation::hex;
use sha2::{Digest as _, Sha256};

use crate::request::Run;
use crate::second_opinion;
use crate::staging::{SEAL, Staging, unwritable};
use crate::write::Artifacts;
use crate::{Built, Stage};

/// Reads the layout back and writes `outputs.sha256` (the format of sha256sum, sorted by path).
pub(crate) fn seal(run: &Run<'_>, staging: &Staging, written: &Artifacts) -> Stage<()> {
    run.progress.step("sealing");
    let layout = image::write::check(&staging.dir().join("image"), &written.image.read_back())?;
    second_opinion::read(staging.dir())?;
    let mut lines = String::new();
    for path in files(staging.dir())? {
        // What was read back just now is not hashed a second time.
        let known = path.strip_prefix("image").ok().and_then(|path| layout.get(path));
        let digest = match known {
            Some(digest) => digest.hex(),
            None => digest(&staging.dir().join(&path)).map_err(|error| unwritable(&path, &error))?,
        };
        lines.push_str(&format!("{digest}  {}\n", path.display()));
    }
    Ok(staging.write(SEAL, lines.as_bytes())?)
}

/// Exchanges staging with the output and frees what the cache holds too much of.
pub(crate) fn publish(run: &Run<'_>, name: &str, staging: Staging, written: Artifacts) -> Stage<Built> {
    let output = staging.publish()?;
    crate::write::archive(run, name, &output, &written.image)?;
    if let Ok(cache) = run.cache() {
        // Its only effect is on the next build's speed: what goes wrong here is not this build's failure.
        let _ = cache.gc(sources::cache::DEFAULT_LIMIT);
    }
    Ok(Built { output, digest: written.outcome.digest, summary: written.summary })
}

/// Compares an output with its seal: every file is there and as it was written.
///
/// # Errors
/// E1030, with the first file that differs.
pub fn verify(output: &Path) -> Result<(), Diagnostic> {
    let shown = printable(&output.display().to_string());
    let broken = |what: String| {
        Diagnostic::new(codes::E1030, format!("{shown} is not a whole output of k8orc: {what}"))
            .help("build it again: k8orc build SPEC")
    };
    let seal = fs::read_to_string(output.join(SEAL)).map_err(|error| broken(format!("{SEAL}: {error}")))?;
    for line in seal.lines() {
        let Some((expected, path)) = line.split_once("  ") else { return Err(broken(format!("{SEAL} is damaged"))) };
        let relative = Path::new(path);
        if relative.is_absolute() || relative.components().any(|part| !matches!(part, std::path::Component::Normal(_)))
        {
            return Err(broken(format!("{SEAL} names {}", printable(path))));
        }
        match digest(&output.join(relative)) {
            Ok(found) if found == expected => {}
            Ok(_) => return Err(broken(format!("{} was changed", printable(path)))),
            Err(error) => return Err(broken(format!("{}: {error}", printable(path)))),
        }
    }
    Ok(())
}

/// Relative paths of all files, sorted.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut out = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let here = dir.join(&relative);
        for entry in fs::read_dir(&here).map_err(|error| unwritable(&here, &error))? {
            let entry = entry.map_err(|error| unwritable(&here, &error))?;
            let path = relative.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(path),
                Ok(_) => out.push(path),
                Err(error) => return Err(unwritable(&here, &error)),
            }
        }
    }
    out.sort();
    Ok(out)
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}
