//! Handmade packages: dpkg's rules, scripts recognised, declared and refused, hostile input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};

use formats::tar::{Entry, Kind, Reader, Writer};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

fn archive(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, bytes) in entries {
        let entry = Entry { size: bytes.len() as u64, ..entry.clone() };
        writer.append(&entry, &mut Cursor::new(bytes)).unwrap();
    }
    writer.finish().unwrap()
}

fn file(path: &str) -> Entry {
    Entry { mode: 0o644, mtime: 5, ..Entry::new(path, Kind::File) }
}

fn directory(path: &str) -> Entry {
    Entry { mode: 0o755, mtime: 5, ..Entry::new(path, Kind::Directory) }
}

fn link(path: &str, target: &str) -> Entry {
    Entry { mode: 0o777, link: target.into(), ..Entry::new(path, Kind::Symlink) }
}

fn ar(control: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", b"2.0\n".as_slice()), ("control.tar", control), ("data.tar", data)] {
        out.extend_from_slice(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, bytes.len()).as_bytes(),
        );
        out.extend_from_slice(bytes);
    }
    out
}

/// A place for packages.
struct Debs {
    dir: TempDir,
    all: Vec<DebInput>,
}

impl Debs {
    fn new() -> Debs {
        Debs { dir: tempfile::tempdir().unwrap(), all: Vec::new() }
    }

    fn bytes(mut self, bytes: &[u8]) -> Debs {
        let path = self.dir.path().join(format!("{}.deb", self.all.len()));
        fs::write(&path, bytes).unwrap();
        self.all.push(DebInput { path, sha256: Sha256::digest(bytes).into() });
        self
    }

    /// A package with further lines of `control`, further control files, and its files.
    fn deb(self, name: &str, fields: &str, control: &[(&str, &str)], data: &[(Entry, &[u8])]) -> Debs {
        let text = format!("Package: {name}\nVersion: 1\nArchitecture: all\n{fields}Description: d\n");
        let mut files = vec![(file("./control"), text.as_bytes())];
        files.extend(control.iter().map(|(name, text)| (file(&format!("./{name}")), text.as_bytes())));
        self.bytes(&ar(&archive(&files), &archive(data)))
    }

    fn build(&self, effects: &str) -> Result<BTreeMap<String, (Entry, String)>, Diagnostics> {
        let mut out = Vec::new();
        let more = [EffectsFile { name: "test.effects", text: effects }];
        layer_with(&self.all, Arch::X86_64, 1000, &more, &mut out)?;
        let mut again = Vec::new();
        layer_with(&self.all, Arch::X86_64, 1000, &more, &mut again)?;
        assert!(out == again, "two builds differ");
        let mut reader = Reader::new(out.as_slice());
        let mut all = BTreeMap::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let text = String::from_utf8_lossy(&reader.read_all(1 << 20).unwrap()).into_owned();
            all.insert(String::from_utf8(entry.path.clone()).unwrap(), (entry, text));
        }
        Ok(all)
    }

    fn error(&self, effects: &str) -> String {
        let all = self.build(effects).unwrap_err();
        let show = |d: &Diagnostic| format!("{} {} {:?} {:?}\n", d.code.id(), d.message, d.notes, d.help);
        all.iter().map(show).collect()
    }
}

#[test]
fn files_go_where_links_lead_and_the_database_describes_them() {
    let conf = [(directory("./etc"), b"".as_slice()), (file("./etc/a.conf"), b"hello")];
    let tree = Debs::new()
        .deb(
            "b",
            "Homepage: h\nDepends: a (>=1)|c,d\n",
            &[("md5sums", ""), ("triggers", "interest-noawait /usr/x\n")],
            &[
                (directory("./bin"), b""),
                (file("./bin/b"), b"program"),
                (Entry { link: b"./bin/b".to_vec(), ..Entry::new("./bin/c", Kind::Hardlink) }, b""),
            ],
        )
        .deb("a", "Multi-Arch: foreign\n", &[("conffiles", "/etc/a.conf\n")], &conf)
        .build("")
        .unwrap();
    assert_eq!((tree["usr/bin/b"].1.as_str(), tree["usr/bin/b"].0.mtime), ("program", 5));
    assert_eq!((tree["usr/bin/c"].0.kind, tree["usr/bin/c"].0.link.as_slice()), (Kind::Hardlink, &b"usr/bin/b"[..]));
    assert_eq!((tree["bin"].0.kind, tree["bin"].0.link.as_slice()), (Kind::Symlink, &b"usr/bin"[..]));
    assert_eq!(tree["var/lib/dpkg/info/b.list"].1, "/bin\n/bin/b\n/bin/c\n");
    assert_eq!(tree["var/lib/dpkg/triggers/File"].1, "/usr/x b/noawait\n");
    assert_eq!(
        tree["var/lib/dpkg/status"].1,
        "Package: a\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\nVersion: 1\nConffiles:\n \
         /etc/a.conf 5d41402abc4b2a76b9719d911017c592\nDescription: d\n\nPackage: b\nStatus: install ok \
         installed\nArchitecture: all\nVersion: 1\nDepends: a (>= 1) | c, d\nDescription: d\nHomepage: h\n\n"
    );
}

#[test]
fn generated_blocks_are_recognised() {
    let script = "#!/bin/sh\nset -e\n# Automatically added by dh_installsystemd/13\nif [ \"$1\" = \"configure\" ]; then\n\
        \tdeb-systemd-helper unmask 'a.service' >/dev/null || true\n\tif deb-systemd-helper --quiet was-enabled 'a.service'; \
        then\n\t\tdeb-systemd-helper enable 'a.service' >/dev/null || true\n\tfi\nfi\n# End automatically added section\n\
        # Automatically added by dh_installinit/13\n\tupdate-rc.d a defaults >/dev/null || exit 1\n\
        # End automatically added section\nupdate-alternatives --install /usr/bin/x x /usr/bin/a 10 \\\n  --slave \
        /usr/bin/y y /usr/bin/none\nexit 0\n";
    let unit = b"[Install]\nWantedBy=multi-user.target\nAlias=z.service\n".as_slice();
    let init = b"# Default-Start: 2 3\n# Default-Stop:  0\n".as_slice();
    let tree = Debs::new()
        .deb(
            "a",
            "",
            &[("postinst", script)],
            &[
                (file("./lib/systemd/system/a.service"), unit),
                (file("./etc/init.d/a"), init),
                (Entry { mtime: 77, ..file("./usr/bin/a") }, b"x"),
            ],
        )
        .build("")
        .unwrap();
    let leads = |path: &str| String::from_utf8(tree[path].0.link.clone()).unwrap();
    assert_eq!(leads("etc/systemd/system/multi-user.target.wants/a.service"), "/lib/systemd/system/a.service");
    assert_eq!(leads("etc/systemd/system/z.service"), "/lib/systemd/system/a.service");
    assert_eq!((leads("etc/rc2.d/S01a"), leads("etc/rc0.d/K01a")), ("../init.d/a".into(), "../init.d/a".into()));
    assert!(!tree.contains_key("etc/rc4.d/S01a") && !tree.contains_key("usr/bin/y"));
    assert_eq!((leads("usr/bin/x"), leads("etc/alternatives/x")), ("/etc/alternatives/x".into(), "/usr/bin/a".into()));
    assert_eq!(tree["usr/bin/x"].0.mtime, 77);
    assert_eq!(
        tree["var/lib/dpkg/alternatives/x"].1,
        "auto\n/usr/bin/x\ny\n/usr/bin/y\n\n/usr/bin/a\n10\n/usr/bin/none\n\n"
    );
}

const SCRIPT: &str = "#!/bin/sh\nset -e\nfrobnicate \x1b[31m --all\n";

#[test]
fn an_unknown_script_is_quoted() {
    let debs = Debs::new().deb("a", "", &[("postinst", SCRIPT)], &[]).deb("b", "", &[("preinst", "wipe /\n")], &[]);
    let error = debs.error("");
    assert!(error.contains("E0560 a: its postinst does more than k8orc recognises"), "{error}");
    assert!(error.contains("line 3: frobnicate") && error.contains("E0560 b") && !error.contains('\x1b'), "{error}");
    let digest = script::read(SCRIPT.as_bytes()).digest;
    assert!(error.contains(&format!("script postinst {digest}")), "{error}");
    // Declared, or dismissed; and a changed script is not the declared one.
    let other = script::read(b"wipe /\n").digest;
    let effects = format!(
        "package a\nscript postinst {digest}\n  write /etc/done 0600 yes\\n\npackage b\nscript preinst {other}\n"
    );
    assert_eq!(debs.build(&effects).unwrap()["etc/done"].1, "yes\n");
    let changed = Debs::new().deb("a", "", &[("postinst", "frobnicate --some\n")], &[]);
    assert!(changed.error(&effects).contains("is not the one whose effects are declared"));
    // The same text in another package, or as another script, is declared for neither.
    assert!(Debs::new().deb("c", "", &[("postinst", SCRIPT)], &[]).error(&effects).contains("E0560 c"));
    assert!(Debs::new().deb("a", "", &[("preinst", SCRIPT)], &[]).error(&effects).contains("E0560 a"));
    // Nothing hides in a block of a known tool.
    let hidden = "# Automatically added by dh_installinit/1\nmkdir /srv/x\nwipe\n# End automatically added section\n";
    assert!(Debs::new().deb("a", "", &[("postinst", hidden)], &[]).error("").contains("line 3: wipe"));
    // Unknown tools do not hide their commands, and a block without its end is none.
    for text in [
        "# Automatically added by dh_evil/1\nwipe\n# End automatically added section\n",
        "# Automatically added by dh_installinit/1\nwipe\n",
    ] {
        assert!(Debs::new().deb("a", "", &[("postinst", text)], &[]).error("").contains("wipe"), "{text}");
    }
}

#[test]
fn damaged_packages_are_refused() {
    assert!(Debs::new().bytes(b"nonsense, nothing else").error("").contains("E0561"));
    let good = ar(&archive(&[(file("./control"), b"Package: a\nVersion: 1\nArchitecture: all\n")]), &archive(&[]));
    assert!(Debs::new().bytes(&good[..good.len() - 600]).error("").contains("E0561"));
}

#[test]
fn other_bytes_are_refused() {
    let debs = Debs::new().deb("a", "", &[], &[(file("./x"), b"1")]);
    let mut bytes = fs::read(&debs.all[0].path).unwrap();
    // After the archive's end: everything reads well, and the hash is another one.
    bytes.push(b'x');
    fs::write(&debs.all[0].path, &bytes).unwrap();
    assert!(debs.error("").contains("E0562"));
    // Damage that also breaks the archive is called by its cause.
    bytes[200] ^= 0xff;
    fs::write(&debs.all[0].path, &bytes).unwrap();
    assert!(debs.error("").contains("E0562"));
}

#[test]
fn a_file_of_two_packages() {
    let both = |fields: &str| {
        Debs::new().deb("a", "", &[], &[(file("./usr/x"), b"old")]).deb("b", fields, &[], &[(file("./usr/x"), b"new")])
    };
    assert!(both("").error("").contains("E0563 b: /usr/x is also in a"));
    assert!(both("Replaces: a (<< 1)\n").error("").contains("E0563"));
    let tree = both("Replaces: a (<< 2)\n").build("").unwrap();
    assert_eq!((tree["usr/x"].1.as_str(), tree["var/lib/dpkg/info/a.list"].1.as_str()), ("new", ""));
    // A diversion puts the other package's file aside.
    let digest = script::read(b"divert\n").digest;
    let effects = format!("package a\nscript preinst {digest}\n  divert /usr/x /usr/x.orig\n");
    let debs = Debs::new().deb("a", "", &[("preinst", "divert\n")], &[(file("./usr/x"), b"mine")]).deb(
        "b",
        "",
        &[],
        &[(file("./usr/x"), b"theirs")],
    );
    let tree = debs.build(&effects).unwrap();
    assert_eq!((tree["usr/x"].1.as_str(), tree["usr/x.orig"].1.as_str()), ("mine", "theirs"));
    assert_eq!(tree["var/lib/dpkg/diversions"].1, "/usr/x\n/usr/x.orig\na\n");
}

#[test]
fn paths_that_cannot_be() {
    for data in [
        vec![(file("./../x"), b"".as_slice())],
        vec![(file("./a"), b""), (file("./a/b"), b"")],
        vec![(file("./a"), b""), (directory("./a"), b"")],
        vec![(directory("./a"), b""), (file("./a"), b"")],
        vec![(link("./a", "b"), b""), (link("./b", "a"), b""), (file("./a/x"), b"")],
        vec![(Entry { link: b"./none".to_vec(), ..Entry::new("./h", Kind::Hardlink) }, b"")],
        vec![(Entry::new("./pipe", Kind::Fifo), b"")],
        vec![(file("./a\nb"), b"")],
        vec![(Entry { size: 0, ..file("./usr") }, b""), (file("./lib/x"), b"")],
    ] {
        let error = Debs::new().deb("a", "", &[], &data).error("");
        assert!(error.contains("E0564"), "{error}");
    }
    // A trigger's name is no way to write elsewhere.
    let triggers = [("triggers", "interest ..\n")];
    let error = Debs::new().deb("a", "", &triggers, &[]).error("");
    assert!(error.contains("E0564"), "{error}");
    // Links lead out of nothing: the tree is all there is.
    let data = [(link("./a", "../../../../etc"), b"".as_slice()), (file("./a/x"), b"1")];
    assert!(Debs::new().deb("a", "", &[], &data).build("").unwrap().contains_key("etc/x"));
}

#[test]
fn effects_files_are_checked() {
    let digest = "0".repeat(64);
    for bad in [
        "package".to_owned(),
        "script postinst 00".into(),
        "  copy /a /b".into(),
        "package a\nscript postinst xyz".into(),
        format!("package a\nscript postrm {digest}"),
        format!("package a\nscript postinst {digest}\n  explode /x"),
        format!("package a\nscript postinst {digest}\n  directory /x 999 root:root"),
    ] {
        let error = Debs::new().error(&bad);
        assert!(error.contains("E0565 effects: test.effects, line"), "{bad}: {error}");
    }
}

#[test]
fn effects_that_need_what_is_not_there() {
    let digest = script::read(b"do it\n").digest;
    let debs = Debs::new().deb("a", "", &[("postinst", "do it\n")], &[]);
    for effect in ["copy /none /x", "own / 0755 web:web", "member web web", "heredoc /etc/passwd", "own /none 0755 0:0"]
    {
        let error = debs.error(&format!("package a\nscript postinst {digest}\n  {effect}\n"));
        assert!(error.contains("E0566 a: "), "{effect}: {error}");
    }
}

#[test]
fn accounts_are_made_as_adduser_does() {
    let text = "cat > /etc/passwd <<EOF\nroot:*:0:0:root:/root:/bin/bash\nEOF\n";
    let group = "cat > /etc/group <<-'X'\n\troot:*:0:\n\tusers:*:100:\nX\n";
    let script = format!("{text}{group}");
    let digest = script::read(script.as_bytes()).digest;
    let effects = format!(
        "package a\nscript postinst {digest}\n  heredoc /etc/passwd\n  heredoc /etc/group\n  shadow\n  system-group \
         certs\n  system-user web web /var/web /usr/sbin/nologin The web\n  member web certs\n"
    );
    let tree = Debs::new().deb("a", "", &[("postinst", &script)], &[]).build(&effects).unwrap();
    assert_eq!(
        tree["etc/passwd"].1,
        "root:x:0:0:root:/root:/bin/bash\nweb:x:100:102:The web:/var/web:/usr/sbin/nologin\n"
    );
    assert_eq!(tree["etc/group"].1, "root:x:0:\nusers:x:100:\ncerts:x:101:web\nweb:x:102:\n");
    assert_eq!(tree["etc/shadow"].1, "root:*:0:0:99999:7:::\nweb:!:0::::::\n");
    assert_eq!(tree["etc/gshadow"].1, "root:*::\nusers:*::\ncerts:!::web\nweb:!::\n");
    assert_eq!((tree["etc/shadow"].0.mode, tree["etc/shadow"].0.gid), (0o640, 42));
    assert_eq!((tree["var/web/"].0.uid, tree["var/web/"].0.gid), (100, 102));
}

#[test]
fn control_data_are_checked() {
    for control in [
        "Package: a\nArchitecture: all\n",
        "Package: a\nVersion: 1\nArchitecture: arm64\n",
        "Package: ../a\nVersion: 1\nArchitecture: all\n",
        "Package: a\nVersion: 1\nArchitecture: all\nDepends: (\n",
        "Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n",
        "",
    ] {
        let bytes = ar(&archive(&[(file("./control"), control.as_bytes())]), &archive(&[]));
        assert!(Debs::new().bytes(&bytes).error("").contains("E0567"), "{control}");
    }
    assert!(Debs::new().deb("a", "", &[], &[]).deb("a", "", &[], &[]).error("").contains("it is there twice"));
}

#[test]
fn a_full_disk_is_said() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let debs = Debs::new().deb("a", "", &[], &[(file("./x"), b"1")]);
    let error = layer(&debs.all, Arch::X86_64, 0, &mut Full).unwrap_err();
    assert_eq!((error.0[0].code.id(), error.exit()), ("E0568", 3));
}

#[test]
fn the_layer_is_read_like_any_base() {
    let data = [(directory("./usr"), b"".as_slice()), (file("./usr/x"), b"content")];
    let debs = Debs::new().deb("a", "", &[], &data);
    let mut bytes = Vec::new();
    let report = layer(&debs.all, Arch::Aarch64, 0, &mut bytes).unwrap();
    assert_eq!((report.size, report.packages[0].0.as_str()), (bytes.len() as u64, "a"));
    let input = crate::read::LayerInput {
        name: "the layer".into(),
        digest: None,
        size: None,
        diff_id: None,
        open: std::sync::Arc::new(move || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>)),
    };
    let cache = tempfile::tempdir().unwrap();
    let base = crate::read::read(&[input], &crate::read::Options::new(cache.path())).unwrap();
    let path = plan::path::ImagePath::parse(b"/usr/x").unwrap();
    assert!(base.tree.get(&path).is_some());
}
