//! The summary at the end of a build, `report.json` and `report.html`.

mod html;
mod json;
mod summary;

pub use html::report_html;
pub use json::{Report, report_json};
pub use summary::{Outcome, bytes, summary};
