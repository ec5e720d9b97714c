//! Archives made by hand: every dialect, and what is bent on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;

use super::*;

/// A header with raw fields, for archives that no writer makes.
pub(super) fn raw(name: &[u8], typeflag: u8, size: u64, edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut block = vec![0u8; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"00000000000");
    block[156] = typeflag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    edit(&mut block);
    reseal(&mut block);
    block
}

pub(super) fn reseal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn pad(content: &[u8]) -> Vec<u8> {
    [content, padding(content.len() as u64)].concat()
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    extension(b'x', records)
}

fn extension(typeflag: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..).find(|n| rest + n.to_string().len() == *n).unwrap();
        body.extend_from_slice(format!("{length} {key}=").as_bytes());
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    [raw(b"x", typeflag, body.len() as u64, |_| {}), pad(&body)].concat()
}

pub(super) fn read_all(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let content = reader.read_all(u64::MAX)?;
        assert_eq!(content.len() as u64, entry.size);
        all.push((entry, content));
    }
    Ok(all)
}

fn refused(bytes: &[u8]) -> String {
    read_all(bytes).expect_err("must be refused").to_string()
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    [raw(name, b'0', content.len() as u64, |_| {}), pad(content)].concat()
}

#[test]
fn names_come_from_prefix_long_name_and_pax() {
    let long = vec![b'n'; 300];
    let archive = [
        raw(b"b", b'0', 0, |b| b[345..347].copy_from_slice(b"./")),
        raw(b"././@LongLink", b'L', 301, |_| {}),
        pad(&[&long[..], b"\0"].concat()),
        raw(b"short", b'0', 0, |_| {}),
        pax(&[("path", b"from pax"), ("mtime", b"-1.5"), ("uid", b"4000000000")]),
        file(b"x", b"hello"),
        raw(b"v7dir/", 0, 0, |b| b[257..265].fill(0)),
        END.to_vec(),
    ]
    .concat();
    let all = read_all(&archive).unwrap();
    assert_eq!(all[0].0.path, b".//b");
    assert_eq!(all[1].0.path, long);
    assert_eq!((all[2].0.path.as_slice(), all[2].0.mtime), (b"from pax".as_slice(), -2));
    assert_eq!((all[2].0.uid, all[2].1.as_slice()), (4_000_000_000, b"hello".as_slice()));
    assert_eq!(all[3].0.kind, Kind::Directory);
}

#[test]
fn pax_values_may_hold_newlines_and_nuls() {
    let capability = b"\x01\0\0\x02\0\n\0\n=\0";
    let archive =
        [pax(&[("SCHILY.xattr.security.capability", capability), ("comment", b"x")]), file(b"ping", b""), END.to_vec()]
            .concat();
    let all = read_all(&archive).unwrap();
    assert_eq!(all[0].0.xattrs[b"security.capability".as_slice()], capability);
}

#[test]
fn pax_size_wins_over_ustar_size() {
    // GNU tar, Go and Python agree; tokio-tar did not (CVE-2025-62518).
    let inner = file(b"inner", b"");
    let archive = [pax(&[("size", b"512")]), raw(b"outer", b'0', 0, |_| {}), inner, END.to_vec()].concat();
    let all = read_all(&archive).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0.size, 512);
}

#[test]
fn base_256_numbers() {
    let archive = [
        raw(b"a", b'0', 0, |b| {
            b[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
            b[136..148].copy_from_slice(&[0xff; 12]);
        }),
        END.to_vec(),
    ]
    .concat();
    let all = read_all(&archive).unwrap();
    assert_eq!((all[0].0.uid, all[0].0.mtime), (0x7fff_ffff, -1));
    let huge = raw(b"a", b'0', 0, |b| b[124..136].copy_from_slice(&[0x80, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(refused(&huge).contains("size is out of range"), "{}", refused(&huge));
    let negative = raw(b"a", b'0', 0, |b| b[124..136].copy_from_slice(&[0xff; 12]));
    assert!(refused(&negative).contains("size is out of range"));
    let minus_one = raw(b"a", b'0', 0, |b| {
        b[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    });
    assert!(refused(&minus_one).contains("uid is out of range"));
}

#[test]
fn old_gnu_sparse_with_extension_block() {
    let pair = |offset: u64, len: u64| format!("{offset:011o}\0{len:011o}\0").into_bytes();
    let mut header = raw(b"s", b'S', 5, |b| {
        b[257..265].copy_from_slice(b"ustar  \0");
        for at in 0..4 {
            b[386 + 24 * at..410 + 24 * at].copy_from_slice(&pair(2 * at as u64, 1));
        }
        b[482] = 1;
        b[483..495].copy_from_slice(b"00000000024\0");
    });
    reseal(&mut header);
    let mut block = vec![0; BLOCK];
    block[..24].copy_from_slice(&pair(10, 1));
    block[24..48].copy_from_slice(&pair(20, 0));
    let archive = [header, block, pad(b"abcde"), file(b"next", b"n"), END.to_vec()].concat();
    let all = read_all(&archive).unwrap();
    assert_eq!(all[0].1, b"a\0b\0c\0d\0\0\0e\0\0\0\0\0\0\0\0\0");
    assert_eq!(all[1].1, b"n");
}

#[test]
fn hostile_archives_are_refused_with_place_and_entry() {
    let ok = file(b"ok", b"x");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"not a tar".to_vec(), "ends too early"),
        (vec![b'x'; 512], "checksum is wrong"),
        (raw(b"a", b'0', 9, |_| {}), "entry \"a\" at byte 0: the archive ends too early"),
        ([raw(b"a", b'0', 9, |_| {}), b"123456789".to_vec()].concat(), "ends too early"),
        ([ok.clone(), vec![0; 512], ok.clone()].concat(), "single block of zeros"),
        ([pax(&[("path", b"a")]), END.to_vec()].concat(), "followed by no entry"),
        ([pax(&[("path", b"a")]), pax(&[("path", b"b")]), ok.clone()].concat(), "two PAX headers"),
        ([pax(&[("path", b"a\0b")]), ok.clone()].concat(), "PAX value of path"),
        ([pax(&[("size", b"-1")]), ok.clone()].concat(), "PAX value of size"),
        ([pax(&[("size", b"99999999999999999999")]), ok.clone()].concat(), "PAX value of size"),
        ([pax(&[("mtime", b"1.x")]), ok.clone()].concat(), "PAX value of mtime"),
        ([extension(b'g', &[("path", b"a")]), ok.clone()].concat(), "global PAX header sets path"),
        (raw(b"l", b'2', 512, |_| {}), "a symbolic link claims to have content"),
        ([pax(&[("size", b"512")]), raw(b"d/", b'5', 0, |_| {})].concat(), "directory claims"),
        (raw(b"m", b'M', 0, |_| {}), "entry type 'M' is not supported"),
        (raw(b"a", b'x', 2 << 20, |_| {}), "extension header is larger than 1048576"),
        (raw(b"a", b'0', 0, |b| b[100..108].copy_from_slice(b"00x06440")), "mode is not a number"),
        (
            raw(b"a", b'0', 0, |b| {
                b[257..265].copy_from_slice(b"ustar  \0");
                b[345..350].copy_from_slice(b"usr/l");
            }),
            "ustar name prefix",
        ),
        (
            [raw(b"L", b'L', 4, |_| {}), pad(b"one\0"), pax(&[("path", b"two")]), ok.clone()].concat(),
            "GNU long name and the PAX name differ",
        ),
        ([raw(b"x", b'x', 7, |_| {}), pad(b"99 a=b\n"), ok.clone()].concat(), "past the header"),
        ([raw(b"x", b'x', 7, |_| {}), pad(b"7 a=bcd"), ok.clone()].concat(), "end in a newline"),
        ([raw(b"x", b'x', 6, |_| {}), pad(b"6 abc\n"), ok.clone()].concat(), "no equals"),
        ([raw(b"x", b'x', 2, |_| {}), pad(b"1 "), ok.clone()].concat(), "newline"),
        (
            [pax(&[("GNU.sparse.major", b"2"), ("GNU.sparse.realsize", b"1")]), ok.clone()].concat(),
            "sparse file is not supported",
        ),
        ([pax(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,5,3,1")]), ok.clone()].concat(), "overlap"),
        ([pax(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,5,9,1")]), ok.clone()].concat(), "past the end"),
        (
            [pax(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,5")]), ok.clone()].concat(),
            "does not fit the stored size",
        ),
        (
            [pax(&[("GNU.sparse.size", b"9000000000000000000"), ("GNU.sparse.map", b"0,1")]), ok.clone()].concat(),
            "sum of all holes",
        ),
        (
            [
                pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.realsize", b"9"),
                    ("GNU.sparse.name", b"n"),
                ]),
                file(b"x", b"99999999999999\n0\n1\n"),
            ]
            .concat(),
            "past the content",
        ),
    ];
    for (archive, expected) in cases {
        let message = refused(&archive);
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn names_never_reach_a_message_raw() {
    let message = refused(&raw(b"a\x1b[31m\n", b'M', 0, |_| {}));
    assert!(message.bytes().all(|b| (b' '..0x7f).contains(&b)), "{message:?}");
    assert!(show_name(&[b'n'; 4000]).len() < 200);
}

#[test]
fn the_end_may_be_missing_but_not_in_the_middle() {
    assert_eq!(read_all(b"").unwrap().len(), 0);
    assert_eq!(read_all(&file(b"a", b"x")).unwrap().len(), 1);
    assert_eq!(read_all(&[file(b"a", b"x"), vec![0; 512]].concat()).unwrap().len(), 1);
    let with_tail = [file(b"a", b"x"), END.to_vec(), vec![7; 100]].concat();
    let mut reader = Reader::new(&with_tail[..]);
    while reader.next_entry().unwrap().is_some() {}
    reader.drain().unwrap();
    assert_eq!(reader.offset(), with_tail.len() as u64);
}

#[test]
fn headers_are_ustar_when_they_fit() {
    let mut entry = Entry::new("usr/bin/x", Kind::File);
    (entry.mode, entry.size, entry.mtime) = (0o104755, 3, 1_700_000_000);
    let bytes = header(&entry).unwrap();
    assert_eq!(bytes.len(), BLOCK);
    assert_eq!(&bytes[100..108], b"0004755\0");
    assert!(bytes[265..329].iter().all(|&b| b == 0), "no user names");
    entry.path = [vec![b'd'; 100], b"/".to_vec(), vec![b'f'; 90]].concat();
    assert_eq!(header(&entry).unwrap().len(), BLOCK, "prefix and name");
    entry.path = vec![b'f'; 150];
    assert!(header(&entry).unwrap().len() > BLOCK);
    entry.path = b"a\0b".to_vec();
    assert!(matches!(header(&entry), Err(WriteError::Name(_))));
}

#[test]
fn content_must_be_of_the_announced_size() {
    let mut entry = Entry::new("a", Kind::File);
    entry.size = 4;
    let mut writer = Writer::new(Vec::new());
    assert!(matches!(writer.append(&entry, &mut &b"123"[..]), Err(WriteError::Size(_))));
    assert!(matches!(writer.append(&entry, &mut b"12345".as_slice()), Err(WriteError::Size(_))));
    let mut endless = std::io::repeat(0).take(1 << 40);
    assert!(matches!(writer.append(&entry, &mut endless), Err(WriteError::Size(_))));
}
