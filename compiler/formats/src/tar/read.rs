//! The streaming reader: one entry at a time, content on demand, memory bounded.

use std::io::{self, Read};

use super::error::{TarError, TarErrorKind};
use super::field::Header;
use super::pax::{self, Pax};
use super::sparse::Segment;
use super::{BLOCK, Entry};

/// How much an archive may ask for. The defaults hold for every image we know of.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all extension headers of one entry.
    pub extensions: u64,
    /// Bytes of a name or a link target.
    pub name: usize,
    /// Data segments of one sparse file.
    pub segments: usize,
    /// Bytes of holes in all sparse files of the archive: they cost nothing to write and
    /// time to read.
    pub holes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { extensions: 1 << 20, name: 32 << 10, segments: 65536, holes: 4 << 30 }
    }
}

/// A streaming reader of entries over any source of bytes; wrap slow sources in a
/// `BufReader`.
pub struct Reader<R> {
    source: R,
    pub(super) limits: Limits,
    /// Bytes read from `source`.
    offset: u64,
    /// Where the header of the current entry began, and its name, for errors.
    start: u64,
    pub(super) name: Option<Vec<u8>>,
    /// Stored bytes of the current entry that were not read yet, and the padding after them.
    pub(super) stored: u64,
    padding: u64,
    /// The current content with its holes: its size, how far it was read, its data.
    pub(super) size: u64,
    position: u64,
    /// Where the data lies; `None` when the content has no holes.
    pub(super) map: Option<Vec<Segment>>,
    segment: usize,
    pub(super) holes: u64,
    ended: bool,
}

/// Extension headers collected before an entry.
#[derive(Default)]
pub(super) struct Extensions {
    pub pax: Option<Pax>,
    pub long_name: Option<Vec<u8>>,
    pub long_link: Option<Vec<u8>>,
    bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads from `source` with the default limits.
    pub fn new(source: R) -> Reader<R> {
        Reader::with_limits(source, Limits::default())
    }

    /// Reads from `source`.
    pub fn with_limits(source: R, limits: Limits) -> Reader<R> {
        Reader {
            source,
            limits,
            offset: 0,
            start: 0,
            name: None,
            stored: 0,
            padding: 0,
            size: 0,
            position: 0,
            map: None,
            segment: 0,
            holes: 0,
            ended: false,
        }
    }

    /// Goes on to the next entry, passing over what was not read of the current content.
    /// `None` at the end of the archive: two blocks of zeros, or the end of the stream at a
    /// block boundary, which GNU tar takes as well.
    ///
    /// # Errors
    /// Anything malformed or ambiguous; the reader is of no more use afterwards.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let result = self.advance();
        result.map_err(|kind| self.error(kind))
    }

    /// Reads from the current entry's content, holes as zeros; 0 at its end.
    ///
    /// # Errors
    /// The stream's own, or `Truncated`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let result = self.read_content(buffer);
        result.map_err(|kind| self.error(kind))
    }

    /// Reads the whole current content when it is at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Reader::read`], and `TooLarge`.
    pub fn read_all(&mut self, limit: u64) -> Result<Vec<u8>, TarError> {
        if self.size - self.position > limit {
            return Err(self.error(TarErrorKind::TooLarge { what: "the file", limit }));
        }
        let mut all = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            match self.read(&mut chunk)? {
                0 => return Ok(all),
                n => all.extend_from_slice(chunk.get(..n).unwrap_or_default()),
            }
        }
    }

    /// Reads what follows the end of the archive (padding of tape records, and whatever
    /// else: no reader looks at it) so that a hash taken below sees every byte.
    ///
    /// # Errors
    /// The stream's own.
    pub fn drain(&mut self) -> Result<(), TarError> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            match self.fill(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(kind) => return Err(self.error(kind)),
            }
        }
    }

    /// Bytes read from the source so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn error(&self, kind: TarErrorKind) -> TarError {
        TarError { offset: self.start, entry: self.name.clone(), kind }
    }

    fn advance(&mut self) -> Result<Option<Entry>, TarErrorKind> {
        self.skip_stored()?;
        self.name = None;
        (self.size, self.position, self.segment) = (0, 0, 0);
        self.map = None;
        let mut extensions = Extensions::default();
        loop {
            self.start = self.offset;
            let Some(block) = self.header_block()? else {
                let dangling =
                    extensions.pax.is_some() || extensions.long_name.is_some() || extensions.long_link.is_some();
                return if dangling { Err(TarErrorKind::Dangling) } else { Ok(None) };
            };
            let header = Header(&block);
            match header.typeflag() {
                b'x' => {
                    let bytes = self.extension(&header, &mut extensions)?;
                    let pax = pax::parse(&bytes, self.limits.segments)?;
                    self.name = pax.path.clone().or(self.name.take());
                    once(&mut extensions.pax, pax, "PAX headers")?;
                }
                b'g' => {
                    let bytes = self.extension(&header, &mut extensions)?;
                    pax::check_global(&bytes)?;
                }
                b'L' => {
                    let name = self.long_name(&header, &mut extensions)?;
                    self.name = Some(name.clone());
                    once(&mut extensions.long_name, name, "GNU long names")?;
                }
                b'K' => {
                    let link = self.long_name(&header, &mut extensions)?;
                    once(&mut extensions.long_link, link, "GNU long links")?;
                }
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// The next header block, checked; `None` at the end of the archive.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarErrorKind> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.block()? else {
            self.ended = true;
            return Ok(None);
        };
        if block.iter().all(|&b| b == 0) {
            self.ended = true;
            return match self.block()? {
                Some(next) if next.iter().any(|&b| b != 0) => Err(TarErrorKind::LoneZeroBlock),
                _ => Ok(None),
            };
        }
        Header(&block).check()?;
        Ok(Some(block))
    }

    /// One block, `None` when the stream ends exactly before it.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarErrorKind> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while let Some(rest) = block.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match self.fill(rest)? {
                0 if have == 0 => return Ok(None),
                0 => return Err(TarErrorKind::Truncated),
                n => have += n,
            }
        }
        Ok(Some(block))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarErrorKind> {
        loop {
            match self.source.read(buffer) {
                Ok(n) => {
                    self.offset = self.offset.saturating_add(n as u64);
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(TarErrorKind::Io(e)),
            }
        }
    }

    /// The content of an extension header, within the limit for one entry.
    fn extension(&mut self, header: &Header, ext: &mut Extensions) -> Result<Vec<u8>, TarErrorKind> {
        let size = header.size()?;
        ext.bytes = ext.bytes.saturating_add(size);
        let limit = self.limits.extensions;
        if ext.bytes > limit {
            return Err(TarErrorKind::TooLarge { what: "the extension header", limit });
        }
        self.set_stored(size);
        let mut bytes = Vec::new();
        while self.stored > 0 {
            let mut chunk = [0; 4096];
            let n = self.read_stored(&mut chunk)?;
            bytes.extend_from_slice(chunk.get(..n).unwrap_or_default());
        }
        self.skip_stored()?;
        Ok(bytes)
    }

    fn long_name(&mut self, header: &Header, ext: &mut Extensions) -> Result<Vec<u8>, TarErrorKind> {
        let bytes = self.extension(header, ext)?;
        Ok(bytes.split(|&b| b == 0).next().unwrap_or_default().to_vec())
    }

    pub(super) fn set_stored(&mut self, size: u64) {
        self.stored = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn read_stored(&mut self, buffer: &mut [u8]) -> Result<usize, TarErrorKind> {
        let want = usize::try_from(self.stored).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..want).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.fill(buffer)?;
        if n == 0 {
            return Err(TarErrorKind::Truncated);
        }
        self.stored -= n as u64;
        Ok(n)
    }

    fn skip_stored(&mut self) -> Result<(), TarErrorKind> {
        self.stored = self.stored.saturating_add(std::mem::take(&mut self.padding));
        if self.stored == 0 {
            return Ok(());
        }
        let mut chunk = vec![0; 64 << 10];
        while self.stored > 0 {
            self.read_stored(&mut chunk)?;
        }
        Ok(())
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize, TarErrorKind> {
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        let buffer = buffer.get_mut(..want).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = if self.map.is_none() { self.read_stored(buffer)? } else { self.read_sparse(buffer)? };
        self.position += n as u64;
        Ok(n)
    }

    fn read_sparse(&mut self, buffer: &mut [u8]) -> Result<usize, TarErrorKind> {
        let upto = |end: u64, from: u64| usize::try_from(end - from).unwrap_or(usize::MAX);
        while let Some(segment) = self.map.as_ref().and_then(|map| map.get(self.segment)) {
            // `check` made sure that the sum does not overflow.
            let end = segment.offset + segment.len;
            if end <= self.position {
                self.segment += 1;
                continue;
            }
            if segment.offset > self.position {
                let n = upto(segment.offset, self.position).min(buffer.len());
                buffer.get_mut(..n).unwrap_or_default().fill(0);
                return Ok(n);
            }
            let n = upto(end, self.position).min(buffer.len());
            return self.read_stored(buffer.get_mut(..n).unwrap_or_default());
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

fn once<T>(slot: &mut Option<T>, value: T, what: &'static str) -> Result<(), TarErrorKind> {
    match slot.replace(value) {
        Some(_) => Err(TarErrorKind::Repeated(what)),
        None => Ok(()),
    }
}
