//! What stands beside the list of packages: `/etc/apk/world`, `triggers`, `scripts.tar`.

use super::dependency::{Atom, atom};
use crate::line::{Place, filter_lines, lines};

/// A line of `world` that is no dependency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected the name of a package, found \"{found}\"")]
pub struct WorldError {
    /// Line and bytes in the file.
    pub place: Place,
    /// What stands there, safe to print.
    pub found: String,
}

/// Reads `world`: what the administrator asked for, a dependency a line. apk also takes several in a line.
///
/// # Errors
/// A word that is no dependency.
pub fn world(bytes: &[u8]) -> Result<Vec<Atom>, WorldError> {
    let mut all = Vec::new();
    for line in lines(bytes) {
        for word in line.text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            all.push(atom(word).map_err(|found| WorldError { place: line.place(), found })?);
        }
    }
    Ok(all)
}

/// `triggers` without the packages whose checksum `keep` refuses; the others byte for byte.
pub fn filter_triggers(bytes: &[u8], keep: impl Fn(&str) -> bool) -> Vec<u8> {
    filter_lines(bytes, |line| {
        let checksum = line.split(|b| *b == b' ').next().unwrap_or_default();
        std::str::from_utf8(checksum).is_ok_and(&keep)
    })
}

/// `busybox-1.36.1-r29.Q1…=.trigger`: the checksum of the package whose script this is, and which script.
pub fn script_of(name: &[u8]) -> Option<(&str, &str)> {
    let name = std::str::from_utf8(name).ok()?;
    let (front, kind) = name.rsplit_once('.')?;
    let (_, checksum) = front.rsplit_once('.')?;
    Some((checksum, kind))
}

/// An archive of scripts that is not the plain one that apk writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {what}")]
pub struct ScriptsError {
    /// Where in the archive.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

const BLOCK: usize = 512;

/// `scripts.tar` without the entries whose name `keep` refuses; the others, the end and its padding byte for byte.
///
/// # Errors
/// An archive that is cut short, has a broken header or anything but plain files.
pub fn filter_scripts(bytes: &[u8], keep: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, ScriptsError> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let fail = |what| ScriptsError { offset: at, what };
        let rest = bytes.get(at..).unwrap_or_default();
        // The end: blocks of zeros, or the end of the file.
        if rest.iter().take(BLOCK).all(|b| *b == 0) {
            out.extend_from_slice(rest);
            return Ok(out);
        }
        let header = rest.get(..BLOCK).ok_or_else(|| fail("the archive is cut short"))?;
        let sum: u64 =
            header.iter().enumerate().map(|(n, b)| u64::from(if (148..156).contains(&n) { b' ' } else { *b })).sum();
        if octal(&header[148..156]) != Some(sum) {
            return Err(fail("the header's checksum is wrong"));
        }
        if !matches!(header[156], b'0' | 0) {
            return Err(fail("an entry is not a plain file"));
        }
        let size = octal(&header[124..136]).and_then(|size| usize::try_from(size).ok());
        let size =
            size.and_then(|size| size.checked_next_multiple_of(BLOCK)).ok_or_else(|| fail("the size is no number"))?;
        let end = BLOCK.checked_add(size).filter(|end| *end <= rest.len());
        let end = end.ok_or_else(|| fail("the archive is cut short"))?;
        let name = header[..100].split(|b| *b == 0).next().unwrap_or_default();
        if keep(name) {
            out.extend_from_slice(&rest[..end]);
        }
        at += end;
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn world_and_triggers() {
        let all = world(b"alpine-base\nnginx=1.26-r0\n!mdev b\n").unwrap();
        assert_eq!(all.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["alpine-base", "nginx", "mdev", "b"]);
        assert_eq!(world(b"a\n=\n").unwrap_err().place.line, 2);
        assert_eq!(filter_triggers(b"Q1a= /bin /sbin\nQ1b= /lib\n", |c| c == "Q1b="), b"Q1b= /lib\n");
    }

    #[test]
    fn scripts_are_filtered() {
        let mut archive = Vec::new();
        for (name, size) in [("a-1.Q1a=.trigger", 3), ("b-1.2-r0.Q1b=.post-install", 600)] {
            let mut header = [0_u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
            header[156] = b'0';
            header[148..156].fill(b' ');
            let sum: u64 = header.iter().map(|b| u64::from(*b)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            archive.extend(header);
            archive.extend(vec![b'x'; usize::next_multiple_of(size, BLOCK)]);
        }
        let end = archive.len();
        archive.extend([0; 1024]);
        assert_eq!(filter_scripts(&archive, |_| true).unwrap(), archive);
        let less =
            filter_scripts(&archive, |name| script_of(name).is_some_and(|s| s == ("Q1b=", "post-install"))).unwrap();
        assert_eq!(less, archive[2 * BLOCK..]);
        assert!(filter_scripts(&archive[..end - 1], |_| true).is_err());
        archive[3] = b'!';
        assert_eq!(filter_scripts(&archive, |_| true).unwrap_err().what, "the header's checksum is wrong");
        assert_eq!(filter_scripts(b"", |_| true).unwrap(), b"");
    }
}
