//! Header blobs: a table of tags over a heap of data (rpm, `docs/manual/format_header.md`; `lib/header.cc`).
//!
//! In the database a header has no magic: number of entries and bytes of data, then the entries of 16 bytes (tag, type,
//! offset, count), then the data, all big-endian. The first entry of a package of this century is the immutable region;
//! its trailer in the data says how many entries belong to it.

use super::bytes::{be16, be32};

/// Numbers of the tags that are read here.
pub mod tag {
    #![allow(missing_docs)]
    pub const IMMUTABLE: u32 = 63;
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const SIZE: u32 = 1009;
    pub const ARCH: u32 = 1022;
    pub const OLDFILENAMES: u32 = 1027;
    pub const FILESIZES: u32 = 1028;
    pub const FILESTATES: u32 = 1029;
    pub const FILEMODES: u32 = 1030;
    pub const FILERDEVS: u32 = 1033;
    pub const FILEMTIMES: u32 = 1034;
    pub const FILEDIGESTS: u32 = 1035;
    pub const FILELINKTOS: u32 = 1036;
    pub const FILEFLAGS: u32 = 1037;
    pub const FILEUSERNAME: u32 = 1039;
    pub const FILEGROUPNAME: u32 = 1040;
    pub const SOURCERPM: u32 = 1044;
    pub const FILEVERIFYFLAGS: u32 = 1045;
    pub const PROVIDENAME: u32 = 1047;
    pub const REQUIREFLAGS: u32 = 1048;
    pub const REQUIRENAME: u32 = 1049;
    pub const REQUIREVERSION: u32 = 1050;
    pub const PROVIDEFLAGS: u32 = 1112;
    pub const PROVIDEVERSION: u32 = 1113;
    pub const DIRINDEXES: u32 = 1116;
    pub const BASENAMES: u32 = 1117;
    pub const DIRNAMES: u32 = 1118;
    pub const LONGFILESIZES: u32 = 5008;
    pub const LONGSIZE: u32 = 5009;
    pub const FILECAPS: u32 = 5010;
    pub const FILEDIGESTALGO: u32 = 5011;
}

/// Most entries of a header and most bytes of its data, as rpm has them.
const MOST_ENTRIES: usize = 0xffff;
const MOST_DATA: usize = 0x0fff_ffff;

/// A header that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The sizes at its start are not those of the blob.
    #[error("the header says {said} bytes and has {have}")]
    Size {
        /// Entries and data as the start says them, bytes.
        said: u64,
        /// Bytes of the blob.
        have: u64,
    },
    /// An entry leads out of the data, or has more values than fit.
    #[error("tag {0} leads out of the header")]
    Range(u32),
    /// A value of another type.
    #[error("tag {0} has the type {1}, which it cannot have")]
    Type(u32, u32),
    /// A tag that must be there.
    #[error("tag {0} is missing")]
    Missing(u32),
    /// Tags that belong together have different counts.
    #[error("tags {0} and {1} do not fit together")]
    Counts(u32, u32),
    /// Text that is not UTF-8 or holds control characters.
    #[error("tag {0} is not text")]
    Text(u32),
    /// The states of files are part of what the packager signed.
    #[error("the states of files lie in the signed region")]
    SignedStates,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

/// A header, checked as far as its table goes.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    entries: Vec<Entry>,
    data: &'a [u8],
    /// Offset of the data in the blob.
    start: usize,
    /// Entries of the immutable region, that of the region itself counted.
    region: usize,
}

impl<'a> Header<'a> {
    /// Reads the table.
    ///
    /// # Errors
    /// Sizes that do not fit the blob, offsets that lead out of it.
    pub fn parse(blob: &'a [u8]) -> Result<Self, HeaderError> {
        let have = blob.len() as u64;
        let number = |at| be32(blob, at).and_then(|n| usize::try_from(n).ok());
        let (Some(count), Some(size)) = (number(0), number(4)) else { return Err(HeaderError::Size { said: 8, have }) };
        let said = 8 + 16 * count as u64 + size as u64;
        if said != have || count > MOST_ENTRIES || size > MOST_DATA {
            return Err(HeaderError::Size { said, have });
        }
        let start = 8 + 16 * count;
        let data = blob.get(start..).unwrap_or_default();
        let mut entries = Vec::new();
        for raw in blob.get(8..start).unwrap_or_default().chunks_exact(16) {
            let field = |at| be32(raw, at).unwrap_or_default();
            let (tag, kind) = (field(0), field(4));
            let (offset, count) = (usize::try_from(field(8)), usize::try_from(field(12)));
            let (Ok(offset), Ok(count)) = (offset, count) else { return Err(HeaderError::Range(tag)) };
            // Every value has at least a byte; only the empty region of the old days has none.
            if offset > data.len() || count > data.len() - offset {
                return Err(HeaderError::Range(tag));
            }
            entries.push(Entry { tag, kind, offset, count });
        }
        let mut header = Self { entries, data, start, region: 0 };
        header.region = header.region();
        Ok(header)
    }

    /// How many entries the immutable region has; the trailer says it as a negative offset.
    fn region(&self) -> usize {
        let Some(first) = self.entries.first().filter(|first| (first.tag, first.count) == (tag::IMMUTABLE, 16)) else {
            return 0;
        };
        let trailer = be32(self.data, first.offset + 8).unwrap_or_default();
        usize::try_from(trailer.wrapping_neg() / 16).unwrap_or(usize::MAX).min(self.entries.len())
    }

    /// The entry of a tag: what rpm noted at installation counts before what the package brought.
    fn entry(&self, tag: u32) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.tag == tag)
    }

    /// Whether the tag is there.
    pub fn has(&self, tag: u32) -> bool {
        self.entry(tag).is_some()
    }

    /// The strings of a tag; none where it is not there.
    ///
    /// # Errors
    /// Another type, or strings that do not end within the header.
    pub fn strings(&self, tag: u32) -> Result<Vec<&'a [u8]>, HeaderError> {
        let Some(entry) = self.entry(tag) else { return Ok(Vec::new()) };
        if !matches!(entry.kind, 6 | 8 | 9) {
            return Err(HeaderError::Type(tag, entry.kind));
        }
        let mut rest = self.data.get(entry.offset..).unwrap_or_default();
        let mut all = Vec::new();
        for _ in 0..entry.count {
            let end = rest.iter().position(|b| *b == 0).ok_or(HeaderError::Range(tag))?;
            all.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        Ok(all)
    }

    /// The first string of a tag as text; translations have the untranslated one first.
    ///
    /// # Errors
    /// As [`Header::strings`]; bytes that are not printable text.
    pub fn text(&self, tag: u32) -> Result<Option<String>, HeaderError> {
        self.texts(tag).map(|all| all.into_iter().next())
    }

    /// All strings of a tag as text.
    ///
    /// # Errors
    /// As [`Header::text`].
    pub fn texts(&self, tag: u32) -> Result<Vec<String>, HeaderError> {
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
            text.map(str::to_owned).ok_or(HeaderError::Text(tag))
        };
        self.strings(tag)?.into_iter().map(text).collect()
    }

    /// The numbers of a tag; none where it is not there.
    ///
    /// # Errors
    /// Another type, or more numbers than fit.
    pub fn numbers(&self, tag: u32) -> Result<Vec<u64>, HeaderError> {
        let Some(entry) = self.entry(tag) else { return Ok(Vec::new()) };
        let width = match entry.kind {
            1 | 2 => 1,
            3 => 2,
            4 => 4,
            5 => 8,
            kind => return Err(HeaderError::Type(tag, kind)),
        };
        let end = entry.count.checked_mul(width).and_then(|size| size.checked_add(entry.offset));
        let bytes = end.and_then(|end| self.data.get(entry.offset..end)).ok_or(HeaderError::Range(tag))?;
        let number = |raw: &[u8]| match width {
            1 => raw.first().copied().map(u64::from),
            2 => be16(raw, 0).map(u64::from),
            4 => be32(raw, 0).map(u64::from),
            _ => raw.try_into().ok().map(u64::from_be_bytes),
        };
        Ok(bytes.chunks_exact(width).map(|raw| number(raw).unwrap_or_default()).collect())
    }

    /// The first number of a tag.
    ///
    /// # Errors
    /// As [`Header::numbers`].
    pub fn number(&self, tag: u32) -> Result<Option<u64>, HeaderError> {
        self.numbers(tag).map(|all| all.first().copied())
    }
}

/// The header with other states of files, by their number; all other bytes are the same.
///
/// The states lie outside of what the packager signed, one byte each, so nothing moves and no digest breaks.
///
/// # Errors
/// A broken header, one without states, one whose states are signed, a file that it does not have.
pub fn with_states(blob: &[u8], states: impl IntoIterator<Item = (usize, u8)>) -> Result<Vec<u8>, HeaderError> {
    let header = Header::parse(blob)?;
    let at = header.entries.iter().rposition(|entry| entry.tag == tag::FILESTATES);
    let at = at.ok_or(HeaderError::Missing(tag::FILESTATES))?;
    let entry = header.entries.get(at).ok_or(HeaderError::Missing(tag::FILESTATES))?;
    if at < header.region {
        return Err(HeaderError::SignedStates);
    }
    if !matches!(entry.kind, 1 | 2) {
        return Err(HeaderError::Type(tag::FILESTATES, entry.kind));
    }
    let mut out = blob.to_vec();
    for (file, state) in states {
        let place = (file < entry.count).then(|| out.get_mut(header.start + entry.offset + file)).flatten();
        *place.ok_or(HeaderError::Range(tag::FILESTATES))? = state;
    }
    Ok(out)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A header without a region: tag, type, count, data.
    pub fn build(tags: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let (mut table, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in tags {
            let width = [0, 1, 1, 2, 4, 8].get(*kind as usize).copied().unwrap_or(1);
            data.resize(usize::next_multiple_of(data.len(), width.max(1)), 0);
            for field in [*tag, *kind, data.len() as u32, *count] {
                table.extend(field.to_be_bytes());
            }
            data.extend(*bytes);
        }
        let sizes = [tags.len() as u32, data.len() as u32].map(u32::to_be_bytes).concat();
        [sizes, table, data].concat()
    }

    #[test]
    fn values_are_read() {
        let blob = build(&[
            (tag::NAME, 6, 1, b"bash\0"),
            (tag::BASENAMES, 8, 2, b"a\0b c\0"),
            (tag::FILEMODES, 3, 2, &[0x81, 0xed, 0, 1]),
            (tag::SIZE, 4, 1, &[0, 0, 1, 0]),
            (tag::FILESTATES, 1, 2, &[0, 1]),
        ]);
        let header = Header::parse(&blob).unwrap();
        assert_eq!(header.text(tag::NAME).unwrap().as_deref(), Some("bash"));
        assert_eq!(header.strings(tag::BASENAMES).unwrap(), [&b"a"[..], b"b c"]);
        assert_eq!(header.numbers(tag::FILEMODES).unwrap(), [0o100755, 1]);
        assert_eq!(header.number(tag::SIZE).unwrap(), Some(256));
        assert_eq!(header.numbers(tag::NAME).unwrap_err(), HeaderError::Type(tag::NAME, 6));
        assert!(!header.has(tag::EPOCH) && header.numbers(tag::EPOCH).unwrap().is_empty());
        let new = with_states(&blob, [(1, 2)]).unwrap();
        assert_eq!(Header::parse(&new).unwrap().numbers(tag::FILESTATES).unwrap(), [0, 2]);
        assert_eq!(new.iter().zip(&blob).filter(|(a, b)| a != b).count(), 1);
        assert_eq!(with_states(&blob, [(2, 2)]).unwrap_err(), HeaderError::Range(tag::FILESTATES));
    }

    #[test]
    fn broken_headers_are_refused() {
        let blob = build(&[(tag::NAME, 6, 1, b"bash\0")]);
        assert!(Header::parse(&blob[..blob.len() - 1]).is_err());
        assert!(Header::parse(b"").is_err());
        let mut far = blob.clone();
        far[8 + 11] = 6;
        assert_eq!(Header::parse(&far).unwrap_err(), HeaderError::Range(tag::NAME));
        let open = build(&[(tag::NAME, 6, 1, b"bash")]);
        assert_eq!(Header::parse(&open).unwrap().text(tag::NAME).unwrap_err(), HeaderError::Range(tag::NAME));
        let odd = build(&[(tag::NAME, 6, 1, b"ba\x1bsh\0")]);
        assert_eq!(Header::parse(&odd).unwrap().text(tag::NAME).unwrap_err(), HeaderError::Text(tag::NAME));
        assert_eq!(with_states(&blob, []).unwrap_err(), HeaderError::Missing(tag::FILESTATES));
        // States that the packager signed: two entries in the region.
        let trailer = [tag::IMMUTABLE, 7, 32_u32.wrapping_neg(), 16].map(u32::to_be_bytes).concat();
        let signed = build(&[(tag::IMMUTABLE, 7, 16, &trailer), (tag::FILESTATES, 1, 1, &[0])]);
        assert_eq!(with_states(&signed, [(0, 2)]).unwrap_err(), HeaderError::SignedStates);
    }
}
