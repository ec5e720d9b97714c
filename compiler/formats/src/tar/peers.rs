//! GNU tar and Python's tarfile as second opinions: they write, we read; we write, they read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::*;

/// Says why a test is skipped; a failure when nothing may be.
fn skip(why: &str) {
    assert_ne!(std::env::var("K8ORC_REQUIRE").as_deref(), Ok("all"), "{why}");
    eprintln!("skipped: {why}");
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success())
}

fn run(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn read(bytes: &[u8]) -> BTreeMap<String, (Entry, Vec<u8>)> {
    let mut reader = Reader::new(bytes);
    let mut all = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let content = reader.read_all(64 << 20).unwrap();
        let name = String::from_utf8_lossy(&entry.path).trim_end_matches('/').to_owned();
        all.insert(name, (entry, content));
    }
    all
}

fn sparse_file(path: &Path) -> Vec<u8> {
    let mut content = vec![0; 3 << 20];
    // 60 islands: more than the four segments of a header and one extension block hold.
    for island in 0..60 {
        content[island * 40960..][..4096].fill(island as u8 + 1);
    }
    let file = std::fs::File::create(path).unwrap();
    file.set_len(content.len() as u64).unwrap();
    for (at, block) in content.chunks(4096).enumerate().filter(|(_, b)| b[0] != 0) {
        std::os::unix::fs::FileExt::write_all_at(&file, block, at as u64 * 4096).unwrap();
    }
    content
}

#[test]
fn gnu_tar_archives_in_every_format() {
    if !has("tar") {
        return skip("GNU tar is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    let deep = format!("{}/{}", "d".repeat(120), "e".repeat(120));
    std::fs::create_dir_all(root.join(&deep)).unwrap();
    std::fs::write(root.join(&deep).join("leaf"), b"leaf").unwrap();
    std::os::unix::fs::symlink("t".repeat(150), root.join("link")).unwrap();
    std::fs::write(root.join("plain"), vec![b'p'; 1000]).unwrap();
    std::fs::hard_link(root.join("plain"), root.join("second")).unwrap();
    let content = sparse_file(&root.join("sparse"));
    std::fs::File::create(root.join("hole")).unwrap().set_len(1 << 20).unwrap();
    let formats = ["gnu", "oldgnu", "posix 0.0", "posix 0.1", "posix 1.0"];
    for format in formats {
        let mut command = Command::new("tar");
        let (name, version) = format.split_once(' ').unwrap_or((format, ""));
        command.current_dir(&root).args(["--sort=name", "--format", name, "-S", "-cf", "-"]);
        if !version.is_empty() {
            command.arg(format!("--sparse-version={version}"));
        }
        let all = read(&run(command.arg(".")));
        assert_eq!(all[&format!("./{deep}/leaf")].1, b"leaf", "{format}");
        assert_eq!(all["./link"].0.link, vec![b't'; 150], "{format}");
        assert_eq!(all["./second"].0.kind, Kind::Hardlink, "{format}");
        assert_eq!(all["./second"].0.link, b"./plain", "{format}");
        assert!(all["./sparse"].0.sparse.is_some(), "{format}");
        assert!(all["./sparse"].1 == content, "{format}: sparse content differs");
        assert_eq!(all["./hole"].1, vec![0; 1 << 20], "{format}");
    }
    // v7 and ustar cannot hold the long names; they get the short ones.
    for format in ["v7", "ustar"] {
        let mut command = Command::new("tar");
        command.current_dir(&root).args(["--format", format, "-cf", "-", "plain", "second"]);
        let all = read(&run(&mut command));
        assert_eq!(all["plain"].1, vec![b'p'; 1000], "{format}");
        assert_eq!(all["second"].0.kind, Kind::Hardlink, "{format}");
    }
}

#[test]
fn gnu_tar_xattrs() {
    if !has("tar") {
        return skip("GNU tar is not installed");
    }
    let dir = tempfile::tempdir_in(".").unwrap();
    std::fs::write(dir.path().join("f"), b"x").unwrap();
    let set = Command::new("setfattr").args(["-n", "user.k8orc", "-v", "0x0a000a"]).arg(dir.path().join("f")).status();
    if !set.is_ok_and(|status| status.success()) {
        return skip("setfattr is not installed, or the file system has no user attributes");
    }
    let mut command = Command::new("tar");
    command.current_dir(dir.path()).args(["--xattrs", "--format=posix", "-cf", "-", "f"]);
    let all = read(&run(&mut command));
    assert_eq!(all["f"].0.xattrs[b"user.k8orc".as_slice()], b"\n\0\n");
}

/// Makes one archive a format and prints what it holds as lines.
const PYTHON_WRITE: &str = r#"
import io, sys, tarfile
formats = dict(gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT, ustar=tarfile.USTAR_FORMAT)
name = sys.argv[1]
t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=formats[name])
def add(path, typ, data=b"", **kw):
    i = tarfile.TarInfo(path); i.type = typ; i.size = len(data)
    for k, v in kw.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
add("a/b", tarfile.REGTYPE, b"content", mode=0o4711, mtime=1700000000)
add("a/l", tarfile.SYMTYPE, linkname="../x")
add("a/h", tarfile.LNKTYPE, linkname="a/b")
add("dev", tarfile.CHRTYPE, devmajor=5, devminor=1)
add("p", tarfile.FIFOTYPE)
if name != "ustar":
    add("n" * 200, tarfile.REGTYPE, b"long", uid=3000000, gid=4000000)
    add("u\u00fc", tarfile.REGTYPE, mtime=-5)
t.close()
"#;

#[test]
fn python_archives() {
    if !has("python3") {
        return skip("python3 is not installed");
    }
    for format in ["gnu", "pax", "ustar"] {
        let all = read(&run(Command::new("python3").args(["-c", PYTHON_WRITE, format])));
        let (entry, content) = &all["a/b"];
        assert_eq!((entry.mode, entry.mtime, &content[..]), (0o4711, 1_700_000_000, &b"content"[..]));
        assert_eq!(all["a/l"].0.link, b"../x");
        assert_eq!(all["a/h"].0.link, b"a/b");
        assert_eq!((all["dev"].0.kind, all["dev"].0.device), (Kind::CharDevice, (5, 1)));
        assert_eq!(all["p"].0.kind, Kind::Fifo);
        if format != "ustar" {
            let (entry, content) = &all[&"n".repeat(200)];
            assert_eq!((entry.uid, entry.gid, &content[..]), (3_000_000, 4_000_000, &b"long"[..]));
            assert_eq!(all["uü"].0.mtime, -5);
        }
    }
}

const PYTHON_READ: &str = r#"
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    x = sorted((k, v) for k, v in m.pax_headers.items() if k.startswith("SCHILY"))
    print(m.name, m.type.decode(), oct(m.mode), m.uid, m.gid, m.size, int(m.mtime), m.linkname, m.uname, x)
"#;

#[test]
fn others_read_what_we_write() {
    let mut writer = Writer::new(Vec::new());
    let mut entry = Entry::new("usr", Kind::Directory);
    (entry.mode, entry.mtime) = (0o755, 7);
    writer.append(&entry, &mut &b""[..]).unwrap();
    let mut entry = Entry::new("usr/".to_owned() + &"f".repeat(150), Kind::File);
    (entry.mode, entry.uid, entry.gid, entry.mtime, entry.size) = (0o640, 9_000_000, 8, -3, 2);
    entry.xattrs.insert(b"user.a".to_vec(), b"b".to_vec());
    writer.append(&entry, &mut &b"hi"[..]).unwrap();
    let mut link = Entry::new("usr/link", Kind::Symlink);
    (link.mode, link.link) = (0o777, vec![b't'; 120]);
    writer.append(&link, &mut &b""[..]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.tar");
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
    if !has("python3") || !has("tar") {
        return skip("python3 or GNU tar is not installed");
    }
    let python = run(Command::new("python3").args(["-c", PYTHON_READ]).arg(&path));
    let expected = format!(
        "usr 5 0o755 0 0 0 7   []\n\
         usr/{} 0 0o640 9000000 8 2 -3   [('SCHILY.xattr.user.a', 'b')]\n\
         usr/link 2 0o777 0 0 0 0 {}  []\n",
        "f".repeat(150),
        "t".repeat(120)
    );
    assert_eq!(String::from_utf8_lossy(&python), expected);
    let listed = run(Command::new("tar").args(["--utc", "--numeric-owner", "-tvf"]).arg(&path));
    let listed = String::from_utf8_lossy(&listed);
    assert!(listed.contains("-rw-r----- 9000000/8"), "{listed}");
    assert!(listed.contains(&format!("usr/link -> {}", "t".repeat(120))), "{listed}");
}
