//! xz streams: no image layer is one (so [`super::sniff`] does not know them), Debian's packages and indexes are.

use std::io::{BufRead, Read};

/// The most memory in KiB that a stream may ask for: twice the 64 MiB dictionary of `xz -9`.
const MEMORY_KIB: u32 = 130 << 10;

/// A reader of the decompressed stream; it reads every stream to the end of `source` and fails on a wrong check.
pub fn xz_decoder<R: BufRead + Send + 'static>(source: R) -> Box<dyn Read + Send> {
    Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, MEMORY_KIB))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::io::Cursor;

    /// `printf hello | xz -C crc32`, made once.
    const HELLO: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x16, 0x00,
        0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x04, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x00, 0x00, 0x00, 0x00,
        0x86, 0xa6, 0x10, 0x36, 0x00, 0x01, 0x19, 0x05, 0xbc, 0xe8, 0xec, 0xcb, 0x90, 0x42, 0x99, 0x0d, 0x01, 0x00,
        0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
    ];

    fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        xz_decoder(Cursor::new(bytes.to_vec())).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn a_stream_is_read_and_damage_is_seen() {
        assert_eq!(unpack(HELLO).unwrap(), b"hello");
        assert!(unpack(&HELLO[..40]).is_err());
        let mut bent = HELLO.to_vec();
        bent[28] ^= 1;
        assert!(unpack(&bent).is_err());
        assert!(unpack(b"not xz at all, surely").is_err());
    }
}
