//! One file a verb.

mod build;
mod cache;
mod check;
mod diff;
mod explain;
mod fmt;
mod graph;
mod init;
mod lock;
mod push;
mod schema;
mod test;

use std::collections::BTreeMap;

use driver::{Finished, Request};

use crate::args::{Args, Command, Global, LockArgs, SpecArgs};
use crate::output::Output;

/// Runs the verb and gives the exit status.
pub fn run(args: Args, output: &Output) -> u8 {
    let global = &args.global;
    match args.command {
        Command::Init { image, output: to, platform } => init::run(global, output, &image, &to, &platform),
        Command::Build { spec, lock, out, jobs, archive } => {
            let mut request = request(global, &spec, Some(lock));
            request.out = out;
            request.jobs = jobs;
            request.archive = archive;
            build::run(&request, output)
        }
        Command::Check { spec, lock, syntax } => check::run(&request(global, &spec, Some(lock)), output, syntax),
        Command::Fmt { files, check } => fmt::run(output, &files, check),
        Command::Lock { spec, update } => lock::run(&request(global, &spec, None), output, update),
        Command::Fetch { spec } => lock::fetch(&request(global, &spec, None), output),
        Command::Cache { action } => cache::run(global, output, action),
        Command::Explain { thing, spec } => explain::run(&request(global, &spec, None), output, &thing),
        Command::Diff { old, new, json } => diff::run(output, &old, &new, json),
        Command::Test { spec, out, workload } => {
            let mut request = request(global, &spec, None);
            request.out = out;
            test::run(&request, output, workload.as_deref())
        }
        Command::Push { output: built, reference } => push::run(global, output, &built, &reference),
        Command::Graph { spec, json } => graph::run(&request(global, &spec, None), output, json),
        Command::Schema { markdown } => schema::run(output, markdown),
        Command::Completions { shell } => schema::completions(output, shell),
    }
}

fn request(global: &Global, spec: &SpecArgs, lock: Option<LockArgs>) -> Request {
    let mut request = Request::new(&spec.spec);
    request.params = spec.param.iter().cloned().collect::<BTreeMap<_, _>>();
    request.cache.clone_from(&global.cache);
    if let Some(lock) = lock {
        request.locked = lock.locked || lock.frozen;
        request.offline = lock.offline || lock.frozen;
    }
    request
}

/// Renders what a verb found; with a value, hands it on.
fn finish<T>(output: &Output, finished: Finished<T>, done: impl FnOnce(T) -> u8) -> u8 {
    let status = output.diagnostics(&finished.diagnostics, &finished.sources);
    match finished.value {
        Some(value) => done(value).max(status),
        None => status.max(1),
    }
}
