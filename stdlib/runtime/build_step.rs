//! How the binary `k8or` is made: two runs of rustc, no cargo, no libc, no C compiler where the
//! toolchain ships its own linker. Used by the driver's build script, by the example `compile`
//! (another architecture) and by the tests, each through `#[path]`.
//!
//! The bytes depend on the sources and the toolchain only: directories are remapped, nothing of
//! the environment is read, no build id is made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One build.
pub struct Step<'a> {
    /// The compiler; cargo names it in the variable RUSTC.
    pub rustc: &'a Path,
    /// The directory `stdlib/runtime/src`.
    pub sources: &'a Path,
    /// An existing directory for what is made.
    pub out: &'a Path,
    /// The target triple, `x86_64-unknown-linux-gnu` for instance.
    pub target: &'a str,
    /// Look for `k8or/` in the working directory instead of `/k8or`: for tests only.
    pub home_relative: bool,
}

/// Compiles the runtime; gives the path of the binary, or sentences that say why there is none.
pub fn compile(step: &Step<'_>) -> Result<PathBuf, String> {
    let library = step.out.join("libk8or.rlib");
    let binary = step.out.join("k8or");
    rustc(step, "lib.rs", &library, &["--crate-name", "k8or", "--crate-type", "rlib"])?;
    let mut external = OsString::from("k8or=");
    external.push(&library);
    let mut attempts = Vec::new();
    for (name, linking) in linkers(step) {
        let mut arguments = vec![OsString::from("--extern"), external.clone()];
        arguments.extend(["--crate-name", "main", "--crate-type", "bin", "-C", "lto=fat"].map(OsString::from));
        arguments.extend(linking);
        match rustc(step, "main.rs", &binary, &arguments) {
            Ok(()) => return Ok(binary),
            Err(why) => attempts.push(format!("with {name}: {why}")),
        }
    }
    Err(attempts.join("\n"))
}

/// The linkers to try, with their options: the toolchain's own `rust-lld` first, because it needs
/// nothing installed and gives the same bytes everywhere, then a C compiler as a linker.
fn linkers(step: &Step<'_>) -> Vec<(String, Vec<OsString>)> {
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let mut linkers = Vec::new();
    if let Some(lld) = shipped_lld(step.rustc) {
        let mut options = words(&["-C", "linker-flavor=ld.lld", "-C", "link-arg=--build-id=none", "-C"]);
        let mut linker = OsString::from("linker=");
        linker.push(&lld);
        options.push(linker);
        linkers.push(("rust-lld".into(), options));
    }
    let arch = step.target.split('-').next().unwrap_or_default();
    let native = arch == std::env::consts::ARCH;
    let compiler = if native { "cc".into() } else { format!("{arch}-linux-gnu-gcc") };
    let options = words(&[
        "-C",
        &format!("linker={compiler}"),
        "-C",
        "link-arg=-nostartfiles",
        "-C",
        "link-arg=-nostdlib",
        "-C",
        "link-arg=-static",
        "-C",
        "link-arg=-Wl,--build-id=none",
    ]);
    linkers.push((compiler, options));
    linkers
}

/// `rust-lld` as the toolchain ships it: SYSROOT/lib/rustlib/HOST/bin/rust-lld.
fn shipped_lld(rustc: &Path) -> Option<PathBuf> {
    let answer = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim_end());
    let hosts = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    let mut found = hosts
        .filter_map(|host| Some(host.ok()?.path().join("bin/rust-lld")))
        .filter(|path| path.is_file())
        .collect::<Vec<_>>();
    found.sort();
    found.into_iter().next()
}

fn rustc<A: AsRef<std::ffi::OsStr>>(
    step: &Step<'_>,
    source: &str,
    output: &Path,
    arguments: &[A],
) -> Result<(), String> {
    let remap = |from: &Path, to: &str| {
        let mut option = OsString::from("--remap-path-prefix=");
        option.push(from);
        option.push(format!("={to}"));
        option
    };
    let mut command = Command::new(step.rustc);
    command
        .current_dir(step.out)
        .args(["--edition", "2024", "--target", step.target, "--cfg", "k8or_freestanding"])
        // Small, but not at the price of SHA-256 and copying (z: 7 % smaller; 3: 53 % larger).
        .args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "codegen-units=1"])
        .args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static"])
        .args(["-C", "force-unwind-tables=no", "-C", "strip=symbols", "-C", "metadata=k8or"])
        .args(["-C", "embed-bitcode=yes", "--cap-lints=warn"])
        .arg(remap(step.sources, "/k8or"))
        .arg(remap(step.out, "/k8or/out"))
        .args(arguments)
        .arg("-o")
        .arg(output)
        .arg(step.sources.join(source));
    if step.home_relative {
        command.args(["--cfg", "k8or_home_relative"]);
    }
    // Rustc's own switches in the environment would make other bytes.
    for variable in ["RUSTC_BOOTSTRAP", "RUSTC_FORCE_RUSTC_VERSION", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    let answer = command.output().map_err(|error| format!("{} cannot be started: {error}", step.rustc.display()))?;
    if answer.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let mut why = format!("rustc failed on stdlib/runtime/src/{source} for {}:\n{said}", step.target);
    if said.contains("can't find crate for `core`") {
        let target = step.target;
        why.push_str(&format!("help: the toolchain has no library for {target}: rustup target add {target}\n"));
    }
    if said.contains("linker") && said.contains("not found") {
        why.push_str("help: install a C compiler (Debian: gcc), or a toolchain that ships rust-lld\n");
    }
    Err(why)
}
