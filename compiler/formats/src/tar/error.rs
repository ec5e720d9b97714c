//! What can be wrong with an archive, said in words, with the place and the entry.

use std::fmt;
use std::io;

/// A defect of an archive: where it is and in which entry.
#[derive(Debug)]
pub struct TarError {
    /// Bytes from the start of the (decompressed) archive to the header at fault.
    pub offset: u64,
    /// The name of the entry, as far as it was known.
    pub entry: Option<Vec<u8>>,
    /// What is wrong.
    pub kind: TarErrorKind,
}

/// The kinds of defect.
#[derive(Debug, thiserror::Error)]
pub enum TarErrorKind {
    /// The stream below failed: disk, decompression, checksum of a compressed block.
    #[error("{0}")]
    Io(io::Error),
    /// The archive ends inside a header, a content or its padding.
    #[error("the archive ends too early")]
    Truncated,
    /// A header's checksum is not that of its bytes; often this is no tar at all.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A number field holds something else.
    #[error("the field {0} is not a number")]
    NotANumber(&'static str),
    /// A number field is out of the range that a file system can hold.
    #[error("the field {0} is out of range")]
    OutOfRange(&'static str),
    /// One block of zeros and then another header: readers differ on what follows.
    #[error("a header follows a single block of zeros; programs differ on whether it counts")]
    LoneZeroBlock,
    /// Something is longer than its limit.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is too large, with its article.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// An entry type that is not a file of an image.
    #[error("entry type '{}' is not supported", .0.escape_ascii())]
    UnsupportedType(u8),
    /// Two extension headers of one kind before one entry.
    #[error("two {0} before one entry; programs differ on which counts")]
    Repeated(&'static str),
    /// Extension headers with no entry after them.
    #[error("an extension header is followed by no entry")]
    Dangling,
    /// A PAX record that does not follow `LENGTH KEY=VALUE\n`.
    #[error("malformed PAX record: {0}")]
    PaxRecord(&'static str),
    /// A PAX value that cannot be one for its key.
    #[error("the PAX value of {0} is malformed")]
    PaxValue(&'static str),
    /// A global PAX header that would change later entries: readers differ.
    #[error("a global PAX header sets {}; programs differ on whether it counts", .0.escape_ascii())]
    GlobalKey(Vec<u8>),
    /// The GNU long name and the PAX name of one entry differ.
    #[error("the GNU long {0} and the PAX {0} differ; programs differ on which counts")]
    NamesDiffer(&'static str),
    /// Content where there can be none; readers differ on whether to skip it.
    #[error("a {0} claims to have content")]
    UnexpectedContent(&'static str),
    /// A sparse map that contradicts itself or the size.
    #[error("the sparse map is wrong: {0}")]
    Sparse(&'static str),
    /// A sparse file in a map version or spelling that we do not know.
    #[error("this kind of sparse file is not supported")]
    SparseVersion,
    /// A GNU header that holds neither times nor nothing where ustar has its prefix.
    #[error("a GNU header holds a ustar name prefix; programs differ on the entry's name")]
    Prefix,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(name) => write!(f, "entry {} at byte {}: ", show_name(name), self.offset)?,
            None => write!(f, "at byte {}: ", self.offset)?,
        }
        self.kind.fmt(f)
    }
}

impl std::error::Error for TarError {}

/// An entry's name for a message: quoted, every byte outside printable ASCII escaped (a
/// name must not reach a terminal raw), cut in the middle when it is very long.
pub fn show_name(name: &[u8]) -> String {
    const HEAD: usize = 120;
    const TAIL: usize = 60;
    match (name.get(..HEAD), name.len().checked_sub(TAIL)) {
        (Some(head), Some(at)) if name.len() > HEAD + TAIL => {
            let tail = name.get(at..).unwrap_or_default();
            format!("\"{}…{}\"", head.escape_ascii(), tail.escape_ascii())
        }
        _ => format!("\"{}\"", name.escape_ascii()),
    }
}
