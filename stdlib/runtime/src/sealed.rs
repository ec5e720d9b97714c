//! The sealed configuration, `/k8or/sealed.conf`: what the compiler decided and no pod may change
//! (INTERFACE.md, "sealed.conf"). Whatever is not understood is refused.

use crate::failure::{Failure, status};
use crate::sha256::Digest;
use crate::sys::{ARCH, Errno, fs};
use crate::text::{decimal, percent_decoded, shown};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest sealed configuration, in bytes.
const LIMIT: usize = 1 << 20;

/// The filter that `run` and `exec` install.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedFilter {
    /// The file of instructions.
    pub path: Vec<u8>,
    /// Digest of its bytes.
    pub digest: Digest,
    /// How many instructions it has.
    pub instructions: usize,
}

/// A tree that may be served from a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generation {
    /// Where the tree lies in the image and in the container, for example `/usr`.
    pub mount: Vec<u8>,
    /// Its tree digest.
    pub digest: Digest,
}

/// Everything that is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The user that the image was made for.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The filter, when the image carries one.
    pub filter: Option<SealedFilter>,
    /// Whether the filter was written for `k8orc test`: it stops a process at a call that is not
    /// allowed, and somebody has to keep the listener that this needs.
    pub wait_on_violation: bool,
    /// Trees that need their completion marker.
    pub generations: Vec<Generation>,
    /// The command when none is given; empty when there is no default.
    pub program: Vec<Vec<u8>>,
}

/// The directory of the sealed files. Tests build a variant that looks in the working directory;
/// the binary in an image has no such switch, for an environment variable would let a pod choose
/// another filter.
#[cfg(not(k8or_home_relative))]
pub const HOME: &str = "/k8or";
/// See above.
#[cfg(k8or_home_relative)]
pub const HOME: &str = "k8or";

impl Sealed {
    /// Reads the sealed configuration of this image.
    pub fn load() -> Result<Sealed, Failure> {
        let path = format!("{HOME}/sealed.conf");
        let refuse = |why: String| {
            Failure::new(
                status::REFUSED,
                format!("{path}: {why}\nthis image was not made for this k8or: build it again with k8orc"),
            )
        };
        let bytes =
            fs::open_path(path.as_bytes()).and_then(|file| fs::read_all(&file, LIMIT)).map_err(
                |error| match error {
                    Errno::ENOENT => refuse("the sealed configuration is missing".into()),
                    other => refuse(format!("cannot be read: {other}")),
                },
            )?;
        Sealed::parse(&bytes).map_err(refuse)
    }

    /// Reads the text of a sealed configuration; the error names the line.
    pub fn parse(text: &[u8]) -> Result<Sealed, String> {
        let text = text.strip_suffix(b"\n").ok_or("the last line is not ended")?;
        let mut draft = Draft::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let mut fields = Vec::new();
            for field in line.split(|byte| *byte == b' ') {
                // A lone % is the empty word, which an argument of a program may be.
                let word = match field {
                    b"" => None,
                    b"%" => Some(Vec::new()),
                    encoded => percent_decoded(encoded),
                };
                fields.push(word.ok_or_else(|| format!("line {}: an empty field or a broken % form", index + 1))?);
            }
            draft.line(index, &fields).map_err(|why| format!("line {}: {why}", index + 1))?;
        }
        draft.finish()
    }
}

#[derive(Default)]
struct Draft {
    arch: Option<()>,
    uid: Option<u32>,
    gid: Option<u32>,
    filter: Option<Option<SealedFilter>>,
    on_violation: Option<bool>,
    generations: Vec<Generation>,
    program: Option<Vec<Vec<u8>>>,
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("said twice".into()),
    }
}

fn digest(field: &[u8]) -> Result<Digest, String> {
    let hex = field.strip_prefix(b"sha256:").and_then(Digest::from_hex);
    hex.ok_or_else(|| format!("\"{}\" is not sha256: and 64 lower-case digits", shown(field)))
}

fn absolute(field: &[u8]) -> Result<Vec<u8>, String> {
    if field.first() == Some(&b'/') && (field.len() == 1 || field.last() != Some(&b'/')) {
        Ok(field.to_vec())
    } else {
        Err(format!("\"{}\" is not an absolute path without a slash at its end", shown(field)))
    }
}

impl Draft {
    fn line(&mut self, index: usize, fields: &[Vec<u8>]) -> Result<(), String> {
        let fields = fields.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let number = |field: &[u8]| decimal(field).ok_or_else(|| format!("\"{}\" is not a number", shown(field)));
        match (index, fields.as_slice()) {
            (0, [b"k8or", b"1"]) => Ok(()),
            (0, _) => Err("this k8or reads version 1 (\"k8or 1\") only".into()),
            (_, [b"arch", arch]) if *arch == ARCH.as_bytes() => once(&mut self.arch, ()),
            (_, [b"arch", arch]) => Err(format!("sealed for {}, but this machine is {ARCH}", shown(arch))),
            (_, [b"uid", value]) => once(&mut self.uid, number(value)?),
            (_, [b"gid", value]) => once(&mut self.gid, number(value)?),
            (_, [b"filter", b"none"]) => once(&mut self.filter, None),
            (_, [b"filter", path, content, count]) => {
                let instructions = number(count)? as usize;
                if !(1..=4096).contains(&instructions) {
                    return Err("a filter has 1 to 4096 instructions".into());
                }
                let (path, digest) = (absolute(path)?, digest(content)?);
                once(&mut self.filter, Some(SealedFilter { path, digest, instructions }))
            }
            (_, [b"on-violation", b"kill-process" | b"kill-thread" | b"errno" | b"log"]) => {
                once(&mut self.on_violation, false)
            }
            (_, [b"on-violation", b"wait"]) => once(&mut self.on_violation, true),
            (_, [b"generation", mount, value]) => {
                let (mount, digest) = (absolute(mount)?, digest(value)?);
                if self.generations.iter().any(|known| known.mount == mount) {
                    return Err("this mount has a generation already".into());
                }
                self.generations.push(Generation { mount, digest });
                Ok(())
            }
            (_, [b"program", program @ ..]) if program.first().is_some_and(|name| !name.is_empty()) => {
                once(&mut self.program, program.iter().map(|field| field.to_vec()).collect())
            }
            (_, other) => {
                let key = other.first().copied().unwrap_or_default();
                Err(format!("\"{}\" is not understood by this k8or", shown(key)))
            }
        }
    }

    fn finish(self) -> Result<Sealed, String> {
        let missing = |key: &str| format!("the line \"{key}\" is missing");
        self.arch.ok_or_else(|| missing("arch"))?;
        Ok(Sealed {
            uid: self.uid.ok_or_else(|| missing("uid"))?,
            gid: self.gid.ok_or_else(|| missing("gid"))?,
            filter: self.filter.ok_or_else(|| missing("filter"))?,
            wait_on_violation: self.on_violation.ok_or_else(|| missing("on-violation"))?,
            generations: self.generations,
            program: self.program.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use alloc::string::ToString;

    fn text() -> String {
        let hex = crate::sha256::sha256(b"").hex();
        format!(
            "k8or 1\narch {ARCH}\nuid 10001\ngid 10002\n\
             filter /k8or/filter.bpf sha256:{hex} 12\non-violation kill-process\n\
             generation /usr sha256:{hex}\nprogram /usr/sbin/nginx -g daemon%20off; %\n"
        )
    }

    #[test]
    fn all_lines_are_read() {
        let sealed = Sealed::parse(text().as_bytes()).unwrap();
        assert_eq!((sealed.uid, sealed.gid), (10001, 10002));
        assert_eq!(sealed.filter.unwrap().instructions, 12);
        assert_eq!(sealed.generations[0].mount, b"/usr");
        assert_eq!(sealed.program[2..], [b"daemon off;".to_vec(), Vec::new()]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let hex = crate::sha256::sha256(b"").hex();
        let cases = [
            ("k8or 1\n".to_string(), "k8or 2\n".to_string(), "line 1: this k8or reads version 1"),
            (format!("arch {ARCH}"), "arch riscv64".into(), "line 2: sealed for riscv64"),
            ("uid 10001".into(), "uid 010001".into(), "line 3: \"010001\" is not a number"),
            ("gid 10002".into(), "uid 10002".into(), "line 4: said twice"),
            ("gid 10002\n".into(), "gid 10002\ncolour blue\n".into(), "line 5: \"colour\" is not"),
            (" 12\n".into(), " 4097\n".into(), "1 to 4096"),
            ("kill-process".into(), "shrug".into(), "line 6: \"on-violation\" is not"),
            (format!("/usr sha256:{hex}"), "/usr/ sha256:00".into(), "line 7: \"/usr/\" is not an"),
            ("daemon%20off; ".into(), "daemon%2 ".into(), "line 8: an empty field or a broken %"),
            (" %\n".into(), " x".into(), "the last line is not ended"),
            ("gid 10002\n".into(), "".into(), "the line \"gid\" is missing"),
        ];
        for (from, to, expected) in cases {
            let changed = text().replace(&from, &to);
            assert_ne!(changed, text(), "{from}");
            let error = Sealed::parse(changed.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error} / {expected}");
        }
    }
}
