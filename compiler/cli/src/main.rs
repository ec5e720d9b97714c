//! The `k8orc` binary: arguments → options → driver; rendering and exit status.

mod args;
mod commands;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = output::Output::new(&args.global);
    // A panic is our bug: say so in one place, with a status of its own.
    std::panic::set_hook(Box::new(|info| {
        output::line_to_stderr(&format!("k8orc: internal error, this is a bug of k8orc: {info}"));
        driver::cleanup::now();
        std::process::exit(101);
    }));
    let interrupted = output.clone();
    if let Err(error) = driver::cleanup::on_interrupt(move || interrupted.interrupted()) {
        output.say(&format!("k8orc: no handler for interrupts: {error}"));
        return ExitCode::from(3);
    }
    ExitCode::from(commands::run(args, &output))
}
