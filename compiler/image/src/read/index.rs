//! The index of a layer: its entries in order, where their contents lie in the data file,
//! and the hash of each block of it.
//!
//! Little-endian numbers; strings with a 32-bit length:
//! magic, diff-id, stored digest, stored size, data size; blocks (count, 32 bytes each);
//! entries (count, then path, kind, mode, uid, gid, mtime, the kind's own fields,
//! attributes); SHA-256 of everything before. The checksum detects damage, not malice: who
//! can write the cache can also replace an index. The directory's name is the diff-id, which
//! must be that of the index.

use formats::oci::Digest;
use formats::tar::{Entry, Kind, Xattrs};
use sha2::{Digest as _, Sha256};

/// Name and version of the format; another version is made again.
const MAGIC: &[u8; 16] = b"k8orc-index-v002";

/// Bytes of data that share one hash.
pub(super) const BLOCK: u64 = 64 << 10;

/// What is known about a layer's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// SHA-256 of the uncompressed tar.
    pub diff_id: Digest,
    /// SHA-256 of the stored bytes.
    pub digest: Digest,
    /// Number of stored bytes.
    pub stored_size: u64,
    /// Bytes of the data file.
    pub data_size: u64,
    /// BLAKE3 of each [`BLOCK`] of the data file; the last is shorter.
    pub blocks: Vec<[u8; 32]>,
    /// Number of entries.
    pub count: u64,
    /// The entries, encoded.
    pub entries: Vec<u8>,
}

/// An entry with the place of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Indexed {
    /// The header; `sparse` is always `None`: the data file holds the holes as zeros.
    pub entry: Entry,
    /// Of a file: offset in the data file and SHA-256 of the content.
    pub offset: u64,
    /// See `offset`; zeros for what is no file.
    pub sha256: [u8; 32],
}

impl Index {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() + self.blocks.len() * 32 + 200);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.diff_id.bytes());
        out.extend_from_slice(self.digest.bytes());
        for number in [self.stored_size, self.data_size, self.blocks.len() as u64] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for block in &self.blocks {
            out.extend_from_slice(block);
        }
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.entries);
        let sum: [u8; 32] = Sha256::digest(&out).into();
        out.extend_from_slice(&sum);
        out
    }

    /// Reads a file's bytes; `None` when anything about them is wrong.
    pub fn decode(bytes: &[u8]) -> Option<Index> {
        let (body, sum) = bytes.split_last_chunk::<32>()?;
        if <[u8; 32]>::from(Sha256::digest(body)) != *sum {
            return None;
        }
        let mut cursor = Cursor(body.strip_prefix(MAGIC)?);
        let diff_id = Digest::from_bytes(cursor.chunk()?);
        let digest = Digest::from_bytes(cursor.chunk()?);
        let (stored_size, data_size) = (cursor.u64()?, cursor.u64()?);
        let blocks = cursor.u64()?;
        if blocks != data_size.div_ceil(BLOCK) {
            return None;
        }
        let hashes = cursor.take(usize::try_from(blocks.checked_mul(32)?).ok()?)?;
        let blocks = hashes.as_chunks::<32>().0.to_vec();
        let count = cursor.u64()?;
        let index = Index { diff_id, digest, stored_size, data_size, blocks, count, entries: cursor.0.to_vec() };
        // An entry that cannot be decoded shows now, not in the middle of a merge.
        let mut entries = index.iter();
        let mut seen = 0;
        for item in entries.by_ref() {
            item.offset.checked_add(item.entry.size).filter(|end| *end <= data_size)?;
            seen += 1;
        }
        let whole = seen == count && entries.0.0.is_empty();
        whole.then_some(index)
    }

    /// The names of the entries, as the archive spells them: cheaper than the entries themselves.
    pub fn names(&self) -> Names<'_> {
        Names(Cursor(&self.entries))
    }

    /// The entries in the order of the archive.
    pub fn iter(&self) -> Entries<'_> {
        Entries(Cursor(&self.entries))
    }
}

/// Appends one entry to the encoded list.
pub(super) fn push(out: &mut Vec<u8>, item: &Indexed) {
    let entry = &item.entry;
    string(out, &entry.path);
    out.push(match entry.kind {
        Kind::File => 0,
        Kind::Directory => 1,
        Kind::Symlink => 2,
        Kind::Hardlink => 3,
        Kind::CharDevice => 4,
        Kind::BlockDevice => 5,
        Kind::Fifo => 6,
    });
    for number in [entry.mode, entry.uid, entry.gid] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&entry.mtime.to_le_bytes());
    match entry.kind {
        Kind::File => {
            out.extend_from_slice(&entry.size.to_le_bytes());
            out.extend_from_slice(&item.offset.to_le_bytes());
            out.extend_from_slice(&item.sha256);
        }
        Kind::Symlink | Kind::Hardlink => string(out, &entry.link),
        Kind::CharDevice | Kind::BlockDevice => {
            out.extend_from_slice(&entry.device.0.to_le_bytes());
            out.extend_from_slice(&entry.device.1.to_le_bytes());
        }
        Kind::Directory | Kind::Fifo => {}
    }
    out.extend_from_slice(&(entry.xattrs.len() as u32).to_le_bytes());
    for (name, value) in &entry.xattrs {
        string(out, name);
        string(out, value);
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    // The tar reader's limits keep every string far below 4 GiB.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Decodes entries one by one; ends early at what cannot be decoded.
pub(super) struct Entries<'a>(Cursor<'a>);

impl Iterator for Entries<'_> {
    type Item = Indexed;

    fn next(&mut self) -> Option<Indexed> {
        let cursor = &mut self.0;
        let path = cursor.string()?.to_vec();
        let kind = match cursor.take(1)? {
            [0] => Kind::File,
            [1] => Kind::Directory,
            [2] => Kind::Symlink,
            [3] => Kind::Hardlink,
            [4] => Kind::CharDevice,
            [5] => Kind::BlockDevice,
            [6] => Kind::Fifo,
            _ => return None,
        };
        let mut entry = Entry::new(path, kind);
        (entry.mode, entry.uid, entry.gid) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        entry.mtime = i64::from_le_bytes(cursor.chunk()?);
        let (mut offset, mut sha256) = (0, [0; 32]);
        match kind {
            Kind::File => (entry.size, offset, sha256) = (cursor.u64()?, cursor.u64()?, cursor.chunk()?),
            Kind::Symlink | Kind::Hardlink => entry.link = cursor.string()?.to_vec(),
            Kind::CharDevice | Kind::BlockDevice => entry.device = (cursor.u32()?, cursor.u32()?),
            Kind::Directory | Kind::Fifo => {}
        }
        let mut xattrs = Xattrs::new();
        for _ in 0..cursor.u32()? {
            xattrs.insert(cursor.string()?.to_vec(), cursor.string()?.to_vec());
        }
        entry.xattrs = xattrs;
        Some(Indexed { entry, offset, sha256 })
    }
}

/// Passes over everything but the names; ends early at what cannot be decoded.
pub(super) struct Names<'a>(Cursor<'a>);

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let cursor = &mut self.0;
        let path = cursor.string()?;
        let kind = cursor.take(1)?;
        // Mode, owner, group and time.
        cursor.take(4 + 4 + 4 + 8)?;
        match kind {
            [0] => drop(cursor.take(8 + 8 + 32)?),
            [2 | 3] => drop(cursor.string()?),
            [4 | 5] => drop(cursor.take(4 + 4)?),
            _ => {}
        }
        for _ in 0..cursor.u32()? {
            cursor.string()?;
            cursor.string()?;
        }
        Some(path)
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }
}
