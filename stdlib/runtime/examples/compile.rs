//! Makes `k8or` for an architecture: `cargo run -p k8orc-runtime --example compile -- ARCH FILE`.
//!
//! The compiler carries the runtime of its own architecture; for images of another one it looks
//! for `k8or-linux-amd64` or `k8or-linux-arm64` beside its executable. This makes that file.

#[path = "../build_step.rs"]
mod build_step;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [arch, file] = arguments.as_slice() else {
        eprintln!("usage: compile amd64|arm64 FILE");
        return ExitCode::from(2);
    };
    match make(arch, Path::new(file)) {
        Ok(bytes) => {
            println!("{file}: {bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn make(arch: &str, file: &Path) -> Result<u64, String> {
    let target = match arch {
        "amd64" | "x86_64" => "x86_64-unknown-linux-gnu",
        "arm64" | "aarch64" => "aarch64-unknown-linux-gnu",
        other => return Err(format!("\"{other}\" is none of amd64 and arm64")),
    };
    let out = std::env::temp_dir().join(format!("k8or-compile-{}", std::process::id()));
    std::fs::create_dir(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let rustc = std::env::var_os("RUSTC").map_or("rustc".into(), PathBuf::from);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let step = build_step::Step { rustc: &rustc, sources: &sources, out: &out, target, home_relative: false };
    let made = build_step::compile(&step)
        .and_then(|binary| std::fs::copy(binary, file).map_err(|error| format!("{}: {error}", file.display())));
    let _ = std::fs::remove_dir_all(&out);
    made
}
