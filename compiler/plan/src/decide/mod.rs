//! Decisions: what is kept, which calls, what runs; each in a file of its own, put together by [`assemble`].

pub mod assemble;
pub mod cluster;
pub mod config;
pub mod generation;
pub mod identity;
pub mod keep;
pub mod profile;
mod said;
pub mod sealed;
#[cfg(test)]
mod tests;

use diag::{Diagnostic, Diagnostics, codes};
use lang::spec::{SourcePath, Spanned};
use lang::world::{World, WorldError};

/// Reads a file that the spec names, or says why not.
pub fn read_source(
    world: &dyn World,
    source: &Spanned<SourcePath>,
    limit: u64,
    problems: &mut Diagnostics,
) -> Option<Vec<u8>> {
    match world.read(&source.value.root, &source.value.path, limit) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            problems.push(source_problem(source, &error));
            None
        }
    }
}

/// The diagnostic for a file that cannot be had.
pub fn source_problem(source: &Spanned<SourcePath>, error: &WorldError) -> Diagnostic {
    let name = source.value.path.display();
    let message = match error {
        WorldError::NotFound => format!("there is no file `{name}` beside this spec"),
        WorldError::Outside => format!("`{name}` leads out of the spec's directory"),
        WorldError::TooLarge(limit) => format!("`{name}` is larger than {limit} bytes"),
        WorldError::Other(text) => format!("`{name}` cannot be read: {text}"),
    };
    Diagnostic::new(codes::E0870, message).at(source.span, "named here")
}
