//! The layer: directories, then each package's files as its archive holds them, then what scripts made and links.
//!
//! Contents come straight from the packages, which are decompressed once more; nothing but the index is held.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use diag::codes;
use formats::tar::{Entry, Kind as EntryKind, WriteError, Writer};

use super::failure::Failure;
use super::tree::{Content, Kind, Node, Tree};
use super::{DebInput, reader};

/// Writes the whole archive; a failure comes with the number of the package at fault, if it is one's.
pub(super) fn write(tree: &Tree, debs: &[DebInput], out: &mut dyn Write) -> Result<u64, (Option<usize>, Failure)> {
    let mut counting = Counting { out, written: 0 };
    let mut writer = Writer::new(&mut counting);
    let none = |e: WriteError| (None, unwritable(&e));
    // First names of each content, in the order of their packages and archives.
    let mut firsts: BTreeMap<&Content, (&[u8], &Node)> = BTreeMap::new();
    let mut later = Vec::new();
    for (path, node) in &tree.nodes {
        match &node.kind {
            Kind::Directory => writer.append(&entry(path, node), &mut io::empty()).map_err(none)?,
            Kind::Symlink(_) => later.push((path.as_slice(), node, None)),
            Kind::File(Content::Made(_), _) => later.push((path, node, None)),
            Kind::File(content, _) => match firsts.get(content) {
                Some((first, _)) => later.push((path, node, Some(*first))),
                None => {
                    firsts.insert(content, (path, node));
                }
            },
        }
    }
    for (at, deb) in debs.iter().enumerate() {
        contents(at, deb, &firsts, &mut writer).map_err(|e| (Some(at), e))?;
    }
    for (path, node, first) in later {
        let mut entry = entry(path, node);
        if let Some(first) = first {
            (entry.kind, entry.link, entry.size) = (EntryKind::Hardlink, first.to_vec(), 0);
        }
        let bytes: &[u8] = match &node.kind {
            Kind::File(Content::Made(bytes), _) => bytes,
            _ => &[],
        };
        writer.append(&entry, &mut Cursor::new(bytes)).map_err(none)?;
    }
    writer.finish().map_err(|e| none(e.into()))?;
    Ok(counting.written)
}

/// The files of one package that are still there.
pub(super) fn contents<W: Write>(
    at: usize,
    deb: &DebInput,
    firsts: &BTreeMap<&Content, (&[u8], &Node)>,
    writer: &mut Writer<W>,
) -> Result<(), Failure> {
    let (_, mut data, hashed) = reader::open(deb)?;
    let unreadable = |e: formats::tar::TarError| Failure::new(codes::E0561, e.to_string(), "fetch the package again");
    let mut number = 0u64;
    while let Some(found) = data.next_entry().map_err(unreadable)? {
        if let (EntryKind::File, Some((path, node))) = (found.kind, firsts.get(&Content::Deb(at, number))) {
            let mut from = Content1(&mut data);
            writer.append(&entry(path, node), &mut from).map_err(|e| unwritable(&e))?;
        }
        number += 1;
    }
    data.drain().map_err(unreadable)?;
    drop(data);
    // What was written is wrong if these are not the bytes that were indexed.
    hashed.finish(deb)
}

/// The current entry's content as a stream.
struct Content1<'a>(&'a mut formats::deb::Data);

impl Read for Content1<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|e| io::Error::other(e.to_string()))
    }
}

pub(super) fn entry(path: &[u8], node: &Node) -> Entry {
    let (kind, size, link) = match &node.kind {
        Kind::Directory => (EntryKind::Directory, 0, Vec::new()),
        Kind::File(_, size) => (EntryKind::File, *size, Vec::new()),
        Kind::Symlink(target) => (EntryKind::Symlink, 0, target.clone()),
    };
    // The root's entry must have a name.
    let path = if path.is_empty() { b"./" } else { path };
    Entry { mode: node.mode, uid: node.uid, gid: node.gid, mtime: node.mtime, size, link, ..Entry::new(path, kind) }
}

pub(super) fn unwritable(error: &WriteError) -> Failure {
    Failure::new(codes::E0568, format!("the layer cannot be written: {error}"), "see that there is room on the disk")
}

/// A stream whose bytes are counted.
pub(super) struct Counting<'a> {
    pub out: &'a mut dyn Write,
    pub written: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buffer)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
