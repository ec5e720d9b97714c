//! Builds that somebody ends: at twenty moments by an interrupt, at a hundred random ones by SIGKILL.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8orc_tests::fixture::{Desk, HELLO};

use super::{Chance, another_port, k8orc, leftovers, names, run, sealed};

#[test]
fn an_interrupt_at_any_moment_leaves_nothing() {
    let signals = ["INT", "TERM", "HUP"];
    at_any_moment(
        20,
        |n| signals[n as usize % 3],
        |desk, signal, code, output| {
            let expected = 128
                + match signal {
                    "INT" => 2,
                    "TERM" => 15,
                    _ => 1,
                };
            // 0: it was faster. Death by the signal itself: it was not yet listening, so it had not begun.
            assert!([0, expected].contains(&code), "SIG{signal} gave {code}: {output}");
            assert_eq!(leftovers(desk), [""; 0], "after SIG{signal}");
        },
    );
}

#[test]
fn a_kill_at_any_moment_is_cleaned_up_by_the_next_build() {
    at_any_moment(
        100,
        |_| "KILL",
        |_, _, code, output| {
            assert!([0, 137].contains(&code), "SIGKILL gave {code}: {output}");
        },
    );
}

/// Builds once; then starts builds and ends them at random moments of the time that the first took.
fn at_any_moment(moments: u32, signal: impl Fn(u32) -> &'static str, after: impl Fn(&Desk, &str, i32, &str)) {
    let desk = Desk::new(HELLO);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    let began = Instant::now();
    run(&mut build).ok();
    let whole = began.elapsed();
    let lock = desk.read("k8orc.lock");
    let mut before = sealed(&desk.path("out/hello"));
    let mut ended = 0;
    let mut chance = Chance::new();
    for n in 0..moments {
        let signal = signal(n);
        another_port(&desk, 9000 + u16::try_from(n).expect("small"));
        // A cold cache and no lock: the most to be interrupted in.
        std::fs::remove_dir_all(desk.path("cache")).expect("ours");
        std::fs::remove_file(desk.path("k8orc.lock")).expect("ours");
        let mut build = k8orc(&desk, "build").expect("it was there");
        let mut child =
            build.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(1) + chance.part(whole));
        // It may have ended by itself.
        let line = format!("kill -{signal} {}", child.id());
        let sent = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status();
        sent.expect("kill starts");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut said).expect("readable");
        let status = child.wait().expect("ours");
        let code =
            status.code().unwrap_or_else(|| 128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0));
        ended += u32::from(code != 0);

        let now = sealed(&desk.path("out/hello"));
        let written = std::fs::read_to_string(desk.path("k8orc.lock")).unwrap_or_else(|_| lock.clone());
        assert_eq!(written, lock, "SIG{signal} at {n}: the lock is whole or not there");
        after(&desk, signal, code, &said);

        run(&mut k8orc(&desk, "build").expect("it was there")).ok();
        let next = sealed(&desk.path("out/hello"));
        assert!(now == before || now == next, "SIG{signal} at {n}: the previous output is intact, or it was done");
        before = next;
        assert_eq!(leftovers(&desk), [""; 0], "SIG{signal} at {n}: the next build cleans up");
        assert_eq!(names(&desk.path("cache/tmp")), [""; 0], "SIG{signal} at {n}: and the cache");
        assert_eq!(desk.read("k8orc.lock"), lock);
    }
    // Later builds may be faster than the first.
    assert!(ended * 4 > moments, "many were ended before they were done: {ended} of {moments}");
}
