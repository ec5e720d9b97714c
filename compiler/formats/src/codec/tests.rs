//! Streams of other programs, bent streams, and the promise of [`BlockGzip`].
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::oci::Digest;

fn unpack(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder(codec, Cursor::new(bytes.to_vec()))?.read_to_end(&mut out)?;
    Ok(out)
}

fn pack(content: &[u8], threads: usize, chunk: usize) -> (Vec<u8>, Summary) {
    let mut writer = BlockGzip::new(Vec::new(), threads).unwrap();
    for part in content.chunks(chunk.max(1)) {
        writer.write_all(part).unwrap();
    }
    writer.finish().unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    })
    .take(len)
    .collect()
}

#[test]
fn bytes_depend_on_the_input_alone() {
    let content = noise(3 * BLOCK_SIZE + 12345);
    let (expected, summary) = pack(&content, 1, content.len());
    for (threads, chunk) in [(1, 1000), (2, 65536), (3, BLOCK_SIZE), (8, BLOCK_SIZE + 1), (2, 7)] {
        let (packed, same) = pack(&content, threads, chunk);
        assert!(packed == expected, "{threads} threads, writes of {chunk}");
        assert_eq!(same, summary);
    }
    assert_eq!(summary.diff_id, Digest::of(&content));
    assert_eq!(summary.digest, Digest::of(&expected));
    assert_eq!((summary.diff_size, summary.size), (content.len() as u64, expected.len() as u64));
    assert!(unpack(Codec::Gzip, &expected).unwrap() == content);
    // Header: deflate, no flags, time 0, OS 255.
    assert_eq!(expected[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    assert_eq!(expected[9], 255);
}

#[test]
fn the_output_is_pinned() {
    // Another version of libdeflate may compress otherwise: then every layer digest
    // changes, which a release must say. This test notices.
    let (_, summary) = pack(&noise(BLOCK_SIZE + 1), 2, 4096);
    assert_eq!(summary.digest.hex(), PINNED);
}

const PINNED: &str = "32fdab587d0daa284c00d414928cf32679eefacecdf78869d567ae05d832ed9f";

#[test]
fn nothing_becomes_an_empty_member() {
    let (packed, summary) = pack(b"", 2, 1);
    assert_eq!(unpack(Codec::Gzip, &packed).unwrap(), b"");
    assert_eq!(summary.diff_id, Digest::of(b""));
}

#[test]
fn a_failing_stream_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = BlockGzip::new(Full, 2).unwrap();
    let result = writer.write_all(&noise(20 * BLOCK_SIZE)).and_then(|()| writer.finish().map(|_| ()));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_million_empty_members_take_no_stack() {
    // CVE-2022-30631: a decoder that called itself for each.
    let (member, _) = pack(b"", 1, 1);
    let mut bytes = member.repeat(1_000_000);
    bytes.extend(pack(b"end", 1, 9).0);
    let thread = std::thread::Builder::new().stack_size(128 << 10);
    let out = thread.spawn(move || unpack(Codec::Gzip, &bytes)).unwrap().join().unwrap();
    assert_eq!(out.unwrap(), b"end");
}

#[test]
fn bent_streams_are_errors() {
    let content = noise(100_000);
    let (gzip, _) = pack(&content, 1, 1 << 20);
    let zstd = zstd::bulk::compress(&content, 3).unwrap();
    for (codec, good) in [(Codec::Gzip, gzip), (Codec::Zstd, zstd)] {
        assert!(unpack(codec, &good).unwrap() == content);
        assert!(unpack(codec, &good.repeat(2)).unwrap() == content.repeat(2));
        assert!(unpack(codec, &good[..good.len() - 1]).is_err(), "{codec:?} cut");
        assert!(unpack(codec, &[&good[..], b"garbage!"].concat()).is_err(), "{codec:?} tail");
    }
    let (mut gzip, _) = pack(&content, 1, 1 << 20);
    let crc = gzip.len() - 8;
    gzip[crc] ^= 1;
    assert!(unpack(Codec::Gzip, &gzip).is_err(), "checksum");
}

#[test]
fn zstd_windows_are_limited() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(29).unwrap();
    encoder.write_all(&noise(1000)).unwrap();
    let bytes = encoder.finish().unwrap();
    assert!(unpack(Codec::Zstd, &bytes).is_err());
}

#[test]
fn streams_are_recognised() {
    let tar = tar::header(&tar::Entry::new("a", tar::Kind::File)).unwrap();
    assert_eq!(sniff(&tar), Some(Codec::Plain));
    assert_eq!(sniff(&[0; 1024]), Some(Codec::Plain));
    assert_eq!(sniff(b""), Some(Codec::Plain));
    assert_eq!(sniff(&pack(b"x", 1, 1).0), Some(Codec::Gzip));
    assert_eq!(sniff(&zstd::bulk::compress(b"x", 3).unwrap()), Some(Codec::Zstd));
    assert_eq!(sniff(b"PK\x03\x04 and so on"), None);
    assert_eq!(sniff(&[b'x'; 600]), None);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = sniff(&bytes);
        let gzip = [&[0x1f, 0x8b, 8][..], &bytes].concat();
        let _ = unpack(Codec::Gzip, &gzip);
        let zstd = [&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat();
        let _ = unpack(Codec::Zstd, &zstd);
    }
}
