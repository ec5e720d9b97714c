//! The shape of files: a head, a length, nothing left to do; and the size of the lock file.

use super::tree::SourceFile;

/// A file that may break a rule, with the reason.
pub type Exemption = (&'static str, &'static str);

/// Every Rust file begins with `//!`, perhaps after a shebang or a licence.
#[must_use]
pub fn heads(files: &[SourceFile]) -> Vec<String> {
    let head = |file: &SourceFile| {
        let licence = |line: &str| line.starts_with("//") && !line.starts_with("//!");
        let first = file.text.lines().find(|line| !line.starts_with("#!/") && !licence(line));
        first.is_some_and(|line| line.starts_with("//!"))
    };
    files.iter().filter(|file| !head(file)).map(|file| format!("{}: no `//!` head", file.path)).collect()
}

/// No Rust file is longer than `most` lines; an exemption that is not needed any more is a complaint too.
#[must_use]
pub fn lengths(files: &[SourceFile], most: usize, exempt: &[Exemption]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        let exempted = exempt.iter().any(|(path, _)| *path == file.path);
        if lines > most && !exempted {
            wrong.push(format!("{}: {lines} lines, more than {most}", file.path));
        }
        if lines <= most && exempted {
            wrong.push(format!("{}: {lines} lines, the exemption is not needed any more", file.path));
        }
    }
    for (path, _) in exempt.iter().filter(|(path, _)| !files.iter().any(|file| file.path == *path)) {
        wrong.push(format!("{path}: exempted, but not there"));
    }
    wrong
}

/// Nothing in the product is called done that is not.
#[must_use]
pub fn stubs(files: &[SourceFile]) -> Vec<String> {
    // Put together here, so that this list does not find itself.
    let words = [["todo", "!"], ["unimplemented", "!"], ["FIX", "ME"], ["(skele", "ton)"]].map(|parts| parts.concat());
    let mut wrong = Vec::new();
    for file in files {
        for (number, line) in file.product_lines() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{number}: {word}", file.path));
            }
        }
    }
    wrong
}

/// The lock file names fewer than `limit` packages: the README's first command is a cold build of them all.
#[must_use]
pub fn lock(text: &str, limit: usize) -> Vec<String> {
    let packages = text.lines().filter(|line| *line == "[[package]]").count();
    if packages < limit { Vec::new() } else { vec![format!("Cargo.lock: {packages} packages, {limit} are too many")] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned(), test: false }
    }

    #[test]
    fn a_head_may_follow_a_licence() {
        let good = [file("a.rs", "//! a\n"), file("b.rs", "#!/usr/bin/env x\n// licence\n//! b\n")];
        assert_eq!(heads(&good), [""; 0]);
        let bad = [file("a.rs", "use x;\n//! a\n"), file("b.rs", ""), file("c.rs", "// a\n/// b\nfn c() {}\n")];
        assert_eq!(heads(&bad).len(), 3);
    }

    #[test]
    fn exemptions_do_not_outlive_their_reason() {
        let files = [file("long.rs", "\n\n\n"), file("short.rs", "\n")];
        assert_eq!(lengths(&files, 2, &[("long.rs", "a table")]), [""; 0]);
        assert_eq!(lengths(&files, 2, &[]), ["long.rs: 3 lines, more than 2"]);
        assert_eq!(lengths(&files, 3, &[("long.rs", "a table"), ("gone.rs", "")]).len(), 2);
    }

    #[test]
    fn stubs_are_seen_outside_of_tests() {
        let word = ["todo", "!()"].concat();
        let text = format!("//! a\nfn a() {{ {word} }}\n#[cfg(test)]\nmod tests {{\n    fn b() {{ {word} }}\n}}\n");
        assert_eq!(stubs(&[file("a.rs", &text)]).len(), 1);
    }

    #[test]
    fn a_large_lock_is_refused() {
        assert_eq!(lock("[[package]]\n[[package]]\n", 3), [""; 0]);
        assert_eq!(lock("[[package]]\n[[package]]\n", 2).len(), 1);
    }
}
