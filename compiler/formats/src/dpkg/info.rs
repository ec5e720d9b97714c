//! `info/PKG[:ARCH].list`, `.md5sums` and `.conffiles`: what a package put where.

use crate::line::{Place, filter_lines, lines, shown};

/// A file of `info/`: which package it belongs to, and which of its files it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InfoName<'a> {
    /// Name of the package.
    pub package: &'a str,
    /// Its architecture, only in the names of `Multi-Arch: same` packages.
    pub architecture: Option<&'a str>,
    /// `list`, `md5sums`, `postinst` …
    pub kind: &'a str,
}

/// Takes a file name of `info/` apart. None for what belongs to no package (`format`).
pub fn info_name(file_name: &str) -> Option<InfoName<'_>> {
    let (owner, kind) = file_name.rsplit_once('.')?;
    let (package, architecture) = match owner.split_once(':') {
        Some((package, architecture)) => (package, Some(architecture)),
        None => (owner, None),
    };
    let good = super::is_package_name(package) && !kind.is_empty() && architecture.is_none_or(super::is_package_name);
    good.then_some(InfoName { package, architecture, kind })
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found \"{found}\"")]
pub struct InfoError {
    /// Line and bytes in the file.
    pub place: Place,
    /// What a line of this file looks like.
    pub expected: &'static str,
    /// The line, safe to print.
    pub found: String,
}

/// The paths of a `.list` file: absolute, `/.` for the root.
///
/// # Errors
/// A line that is no absolute path.
pub fn list(bytes: &[u8]) -> Result<Vec<&[u8]>, InfoError> {
    paths(bytes)
}

/// The paths of a `.conffiles` file; a `remove-on-upgrade` before a path is passed over with it.
///
/// # Errors
/// A line that is no absolute path.
pub fn conffile_list(bytes: &[u8]) -> Result<Vec<&[u8]>, InfoError> {
    paths_where(bytes, |text| !text.starts_with(b"remove-on-upgrade "))
}

fn paths(bytes: &[u8]) -> Result<Vec<&[u8]>, InfoError> {
    paths_where(bytes, |_| true)
}

fn paths_where(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<&[u8]>, InfoError> {
    let mut out = Vec::new();
    for line in lines(bytes).filter(|l| wanted(l.text)) {
        if !line.text.starts_with(b"/") || line.text.contains(&0) {
            let found = shown(line.text);
            return Err(InfoError { place: line.place(), expected: "an absolute path", found });
        }
        out.push(line.text);
    }
    Ok(out)
}

/// The lines of a `.md5sums` file: hash in hexadecimal, and the path without its first slash.
///
/// # Errors
/// A line of another form.
pub fn md5sums(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, InfoError> {
    let mut out = Vec::new();
    for line in lines(bytes) {
        let Some(pair) = sum(line.text) else {
            let found = shown(line.text);
            return Err(InfoError { place: line.place(), expected: "an MD5 sum, two spaces and a path", found });
        };
        out.push(pair);
    }
    Ok(out)
}

fn sum(line: &[u8]) -> Option<(&str, &[u8])> {
    let (hash, rest) = line.split_at_checked(32)?;
    let hash = std::str::from_utf8(hash).ok().filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))?;
    // Some packages write one space, or `*` for binary mode, as md5sum does.
    let path = rest.strip_prefix(b" ")?;
    let path = path.strip_prefix(b" ").or(path.strip_prefix(b"*")).unwrap_or(path);
    (!path.is_empty() && !path.contains(&0)).then_some((hash, path))
}

/// A `.list` or `.conffiles` file without the paths that `keep` refuses.
pub fn filter_list(bytes: &[u8], keep: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    filter_lines(bytes, keep)
}

/// A `.md5sums` file without the paths that `keep` refuses; `keep` sees them absolute.
pub fn filter_md5sums(bytes: &[u8], mut keep: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    filter_lines(bytes, |line| match sum(line) {
        None => true,
        Some((_, path)) => {
            let mut absolute = Vec::with_capacity(path.len() + 1);
            absolute.push(b'/');
            absolute.extend_from_slice(path.strip_prefix(b"./").unwrap_or(path));
            keep(&absolute)
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn names_of_info_files() {
        let name = info_name("python3.11-minimal.postinst").unwrap();
        assert_eq!((name.package, name.architecture, name.kind), ("python3.11-minimal", None, "postinst"));
        let name = info_name("libc6:amd64.list").unwrap();
        assert_eq!((name.package, name.architecture, name.kind), ("libc6", Some("amd64"), "list"));
        for none in ["format", ".list", "a.", "-x.list", "a:.list"] {
            assert_eq!(info_name(none), None, "{none}");
        }
    }

    #[test]
    fn lists_and_sums_are_filtered_line_by_line() {
        let text = b"/.\n/usr\n/usr/a\n";
        assert_eq!(list(text).unwrap(), [&b"/."[..], b"/usr", b"/usr/a"]);
        assert_eq!(filter_list(text, |p| p != b"/usr/a"), b"/.\n/usr\n");
        let sums = b"d41d8cd98f00b204e9800998ecf8427e  usr/a b\nd41d8cd98f00b204e9800998ecf8427e  usr/c\n";
        assert_eq!(md5sums(sums).unwrap()[0].1, b"usr/a b");
        assert_eq!(filter_md5sums(sums, |p| p == b"/usr/c"), &sums[42..]);
    }

    #[test]
    fn broken_lines_have_a_number() {
        assert_eq!(list(b"/a\nb\n").unwrap_err().place.line, 2);
        assert_eq!(md5sums(b"zz  a\n").unwrap_err().place.line, 1);
        assert!(md5sums(b"d41d8cd98f00b204e9800998ecf8427e").is_err());
        assert!(md5sums("d41d8cd98f00b204e9800998ecf842ü  x".as_bytes()).is_err());
        assert_eq!(conffile_list(b"remove-on-upgrade /etc/x\n/etc/y\n").unwrap(), [b"/etc/y"]);
    }

    #[test]
    fn this_machines_info_is_read() {
        let Ok(dir) = std::fs::read_dir("/var/lib/dpkg/info") else {
            println!("skipped: no dpkg here");
            return;
        };
        for entry in dir {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = || std::fs::read(&path).unwrap();
            match info_name(name).map(|n| n.kind) {
                Some("list") => assert!(list(&bytes()).is_ok(), "{name}"),
                Some("md5sums") => assert!(md5sums(&bytes()).is_ok(), "{name}"),
                Some("conffiles") => assert!(conffile_list(&bytes()).is_ok(), "{name}"),
                Some(_) => {}
                None => assert_eq!(name, "format"),
            }
        }
    }
}
