//! Rules of this repository that no compiler knows. Each function returns its complaints, one string each;
//! the tests in `tests/tests/suite/tidy.rs` want none.

mod architecture;
mod purity;
mod shape;
mod spots;
pub mod tree;

pub use architecture::{Edges, edges, edges_of_cargo, paths, table};
pub use purity::purity;
pub use shape::{Exemption, heads, lengths, lock, stubs};
pub use spots::{Machine, spots};
