//! `run` and `exec`: statuses, signals, orphans, the filter, the marker.

use crate::harness::{Place, errors, init_of, namespaces, sha256sum, status, wait_until};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const NONE: &str = "filter none\n";

/// A filter that kills at `mkdir` and `mkdirat` and allows everything else.
fn no_directories(place: &Place) -> String {
    filter_at_directories(place, 0x8000_0000)
}

fn filter_at_directories(place: &Place, action: u32) -> String {
    let (mkdir, mkdirat) = if cfg!(target_arch = "x86_64") { (83u32, 258u32) } else { (1 << 20, 34) };
    let instruction = |code: u16, yes: u8, no: u8, operand: u32| {
        let mut bytes = code.to_le_bytes().to_vec();
        bytes.extend([yes, no]);
        bytes.extend(operand.to_le_bytes());
        bytes
    };
    let filter = [
        instruction(0x20, 0, 0, 0),
        instruction(0x15, 2, 0, mkdir),
        instruction(0x15, 1, 0, mkdirat),
        instruction(0x06, 0, 0, 0x7fff_0000),
        instruction(0x06, 0, 0, action),
    ]
    .concat();
    std::fs::write(place.path("k8or/filter.bpf"), &filter).unwrap();
    format!("filter {} sha256:{} 5\n", place.text("k8or/filter.bpf"), sha256sum(&filter))
}

#[test]
fn the_status_is_the_programs_own() {
    if !namespaces() {
        return;
    }
    let place = Place::new("filter none\nprogram /bin/sh -c exit%209\n");
    std::fs::write(place.path("plain"), "no program\n").unwrap();
    std::fs::write(place.path("orphaned"), "#!/no/such/interpreter\n").unwrap();
    let mode = Command::new("chmod").args(["755"]).arg(place.path("orphaned")).status().unwrap();
    assert!(mode.success());
    let cases: [(&[&str], i32); 11] = [
        (&["run", "--", "/bin/sh", "-c", "exit 7"], 7),
        (&["run", "sh", "-c", "exit 0"], 0),
        (&["run"], 9),
        (&["run", "--", "sh", "-c", "kill -9 $$"], 137),
        (&["run", "--", "sh", "-c", "kill -SEGV $$"], 139),
        (&["run", "--", "no-such-program"], 127),
        (&["run", "--", "./plain"], 126),
        (&["run", "--", "./orphaned"], 127),
        (&["run", "--what"], 64),
        (&["exec", "--"], 64),
        (&["dance"], 64),
    ];
    for (arguments, expected) in cases {
        for mut command in [place.as_init(arguments), place.command(arguments)] {
            let output = command.output().unwrap();
            // As an ordinary process `run` becomes the program: a signal ends that process itself.
            let got = match std::os::unix::process::ExitStatusExt::signal(&output.status) {
                Some(signal) => 128 + signal,
                None => status(&output),
            };
            assert_eq!(got, expected, "{arguments:?}: {}", errors(&output));
        }
    }
}

#[test]
fn signals_are_passed_on() {
    if !namespaces() {
        return;
    }
    let place = Place::new(NONE);
    for (signal, name) in
        [(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (15, "TERM"), (28, "WINCH"), (34, "RTMIN")]
    {
        let program = format!("trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.02; done");
        let mut child = place.as_init(&["run", "--", "bash", "-c", &program]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        assert!(
            Command::new("kill").args([format!("-{signal}"), init_of(&child).to_string()]).status().unwrap().success()
        );
        assert_eq!(lines.next().unwrap().unwrap(), "got", "{name}");
        assert_eq!(child.wait().unwrap().code(), Some(5), "{name}");
    }
}

#[test]
fn a_program_that_does_not_handle_sigterm_ends_by_it() {
    if !namespaces() {
        return;
    }
    let place = Place::new(NONE);
    let mut child = place.as_init(&["run", "--", "sleep", "60"]).spawn().unwrap();
    let init = init_of(&child).to_string();
    let children = format!("/proc/{init}/task/{init}/children");
    wait_until("sleep is started", || {
        std::fs::read_to_string(&children)
            .ok()
            .and_then(|pid| std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).ok())
            .is_some_and(|name| name.trim() == "sleep")
    });
    assert!(Command::new("kill").args(["-TERM", &init]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_thousand_orphans_are_reaped_in_little_memory() {
    if !namespaces() {
        return;
    }
    let place = Place::new(NONE);
    let program = r#"
        for i in $(seq 1000); do (sleep 0.3 & ) ; done
        sleep 1
        zombies=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)
        echo "zombies $zombies"
        sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/memory \1/p' /proc/1/status
    "#;
    let output = place.as_init(&["run", "--", "sh", "-c", program]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("zombies 0\n"), "{text}");
    let memory = text.lines().find_map(|line| line.strip_prefix("memory ")).unwrap();
    assert!(memory.parse::<u32>().unwrap() < 2048, "{memory} KiB resident");
}

#[test]
fn the_program_starts_clean_and_in_its_own_group() {
    if !namespaces() {
        return;
    }
    let place = Place::new("");
    place.seal(&no_directories(&place));
    let program = "grep -E '^(SigBlk|SigIgn|SigCgt|NoNewPrivs|Seccomp):' /proc/self/status; \
                   echo pid $$ $(ps -o pgid= -p $$)";
    let output = place.as_init(&["run", "--", "bash", "-c", program]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in ["SigBlk:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "pid 2 2"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_call_outside_the_filter_kills_and_is_explained() {
    let place = Place::new("");
    place.seal(&no_directories(&place));
    let output = place.command(&["exec", "--", "mkdir", "made"]).output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(31), "{}", errors(&output));
    assert!(!place.path("made").exists());
    let output = place.command(&["exec", "--", "touch", "made"]).output().unwrap();
    assert_eq!(status(&output), 0, "{}", errors(&output));
    if namespaces() {
        let output = place.as_init(&["run", "--", "mkdir", "made2"]).output().unwrap();
        assert_eq!(status(&output), 159, "{}", errors(&output));
        assert!(errors(&output).contains("k8or: killed by SIGSYS: a system call that is not in"));
        // A process that nobody waits for.
        let orphan = "(sleep 0.05; exec mkdir made3) & sleep 0.02; exit 0";
        let waiting = "sh -c \"$1\"; sleep 0.3";
        let output = place.as_init(&["run", "--", "sh", "-c", waiting, "sh", orphan]).output().unwrap();
        assert_eq!(status(&output), 0, "{}", errors(&output));
        assert!(errors(&output).contains(" was killed by SIGSYS: a system call"), "{}", errors(&output));
    }
}

#[test]
fn a_changed_filter_or_configuration_is_refused() {
    let place = Place::new("");
    let filter = no_directories(&place);
    place.seal(&filter);
    let mut bytes = std::fs::read(place.path("k8or/filter.bpf")).unwrap();
    bytes[8] ^= 1;
    std::fs::write(place.path("k8or/filter.bpf"), bytes).unwrap();
    let output = place.command(&["exec", "--", "true"]).output().unwrap();
    assert_eq!(status(&output), 78, "{}", errors(&output));
    place.seal("filter none\ncolour blue\n");
    let output = place.command(&["exec", "--", "true"]).output().unwrap();
    assert_eq!(status(&output), 78);
    assert!(errors(&output).contains("k8or: k8or/sealed.conf: line 7: \"colour\" is not understood"));
}

#[test]
fn a_tree_without_its_marker_is_not_started_on() {
    let place = Place::new("");
    std::fs::create_dir(place.path("usr")).unwrap();
    let hex = sha256sum(b"some tree");
    place.seal(&format!("filter none\ngeneration {} sha256:{hex}\n", place.text("usr")));
    let output = place.command(&["run", "--", "true"]).output().unwrap();
    assert_eq!(status(&output), 78);
    assert!(errors(&output).contains("Kubernetes makes a missing subPath as an empty directory"));
    std::fs::write(place.path("usr/.k8or-generation"), format!("k8or-generation 1 sha256:{hex}\n")).unwrap();
    let output = place.command(&["run", "--", "true"]).output().unwrap();
    assert_eq!(status(&output), 0, "{}", errors(&output));
}

/// How `k8orc test` finds the call: the process stops there, and /proc says where.
#[test]
fn a_waiting_filter_stops_the_process_at_the_call() {
    let place = Place::new("");
    let filter = filter_at_directories(&place, 0x7fc0_0000);
    place.seal(&filter);
    let conf = place.path("k8or/sealed.conf");
    let text = std::fs::read_to_string(&conf).unwrap().replace("kill-process", "wait");
    std::fs::write(&conf, text).unwrap();
    let mut child = place.command(&["exec", "--", "mkdir", "made"]).spawn().unwrap();
    let call = format!("/proc/{}/syscall", child.id());
    let expected = if cfg!(target_arch = "x86_64") { "83 " } else { "34 " };
    wait_until("mkdir stops at mkdir", || std::fs::read_to_string(&call).is_ok_and(|text| text.starts_with(expected)));
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let helper = std::fs::read_to_string(children).unwrap();
    // It keeps the listener, but not the pipes that somebody may read to their end.
    let files = format!("/proc/{}/fd", helper.trim());
    wait_until("the helper lets go of the standard files", || {
        let names = std::fs::read_dir(&files).unwrap().map(|file| file.unwrap().file_name());
        let names = names.collect::<Vec<_>>();
        !names.is_empty() && !names.iter().any(|name| name == "0" || name == "1" || name == "2")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("made").exists());
    assert!(Command::new("kill").args(["-KILL", helper.trim()]).status().unwrap().success());
}
