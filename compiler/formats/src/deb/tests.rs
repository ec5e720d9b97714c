//! Handmade packages, bent packages, and packages of dpkg-deb.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Cursor, Write};
use std::process::Command;

use super::*;
use crate::tar::{Entry, Writer};

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.append(&Entry { mode: 0o755, ..Entry::new("./", Kind::Directory) }, &mut io::empty()).unwrap();
    for (name, bytes) in files {
        let entry = Entry { mode: 0o644, mtime: 7, size: bytes.len() as u64, ..Entry::new(*name, Kind::File) };
        writer.append(&entry, &mut Cursor::new(bytes)).unwrap();
    }
    writer.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = codec::BlockGzip::new(Vec::new(), 1).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap().0
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        out.extend_from_slice(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).as_bytes(),
        );
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

fn package() -> Vec<u8> {
    let control = gzip(&archive(&[("./control", b"Package: a\n"), ("./postinst", b"#!/bin/sh\n")]));
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("_note", b"odd"),
        ("control.tar.gz", &control),
        ("data.tar", &archive(&[("./usr/a", b"hi")])),
    ])
}

#[test]
fn control_and_data_are_read() {
    let (control, mut data) = open(Cursor::new(package())).unwrap();
    assert_eq!(control.get("control").unwrap(), b"Package: a\n");
    assert_eq!((control.0.len(), control.0["postinst"].mtime), (2, 7));
    assert_eq!(data.next_entry().unwrap().unwrap().kind, Kind::Directory);
    assert_eq!(data.next_entry().unwrap().unwrap().path, b"./usr/a");
    assert_eq!(data.read_all(10).unwrap(), b"hi");
    assert!(data.next_entry().unwrap().is_none());
}

#[test]
fn every_cut_and_every_wrong_member_is_an_error() {
    let whole = package();
    let read = |bytes: &[u8]| -> Result<usize, String> {
        let (_, mut data) = open(Cursor::new(bytes.to_vec())).map_err(|e| e.to_string())?;
        let mut n = 0;
        while data.next_entry().map_err(|e| e.to_string())?.is_some() {
            n += 1;
        }
        data.drain().map_err(|e| e.to_string())?;
        Ok(n)
    };
    assert_eq!(read(&whole), Ok(2));
    for cut in (0..whole.len()).step_by(97) {
        assert!(read(&whole[..cut]).is_err(), "{cut}");
    }
    let control = gzip(&archive(&[("./control", b"x")]));
    let data = archive(&[]);
    for (members, message) in [
        (vec![("control.tar.gz", &control[..])], "expected the member \"debian-binary\""),
        (vec![("debian-binary", b"3.0\n".as_slice())], "format"),
        (vec![("debian-binary", b"2.0\n".as_slice()), ("data.tar", &data)], "expected the member \"control.tar\""),
        (vec![("debian-binary", b"2.0\n"), ("control.tar.bz2", &control)], "compression"),
        (vec![("debian-binary", b"2.0\n"), ("control.tar", &archive(&[("./x", b"")]))], "no file \"control\""),
        (vec![("debian-binary", b"2.0\n"), ("control.tar", &archive(&[("./a/../b", b"")]))], "control archive holds"),
        (vec![("debian-binary", b"2.0\n"), ("control.tar.gz", &control)], "too early"),
    ] {
        let error = read(&ar(&members)).unwrap_err();
        assert!(error.contains(message), "{error} / {message}");
    }
    let mut huge = ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", b"")]);
    let at = huge.len() - 12;
    huge[at..at + 10].copy_from_slice(b"9999999999");
    assert!(read(&huge).unwrap_err().contains("larger than"));
}

#[test]
fn packages_of_dpkg_deb_in_each_compression() {
    if !Command::new("dpkg-deb").arg("--version").output().is_ok_and(|o| o.status.success()) {
        assert_ne!(std::env::var("K8ORC_REQUIRE").as_deref(), Ok("all"), "dpkg-deb is not installed");
        eprintln!("skipped: dpkg-deb is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("DEBIAN")).unwrap();
    std::fs::write(
        root.join("DEBIAN/control"),
        "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: y\n",
    )
    .unwrap();
    std::fs::write(root.join("file"), "content").unwrap();
    for codec in ["gzip", "xz", "zstd", "none"] {
        let deb = dir.path().join("a.deb");
        let status = Command::new("dpkg-deb")
            .args(["--root-owner-group", &format!("-Z{codec}"), "-b"])
            .args([&root, &deb])
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let (control, mut data) = open(Cursor::new(std::fs::read(&deb).unwrap())).unwrap();
        assert!(control.get("control").unwrap().starts_with(b"Package: a"));
        let mut names = Vec::new();
        while let Some(entry) = data.next_entry().unwrap() {
            names.push(String::from_utf8(entry.path).unwrap());
        }
        assert_eq!(names, ["./", "./file"], "{codec}");
    }
}
