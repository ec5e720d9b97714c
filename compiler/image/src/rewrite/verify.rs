//! What `dpkg --verify` will say because the base itself differs from its database.

use diag::Diagnostics;
use md5::{Digest as _, Md5};
use plan::facts::Contents;
use plan::kept::{Content, Deviation};
use plan::path::ImagePath;
use plan::tree::NodeKind;

use super::Outcome;

/// Largest configuration file that is compared, bytes (16 MiB).
const LONGEST: u64 = 16 << 20;

/// Configuration files of kept packages whose content is not the one that dpkg recorded. Only these are looked at:
/// other files of packages are not changed by hand in a base that is in order.
pub(super) fn changed_before(result: &Outcome<'_>, contents: &dyn Contents, out: &mut Diagnostics) -> Vec<Deviation> {
    let mut all = Vec::new();
    for (package, decision) in result.facts.packages.packages.iter().zip(&result.kept.packages) {
        for (path, recorded) in package.conffiles.iter().filter(|_| decision.kept) {
            // In the database's own words; `newconffile` is not compared by dpkg.
            if recorded.len() != 32 {
                continue;
            }
            let Some(name) = real(result, path) else { continue };
            let Some(entry) = result.kept.entries.get(&name) else { continue };
            // What the spec replaced is in the list already.
            let (Content::Base, NodeKind::File(file)) = (&entry.content, &entry.node.kind) else { continue };
            if file.size > LONGEST {
                continue;
            }
            match contents.read(file, LONGEST) {
                Ok(bytes) => {
                    let sum: String = Md5::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
                    if sum != *recorded {
                        let line = format!("??5?????? c {}", String::from_utf8_lossy(path.as_bytes()));
                        let why = "the base has changed it already".to_string();
                        all.push(Deviation { path: name, line, why });
                    }
                }
                Err(error) => {
                    out.push(error.note(format!("the file is {path}")));
                    return all;
                }
            }
        }
    }
    all
}

/// The name in the tree: directories on the way may be links.
fn real(result: &Outcome<'_>, path: &ImagePath) -> Option<ImagePath> {
    let (parent, _) = result.facts.tree.resolve(&path.parent()?).ok()?;
    parent.join(path.name()).ok()
}
