//! The bytes of the runtime `k8or` that go into an image, by architecture.
//!
//! The build script compiled the one of this compiler's own architecture; that of another is a file
//! beside the executable (docs/decisions/0001-runtime-binary.md).

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use diag::{Diagnostic, codes};
use plan::platform::Arch;

/// The runtime for the machine that this compiler was built for; empty where that is no Linux.
static EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/k8or"));
/// More than this is no `k8or` (design §9), in bytes.
const LIMIT: u64 = 1 << 20;

/// The runtime for images of `arch`: embedded, or the file `k8or-linux-amd64` or `k8or-linux-arm64` in
/// the directory of this executable.
///
/// # Errors
/// E1090 where there is neither, or where the file is not a static program of that architecture.
pub fn k8or(arch: Arch) -> Result<Cow<'static, [u8]>, Diagnostic> {
    let executable = std::env::current_exe().ok();
    from(EMBEDDED, arch, executable.as_deref().and_then(Path::parent))
}

fn from(embedded: &'static [u8], arch: Arch, beside: Option<&Path>) -> Result<Cow<'static, [u8]>, Diagnostic> {
    if is_static_program(embedded, arch) {
        return Ok(Cow::Borrowed(embedded));
    }
    let name = format!("k8or-linux-{}", arch.oci());
    let file = beside.map_or_else(|| PathBuf::from(&name), |directory| directory.join(&name));
    let missing = |why: String| {
        Diagnostic::new(codes::E1090, format!("there is no runtime k8or for {} images", arch.oci()))
            .note(format!("{}: {why}", file.display()))
            .help(format!("install the Rust library for it: rustup target add {}-unknown-linux-gnu", arch.kernel()))
            .help(format!(
                "then, in a clone of k8orc: cargo run -p k8orc-runtime --example compile -- {} {}",
                arch.oci(),
                file.display()
            ))
    };
    let length = std::fs::metadata(&file).map_err(|error| missing(error.to_string()))?.len();
    if length > LIMIT {
        return Err(missing(format!("is {length} bytes long; a k8or is not longer than {LIMIT}")));
    }
    let bytes = std::fs::read(&file).map_err(|error| missing(error.to_string()))?;
    if is_static_program(&bytes, arch) {
        Ok(Cow::Owned(bytes))
    } else {
        Err(missing(format!("is not a static ELF program for {}", arch.kernel())))
    }
}

/// Whether these are the bytes of a 64-bit little-endian ELF program of this machine that names no
/// loader (ELF gABI: e_machine at 18, e_phoff at 32, e_phentsize at 54, e_phnum at 56; PT_INTERP is 3).
fn is_static_program(bytes: &[u8], arch: Arch) -> bool {
    let machine = match arch {
        Arch::X86_64 => 62,
        Arch::Aarch64 => 183,
    };
    let half = |at: usize| bytes.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let offset = bytes.get(32..40).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let (Some(offset), Some(size), Some(count)) = (offset, half(54), half(56)) else { return false };
    let Ok(offset) = usize::try_from(offset) else { return false };
    let kinds = (0..count).map(|index| {
        let at = offset.checked_add(index.checked_mul(size)?)?;
        bytes.get(at..at.checked_add(4)?)
    });
    bytes.starts_with(b"\x7fELF\x02\x01\x01")
        && half(16) == Some(2)
        && half(18) == Some(machine)
        && count > 0
        && kinds.into_iter().all(|kind| kind.is_some_and(|kind| kind != [3, 0, 0, 0]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn own() -> Arch {
        Arch::parse(std::env::consts::ARCH).unwrap()
    }

    fn other() -> Arch {
        Arch::ALL.into_iter().find(|arch| *arch != own()).unwrap()
    }

    #[test]
    fn the_embedded_runtime_is_a_small_static_program_of_this_machine() {
        let bytes = from(EMBEDDED, own(), None).unwrap();
        assert!(matches!(bytes, Cow::Borrowed(_)));
        assert!(bytes.len() < 150 * 1024, "{} bytes", bytes.len());
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(!is_static_program(&shell, own()), "a program with a loader is not static");
    }

    #[test]
    fn another_architecture_is_a_file_beside_the_executable() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(format!("k8or-linux-{}", other().oci()));
        let error = from(EMBEDDED, other(), Some(directory.path())).unwrap_err();
        assert_eq!(error.code, codes::E1090);
        assert!(error.help.iter().any(|help| help.contains(&file.display().to_string())));
        std::fs::write(&file, EMBEDDED).unwrap();
        let error = from(EMBEDDED, other(), Some(directory.path())).unwrap_err();
        assert!(error.notes[0].contains("is not a static ELF program"), "{:?}", error.notes);
        let mut foreign = EMBEDDED.to_vec();
        foreign[18] = if other() == Arch::Aarch64 { 183 } else { 62 };
        std::fs::write(&file, &foreign).unwrap();
        assert_eq!(from(EMBEDDED, other(), Some(directory.path())).unwrap().as_ref(), foreign);
    }

    #[test]
    fn truncated_programs_are_refused_without_a_panic() {
        for length in 0..EMBEDDED.len().min(700) {
            is_static_program(&EMBEDDED[..length], own());
        }
        assert!(!is_static_program(&EMBEDDED[..100], own()));
    }
}
