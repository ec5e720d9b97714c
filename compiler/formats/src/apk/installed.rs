//! `installed`: one paragraph a package, its files directory by directory (apk-tools, `src/database.c`).
//!
//! `F:` opens a directory, `M:` its owner and mode where they are not 0:0:755; `R:` is a file in it, `a:` its owner
//! and mode where they are not 0:0:644, `Z:` its checksum. All other lines say something of the package.

use std::ops::Range;

use super::dependency::{Atom, Provide, atoms, provides};
use crate::line::{Line, Place, lines, shown};

/// What is wrong with the file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Error {
    /// Line and bytes in the file.
    pub place: Place,
    /// What is wrong there.
    pub problem: Problem,
}

/// The ways in which a line can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An ADB container stands where text should.
    #[error("this is an ADB file of apk-tools 3, not the text of an installed database")]
    Adb,
    /// Not `X:…`.
    #[error("expected a letter and a colon, found \"{0}\"")]
    Line(String),
    /// A field of a file outside of what it belongs to.
    #[error("\"{0}:\" stands before what it belongs to")]
    Order(char),
    /// A value that cannot be read.
    #[error("\"{field}:\" cannot be \"{value}\"")]
    Value {
        /// The letter.
        field: char,
        /// Its value, safe to print.
        value: String,
    },
    /// Short lines that spell long lists of paths.
    #[error("the paths up to here have more than 256 MiB")]
    Paths,
    /// A field that must be there.
    #[error("a package without \"{0}:\"")]
    Missing(char),
}

/// One package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// `P:`
    pub name: String,
    /// `V:`
    pub version: String,
    /// `A:`; empty where it is not said.
    pub arch: String,
    /// `C:` as it stands (`Q1…`): triggers and scripts are filed under it.
    pub checksum: String,
    /// `o:`, the source package.
    pub origin: Option<String>,
    /// `I:`, bytes.
    pub installed_size: Option<u64>,
    /// `D:`, those that must not be there among them.
    pub depends: Vec<Atom>,
    /// `p:`
    pub provides: Vec<Provide>,
    /// `k:`: which of several providers is taken, the highest first.
    pub provider_priority: u64,
    /// `f:` with `S`: what is written as SHA-1 of a file is the first 20 bytes of its SHA-256 (apk-tools 3).
    pub short_sha256: bool,
    /// Directories and files in the order of the file.
    pub listed: Vec<Listed>,
    /// Line of the first field.
    pub line: usize,
}

/// A directory or file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Path without a leading slash, as it stands; the root is empty.
    pub path: Vec<u8>,
    /// `F:` (true) or `R:`.
    pub directory: bool,
    /// `M:` or `a:`; the default of its kind where it is not said.
    pub owner: Owner,
    /// `Z:` as it stands: `Q1` and the SHA-1 in base64, `Q2` and a SHA-256; of a link's target for links.
    pub checksum: Option<String>,
    /// Bytes of the file: its lines, without those of files in it.
    bytes: Range<usize>,
}

/// Owner and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
}

/// The whole file.
#[derive(Debug, Default)]
pub struct Installed {
    /// In the order of the file.
    pub packages: Vec<Package>,
    /// Bytes of each package with the empty line that ends it, at the same index.
    bytes: Vec<Range<usize>>,
}

/// Most bytes of all paths together (256 MiB): a short name stands for a long path where its directory is deep.
const LONGEST_PATHS: usize = 256 << 20;

/// Reads `installed`.
///
/// # Errors
/// The first line that apk would not take either, a package without name or version, an ADB file.
pub fn installed(bytes: &[u8]) -> Result<Installed, Error> {
    let mut all = Installed::default();
    if bytes.starts_with(b"ADB") {
        return Err(Error { place: Place { line: 1, bytes: 0..3 }, problem: Problem::Adb });
    }
    let mut reader = Reader { room: LONGEST_PATHS, ..Reader::default() };
    for line in lines(bytes) {
        if line.text.len() < 2 {
            reader.end(&mut all, line.end)?;
        } else {
            reader.line(&line).map_err(|problem| Error { place: line.place(), problem })?;
        }
    }
    reader.end(&mut all, bytes.len())?;
    Ok(all)
}

/// The package that is being read.
#[derive(Default)]
struct Reader {
    package: Package,
    /// First line of the package.
    start: Option<(Place, usize)>,
    directory: Option<Vec<u8>>,
    /// Bytes that paths may still have.
    room: usize,
}

impl Reader {
    fn end(&mut self, all: &mut Installed, end: usize) -> Result<(), Error> {
        let Some((place, start)) = self.start.take() else { return Ok(()) };
        let package = std::mem::take(&mut self.package);
        self.directory = None;
        for (field, value) in [('P', &package.name), ('V', &package.version)] {
            if value.is_empty() {
                return Err(Error { place, problem: Problem::Missing(field) });
            }
        }
        all.packages.push(package);
        all.bytes.push(start..end);
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let (Some(field), Some(b':')) = (line.text.first().copied(), line.text.get(1)) else {
            return Err(Problem::Line(shown(line.text)));
        };
        let value = line.text.get(2..).unwrap_or_default();
        if self.start.is_none() {
            self.start = Some((line.place(), line.start));
            self.package.line = line.number;
        }
        let letter = char::from(field);
        let bad = || Problem::Value { field: letter, value: shown(value) };
        let text = || {
            let text = std::str::from_utf8(value).ok().filter(|text| !text.chars().any(char::is_control));
            text.map(str::to_owned).ok_or_else(bad)
        };
        let number = || text().ok().and_then(|text| text.parse::<u64>().ok()).ok_or_else(bad);
        let dependency = |found| Problem::Value { field: letter, value: found };
        let package = &mut self.package;
        match field {
            b'P' => package.name = text()?,
            b'V' => package.version = text()?,
            b'A' => package.arch = text()?,
            b'C' => package.checksum = text()?,
            b'o' => package.origin = Some(text()?),
            b'I' => package.installed_size = Some(number()?),
            b'k' => package.provider_priority = number()?,
            b'f' => package.short_sha256 = value.contains(&b'S'),
            b'D' => package.depends = atoms(value).map_err(dependency)?,
            b'p' => package.provides = provides(value).map_err(dependency)?,
            b'F' => {
                let path = value.strip_suffix(b"/").unwrap_or(value).to_vec();
                self.directory = Some(path.clone());
                self.list(path, true, line)?;
            }
            b'R' => {
                let directory = self.directory.as_ref().ok_or(Problem::Order('R'))?;
                if value.is_empty() || value.contains(&b'/') {
                    return Err(bad());
                }
                let path = match directory.is_empty() {
                    true => value.to_vec(),
                    false => [directory.as_slice(), value].join(&b'/'),
                };
                self.list(path, false, line)?;
            }
            b'M' | b'a' | b'Z' => {
                let last = package.listed.last_mut().filter(|last| last.directory == (field == b'M'));
                let last = last.ok_or(Problem::Order(letter))?;
                match field {
                    b'Z' => last.checksum = Some(text()?),
                    _ => last.owner = owner(value).ok_or_else(bad)?,
                }
                last.bytes.end = line.end;
            }
            _ => {}
        }
        Ok(())
    }

    fn list(&mut self, path: Vec<u8>, directory: bool, line: &Line<'_>) -> Result<(), Problem> {
        self.room = self.room.checked_sub(path.len()).ok_or(Problem::Paths)?;
        let mode = if directory { 0o755 } else { 0o644 };
        let owner = Owner { uid: 0, gid: 0, mode };
        self.package.listed.push(Listed { path, directory, owner, checksum: None, bytes: line.start..line.end });
        Ok(())
    }
}

/// `uid:gid:mode`, and the checksum of extended attributes after it where there are any.
fn owner(value: &[u8]) -> Option<Owner> {
    let mut parts = std::str::from_utf8(value).ok()?.splitn(4, ':');
    let mut number = |radix| parts.next().and_then(|part| u32::from_str_radix(part, radix).ok());
    let (uid, gid, mode) = (number(10)?, number(10)?, number(8)?);
    (mode <= 0o7777).then_some(Owner { uid, gid, mode })
}

/// The file with the packages that `keep` wants, and of those the directories and files that `there` wants; both are
/// asked with the package's index. What stays is byte for byte the same.
pub fn rewrite_installed(
    bytes: &[u8],
    all: &Installed,
    keep: impl Fn(usize) -> bool,
    there: impl Fn(usize, &Listed) -> bool,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, (package, range)) in all.packages.iter().zip(&all.bytes).enumerate().filter(|(at, _)| keep(*at)) {
        let mut from = range.start;
        // A directory that goes takes its line with it only when nothing in it stays.
        let stays: Vec<bool> = package.listed.iter().map(|one| there(at, one)).collect();
        for (n, one) in package.listed.iter().enumerate() {
            let inside = package.listed.iter().zip(&stays).skip(n + 1).take_while(|(next, _)| !next.directory);
            if stays.get(n) == Some(&true) || one.directory && inside.clone().any(|(_, stays)| *stays) {
                continue;
            }
            out.extend_from_slice(bytes.get(from..one.bytes.start).unwrap_or_default());
            from = one.bytes.end;
        }
        out.extend_from_slice(bytes.get(from..range.end).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TWO: &str = "C:Q1a=\nP:one\nV:1-r0\nA:x86_64\nI:20\nD:so:b !c\np:cmd:one=1-r0\nF:etc\nM:0:0:750\nR:x\n\
                       a:1:2:4755\nZ:Q1x=\nR:y\nZ:Q1y=\nF:usr\nF:usr/bin\nR:one\nf:S\n\nP:two\nV:2\n\n";

    #[test]
    fn packages_and_files_are_read() {
        let all = installed(TWO.as_bytes()).unwrap().packages;
        assert_eq!((all[0].name.as_str(), all[1].name.as_str(), all[1].line), ("one", "two", 20));
        let listed: Vec<_> =
            all[0].listed.iter().map(|l| (std::str::from_utf8(&l.path).unwrap(), l.owner.mode)).collect();
        let modes = [
            ("etc", 0o750),
            ("etc/x", 0o4755),
            ("etc/y", 0o644),
            ("usr", 0o755),
            ("usr/bin", 0o755),
            ("usr/bin/one", 0o644),
        ];
        assert_eq!(listed, modes);
        assert_eq!(all[0].listed[1].checksum.as_deref(), Some("Q1x="));
        assert!(all[0].short_sha256 && !all[1].short_sha256);
        assert_eq!((all[0].depends.len(), all[0].provides.len(), all[0].installed_size), (2, 1, Some(20)));
    }

    #[test]
    fn what_stays_is_byte_for_byte_the_same() {
        let all = installed(TWO.as_bytes()).unwrap();
        assert_eq!(rewrite_installed(TWO.as_bytes(), &all, |_| true, |_, _| true), TWO.as_bytes());
        assert_eq!(rewrite_installed(TWO.as_bytes(), &all, |at| at == 1, |_, _| true), b"P:two\nV:2\n\n");
        let less = rewrite_installed(TWO.as_bytes(), &all, |at| at == 0, |_, l| l.path != b"etc/x" && l.path != b"usr");
        let want = TWO.replace("R:x\na:1:2:4755\nZ:Q1x=\n", "").replace("F:usr\n", "").replace("P:two\nV:2\n\n", "");
        assert_eq!(String::from_utf8(less).unwrap(), want);
        // The directory's own line stays while a file in it does.
        let less = rewrite_installed(TWO.as_bytes(), &all, |at| at == 0, |_, l| l.path == b"etc/y");
        assert!(String::from_utf8(less).unwrap().ends_with("F:etc\nM:0:0:750\nR:y\nZ:Q1y=\nf:S\n\n"));
    }

    #[test]
    fn long_lists_of_long_paths_end() {
        let text = format!("P:a\nV:1\nF:{}\n{}", "d/".repeat(2000), "R:a\n".repeat(80_000));
        assert_eq!(installed(text.as_bytes()).unwrap_err().problem, Problem::Paths);
    }

    #[test]
    fn broken_files_have_a_line() {
        let line = |text: &str| installed(text.as_bytes()).unwrap_err().place.line;
        assert_eq!(line("P:a\nV:1\nR:x\n"), 3);
        assert_eq!(line("P:a\nV:1\nF:x\nR:../y\n"), 4);
        assert_eq!(line("P:a\nV:1\nF:x\na:0:0:644\n"), 4);
        assert_eq!(line("P:a\nV:1\nF:x\nM:0:0:99\n"), 4);
        assert_eq!(line("P:a\n\n"), 1);
        assert_eq!(line("P:a\nV:1\nnothing\n"), 3);
        assert_eq!(line("P:a\nV:1\nD:=\n"), 3);
        assert_eq!(installed(b"ADB.\x00").unwrap_err().problem, Problem::Adb);
        assert!(installed(b"").unwrap().packages.is_empty());
    }
}
