//! Images: layers in ([`read`]), layers and layouts out ([`write`]).
//!
//! Nothing is unpacked: layers are indexed once into the cache and decisions are made on the
//! index. The two directions share no types but those of `plan`.

mod cache_entry;
pub mod read;
pub mod write;

pub use cache_entry::sweep;
