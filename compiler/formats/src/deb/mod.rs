//! Debian binary packages (deb(5)): an ar archive of `debian-binary`, `control.tar*` and `data.tar*`.
//!
//! Read from front to end in one pass: first the small control archive as a whole, then the data archive as a
//! stream of tar entries. Members whose name starts with `_` are passed over, as dpkg does; anything else out of
//! place is refused.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Cursor, Read};

use crate::codec::{self, Codec};
use crate::tar::{self, Kind, TarError};

#[cfg(test)]
mod tests;

/// Largest control archive, stored and unpacked; the largest of Debian is some 2 MB.
const MOST_CONTROL: u64 = 16 << 20;
/// Most members of the control archive.
const MOST_MEMBERS: usize = 256;

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The stream below failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not start like an ar archive.
    #[error("it is no Debian package: the file does not start with \"!<arch>\"")]
    Magic,
    /// A header of the container that cannot be read.
    #[error("a member of the package has a malformed header")]
    Header,
    /// A member that dpkg would refuse at this place.
    #[error("expected the member {expected}, found {}", tar::show_name(found))]
    Member {
        /// What should stand there.
        expected: &'static str,
        /// Its name.
        found: Vec<u8>,
    },
    /// The file ends before a member does, or before one that must be there.
    #[error("the package ends too early")]
    Truncated,
    /// `debian-binary` is not `2.x`.
    #[error("the package has format {}; only 2.x is known", tar::show_name(.0))]
    Version(Vec<u8>),
    /// A compression that is not gzip, xz, zstd or none.
    #[error("the member {} has a compression that is not supported (gzip, xz, zstd and none are)", tar::show_name(.0))]
    Compression(Vec<u8>),
    /// An archive inside.
    #[error("{0}: {1}")]
    Tar(&'static str, TarError),
    /// The control archive holds something that is not a file of a name without slash.
    #[error("the control archive holds {}", tar::show_name(.0))]
    Control(Vec<u8>),
    /// No `control`.
    #[error("the control archive holds no file \"control\"")]
    NoControl,
    /// More than any real package has.
    #[error("{0} is larger than {1} bytes")]
    TooLarge(&'static str, u64),
}

/// A file of the control archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The control archive: file name to file (`control`, `md5sums`, `postinst` …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control(pub BTreeMap<String, ControlFile>);

impl Control {
    /// The bytes of one file.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(|file| file.bytes.as_slice())
    }
}

/// The data archive as a stream of entries.
pub type Data = tar::Reader<Box<dyn Read + Send>>;

/// Reads a package: its control files, and its data archive, of which nothing was read yet.
///
/// # Errors
/// See [`DebError`].
pub fn open<R: BufRead + Send + 'static>(mut source: R) -> Result<(Control, Data), DebError> {
    let mut magic = [0; 8];
    read_exact(&mut source, &mut magic)?;
    if &magic != b"!<arch>\n" {
        return Err(DebError::Magic);
    }
    let binary = next(&mut source)?;
    if binary.name != b"debian-binary" {
        return Err(DebError::Member { expected: "\"debian-binary\"", found: binary.name });
    }
    let version = small(&mut source, &binary, "\"debian-binary\"", 4096)?;
    if !version.starts_with(b"2.") {
        return Err(DebError::Version(version.trim_ascii().to_vec()));
    }
    let member = named(&mut source, b"control.tar", "\"control.tar\"")?;
    let packed = small(&mut source, &member, "the control archive", MOST_CONTROL)?;
    let control = control(decompress(&member, b"control.tar", Cursor::new(packed))?)?;
    let member = named(&mut source, b"data.tar", "\"data.tar\"")?;
    let stored = Exactly { source: source.take(member.size), left: member.size };
    let unpacked = decompress(&member, b"data.tar", io::BufReader::with_capacity(256 << 10, stored))?;
    Ok((control, tar::Reader::new(unpacked)))
}

/// A member's header.
struct Member {
    name: Vec<u8>,
    size: u64,
}

/// The next member that counts.
fn next(source: &mut impl BufRead) -> Result<Member, DebError> {
    let mut header = [0; 60];
    read_exact(source, &mut header)?;
    if header.get(58..) != Some(b"`\n".as_slice()) {
        return Err(DebError::Header);
    }
    let field = |from: usize, to: usize| header.get(from..to).unwrap_or_default().trim_ascii_end();
    // GNU ar ends names with a slash, dpkg takes both.
    let name = field(0, 16);
    let name = name.strip_suffix(b"/").unwrap_or(name).to_vec();
    let digits = field(48, 58);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DebError::Header);
    }
    let size = digits.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0'));
    Ok(Member { name, size })
}

fn named(source: &mut impl BufRead, stem: &[u8], expected: &'static str) -> Result<Member, DebError> {
    loop {
        let member = next(source)?;
        if member.name.starts_with(stem) {
            return Ok(member);
        }
        if !member.name.starts_with(b"_") {
            return Err(DebError::Member { expected, found: member.name });
        }
        skip(source, member.size + member.size % 2)?;
    }
}

fn skip(source: &mut impl BufRead, size: u64) -> Result<(), DebError> {
    match io::copy(&mut source.take(size), &mut io::sink())? == size {
        true => Ok(()),
        false => Err(DebError::Truncated),
    }
}

/// A whole member and its padding.
fn small(source: &mut impl BufRead, member: &Member, what: &'static str, most: u64) -> Result<Vec<u8>, DebError> {
    if member.size > most {
        return Err(DebError::TooLarge(what, most));
    }
    let mut bytes = Vec::new();
    source.take(member.size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != member.size {
        return Err(DebError::Truncated);
    }
    skip(source, member.size % 2)?;
    Ok(bytes)
}

fn read_exact(source: &mut impl Read, buffer: &mut [u8]) -> Result<(), DebError> {
    source.read_exact(buffer).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => DebError::Truncated,
        _ => DebError::Io(e),
    })
}

fn decompress<R: BufRead + Send + 'static>(
    member: &Member,
    stem: &[u8],
    source: R,
) -> Result<Box<dyn Read + Send>, DebError> {
    Ok(match member.name.strip_prefix(stem).unwrap_or_default() {
        b"" => Box::new(source),
        b".gz" => codec::decoder(Codec::Gzip, source)?,
        b".xz" => codec::xz_decoder(source),
        b".zst" => codec::decoder(Codec::Zstd, source)?,
        _ => return Err(DebError::Compression(member.name.clone())),
    })
}

fn control(source: Box<dyn Read + Send>) -> Result<Control, DebError> {
    let wrong = |e| DebError::Tar("the control archive", e);
    let mut reader = tar::Reader::new(source.take(MOST_CONTROL + 1));
    let (mut files, mut total) = (BTreeMap::new(), 0u64);
    while let Some(entry) = reader.next_entry().map_err(wrong)? {
        let name = entry.path.strip_prefix(b"./").unwrap_or(&entry.path);
        if entry.kind == Kind::Directory && matches!(name, b"" | b".") {
            continue;
        }
        let text = std::str::from_utf8(name).ok();
        let text = text.filter(|n| !n.is_empty() && !n.starts_with('.') && n.bytes().all(|b| b.is_ascii_graphic()));
        let text = text.filter(|n| entry.kind == Kind::File && !n.contains('/'));
        let Some(text) = text else { return Err(DebError::Control(entry.path)) };
        total = total.saturating_add(entry.size);
        if total > MOST_CONTROL || files.len() >= MOST_MEMBERS {
            return Err(DebError::TooLarge("the control archive", MOST_CONTROL));
        }
        let bytes = reader.read_all(MOST_CONTROL).map_err(wrong)?;
        files.insert(text.to_owned(), ControlFile { mode: entry.mode, mtime: entry.mtime, bytes });
    }
    match files.contains_key("control") {
        true => Ok(Control(files)),
        false => Err(DebError::NoControl),
    }
}

/// A member that must have all its bytes: the end of the file within it is an error, not its end.
struct Exactly<R> {
    source: io::Take<R>,
    left: u64,
}

impl<R: BufRead> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.left -= n as u64;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the package ends too early"));
        }
        Ok(n)
    }
}
