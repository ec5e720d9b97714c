//! Pure crates touch nothing but their arguments: files, environment, clock, processes and network come in
//! through `lang::world::World` or a value, so that tests and editors run the real code in memory.
//!
//! clippy's `disallowed-methods` holds for a whole workspace, so these crates are read instead.

use super::shape::Exemption;
use super::tree::SourceFile;

/// What none of them may name.
const BANNED: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "rustix::",
    "libc::",
];

/// Complaints about the product code of `crates` (directories under `compiler/`).
#[must_use]
pub fn purity(files: &[SourceFile], crates: &[&str], exempt: &[Exemption]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        let pure = crates.iter().any(|krate| file.path.starts_with(&format!("compiler/{krate}/src/")));
        if !pure {
            continue;
        }
        let found: Vec<String> = file
            .product_lines()
            .filter_map(|(number, line)| {
                let code = line.split("//").next().unwrap_or_default();
                let banned = BANNED.iter().find(|banned| names(code, banned))?;
                Some(format!("{}:{number}: {banned} in a pure crate", file.path))
            })
            .collect();
        match exempt.iter().any(|(path, _)| *path == file.path) {
            true if found.is_empty() => wrong.push(format!("{}: the exemption is not needed any more", file.path)),
            true => {}
            false => wrong.extend(found),
        }
    }
    wrong
}

/// `std::fs` in `std::fs::read`, `use std::fs;` and `use std::{fs, io}`.
fn names(code: &str, banned: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if code.match_indices(banned).any(|(at, _)| banned.ends_with(':') || ends(&code[at + banned.len()..])) {
        return true;
    }
    let (Some(module), Some(list)) = (banned.strip_prefix("std::"), code.trim().strip_prefix("use std::{")) else {
        return false;
    };
    list.split([',', '}']).any(|part| part.trim().split("::").next() == Some(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_found() {
        for code in ["std::fs::read(x)", "use std::fs;", "use std::{fs, io};", "use std::{io, env::args};"] {
            assert!(BANNED.iter().any(|banned| names(code, banned)), "{code}");
        }
        for code in ["std::fsx::read", "use std::{io, fmt};", "my_process()", "std::io::Read"] {
            assert!(!BANNED.iter().any(|banned| names(code, banned)), "{code}");
        }
        let text = "//! std::fs is not used\nuse std::fs;\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n";
        let file = SourceFile { path: "compiler/lang/src/a.rs".into(), text: text.into(), test: false };
        assert_eq!(
            purity(std::slice::from_ref(&file), &["lang"], &[]),
            ["compiler/lang/src/a.rs:2: std::fs in a pure crate"]
        );
        assert_eq!(purity(std::slice::from_ref(&file), &["plan"], &[]), [""; 0]);
        assert_eq!(purity(&[file], &["lang"], &[("compiler/lang/src/a.rs", "why")]), [""; 0]);
    }
}
