//! `migrate` and `verify` on real file systems: twice, interrupted, tampered with, full.

use crate::harness::{Place, errors, namespaces, sha256sum, status};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A place with a tree `from` of `files` files and an empty `claim`, sealed for each other.
fn place(files: usize) -> (Place, String) {
    let place = Place::new("");
    std::fs::create_dir_all(place.path("from/bin")).unwrap();
    std::fs::create_dir(place.path("claim")).unwrap();
    for number in 0..files {
        let directory = place.path(&format!("from/share/{}", number % 7));
        std::fs::create_dir_all(&directory).unwrap();
        let content = vec![number as u8; 1 + number * 997 % 20_000];
        std::fs::write(directory.join(format!("file-{number}")), content).unwrap();
    }
    std::fs::write(place.path("from/bin/tool"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(place.path("from/bin/tool"), PermissionsExt::from_mode(0o4755)).unwrap();
    std::fs::hard_link(place.path("from/bin/tool"), place.path("from/bin-tool")).unwrap();
    symlink("bin/tool", place.path("from/link")).unwrap();
    std::fs::set_permissions(place.path("from/bin"), PermissionsExt::from_mode(0o555)).unwrap();
    let digest = documented_digest(&place.path("from"));
    place.seal(&format!("filter none\ngeneration {} sha256:{digest}\n", place.text("from")));
    (place, digest)
}

/// The tree digest as INTERFACE.md describes it, by nothing of ours: std and sha256sum.
fn documented_digest(root: &Path) -> String {
    let mut records = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let (kind, mode, payload) = if meta.is_symlink() {
                ('l', 0o555, std::fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
            } else if meta.is_dir() {
                pending.push(path.clone());
                ('d', meta.mode(), String::new())
            } else {
                ('f', meta.mode(), sha256sum(&std::fs::read(&path).unwrap()))
            };
            if relative != ".k8or-generation" {
                let record = format!("{kind} {:04o} {relative}\0{payload}\n", mode & 0o555);
                records.push((relative, record));
            }
        }
    }
    records.sort();
    sha256sum(records.into_iter().map(|(_, record)| record).collect::<String>().as_bytes())
}

fn migrate(place: &Place) -> std::process::Output {
    let (from, to) = (place.text("from"), place.text("claim"));
    place.command(&["migrate", &from, &to]).output().unwrap()
}

#[test]
fn a_tree_is_migrated_verified_and_found_again() {
    let (place, digest) = place(40);
    let output = migrate(&place);
    assert_eq!(status(&output), 0, "{}", errors(&output));
    let generation = place.path(&format!("claim/sha256-{digest}"));
    let marker = std::fs::read_to_string(generation.join(".k8or-generation")).unwrap();
    assert_eq!(marker, format!("k8or-generation 1 sha256:{digest}\n"));
    let same = Command::new("diff")
        .args(["-r", "--no-dereference", "--exclude=.k8or-generation"])
        .args([&place.path("from"), &generation])
        .output()
        .unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    assert_eq!(documented_digest(&generation), digest);
    let tool = std::fs::metadata(generation.join("bin/tool")).unwrap();
    assert_eq!(tool.mode() & 0o7777, 0o755, "setuid stays behind");
    assert_eq!(tool.ino(), std::fs::metadata(generation.join("bin-tool")).unwrap().ino());
    let original = std::fs::metadata(place.path("from/bin/tool")).unwrap();
    assert_eq!((tool.mtime(), tool.mtime_nsec()), (original.mtime(), original.mtime_nsec()));

    let again = migrate(&place);
    assert_eq!(status(&again), 0);
    assert!(errors(&again).contains("nothing to copy"), "{}", errors(&again));

    let path = generation.to_str().unwrap();
    assert_eq!(status(&place.command(&["verify", path]).output().unwrap()), 0);
    std::fs::write(generation.join("share/0/file-0"), "bit rot").unwrap();
    let output = place.command(&["verify", path]).output().unwrap();
    assert_eq!(status(&output), 65, "{}", errors(&output));
}

#[test]
fn a_tampered_source_is_refused() {
    let (place, digest) = place(5);
    std::fs::write(place.path("from/share/0/file-0"), "tampered").unwrap();
    let output = migrate(&place);
    assert_eq!(status(&output), 65);
    assert!(errors(&output).contains("is itself not the sealed one"), "{}", errors(&output));
    assert!(!place.path(&format!("claim/sha256-{digest}/.k8or-generation")).exists());
}

#[test]
fn killed_at_any_moment_it_is_never_half_marked_and_ends_well() {
    let (place, digest) = place(300);
    let generation = place.path(&format!("claim/sha256-{digest}"));
    let (from, to) = (place.text("from"), place.text("claim"));
    let mut interrupted = 0;
    for round in 0..30u64 {
        let mut child = place.command(&["migrate", &from, &to]).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(500 + round * 700));
        let _ = child.kill();
        if child.wait().unwrap().code().is_none() {
            interrupted += 1;
        }
        if generation.join(".k8or-generation").exists() {
            assert_eq!(documented_digest(&generation), digest, "round {round}");
            std::fs::remove_file(generation.join(".k8or-generation")).unwrap();
        }
    }
    assert!(interrupted > 3, "only {interrupted} of 30 were interrupted");
    let output = migrate(&place);
    assert_eq!(status(&output), 0, "{}", errors(&output));
    assert_eq!(documented_digest(&generation), digest);
}

#[test]
fn a_full_claim_is_said_and_not_marked() {
    if !namespaces() {
        return;
    }
    let (place, digest) = place(200);
    for (size, expected) in [("400k", "not enough space for one more generation"), ("64m,nr_inodes=100", "inodes")] {
        let script = format!(
            "mount -t tmpfs -o size={size} none claim && {} migrate {} {}; echo status $?; ls -a claim/sha256-{digest} 2>&1",
            crate::harness::binary().display(),
            place.text("from"),
            place.text("claim"),
        );
        let output = Command::new("unshare")
            .current_dir(&place.0)
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("status 74"), "{size}: {text}{}", errors(&output));
        assert!(errors(&output).contains(expected), "{size}: {}", errors(&output));
        assert!(!text.contains(".k8or-generation"), "{text}");
    }
}

#[test]
fn a_claim_that_fills_up_in_the_middle_is_said_and_not_marked() {
    if !namespaces() {
        return;
    }
    let (place, _) = place(0);
    for number in 0..100u8 {
        std::fs::write(place.path(&format!("from/large-{number}")), vec![number; 1 << 20]).unwrap();
    }
    let digest = documented_digest(&place.path("from"));
    place.seal(&format!("filter none\ngeneration {} sha256:{digest}\n", place.text("from")));
    // The directory of the generation is made after the look at the free space: then it is taken.
    let script = format!(
        "mount -t tmpfs -o size=140m none claim || exit
         {} migrate {} {} & migration=$!
         until [ -d claim/sha256-{digest} ]; do :; done
         fallocate -l 80m claim/taken; wait $migration; echo status $?; ls -a claim/sha256-{digest}",
        crate::harness::binary().display(),
        place.text("from"),
        place.text("claim"),
    );
    let output = Command::new("unshare")
        .current_dir(&place.0)
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("status 74"), "{text}{}", errors(&output));
    assert!(errors(&output).contains("no space left on the device"), "{}", errors(&output));
    assert!(errors(&output).contains("the generation stays incomplete"), "{}", errors(&output));
    assert!(!text.contains(".k8or-generation"), "{text}");
}

#[test]
fn it_works_as_a_user_without_any_privilege() {
    let (place, _) = place(20);
    if !std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0) {
        eprintln!("skipped: only root can become another user here; the other tests ran without root");
        return;
    }
    let chowned = Command::new("chown").arg("65534:65534").arg(place.path("claim")).status().unwrap();
    assert!(chowned.success());
    let as_nobody = |arguments: &[&str]| {
        Command::new("setpriv")
            .current_dir(&place.0)
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"])
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg("./k8or/k8or")
            .args(arguments)
            .output()
            .unwrap()
    };
    // The build directory may be closed to other users.
    std::fs::copy(crate::harness::binary(), place.path("k8or/k8or")).unwrap();
    let (from, to) = (place.text("from"), place.text("claim"));
    for _ in 0..2 {
        let output = as_nobody(&["migrate", &from, &to]);
        assert_eq!(status(&output), 0, "{}", errors(&output));
    }
    std::fs::set_permissions(place.path("claim"), PermissionsExt::from_mode(0o500)).unwrap();
    let directory = format!("{to}/data");
    let output = as_nobody(&["directory", &directory, "0700"]);
    assert_eq!(status(&output), 74);
    assert!(errors(&output).contains("fsGroup"), "{}", errors(&output));
}
