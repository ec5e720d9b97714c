//! Whether what was chosen fits together: dependencies with their versions, Conflicts and Breaks.

use diag::{Diagnostic, codes};
use formats::dpkg::Relation;

use super::candidate::Candidate;
use super::select::{Selection, Why, shown};

/// Looks at every package that is new, and at what the others have against it.
///
/// # Errors
/// E0461 for a dependency that nothing satisfies, E0462 for packages that exclude each other.
pub(crate) fn check(selection: &Selection<'_>) -> Result<(), Diagnostic> {
    for (package, why) in selection.all() {
        let new = *why != Why::Installed;
        // An installed package whose dependencies do not hold was like that before.
        if new {
            for group in &package.depends {
                if !group.iter().any(|relation| selection.satisfied(relation)) {
                    let message = format!("`{}` needs {}, which is not among the chosen", package.name, shown(group));
                    return Err(Diagnostic::new(codes::E0461, message)
                        .note(format!("wanted by: {}", selection.chain(&package.name)))
                        .help("leave out the package that is asked for, or use another suite"));
                }
            }
        }
        for (word, relations) in [("conflicts with", &package.conflicts), ("breaks", &package.breaks)] {
            for relation in relations {
                if let Some(other) = hit(selection, package, relation, new) {
                    return Err(excluded(selection, package, word, relation, other));
                }
            }
        }
    }
    Ok(())
}

/// The package that a relation of another excludes; of two that were installed before, none.
fn hit<'s>(selection: &'s Selection<'_>, package: &Candidate, relation: &Relation, new: bool) -> Option<&'s Candidate> {
    let here = selection.architecture;
    let named = selection.get(&relation.name).filter(|other| other.is(relation, here));
    let given = selection.givers(&relation.name).filter(|other| other.gives(relation, here));
    // A package may conflict with what it provides itself: that means all others (Debian policy 7.6.2).
    named.into_iter().chain(given).find(|other| other.name != package.name && (new || other.file.is_some()))
}

/// E0462.
fn excluded(
    selection: &Selection<'_>,
    package: &Candidate,
    word: &str,
    relation: &Relation,
    other: &Candidate,
) -> Diagnostic {
    let (one, two) = (&package.name, &other.name);
    let as_what = if relation.name == other.name { String::new() } else { format!(" (as `{relation}`)") };
    Diagnostic::new(codes::E0462, format!("`{one}` {word} `{two}`{as_what}, and both are chosen"))
        .note(format!("{one} {}: {}", package.version, selection.chain(one)))
        .note(format!("{two} {}: {}", other.version, selection.chain(two)))
        .help("ask for one of the two only, or name an alternative that the other accepts")
}
