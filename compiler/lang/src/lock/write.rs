//! The printer: one lock, one text.

use std::fmt::Write as _;

use super::{Lock, LockedId, LockedSelection, VERSION, apt};

const HEAD: &str =
    "// Written by k8orc: commit it with the spec. `k8orc lock` completes it, `k8orc lock --update` renews it.\n";

impl Lock {
    /// The text of the lock: everything sorted, one fact a line.
    pub fn print(&self) -> String {
        let mut out = String::from(HEAD);
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("k8orc-lock version={VERSION}"));
        line(format!("compiler {}", quoted(&self.compiler)));
        line(format!("stdlib {}", quoted(&self.stdlib)));
        for (architecture, digest) in &self.runtime {
            line(format!("runtime {} {}", quoted(architecture), quoted(digest)));
        }
        line(format!("epoch {}", self.epoch));
        let mut bases: Vec<_> = self.bases.iter().collect();
        bases.sort();
        bases.dedup();
        for base in bases {
            let (reference, platform, spec) = (quoted(&base.reference), quoted(&base.platform), quoted(&base.spec));
            line(format!("base {reference} platform={platform} for={spec} {{"));
            line(format!("    digest {}", quoted(&base.digest)));
            for (name, value) in [("index", &base.index), ("diff-id", &base.diff_id)] {
                if let Some(value) = value {
                    line(format!("    {name} {}", quoted(value)));
                }
            }
            if let Some(created) = base.created {
                line(format!("    created {created}"));
            }
            line("}".to_owned());
        }
        let mut selections: Vec<&LockedSelection> = self.selections.iter().collect();
        selections.sort();
        selections.dedup();
        for selection in selections {
            apt::print(selection, &mut line);
        }
        for (prefix, ids) in [("", &self.ids), ("retired-", &self.retired)] {
            let mut ids: Vec<&LockedId> = ids.iter().collect();
            ids.sort();
            ids.dedup();
            for id in ids {
                let (kind, name, site) = (id.kind.word(), quoted(&id.name), quoted(&id.site));
                line(format!("{prefix}{kind} {name} id={} site={site}", id.id));
            }
        }
        out
    }
}

/// A KDL string; control and direction characters are escaped, as KDL v2 demands and a review needs.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}') =>
            {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
