//! For machines that judge a supply chain: what is in the image (SPDX) and what it was made from (in-toto, SLSA).

mod distro;
mod provenance;
mod purl;
mod sbom;

pub use provenance::{Archive, Deb, Inputs, Named, provenance};
pub use sbom::sbom;
