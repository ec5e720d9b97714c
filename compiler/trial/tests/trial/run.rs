//! Programs that do what they should, and the ways in which others do not.

use std::cell::Cell;
use std::time::{Duration, Instant};

use plan::plan::*;
use trial::Outcome;

use crate::harness::{able, codes, left_behind, run, run_with};
use crate::image::{Draft, content_digest, span};

const EVERYWHERE: &[&str] = &["serve", "0.0.0.0:8080"];

fn claim() -> VolumeKind {
    VolumeKind::Claim(ClaimPlan {
        class: "fast".to_owned(),
        size: "1Gi".to_owned(),
        bytes: 1 << 30,
        access: "ReadWriteOnce".to_owned(),
    })
}

fn generation() -> MountSource {
    MountSource::Generation { digest: content_digest(), bytes: 14, entries: 2 }
}

#[test]
fn a_program_that_serves_passes_with_all_its_volumes() {
    let Some(_turn) = able() else { return };
    let directory = MountSource::Directory { sub_path: "data".to_owned(), mode: 0o700, uid: 10001, gid: 10001 };
    let mut draft = Draft::new(EVERYWHERE)
        .ready_on_8080()
        .probe("liveness", ProbeActionPlan::Tcp { port: 8080 })
        .probe(
            "startup",
            ProbeActionPlan::Exec {
                argv: vec!["/bin/program".into(), "expect".into(), "/etc/plain".into(), "plain".into()],
            },
        )
        .volume("content", claim(), "/content", generation())
        .volume("data", claim(), "/data", directory)
        .volume("cache", VolumeKind::EmptyDir { size: None }, "/cache", MountSource::Whole)
        .exec(&["expect", "/content/deep/file", "from the image"])
        .exec(&["cannot-write", "/content/deep/file", "then", "cannot-write", "/etc/new"])
        .exec(&["expect-mode", "/data", "2700 10001", "then", "write", "/data/file", "then", "write", "/cache/file"]);
    draft.generation = Some(content_digest());
    draft.checks.push(CheckPlan::Http { span: span(250), port: 8080, path: "/other".to_owned(), status: Some(404) });
    let (report, said) = run(&draft.write());
    let report = report.unwrap();
    assert_eq!(codes(&said), Vec::<&str>::new());
    assert_eq!(report.checks.len(), 7);
    assert!(report.checks.iter().all(|check| check.outcome == Outcome::Passed));
    assert_eq!(report.checks[0].kind, "startup probe");
    assert_eq!(report.command[..4], ["/k8or/k8or", "run", "--", "/bin/program"].map(str::to_owned));
    assert!(report.ready_after_ms.is_some_and(|time| time < 10_000));
    assert_eq!((report.exit.status, report.exit.early, report.exit.killed), (143, false, false));
    assert_eq!(left_behind(), Vec::<String>::new());
}

#[test]
fn configs_and_secrets_are_there_for_the_pods_user() {
    let Some(_turn) = able() else { return };
    let mut draft = Draft::new(EVERYWHERE)
        .ready_on_8080()
        .exec(&["expect", "/etc/web/web.toml", "port = 1\n"])
        .exec(&["expect", "/k8or/secrets/tls.key", "k8orc-test"])
        .exec(&["expect-env", "PASSWORD", "given", "then", "expect-env", "CHANGED", "pod"])
        .exec(&["expect-env", "LANG", "C.UTF-8"]);
    let workload = &mut draft.workload;
    workload.env.insert("CHANGED".to_owned(), "pod".to_owned());
    workload.secret_env.insert("PASSWORD".to_owned(), ("db".to_owned(), "password".to_owned()));
    workload.secret_files.push(SecretFile {
        object: "tls".to_owned(),
        key: "tls.key".to_owned(),
        path: "/k8or/secrets/tls.key".to_owned(),
        mode: 0o400,
    });
    workload.configs.push(ConfigFile {
        path: "/etc/web/web.toml".to_owned(),
        key: "web.toml".to_owned(),
        text: "port = 1\n".to_owned(),
    });
    let (report, said) = run(&draft.write());
    assert!(report.unwrap().checks.iter().all(|check| check.outcome == Outcome::Passed));
    assert_eq!(codes(&said), ["E1116"]);
    assert!(said.0[0].message.ends_with("secrets: tls/tls.key"), "{}", said.0[0].message);
}

#[test]
fn a_wrong_answer_is_an_error_at_its_line() {
    let Some(_turn) = able() else { return };
    let mut draft = Draft::new(EVERYWHERE).exec(&["exit", "3"]);
    draft.checks.push(CheckPlan::Http { span: span(260), port: 8080, path: "/healthz".to_owned(), status: Some(204) });
    draft.checks.push(CheckPlan::Http { span: span(270), port: 9, path: "/".to_owned(), status: None });
    let (report, said) = run_with(&draft.write(), Duration::from_secs(1), &|| false);
    let report = report.unwrap();
    assert_eq!(codes(&said), ["E1112", "E1112", "E1112"]);
    let spans = said.iter().map(|diagnostic| diagnostic.primary.as_ref().unwrap().span).collect::<Vec<_>>();
    assert_eq!(spans, [span(200), span(260), span(270)]);
    let notes = said.iter().map(|diagnostic| diagnostic.notes.join("\n")).collect::<Vec<_>>();
    assert!(notes[0].contains("ended with status 3\nlast words: \\u{1b}[31mred"), "{}", notes[0]);
    assert_eq!(notes[1], "status 200, wanted 204");
    assert_eq!(notes[2], "nothing listens there");
    assert!(report.violations.is_empty());
}

#[test]
fn a_program_that_ends_is_an_error() {
    let Some(_turn) = able() else { return };
    let (report, said) = run(&Draft::new(&["exit", "5"]).write());
    let report = report.unwrap();
    assert_eq!((report.exit.status, report.exit.early), (5, true));
    assert_eq!(codes(&said), ["E1114", "E1119"]);
    assert!(said.0[0].notes[0].contains("last words: \\u{1b}[31mred"), "{:?}", said.0[0].notes);
    let (_, said) = run(&Draft::new(&["exit", "5"]).ready_on_8080().write());
    assert_eq!(codes(&said), ["E1112", "E1114"]);
}

#[test]
fn a_program_that_is_not_there_does_not_start() {
    let Some(_turn) = able() else { return };
    let mut draft = Draft::new(EVERYWHERE);
    draft.config["Entrypoint"][0] = "/no/such/program".into();
    let (report, said) = run(&draft.write());
    assert_eq!(report, None);
    assert_eq!(codes(&said), ["E1105"]);
    assert!(said.0[0].notes.iter().any(|note| note.contains("/no/such/program")), "{:?}", said.0[0].notes);
}

#[test]
fn a_program_on_the_loopback_address_alone_is_found_out() {
    let Some(_turn) = able() else { return };
    let draft = Draft::new(&["serve", "127.0.0.1:8080"]).ready_on_8080();
    let (_, said) = run_with(&draft.write(), Duration::from_secs(1), &|| false);
    assert_eq!(codes(&said), ["E1115"]);
}

#[test]
fn a_program_that_does_not_stop_is_a_warning() {
    let Some(_turn) = able() else { return };
    let draft = Draft::new(&["ignore-term", "then", "serve", "0.0.0.0:8080"]).ready_on_8080();
    let (report, said) = run(&draft.write());
    assert_eq!(codes(&said), ["E1117"]);
    assert!(!said.has_errors());
    let exit = report.unwrap().exit;
    assert!(exit.killed);
    assert_eq!((exit.status, exit.stop_signal.as_str()), (137, "SIGTERM"));
}

#[test]
fn a_tree_that_is_not_the_sealed_one_is_not_served() {
    let Some(_turn) = able() else { return };
    let mut draft = Draft::new(EVERYWHERE).ready_on_8080().volume("content", claim(), "/content", generation());
    draft.generation = Some("0".repeat(64));
    let (report, said) = run(&draft.write());
    assert_eq!(report, None);
    assert_eq!(codes(&said), ["E1107"]);
    let notes = said.0[0].notes.join("\n");
    assert!(notes.contains("is itself not the sealed one"), "{notes}");
    assert_eq!(left_behind(), Vec::<String>::new());
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let Some(_turn) = able() else { return };
    let image = Draft::new(&["ignore-term", "then", "wait"]).ready_on_8080().write();
    // At first, while it unpacks, while it waits for readiness.
    for after in [0, 40, 1500] {
        let asked = Cell::new(0);
        let start = Instant::now();
        let interrupted = || {
            asked.set(asked.get() + 1);
            start.elapsed() >= Duration::from_millis(after)
        };
        let (report, said) = run_with(&image, Duration::from_secs(60), &interrupted);
        assert_eq!(report, None);
        assert_eq!(codes(&said), ["E1118"]);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(asked.get() > 0);
        assert_eq!(left_behind(), Vec::<String>::new());
    }
}

#[test]
fn an_image_without_workloads_runs_its_own_command() {
    let Some(_turn) = able() else { return };
    let mut image = Draft::new(EVERYWHERE).exec(&["expect", "/etc/plain", "plain"]).write();
    image.plan.workloads.clear();
    let patience = Duration::from_secs(10);
    let request =
        trial::Request { plan: &image.plan, output: image.output(), workload: None, secrets: [].into(), patience };
    let (report, said) = trial::run(&request, &|| false);
    let report = report.unwrap();
    assert_eq!((report.name.as_str(), codes(&said)), ("shop", Vec::new()));
    assert_eq!(report.checks.len(), 1);
    assert_eq!(report.exit.status, 143);
}
