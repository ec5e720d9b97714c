//! Verification, cache and contents, on layers made in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Cursor, Write as _};
use std::path::Path;

use formats::codec::BlockGzip;
use formats::tar::{Entry, Kind, Writer};
use plan::tree::{FileNode, Node};

use plan::facts::Contents;
use plan::path::ImagePath;
use plan::tree::NodeKind;

use super::*;
use crate::sweep;

/// A tar of these entries.
pub(crate) fn tar(list: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in list {
        let entry = Entry { size: content.len() as u64, ..entry.clone() };
        writer.append(&entry, &mut &content[..]).unwrap();
    }
    writer.finish().unwrap()
}

pub(crate) fn file(path: &str) -> Entry {
    Entry { mode: 0o644, ..Entry::new(path, Kind::File) }
}

pub(crate) fn directory(path: &str) -> Entry {
    Entry { mode: 0o755, ..Entry::new(path, Kind::Directory) }
}

pub(crate) fn link(path: &str, kind: Kind, target: &str) -> Entry {
    Entry { mode: 0o777, link: target.into(), ..Entry::new(path, kind) }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = BlockGzip::new(Vec::new(), 1).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().0
}

/// A layer as a registry would give it.
pub(crate) fn layer(stored: Vec<u8>, diff_id: Option<Digest>) -> LayerInput {
    let (digest, size) = (Digest::of(&stored), stored.len() as u64);
    let stored = Arc::new(stored);
    LayerInput {
        name: "layer 1 of test".into(),
        digest: Some(digest),
        size: Some(size),
        diff_id,
        open: Arc::new(move || Ok(Box::new(Cursor::new(stored.to_vec())))),
    }
}

pub(crate) fn gzip_layer(list: &[(Entry, &[u8])]) -> LayerInput {
    let tar = tar(list);
    layer(gzip(&tar), Some(Digest::of(&tar)))
}

pub(crate) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

pub(crate) fn file_of<'a>(base: &'a Base, at: &str) -> &'a FileNode {
    match &base.tree.get(&path(at)).unwrap_or_else(|| panic!("{at} is missing")).kind {
        NodeKind::File(file) => file,
        other => panic!("{at} is {other:?}"),
    }
}

fn read_one(layer: &LayerInput, cache: &Path) -> Result<Base, Diagnostic> {
    read(std::slice::from_ref(layer), &Options::new(cache))
}

fn content(base: &Base, at: &str) -> Vec<u8> {
    base.contents.read(file_of(base, at), 1 << 30).unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(len)
    .collect()
}

/// An error, and nothing but the lasting directories left in the cache.
pub(crate) fn refused(layers: &[LayerInput]) -> Diagnostic {
    let cache = tempfile::tempdir().unwrap();
    let error = read(layers, &Options::new(cache.path())).err().expect("must be refused");
    assert_eq!(sweep(cache.path()).unwrap(), 0, "nothing is left behind");
    error
}

#[test]
fn contents_come_back_from_every_codec() {
    let big = noise(3_300_000);
    let list: &[(Entry, &[u8])] =
        &[(directory("usr"), b""), (file("usr/small"), b"small"), (file("usr/big"), &big), (file("usr/z"), b"z")];
    let tar = tar(list);
    let zstd = zstd_of(&tar);
    for (codec, stored) in [("plain", tar.clone()), ("gzip", gzip(&tar)), ("zstd", zstd)] {
        let cache = tempfile::tempdir().unwrap();
        for round in ["cold", "warm"] {
            let base = read(&[layer(stored.clone(), None)], &Options::new(cache.path())).unwrap();
            assert_eq!(content(&base, "/usr/small"), b"small", "{codec} {round}");
            assert!(content(&base, "/usr/big") == big, "{codec} {round}");
            assert_eq!(content(&base, "/usr/z"), b"z", "{codec} {round}");
            assert_eq!(Digest::from_bytes(file_of(&base, "/usr/big").sha256), Digest::of(&big));
            assert_eq!(base.diff_ids, [Digest::of(&tar)]);
            assert_eq!(base.compressed_size, stored.len() as u64);
            assert!(base.notes.iter().next().is_none());
        }
    }
}

/// A zstd frame of raw blocks, made by hand: the crate does not depend on an encoder.
fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let blocks: Vec<&[u8]> = bytes.chunks(100_000).collect();
    for (at, block) in blocks.iter().enumerate() {
        let last = u32::from(at + 1 == blocks.len());
        let header = (block.len() as u32) << 3 | last;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    out
}

#[test]
fn a_cached_layer_is_not_opened_again() {
    let cache = tempfile::tempdir().unwrap();
    let good = gzip_layer(&[(file("a"), b"a")]);
    read_one(&good, cache.path()).unwrap();
    let closed = LayerInput { open: Arc::new(|| Err(io::Error::other("opened again"))), ..good };
    assert_eq!(content(&read_one(&closed, cache.path()).unwrap(), "/a"), b"a");
    // Without a diff-id the stored digest leads to it, once it was read so.
    let unnamed = LayerInput { diff_id: None, ..closed };
    assert!(read(&[unnamed], &Options::new(cache.path())).is_err());
}

#[test]
fn wrong_digests_are_refused() {
    let good = gzip_layer(&[(file("a"), b"a")]);
    let other = Digest::of(b"other");
    let digest = LayerInput { digest: Some(other), ..good.clone() };
    assert_eq!(refused(&[digest]).code, codes::E0500);
    let size = LayerInput { size: Some(1), ..good.clone() };
    assert_eq!(refused(&[size]).code, codes::E0500);
    let diff = LayerInput { diff_id: Some(other), ..good };
    let error = refused(&[diff]);
    assert_eq!(error.code, codes::E0501);
    assert!(error.message.contains("layer 1 of test"));
}

#[test]
fn a_damaged_download_is_named_as_such() {
    let good = gzip_layer(&[(file("a"), &noise(100_000))]);
    let stored = gzip(&tar(&[(file("a"), &noise(100_000))]));
    let cut = stored[..stored.len() / 2].to_vec();
    let damaged = LayerInput { open: Arc::new(move || Ok(Box::new(Cursor::new(cut.clone())))), ..good };
    assert_eq!(refused(&[damaged]).code, codes::E0500);
}

#[test]
fn what_is_no_layer_is_refused() {
    let cut = tar(&[(file("a"), &[1; 600])])[..700].to_vec();
    let cases = [
        (b"<html>not found</html>".to_vec(), codes::E0502),
        (gzip(b"short"), codes::E0503),
        (gzip(&cut), codes::E0503),
        ([gzip(&tar(&[])), b"garbage".to_vec()].concat(), codes::E0502),
        (gzip(&tar(&[]))[..20].to_vec(), codes::E0502),
    ];
    for (stored, code) in cases {
        let error = refused(&[layer(stored, None)]);
        assert_eq!(error.code, code, "{error:?}");
    }
}

#[test]
fn bombs_are_refused() {
    let tar = tar(&[(file("zeros"), &vec![0; 40 << 20])]);
    let options = |limits| {
        let cache = tempfile::tempdir().unwrap();
        let options = Options { limits, ..Options::new(cache.path()) };
        (cache, options)
    };
    let small = Limits { expanded: 1 << 20, ratio: 250, ..Limits::default() };
    let (_cache, strict) = options(small);
    let error = read(&[layer(gzip(&tar), None)], &strict).err().unwrap();
    assert_eq!(error.code, codes::E0509, "{error:?}");
    let (_cache, default) = options(Limits::default());
    assert!(read(&[layer(gzip(&tar), None)], &default).is_ok());
    // Many names in one short path each.
    let deep = |n: usize| file(&format!("{n}/{}", "d/".repeat(500)));
    let list: Vec<(Entry, &[u8])> = (0..20).map(|n| (deep(n), &b""[..])).collect();
    let list: Vec<_> = list.into_iter().map(|(mut e, c)| (e.path.extend(b"f"), (e, c)).1).collect();
    let few = Limits { entries: 1000, ..Limits::default() };
    let (_cache, strict) = options(few);
    let error = read(&[gzip_layer(&list)], &strict).err().unwrap();
    assert_eq!(error.code, codes::E0509, "{error:?}");
}

fn entry_of(cache: &Path) -> PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(cache.join("layers")).unwrap().map(|e| e.unwrap().path()).collect();
    entries.retain(|path| path.file_name().unwrap().len() == 64);
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

#[test]
fn a_poisoned_block_is_detected() {
    let cache = tempfile::tempdir().unwrap();
    let big = noise(2_500_000);
    let input = gzip_layer(&[(file("big"), &big), (file("small"), b"small")]);
    read_one(&input, cache.path()).unwrap();
    let data = entry_of(cache.path()).join("data");
    let mut bytes = std::fs::read(&data).unwrap();
    bytes[1_500_000] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let base = read(&[input], &Options::new(cache.path())).unwrap();
    let error = base.contents.read(file_of(&base, "/big"), 1 << 30).unwrap_err();
    assert_eq!(error.code, codes::E0510);
    assert!(error.message.contains("layer 1 of test"), "{error:?}");
    // The other blocks are as good as before.
    assert_eq!(content(&base, "/small"), b"small");
}

#[test]
fn a_damaged_index_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let input = gzip_layer(&[(file("a"), b"a")]);
    read_one(&input, cache.path()).unwrap();
    let damage: [&dyn Fn(&Path); 4] = [
        &|dir| {
            let mut bytes = std::fs::read(dir.join("index")).unwrap();
            bytes[40] ^= 1;
            std::fs::write(dir.join("index"), bytes).unwrap();
        },
        &|dir| std::fs::write(dir.join("index"), b"").unwrap(),
        &|dir| std::fs::write(dir.join("data"), b"longer than before").unwrap(),
        &|dir| std::fs::remove_file(dir.join("data")).unwrap(),
    ];
    for damage in damage {
        damage(&entry_of(cache.path()));
        let base = read_one(&input, cache.path()).unwrap();
        assert_eq!(base.notes.iter().map(|n| n.code).collect::<Vec<_>>(), [codes::E0511]);
        assert_eq!(content(&base, "/a"), b"a");
        let base = read_one(&input, cache.path()).unwrap();
        assert!(base.notes.iter().next().is_none());
    }
}

#[test]
fn concurrent_builds_make_one_entry() {
    let cache = tempfile::tempdir().unwrap();
    let big = noise(2_000_000);
    let input = gzip_layer(&[(file("big"), &big)]);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let base = read_one(&input, cache.path()).unwrap();
                assert!(content(&base, "/big") == big);
            });
        }
    });
    entry_of(cache.path());
    assert_eq!(sweep(cache.path()).unwrap(), 0);
}

#[test]
fn what_a_killed_build_left_is_swept() {
    let cache = tempfile::tempdir().unwrap();
    let left = cache.path().join("tmp/image-1-1");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("data"), b"half").unwrap();
    let held = std::fs::File::open(left.join("data")).unwrap();
    held.lock().unwrap();
    assert_eq!(sweep(cache.path()).unwrap(), 0, "a living build holds it");
    drop(held);
    assert_eq!(sweep(cache.path()).unwrap(), 1);
    assert!(!left.exists());
}

#[test]
fn io_errors_keep_their_words() {
    struct Broken(bool);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match std::mem::replace(&mut self.0, true) {
                false => (&gzip(&[0; 1024])[..10]).read(buffer),
                true => Err(io::Error::other("the cable was pulled")),
            }
        }
    }
    for start in [false, true] {
        let broken = LayerInput { open: Arc::new(move || Ok(Box::new(Broken(start)))), ..layer(vec![], None) };
        let error = refused(&[broken]);
        assert_eq!(error.code, codes::E0514);
        assert!(error.message.contains("the cable was pulled"), "{error:?}");
    }
    let closed = LayerInput { open: Arc::new(|| Err(io::Error::other("no such blob"))), ..layer(vec![], None) };
    assert!(refused(&[closed]).message.contains("no such blob"));
}

#[test]
fn an_unwritable_cache_is_reported() {
    let file_in_the_way = tempfile::NamedTempFile::new().unwrap();
    let error = read(&[gzip_layer(&[])], &Options::new(file_in_the_way.path())).err().unwrap();
    assert_eq!((error.code, error.code.exit()), (codes::E0515, 3));
}

#[test]
fn large_files_are_not_read_whole() {
    let cache = tempfile::tempdir().unwrap();
    let base = read_one(&gzip_layer(&[(file("etc/group"), &[b'x'; 5000])]), cache.path()).unwrap();
    let group = file_of(&base, "/etc/group");
    assert_eq!(base.contents.read(group, 4999).unwrap_err().code, codes::E0516);
    assert_eq!(base.contents.read(group, 5000).unwrap().len(), 5000);
}

#[test]
fn holes_are_bounded() {
    // A sparse file of 64 GiB in a header of 1.5 KiB (CVE-2025-58183 and its like).
    let size = 64u64 << 30;
    let body = format!("GNU.sparse.size={size}\n");
    let records = [body.as_str(), "GNU.sparse.map=0,0\n"].map(|r| format!("{} {r}", r.len() + 3)).concat();
    let mut header = formats::tar::header(&Entry { size: records.len() as u64, ..file("x") }).unwrap();
    header[156] = b'x';
    header[148..156].fill(b' ');
    let sum: u64 = header.iter().map(|&b| u64::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = formats::tar::padding(records.len() as u64);
    let archive = [&header, records.as_bytes(), padding, &tar(&[(file("sparse"), b"")])].concat();
    let error = refused(&[layer(gzip(&archive), None)]);
    assert!(error.code == codes::E0503 && error.message.contains("the sum of all holes"), "{error:?}");
}

#[test]
fn an_interrupt_stops_reading() {
    let cache = tempfile::tempdir().unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let options = Options { interrupted: Some(Arc::clone(&flag)), ..Options::new(cache.path()) };
    let good = gzip_layer(&[(file("big"), &noise(3_000_000))]);
    let open = Arc::clone(&good.open);
    let input = LayerInput {
        open: Arc::new(move || {
            flag.store(true, Ordering::Relaxed);
            open()
        }),
        ..good
    };
    assert_eq!(read(&[input], &options).err().unwrap().code, codes::E0549);
    assert_eq!(sweep(cache.path()).unwrap(), 0);
}

#[test]
fn the_index_survives_its_encoding_and_no_other() {
    use super::index::{Index, Indexed, push};
    let mut entries = Vec::new();
    let list = [
        Entry { device: (5, 1), ..Entry::new("dev", Kind::CharDevice) },
        Entry { size: 7, mtime: -5, xattrs: [(b"user.a".to_vec(), b"\0".to_vec())].into(), ..file("f") },
        link("l", Kind::Symlink, "target"),
    ];
    for entry in &list {
        push(&mut entries, &Indexed { entry: entry.clone(), offset: 3, sha256: [9; 32] });
    }
    let (diff_id, digest) = (Digest::of(b"1"), Digest::of(b"2"));
    let index = Index { diff_id, digest, stored_size: 1, data_size: 10, blocks: vec![[1; 32]], count: 3, entries };
    let bytes = index.encode();
    let read = Index::decode(&bytes).unwrap();
    assert_eq!(read, index);
    assert!(read.names().eq(list.iter().map(|entry| &entry.path[..])));
    assert!(read.iter().map(|i| i.entry).eq(list));
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 0x10;
        assert_eq!(Index::decode(&bent), None, "byte {at}");
    }
    for count in [2, 4] {
        assert_eq!(Index::decode(&Index { count, ..index.clone() }.encode()), None);
    }
    assert_eq!(Index::decode(&Index { data_size: 9, ..index.clone() }.encode()), None, "content past the data");
}

/// `mode uid:gid size digest path` lines, for comparisons that people can read.
pub(crate) fn listing(tree: &Tree) -> String {
    let mut out = String::new();
    for (path, node) in &tree.nodes {
        out.push_str(&line(path, node));
        out.push('\n');
    }
    out
}

fn line(path: &ImagePath, node: &Node) -> String {
    let kind = match &node.kind {
        NodeKind::Directory => "dir".to_owned(),
        NodeKind::File(f) => {
            let inode = f.inode.map_or(String::new(), |n| format!(" inode {n}"));
            format!("file {} {}{inode}", f.size, &Digest::from_bytes(f.sha256).hex()[..8])
        }
        NodeKind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        NodeKind::CharDevice { major, minor } => format!("char {major}:{minor}"),
        NodeKind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
        NodeKind::Fifo => "fifo".to_owned(),
    };
    format!("{:04o} {}:{} {path} {kind}", node.mode, node.uid, node.gid)
}
