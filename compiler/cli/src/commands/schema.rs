//! `k8orc schema` and `k8orc completions`.

use clap::CommandFactory as _;

use crate::args::Args;
use crate::output::Output;

/// Prints the schema, as KDL or as a reference.
pub fn run(output: &Output, markdown: bool) -> u8 {
    if markdown {
        output.data(&lang::schema::reference_markdown());
    } else {
        output.data(lang::schema::schema_text());
    }
    0
}

/// Prints the completions of a shell.
pub fn completions(output: &Output, shell: clap_complete::Shell) -> u8 {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "k8orc", &mut bytes);
    output.data(&String::from_utf8_lossy(&bytes));
    0
}
