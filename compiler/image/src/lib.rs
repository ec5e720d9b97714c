//! Images: layers in ([`read`]), facts out of them ([`survey`]), databases that stay true ([`rewrite`]), layers
//! and layouts out ([`mod@write`]).
//!
//! Nothing is unpacked: layers are indexed once into the cache and decisions are made on the
//! index. The directions share no types but those of `plan`.

mod cache_entry;
pub mod debs;
pub mod read;
pub mod rewrite;
pub mod survey;
pub mod write;

pub use cache_entry::sweep;
