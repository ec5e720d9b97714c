//! NDB, the database of SUSE's rpm (`lib/backend/ndb/*.c`; all numbers little-endian).
//!
//! `Packages.db` has a table of slots and after it the headers, each with a checksum. `Index.db` says for each searchable
//! tag which keys lead to which packages; rpm takes it for outdated unless it has the generation of `Packages.db`.

mod index;
mod packages;

pub use index::rewrite as rewrite_index;
pub use packages::{generation, packages, rewrite};

/// First bytes of `Packages.db`.
pub const MAGIC: &[u8; 4] = b"RpmP";

/// Adler-32 (RFC 1950, 8.2).
fn adler(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    // 5552 is the most that cannot overflow.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    b << 16 | a
}
