//! No room and no permission.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8orc_tests::fixture::{Desk, HELLO};
use k8orc_tests::peers::Need;

use super::{Chance, another_port, k8orc, leftovers, names, run, sealed};

/// A small file system, unmounted with the value.
pub struct Mount(PathBuf);

impl Mount {
    pub fn new(at: PathBuf, kilobytes: u64) -> Option<Mount> {
        Need::root()?;
        let mount = Need::tool("mount")?;
        fs::create_dir_all(&at).expect("ours");
        let size = format!("size={kilobytes}k");
        let status = Command::new(mount).args(["-t", "tmpfs", "-o", &size, "none"]).arg(&at).status();
        assert!(status.expect("mount starts").success(), "root may mount a tmpfs");
        Some(Mount(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()), "umount {}", self.0.display());
    }
}

/// Bytes of all files below a directory, in whole pages, as tmpfs counts.
fn pages(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).expect("ours") {
        let entry = entry.expect("ours");
        let about = entry.metadata().expect("ours");
        bytes += if about.is_dir() { pages(&entry.path()) } else { about.len().next_multiple_of(4096) };
    }
    bytes
}

/// Wherever in the output the room ends, the message is the same one.
#[test]
fn a_full_disk_is_one_message_wherever_it_fills() {
    let desk = Desk::new(HELLO);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    run(&mut build).ok();
    let whole = pages(&desk.path("out/hello")) / 1024;
    let before = sealed(&desk.path("out/hello"));
    let mut chance = Chance::new();
    for n in 1..=12 {
        let Some(small) = Mount::new(desk.path("small"), whole + 8 + chance.below(whole - 16)) else { return };
        let copied = Command::new("cp").args(["-a"]).arg(desk.path("out/hello")).arg(desk.path("small")).status();
        assert!(copied.expect("cp starts").success());
        another_port(&desk, 9000 + n);
        let failed = run(k8orc(&desk, "build").expect("it was there").arg("-o").arg(desk.path("small"))).with_code(3);
        assert!(failed.err().contains("E1003") && failed.err().contains("the disk is full"), "{failed}");
        assert_eq!(sealed(&desk.path("small/hello")), before, "the previous output is intact\n{failed}");
        assert_eq!(names(&desk.path("small")), ["hello"], "nothing is left behind");
        drop(small);
    }
}

#[test]
fn a_full_cache_says_how_to_make_room() {
    let desk = Desk::new(HELLO);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    run(&mut build).ok();
    let before = sealed(&desk.path("out/hello"));
    let mut chance = Chance::new();
    for n in 0..12 {
        let kilobytes = 4 * (1 + chance.below(20));
        let Some(small) = Mount::new(desk.path("tiny"), kilobytes) else { return };
        another_port(&desk, 9000 + n);
        let mut command = k8orc_tests::peers::k8orc(&desk.path("home")).expect("it was there");
        command.current_dir(desk.path("")).args(["build", "spec.kdl", "--cache", "tiny"]);
        let done = run(&mut command);
        if done.code() != 0 {
            assert_eq!(done.code(), 3, "{done}");
            let said = done.err();
            assert!(said.contains("E0515") || said.contains("E0420"), "{said}");
            assert!(said.contains("cache") && said.contains("No space left"), "{said}");
            assert_eq!(sealed(&desk.path("out/hello")), before, "the previous output is intact");
        } else {
            // Result layers are a matter of speed: without room for them the build is done all the same.
            assert!(kilobytes > 40, "{done}");
        }
        assert_eq!(leftovers(&desk), [""; 0]);
        assert_eq!(names(&desk.path("tiny/tmp")), [""; 0], "nothing half-written fills it");
        drop(small);
        run(&mut k8orc(&desk, "build").expect("it was there")).ok();
        another_port(&desk, 8080);
        run(&mut k8orc(&desk, "build").expect("it was there")).ok();
        assert_eq!(sealed(&desk.path("out/hello")), before);
    }
}

#[test]
fn an_output_that_may_not_be_written() {
    let desk = Desk::new(HELLO);
    let Some(mut build) = k8orc(&desk, "build") else { return };
    run(&mut build).ok();
    let before = sealed(&desk.path("out/hello"));
    another_port(&desk, 9000);

    // A file where a directory should be.
    desk.write("file", b"mine");
    let failed = run(k8orc(&desk, "build").expect("it was there").args(["-o", "file"])).with_code(3);
    assert!(failed.err().contains("E1002"), "{failed}");
    assert_eq!(desk.read("file"), "mine");

    // Directories that are not ours.
    desk.write("mine/hello/thesis.txt", b"years");
    let failed = run(k8orc(&desk, "build").expect("it was there").args(["-o", "mine"])).with_code(3);
    assert!(failed.err().contains("E1001") && failed.err().contains("outputs.sha256"), "{failed}");
    assert_eq!(
        (names(&desk.path("mine")), names(&desk.path("mine/hello"))),
        (vec!["hello".to_owned()], vec!["thesis.txt".to_owned()])
    );

    // Nobody may write where root can, so that is tried as nobody.
    let Some(()) = Need::root() else { return };
    let Some(setpriv) = Need::tool("setpriv") else { return };
    fs::set_permissions(desk.path(""), fs::Permissions::from_mode(0o755)).expect("ours");
    fs::create_dir(desk.path("nobody")).expect("ours");
    fs::set_permissions(desk.path("nobody"), fs::Permissions::from_mode(0o777)).expect("ours");
    let found = k8orc_tests::peers::k8orc(&desk.path("nobody")).expect("it was there");
    fs::copy(found.get_program(), desk.path("k8orc")).expect("ours");
    let mut command = Command::new(setpriv);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(desk.path("k8orc"));
    command
        .args(["build", "spec.kdl", "--cache"])
        .arg(desk.path("nobody/cache"))
        .current_dir(desk.path(""))
        .env_clear();
    let failed = run(&mut command).with_code(3);
    assert!(failed.err().contains("E1002") && failed.err().contains("Permission denied"), "{failed}");
    assert_eq!(sealed(&desk.path("out/hello")), before);
    assert_eq!(leftovers(&desk), [""; 0]);
}
