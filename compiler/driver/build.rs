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
    println!("cargo::rerun-if-changed=../../stdlib/modules");
    match modules().and_then(|()| embed()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the standard library could not be embedded:\n{why}");
            ExitCode::FAILURE
        }
    }
}

/// Writes `MODULES: &[(name, text)]`, sorted, for src/stdlib.rs: every `.kdl` file below stdlib/modules.
fn modules() -> Result<(), String> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set CARGO_MANIFEST_DIR")?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?;
    let root = Path::new(&manifest).join("../../stdlib/modules");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))? {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "kdl") {
                let name = path.strip_prefix(&root).map_err(|error| error.to_string())?.with_extension("");
                found.push((name.to_string_lossy().into_owned(), path));
            }
        }
    }
    found.sort();
    let mut text = String::from("static MODULES: &[(&str, &str)] = &[\n");
    for (name, path) in &found {
        text.push_str(&format!("    ({name:?}, include_str!({path:?})),\n"));
    }
    text.push_str("];\n");
    std::fs::write(Path::new(&out).join("modules.rs"), text).map_err(|error| error.to_string())
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
