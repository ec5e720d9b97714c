//! From a header block and its extensions to an [`Entry`]: which field wins, which
//! contradictions are refused, where the sparse map stands.

use std::io::Read;

use super::error::TarErrorKind;
use super::field::{Header, Magic};
use super::pax::{self, Pax};
use super::read::{Extensions, Reader};
use super::sparse::{self, PaxSparse, Segment};
use super::{BLOCK, Entry, Kind};

impl<R: Read> Reader<R> {
    /// Puts an entry together from its header and the extensions before it.
    pub(super) fn entry(&mut self, header: &Header, ext: Extensions) -> Result<Entry, TarErrorKind> {
        let mut pax = ext.pax.unwrap_or_default();
        let path = self.path(header, ext.long_name, pax.path.take())?;
        self.name = Some(path.clone());
        let link = one_name(ext.long_link, pax.link.take(), "link")?;
        let link = link.unwrap_or_else(|| header.link().to_vec());
        let mut kind = kind_of(header.typeflag())?;
        // v7 had no type for directories: a slash at the end made one, and still does.
        if kind == Kind::File && path.ends_with(b"/") {
            kind = Kind::Directory;
        }
        let header_size = header.size()?;
        let stored = self.stored_size(kind, header_size, pax.size)?;
        let mut entry = Entry {
            path,
            kind,
            mode: u32::try_from(header.mode()? & 0o7777).unwrap_or_default(),
            uid: id(pax.uid.map_or_else(|| header.uid(), Ok)?, "uid")?,
            gid: id(pax.gid.map_or_else(|| header.gid(), Ok)?, "gid")?,
            size: stored,
            mtime: pax.mtime.map_or_else(|| header.mtime(), Ok)?,
            link: if matches!(kind, Kind::Symlink | Kind::Hardlink) { link } else { Vec::new() },
            xattrs: std::mem::take(&mut pax.xattrs),
            device: device(header, kind)?,
            sparse: None,
        };
        self.set_stored(stored);
        self.sparse(header, &pax, &mut entry)?;
        if entry.path.len() > self.limits.name || entry.link.len() > self.limits.name {
            let limit = self.limits.name as u64;
            return Err(TarErrorKind::TooLarge { what: "a name", limit });
        }
        self.size = entry.size;
        self.map = entry.sparse.clone();
        Ok(entry)
    }

    fn path(&self, header: &Header, long: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Vec<u8>, TarErrorKind> {
        if let Some(path) = one_name(long, pax, "name")? {
            return Ok(path);
        }
        let prefix = match header.magic() {
            Magic::Ustar => header.prefix(),
            Magic::Gnu if !header.gnu_times_are_times() => return Err(TarErrorKind::Prefix),
            Magic::Gnu | Magic::None => b"",
        };
        if prefix.is_empty() {
            return Ok(header.name().to_vec());
        }
        Ok([prefix, b"/", header.name()].concat())
    }

    /// Bytes of content that follow the header. Directories and hard links may carry a size
    /// that means nothing (GNU tar, Go and Python agree); of links, devices and pipes they
    /// do not agree.
    fn stored_size(&self, kind: Kind, header: u64, pax: Option<u64>) -> Result<u64, TarErrorKind> {
        match kind {
            Kind::File => Ok(pax.unwrap_or(header)),
            Kind::Directory | Kind::Hardlink if pax.is_none_or(|size| size == 0) => Ok(0),
            _ if pax.unwrap_or(header) == 0 && header == 0 => Ok(0),
            _ => Err(TarErrorKind::UnexpectedContent(kind.word())),
        }
    }

    /// Finds the sparse map, reads what of it stands before the data, and checks it.
    fn sparse(&mut self, header: &Header, pax: &Pax, entry: &mut Entry) -> Result<(), TarErrorKind> {
        let max = self.limits.segments;
        let (map, size) = match (sparse::from_pax(pax, max)?, header.typeflag()) {
            (PaxSparse::No, b'S') => (self.old_gnu_map(header)?, header.sparse_real_size()?),
            (PaxSparse::No, _) => return Ok(()),
            (_, b'S') => return Err(TarErrorKind::Sparse("there are two maps")),
            _ if entry.kind != Kind::File => return Err(TarErrorKind::SparseVersion),
            (PaxSparse::InHeader { name, size, map }, _) => {
                entry.path = name.unwrap_or(std::mem::take(&mut entry.path));
                (map, size)
            }
            (PaxSparse::BeforeData { name, size }, _) => {
                entry.path = name.unwrap_or(std::mem::take(&mut entry.path));
                (self.map_before_data()?, size)
            }
        };
        self.name = Some(entry.path.clone());
        if entry.path.ends_with(b"/") {
            return Err(TarErrorKind::UnexpectedContent(Kind::Directory.word()));
        }
        sparse::check(&map, size, self.stored)?;
        self.holes = self.holes.saturating_add(size - self.stored);
        if self.holes > self.limits.holes {
            let limit = self.limits.holes;
            return Err(TarErrorKind::TooLarge { what: "the sum of all holes", limit });
        }
        entry.size = size;
        entry.sparse = Some(map);
        Ok(())
    }

    /// Old GNU: four segments in the header, further ones in blocks before the data, which
    /// are not part of the size.
    fn old_gnu_map(&mut self, header: &Header) -> Result<Vec<Segment>, TarErrorKind> {
        let mut map = Vec::new();
        sparse::from_fields(header.sparse_fields(), &mut map, self.limits.segments)?;
        let mut more = header.sparse_extended();
        let mut blocks = 0usize;
        while more {
            let block = self.block()?.ok_or(TarErrorKind::Truncated)?;
            blocks += 1;
            if blocks > self.limits.segments / 21 + 1 {
                return Err(TarErrorKind::Sparse("too many segments"));
            }
            let (fields, rest) = block.split_at_checked(504).unwrap_or_default();
            sparse::from_fields(fields, &mut map, self.limits.segments)?;
            more = rest.first().is_some_and(|&b| b != 0);
        }
        Ok(map)
    }

    /// PAX 1.0: lines of decimal numbers (count, then offset and length each), filled up to
    /// a block; they are part of the stored size.
    fn map_before_data(&mut self) -> Result<Vec<Segment>, TarErrorKind> {
        let bad = TarErrorKind::Sparse("its lines are not numbers");
        let mut map = Vec::new();
        let mut numbers = (None, None);
        let mut digits = Vec::new();
        loop {
            if self.stored < BLOCK as u64 {
                return Err(TarErrorKind::Sparse("it reaches past the content"));
            }
            let block = self.block()?.ok_or(TarErrorKind::Truncated)?;
            self.stored -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    if digits.len() >= 20 {
                        return Err(bad);
                    }
                    digits.push(byte);
                    continue;
                }
                let Some(number) = pax::decimal(&digits) else {
                    return Err(bad);
                };
                digits.clear();
                numbers = match numbers {
                    (None, _) => (Some(number), None),
                    (count, None) => (count, Some(number)),
                    (count, Some(offset)) => {
                        let segment = Segment { offset, len: number };
                        sparse::push(&mut map, segment, self.limits.segments)?;
                        (count, None)
                    }
                };
                if let (Some(count), None) = numbers
                    && count == map.len() as u64
                {
                    return Ok(map);
                }
            }
        }
    }
}

fn one_name(long: Option<Vec<u8>>, pax: Option<Vec<u8>>, what: &'static str) -> Result<Option<Vec<u8>>, TarErrorKind> {
    match (long, pax) {
        (Some(long), Some(pax)) if long != pax => Err(TarErrorKind::NamesDiffer(what)),
        (long, pax) => Ok(pax.or(long)),
    }
}

fn kind_of(typeflag: u8) -> Result<Kind, TarErrorKind> {
    match typeflag {
        0 | b'0' | b'7' | b'S' => Ok(Kind::File),
        b'1' => Ok(Kind::Hardlink),
        b'2' => Ok(Kind::Symlink),
        b'3' => Ok(Kind::CharDevice),
        b'4' => Ok(Kind::BlockDevice),
        b'5' => Ok(Kind::Directory),
        b'6' => Ok(Kind::Fifo),
        other => Err(TarErrorKind::UnsupportedType(other)),
    }
}

/// A user or group id: 32 bits, and not -1, which chown(2) reads as "leave alone".
fn id(number: u64, field: &'static str) -> Result<u32, TarErrorKind> {
    match u32::try_from(number) {
        Ok(id) if id != u32::MAX => Ok(id),
        _ => Err(TarErrorKind::OutOfRange(field)),
    }
}

fn device(header: &Header, kind: Kind) -> Result<(u32, u32), TarErrorKind> {
    if !matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
        return Ok((0, 0));
    }
    let part = |number: u64, field| u32::try_from(number).map_err(|_| TarErrorKind::OutOfRange(field));
    Ok((part(header.major()?, "devmajor")?, part(header.minor()?, "devminor")?))
}
