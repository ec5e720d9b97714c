//! Compressed streams: which one it is, reading it with bounded memory, and writing gzip in
//! blocks so that neither threads nor write sizes change a byte.

use std::io::{self, BufRead, Read};

use crate::tar;

mod block_gzip;
#[cfg(test)]
mod tests;
mod xz;

pub use block_gzip::{BLOCK_SIZE, BlockGzip, Summary};
pub use xz::xz_decoder;

/// The compression of a layer or an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// None: a tar as it is.
    Plain,
    /// gzip (RFC 1952), any number of members.
    Gzip,
    /// Zstandard (RFC 8878), any number of frames.
    Zstd,
}

/// How many bytes from the start [`sniff`] wants to see, when there are as many.
pub const SNIFF: usize = tar::BLOCK;

/// The largest window that a zstd stream may ask for, as a power of two: 128 MiB, what the
/// zstd program itself accepts without an option.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Recognises a stream by its first bytes. An empty stream is an empty archive. `None` when
/// it is neither gzip nor zstd nor a tar (whose first header has a right checksum, or is
/// zeros).
pub fn sniff(start: &[u8]) -> Option<Codec> {
    // Zstd also begins with skippable frames (0x184D2A50 to 5F).
    if start.starts_with(&[0x1f, 0x8b, 8]) {
        return Some(Codec::Gzip);
    }
    let skippable = matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if skippable || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some(Codec::Zstd);
    }
    let mut reader = tar::Reader::new(start.get(..SNIFF).unwrap_or(start));
    match reader.next_entry() {
        Ok(_) => Some(Codec::Plain),
        Err(e) => match e.kind {
            tar::TarErrorKind::Checksum => None,
            tar::TarErrorKind::Truncated if start.len() < SNIFF => None,
            _ => Some(Codec::Plain),
        },
    }
}

/// A reader of the decompressed stream. It reads every member or frame to the end of
/// `source` and fails on whatever else follows, on a wrong checksum and on a missing end.
///
/// # Errors
/// When the decompressor cannot be set up.
pub fn decoder<R: BufRead + Send + 'static>(codec: Codec, source: R) -> io::Result<Box<dyn Read + Send>> {
    Ok(match codec {
        Codec::Plain => Box::new(source),
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}
