//! The registry of codes: constants and pages, made by `build.rs` from the files of `codes/`.

use std::fmt;

use serde::Serialize;

/// How bad it is. An error stops the build at the next gate; the others never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The input is refused.
    Error,
    /// Built, but probably not what was meant, or a reported widening.
    Warning,
    /// Worth knowing.
    Note,
}

/// A registered code with its usual severity and the exit status that an error of it gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    id: &'static str,
    severity: Severity,
    exit: u8,
}

impl Code {
    const fn new(id: &'static str, severity: Severity, exit: u8) -> Self {
        Self { id, severity, exit }
    }

    /// `E0101`.
    pub fn id(self) -> &'static str {
        self.id
    }

    /// The severity that the page declares.
    pub fn severity(self) -> Severity {
        self.severity
    }

    /// Exit status of the process when an error of this code stops it: 1 input, 3 environment.
    pub fn exit(self) -> u8 {
        self.exit
    }

    /// The page of this code.
    pub fn page(self) -> &'static Page {
        // Every constant is made together with its page; the first one is never reached for another code.
        find(self.id).unwrap_or(&PAGES[0])
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// A page of `k8orc explain E…`.
#[derive(Debug)]
pub struct Page {
    /// The code.
    pub code: Code,
    /// The headline, without the code.
    pub title: &'static str,
    /// The whole Markdown file.
    pub text: &'static str,
}

/// The page of `id` (`E0101`, in any letter case).
pub fn find(id: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.code.id.eq_ignore_ascii_case(id))
}

include!(concat!(env!("OUT_DIR"), "/codes.rs"));
