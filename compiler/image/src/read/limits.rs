//! How much an image may ask for, in proportion to its stored size: a small file must not
//! cost much time or memory, a large image may.

/// Limits of one image. The defaults allow everything that real images hold and keep a small
/// hostile file within 256 MB and a few seconds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Uncompressed bytes of a layer that are always allowed; holes of sparse files count
    /// apart, with the same limit.
    pub expanded: u64,
    /// Above `expanded`: uncompressed bytes per stored byte. Deflate's own maximum is 1,032.
    pub ratio: u64,
    /// Names in the merged tree (and entries of one layer) that are always allowed.
    pub entries: u64,
    /// One more name for so many stored bytes; a header compresses to some 60 bytes.
    pub bytes_per_entry: u64,
    /// Bytes of names, link targets and attributes that are always allowed; as many more as
    /// there are stored bytes.
    pub metadata: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { expanded: 512 << 20, ratio: 250, entries: 100_000, bytes_per_entry: 16, metadata: 32 << 20 }
    }
}

impl Limits {
    /// The largest uncompressed size for so many stored bytes.
    pub fn expanded(&self, stored: u64) -> u64 {
        self.expanded.max(stored.saturating_mul(self.ratio))
    }

    /// The largest number of entries for so many stored bytes.
    pub fn entries(&self, stored: u64) -> u64 {
        self.entries.saturating_add(stored / self.bytes_per_entry.max(1))
    }

    /// The largest sum of metadata for so many stored bytes.
    pub fn metadata(&self, stored: u64) -> u64 {
        self.metadata.saturating_add(stored)
    }
}
