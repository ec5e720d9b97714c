//! The canonical writer: one entry, one spelling. ustar where it fits, one PAX header with
//! sorted keys where it does not; no user names, no times but the entry's own.

use std::io::{self, Read, Write};

use super::{BLOCK, Entry, Kind, show_name};

/// The end of an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// An entry that no archive can hold, or whose content is not what was announced.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The stream below failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A NUL or nothing where a name must be.
    #[error("the name {} cannot be written to an archive", show_name(.0))]
    Name(Vec<u8>),
    /// An attribute whose name holds `=` or a NUL, or an empty value: readers would differ.
    #[error("the extended attribute {} of {} cannot be written to an archive", show_name(.1), show_name(.0))]
    Attribute(Vec<u8>, Vec<u8>),
    /// A device number that ustar cannot hold.
    #[error("the device number of {} cannot be written to an archive", show_name(.0))]
    Device(Vec<u8>),
    /// Fewer or more bytes of content than the entry's size.
    #[error("the content of {} is not of the announced size", show_name(.0))]
    Size(Vec<u8>),
}

/// The zeros that fill `size` bytes of content up to a block.
pub fn padding(size: u64) -> &'static [u8] {
    let len = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or(0);
    ZEROS.get(..len).unwrap_or_default()
}

/// The header blocks of an entry: a PAX header when something does not fit ustar, then the
/// ustar header. A directory's name gets a slash at its end. `sparse` is not looked at: files
/// are written whole.
///
/// # Errors
/// Names, attributes and device numbers that cannot be written.
pub fn header(entry: &Entry) -> Result<Vec<u8>, WriteError> {
    let mut path = entry.path.clone();
    if entry.kind == Kind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }
    let links = matches!(entry.kind, Kind::Symlink | Kind::Hardlink);
    for name in [Some(&path), links.then_some(&entry.link)].into_iter().flatten() {
        if name.is_empty() || name.contains(&0) {
            return Err(WriteError::Name(entry.path.clone()));
        }
    }
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut field = Fields::new();
    field.name(&path, &mut records);
    field.octal(100, 8, u64::from(entry.mode & 0o7777));
    field.number(108, 8, u64::from(entry.uid), "uid", &mut records);
    field.number(116, 8, u64::from(entry.gid), "gid", &mut records);
    let size = if entry.kind == Kind::File { entry.size } else { 0 };
    field.number(124, 12, size, "size", &mut records);
    match u64::try_from(entry.mtime) {
        Ok(mtime) => field.number(136, 12, mtime, "mtime", &mut records),
        Err(_) => {
            field.octal(136, 12, 0);
            records.push((b"mtime".to_vec(), entry.mtime.to_string().into_bytes()));
        }
    }
    if links {
        if entry.link.len() > 100 {
            records.push((b"linkpath".to_vec(), entry.link.clone()));
        }
        field.bytes(157, entry.link.get(..100).unwrap_or(&entry.link));
    }
    let (major, minor) = match entry.kind {
        Kind::CharDevice | Kind::BlockDevice => entry.device,
        _ => (0, 0),
    };
    if !field.octal(329, 8, u64::from(major)) || !field.octal(337, 8, u64::from(minor)) {
        return Err(WriteError::Device(entry.path.clone()));
    }
    for (name, value) in &entry.xattrs {
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) || value.is_empty() {
            return Err(WriteError::Attribute(entry.path.clone(), name.clone()));
        }
        records.push(([b"SCHILY.xattr.".as_slice(), name].concat(), value.clone()));
    }
    let block = field.seal(typeflag(entry.kind));
    if records.is_empty() {
        return Ok(block.to_vec());
    }
    let mut out = pax(&path, records);
    out.extend_from_slice(&block);
    Ok(out)
}

fn typeflag(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// A PAX header and its records, in the order of their keys.
fn pax(path: &[u8], mut records: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    records.sort();
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    // The name is for readers that do not know PAX: they unpack the records under it.
    let last = path.split(|&b| b == b'/').rfind(|part| !part.is_empty()).unwrap_or_default();
    let name = [b"PaxHeaders/".as_slice(), last.get(..80).unwrap_or(last)].concat();
    let mut field = Fields::new();
    field.bytes(0, &name);
    field.octal(100, 8, 0o644);
    field.octal(108, 8, 0);
    field.octal(116, 8, 0);
    field.octal(124, 12, body.len() as u64);
    field.octal(136, 12, 0);
    field.octal(329, 8, 0);
    field.octal(337, 8, 0);
    let mut out = field.seal(b'x').to_vec();
    out.extend_from_slice(&body);
    out.extend_from_slice(padding(body.len() as u64));
    out
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if rest + length.to_string().len() > length {
        length += 1;
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

/// A header block being filled in: the tar crate's for magic, kind and checksum; the fields are ours, since the
/// crate writes GNU extensions where we want PAX.
struct Fields(::tar::Header);

impl Fields {
    fn new() -> Fields {
        Fields(::tar::Header::new_ustar())
    }

    fn bytes(&mut self, start: usize, bytes: &[u8]) {
        if let Some(place) = self.0.as_mut_bytes().get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Octal digits and a NUL at the end; `false` and zeros when the number does not fit.
    fn octal(&mut self, start: usize, width: usize, number: u64) -> bool {
        let digits = format!("{number:0width$o}", width = width - 1);
        let fits = digits.len() < width;
        let digits = if fits { digits } else { "0".repeat(width - 1) };
        self.bytes(start, digits.as_bytes());
        fits
    }

    fn number(&mut self, start: usize, width: usize, number: u64, key: &str, records: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        if !self.octal(start, width, number) {
            records.push((key.as_bytes().to_vec(), number.to_string().into_bytes()));
        }
    }

    /// The name: in its field, divided over prefix and name at the last slash that serves,
    /// or in a PAX record.
    fn name(&mut self, path: &[u8], records: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        if path.len() <= 100 {
            return self.bytes(0, path);
        }
        let cut = (1..path.len().min(156))
            .rev()
            .find(|&at| path.get(at) == Some(&b'/') && (1..=100).contains(&(path.len() - at - 1)));
        if let Some((prefix, name)) = cut.and_then(|at| path.split_at_checked(at)) {
            self.bytes(345, prefix);
            self.bytes(0, name.get(1..).unwrap_or_default());
            return;
        }
        let start = path.get(..100).unwrap_or(path);
        self.bytes(0, start);
        records.push((b"path".to_vec(), path.to_vec()));
    }

    fn seal(mut self, typeflag: u8) -> [u8; BLOCK] {
        self.0.set_entry_type(::tar::EntryType::new(typeflag));
        self.0.set_cksum();
        *self.0.as_bytes()
    }
}

/// Writes entries with their content to a stream.
pub struct Writer<W> {
    out: W,
    chunk: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`; nothing is buffered here.
    pub fn new(out: W) -> Writer<W> {
        Writer { out, chunk: vec![0; 128 << 10] }
    }

    /// Writes an entry and, for a file, exactly `entry.size` bytes of `content`.
    ///
    /// # Errors
    /// As [`header`], the streams' own, and `Size`.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), WriteError> {
        self.out.write_all(&header(entry)?)?;
        if entry.kind != Kind::File {
            return Ok(());
        }
        let mut left = entry.size;
        loop {
            let n = match content.read(&mut self.chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            left = left.checked_sub(n as u64).ok_or_else(|| WriteError::Size(entry.path.clone()))?;
            if n == 0 {
                break;
            }
            self.out.write_all(self.chunk.get(..n).unwrap_or_default())?;
        }
        if left > 0 {
            return Err(WriteError::Size(entry.path.clone()));
        }
        self.out.write_all(padding(entry.size))?;
        Ok(())
    }

    /// Writes the end of the archive and gives the stream back.
    ///
    /// # Errors
    /// The stream's own.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&END)?;
        Ok(self.out)
    }
}
