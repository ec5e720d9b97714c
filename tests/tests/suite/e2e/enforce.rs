//! The built image runs as it would in a cluster, and the kernel enforces its profile.

use std::path::Path;
use std::time::Duration;

use k8orc_tests::peers::{Bundle, Config, Mount, Podman, Run, free_port, run, wait_http};
use k8orc_tests::peers::{Need, Registry};

use super::{Case, LIMIT, Output, json};

/// Death by SIGSYS, as a shell tells it.
const SIGSYS: i32 = 159;

/// nginx from the registry's image, listening on a port that is free here, on 127.0.0.1 alone.
fn web() -> Option<(Case, Output, u16)> {
    let registry = Registry::find()?;
    let case = Case::on("plain", format!("{}/k8orc/bookworm-nginx:1", registry.open));
    let port = free_port();
    case.edit("nginx.conf", "listen 8080", &format!("listen 127.0.0.1:{port}"));
    let output = case.build()?;
    Some((case, output, port))
}

#[test]
fn k8orc_test_passes_on_what_it_built() {
    let Some(()) = Need::root() else { return };
    let Some(_) = Need::tool("runc") else { return };
    let Some(registry) = Registry::find() else { return };
    let case = Case::on("plain", format!("{}/k8orc/bookworm-nginx:1", registry.open));
    if case.build().is_none() {
        return;
    }
    let Some(tested) = case.k8orc(&case.with_spec(&["test"])) else { return };
    let said = tested.ok().out();
    for line in ["http GET", "exec /usr/sbin/nginx -t  passed", "exit             0 (SIGQUIT)"] {
        assert!(said.contains(line), "{line} in\n{said}");
    }
    assert!(!said.contains("FAILED"), "{said}");
}

/// A profile that lacks a call of nginx: the test fails, names the call and what to write.
#[test]
fn k8orc_test_names_the_call_that_is_missing() {
    let Some(()) = Need::root() else { return };
    let Some(_) = Need::tool("runc") else { return };
    let Some(registry) = Registry::find() else { return };
    let said = |from: &str, to: &str| {
        let case = Case::on("plain", format!("{}/k8orc/bookworm-nginx:1", registry.open));
        case.edit("spec.kdl", from, to);
        case.build()?;
        let tested = case.k8orc(&case.with_spec(&["test"]))?.with_code(1);
        Some(tested.out() + &tested.err())
    };
    // Nothing allows it: the line to add.
    let groups = "allow \"@basic-io\" \"@file-system\" \"@identity\" \"@memory\" \"@network-io\" \"@process\" \
                  \"@setuid\" \"@signal\" \"@thread\" \"@timer\"";
    let Some(missing) = said("allow \"@runtime-default\"", groups) else { return };
    assert!(missing.contains("forbidden call   epoll_create"), "{missing}");
    assert!(missing.contains("syscalls { allow \"epoll_create"), "{missing}");
    // The spec takes it away: an `allow` would contradict that.
    let Some(denied) = said("deny \"ptrace\"", "deny \"epoll_create\" \"epoll_create1\" \"ptrace\"") else { return };
    assert!(denied.contains("the spec takes it away: epoll_create"), "{denied}");
    assert!(denied.contains("out of `deny`") && !denied.contains("allow \"epoll_create"), "{denied}");
}

/// podman, as the image's own user, read-only, no capability: the filter is the one in the image.
#[test]
fn nginx_answers_under_podman() {
    let Some((_case, output, port)) = web() else { return };
    let Some(podman) = Podman::find() else { return };
    pull(&podman, &output);
    let mut command = podman.command();
    command.args(["run", "--detach", "--name", "web", "--network", "host", "--read-only", "--cap-drop", "all"]);
    let (uid, gid) = output.user();
    let cache = owned_directory(uid, gid);
    let volume = format!("{}:/var/cache/nginx", cache.path().display());
    command.args(["--security-opt", "no-new-privileges", "--volume", &volume, IMAGE]);
    run(&mut command, LIMIT).ok();
    let answer = wait_http(port, "/healthz", Duration::from_secs(60));
    let logs = || run(podman.command().args(["logs", "web"]), LIMIT).to_string();
    let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", logs()));
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok\n".as_slice()));
    let page = wait_http(port, "/", Duration::from_secs(10)).expect("it answered before");
    assert!(String::from_utf8_lossy(&page.body).contains("A page of the e2e tests."));

    // All its processes: the ids of the spec, no capability, no new privileges, and two filters for nginx
    // itself (podman's and ours) where PID 1, which installs it for others, has one.
    let top = run(podman.command().args(["top", "web", "pid,user,group,seccomp,args"]), LIMIT).ok().out();
    let lines: Vec<_> = top.lines().skip(1).collect();
    assert!(lines.len() >= 3, "k8or, nginx and its workers:\n{top}");
    let statuses = statuses(&podman);
    assert!(statuses.len() >= 3, "{statuses:?}");
    for (name, status) in &statuses {
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:"), [uid, uid, uid, uid].map(|id| id.to_string()), "{name}");
        assert_eq!(field("Gid:"), [gid, gid, gid, gid].map(|id| id.to_string()), "{name}");
        assert_eq!(field("CapEff:"), ["0000000000000000"], "{name}");
        assert_eq!(field("NoNewPrivs:"), ["1"], "{name}");
        assert_eq!(field("Seccomp:"), ["2"], "{name}");
        let filters = if name == "k8or" { "1" } else { "2" };
        assert_eq!(field("Seccomp_filters:"), [filters], "{name}");
    }
    // It stops on the signal of the spec, with nothing left to kill.
    let stopped = run(podman.command().args(["stop", "--time", "30", "web"]), LIMIT).ok();
    drop(stopped);
    let code = run(podman.command().args(["inspect", "--format", "{{.State.ExitCode}}", "web"]), LIMIT).ok().out();
    assert_eq!(code.trim(), "0", "{}", logs());
}

/// `/proc/PID/status` of the container's processes, as this machine sees them, with their names.
fn statuses(podman: &Podman) -> Vec<(String, String)> {
    let text = run(podman.command().args(["top", "web", "hpid"]), LIMIT).ok().out();
    let read = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let named = |status: String| {
        let name = status.lines().next().and_then(|line| line.strip_prefix("Name:\t")).unwrap_or_default().to_owned();
        (name, status)
    };
    text.lines().skip(1).filter_map(|pid| read(pid.trim())).map(named).collect()
}

/// runc, with the profile for the node instead of podman's; the configuration is not k8orc's.
#[test]
fn nginx_answers_under_runc_with_the_profile_of_the_node() {
    let Some((_case, output, port)) = web() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(bundle) = Bundle::new(&tree.root()) else { return };
    let (uid, gid) = output.user();
    let cache = owned_directory(uid, gid);
    let mut config = Config::new(&["/k8or/k8or", "run", "--", "/usr/sbin/nginx", "-g", "daemon off;"], (uid, gid));
    config.seccomp = Some(json(&output.dir.join("seccomp/web.json")));
    config.mounts = vec![Mount { source: cache.path().to_owned(), target: "/var/cache/nginx".into(), readonly: false }];
    let mut container = bundle.start(&config);
    let answer = wait_http(port, "/healthz", Duration::from_secs(60));
    let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", container.output()));
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok\n".as_slice()));
    container.signal("QUIT");
    assert_eq!(container.wait(Duration::from_secs(60)), Some(0), "{}", container.output());
}

/// A volume as a pod gets it.
fn owned_directory(uid: u32, gid: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).expect("we are root");
    dir
}

/// The name of the image in podman's store.
const IMAGE: &str = "localhost/e2e:1";

fn pull(podman: &Podman, output: &Output) {
    let pulled = run(podman.command().args(["pull", "--quiet", &output.reference()]), LIMIT).ok().out();
    let id = pulled.trim();
    run(podman.command().args(["tag", id, IMAGE]), LIMIT).ok();
}

/// A call by its number (x86_64), made by perl; what it answered, or how it died.
fn call(number: u32) -> String {
    format!(
        "$| = 1; print qq(before\\n); my $r = syscall({number}, my $b = qq(\\0) x 512); print $r < 0 ? $!+0 : q(fine)"
    )
}
const SYSINFO: u32 = 99;
const GETPGID: u32 = 121;
const UNAME: u32 = 63;
/// In no default of a runtime without `CAP_SYS_PACCT`.
const ACCT: u32 = 163;
/// No kernel has it.
const NOBODYS: u32 = 900;
const ENOSYS: &str = "38";

/// The image with perl, on the open registry's base.
fn probe() -> Option<(Case, Output)> {
    let registry = Registry::find()?;
    let case = Case::on("probe", format!("{}/k8orc/bookworm-nginx:1", registry.open));
    let output = case.build()?;
    Some((case, output))
}

#[test]
fn a_forbidden_call_dies_under_podman() {
    if std::env::consts::ARCH != "x86_64" {
        return eprintln!("skipped: the numbers of the calls are those of x86_64");
    }
    let Some((_case, output)) = probe() else { return };
    let Some(podman) = Podman::find() else { return };
    pull(&podman, &output);
    let profile = format!("seccomp={}", output.dir.join("seccomp/probe.json").display());
    let podman_run = |seccomp: &str, entrypoint: &str, args: &[&str]| -> Run {
        let mut command = podman.command();
        command.args([
            "run",
            "--rm",
            "--network",
            "none",
            "--read-only",
            "--cap-drop",
            "all",
            "--security-opt",
            seccomp,
        ]);
        command.args(["--entrypoint", entrypoint, IMAGE]).args(args);
        run(&mut command, LIMIT)
    };
    // The image as it is says what its entrypoint says.
    let mut command = podman.command();
    command.args(["run", "--rm", "--network", "none", "--read-only", IMAGE]);
    assert_eq!(run(&mut command, LIMIT).ok().out(), "alive\n");

    // Without any filter the call is answered: it is the filter that kills.
    let bare = |number| podman_run("seccomp=unconfined", "/usr/bin/perl", &["-e", &call(number)]);
    assert_eq!(bare(SYSINFO).ok().out(), "before\nfine");

    // The filter in the image, by `k8or run`; as PID 1 it hands on how its program died.
    let sealed =
        |number| podman_run("seccomp=unconfined", "/k8or/k8or", &["run", "--", "/usr/bin/perl", "-e", &call(number)]);
    // The same by `k8or exec`, as probes and hooks run.
    let hook =
        |number| podman_run("seccomp=unconfined", "/k8or/k8or", &["exec", "--", "/usr/bin/perl", "-e", &call(number)]);
    // The profile of the node.
    let node = |number| podman_run(&profile, "/usr/bin/perl", &["-e", &call(number)]);
    let ways: [(&str, &dyn Fn(u32) -> Run); 3] = [("run", &sealed), ("exec", &hook), ("node", &node)];
    for (way, run) in ways {
        assert_eq!(run(SYSINFO).with_code(SIGSYS).out(), "before\n", "{way}: denied");
        assert_eq!(run(ACCT).with_code(SIGSYS).out(), "before\n", "{way}: never allowed");
        assert_eq!(run(UNAME).ok().out(), "before\nfine", "{way}: allowed");
        assert_eq!(run(GETPGID).ok().out(), format!("before\n{ENOSYS}"), "{way}: refused");
    }
    // runc answers ENOSYS above the highest number that a profile names; the image's own filter kills.
    assert_eq!(sealed(NOBODYS).with_code(SIGSYS).out(), "before\n");
}

#[test]
fn a_forbidden_call_dies_under_runc() {
    if std::env::consts::ARCH != "x86_64" {
        return eprintln!("skipped: the numbers of the calls are those of x86_64");
    }
    let Some((_case, output)) = probe() else { return };
    let Some(tree) = output.unpack() else { return };
    let Some(bundle) = Bundle::new(&tree.root()) else { return };
    let profile = |path: &Path| Some(json(path));
    let node = profile(&output.dir.join("seccomp/probe.json"));
    let under = |seccomp: &Option<serde_json::Value>, words: &[&str], number: u32| {
        let mut args = words.to_vec();
        let script = call(number);
        args.extend(["/usr/bin/perl", "-e", &script]);
        let mut config = Config::new(&args, output.user());
        config.seccomp.clone_from(seccomp);
        bundle.run(&config, LIMIT)
    };
    let in_image: &[&str] = &["/k8or/k8or", "run", "--"];
    for (seccomp, words) in [(&None, in_image), (&node, &[]), (&node, in_image)] {
        assert_eq!(under(seccomp, words, SYSINFO).with_code(SIGSYS).out(), "before\n");
        assert_eq!(under(seccomp, words, UNAME).ok().out(), "before\nfine");
        assert_eq!(under(seccomp, words, GETPGID).ok().out(), format!("before\n{ENOSYS}"));
    }
    assert_eq!(under(&None, &[], SYSINFO).ok().out(), "before\nfine", "it is the filter that kills");
}
