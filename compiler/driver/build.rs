//! Compiles the runtime `k8or` for the architecture that this compiler is built for and leaves it
//! in OUT_DIR/k8or, where src/runtime.rs embeds it (docs/decisions/0001-runtime-binary.md).

#[path = "../../stdlib/runtime/build_step.rs"]
mod build_step;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../stdlib/runtime/src");
    println!("cargo::rerun-if-changed=../../stdlib/runtime/build_step.rs");
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the runtime k8or (stdlib/runtime) could not be built:\n{why}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), String> {
    let variable = |name: &str| std::env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = variable("TARGET")?.to_string_lossy().into_owned();
    // On a system that is no Linux of a known architecture nothing is embedded: k8or() then looks
    // for every runtime beside the executable.
    let known = ["x86_64-unknown-linux-", "aarch64-unknown-linux-"];
    if !known.iter().any(|prefix| target.starts_with(prefix)) {
        println!("cargo::warning=no runtime is embedded for {target}");
        return std::fs::write(out.join("k8or"), b"").map_err(|error| error.to_string());
    }
    let rustc = PathBuf::from(variable("RUSTC")?);
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let sources = Path::new(&manifest).join("../../stdlib/runtime/src");
    let sources = sources.canonicalize().map_err(|error| format!("{}: {error}", sources.display()))?;
    let step = build_step::Step { rustc: &rustc, sources: &sources, out: &out, target: &target, home_relative: false };
    build_step::compile(&step).map(drop)
}
