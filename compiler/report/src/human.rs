//! The summary at the end of a build and `report.json`.

mod json;
mod summary;

pub use json::{Report, report_json};
pub use summary::{Outcome, bytes, summary};
