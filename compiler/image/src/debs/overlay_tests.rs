//! Handmade packages on handmade bases: what the layer holds, and what of the base stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use formats::tar::{Entry, Kind, Reader};
use plan::facts::Contents;
use plan::tree::FileNode;

use super::tests::{Debs, archive, directory, file, link};
use super::*;
use crate::read::{LayerInput, Options};

type Files = BTreeMap<String, (Entry, String)>;

const OLD: &str =
    "Package: old\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\nDescription:  odd   spacing\n";

/// A base of Debian's with the package `old`, which owns `/usr/old` and `/etc/old.conf`, and more.
struct Ground {
    entries: Vec<(Entry, Vec<u8>)>,
}

impl Ground {
    fn new() -> Ground {
        let mut ground = Ground { entries: Vec::new() };
        for path in ["etc", "usr", "usr/bin", "var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info", "srv"] {
            ground.entries.push((directory(path), Vec::new()));
        }
        ground
            .with(link("bin", "usr/bin"), "")
            .with(Entry { device: (1, 3), mode: 0o666, ..Entry::new("srv/null", Kind::CharDevice) }, "")
            .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nold:x:100:100::/:/bin/false\n")
            .file("etc/group", "root:x:0:\nold:x:100:\n")
            .file("usr/old", "of old")
            .file("etc/old.conf", "of old too")
            .file("usr/mine", "of nobody")
            .file("var/lib/dpkg/info/old.list", "/.\n/usr\n/usr/old\n/etc/old.conf\n")
            .file(
                "var/lib/dpkg/status",
                &format!("{OLD}\nPackage: zz\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"),
            )
    }

    fn with(mut self, entry: Entry, text: &str) -> Ground {
        self.entries.retain(|(there, _)| there.path != entry.path);
        self.entries.push((entry, text.as_bytes().to_vec()));
        self
    }

    fn file(self, path: &str, text: &str) -> Ground {
        let mut above: Vec<&str> = Vec::new();
        let mut ground = self;
        for part in path.split('/') {
            let dir = above.join("/");
            if !dir.is_empty() && !ground.entries.iter().any(|(entry, _)| entry.path == dir.as_bytes()) {
                ground = ground.with(directory(&dir), "");
            }
            above.push(part);
        }
        ground.with(file(path), text)
    }

    fn read(&self, debs: &Debs) -> crate::read::Base {
        let list: Vec<(Entry, &[u8])> = self.entries.iter().map(|(e, text)| (e.clone(), text.as_slice())).collect();
        let tar = archive(&list);
        let open = Arc::new(move || -> std::io::Result<Box<dyn std::io::Read + Send>> {
            Ok(Box::new(Cursor::new(tar.clone())))
        });
        let layer = LayerInput { name: "base".into(), digest: None, size: None, diff_id: None, open };
        crate::read::read(&[layer], &Options::new(debs.dir.path().join("cache"))).unwrap()
    }

    /// Entries of the layer with their contents, and the report; two runs give the same bytes.
    fn add(&self, debs: &Debs, effects: &str) -> Result<(Files, Report), Diagnostics> {
        let read = self.read(debs);
        let base = Base { tree: &read.tree, contents: &read.contents };
        let more = [EffectsFile { name: "test.effects", text: effects }];
        let mut out = Vec::new();
        let report = add(&base, &debs.all, Arch::X86_64, 1000, &more, &mut out)?;
        let mut again = Vec::new();
        add(&base, &debs.all, Arch::X86_64, 1000, &more, &mut again)?;
        assert!(out == again, "two layers differ");
        let mut reader = Reader::new(out.as_slice());
        let mut all = BTreeMap::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let text = String::from_utf8_lossy(&reader.read_all(1 << 20).unwrap()).into_owned();
            all.insert(String::from_utf8(entry.path.clone()).unwrap().trim_end_matches('/').to_owned(), (entry, text));
        }
        assert_eq!(report.entries, all.len() as u64);
        Ok((all, report))
    }

    fn error(&self, debs: &Debs, effects: &str) -> String {
        let all = self.add(debs, effects).unwrap_err();
        all.iter().map(|d| format!("{} {} {:?} {:?}\n", d.code.id(), d.message, d.notes, d.help)).collect()
    }
}

/// A script that is declared by its digest, with effects.
fn declared(package: &str, kind: &str, script: &str, effects: &str) -> String {
    let digest = script::read(script.as_bytes()).digest;
    format!("package {package}\nscript {kind} {digest}\n{effects}")
}

#[test]
fn the_layer_holds_what_is_new_and_what_changed() {
    let debs = Debs::new().deb("new", "", &[], &[(directory("./bin"), b""), (file("./bin/new"), b"program")]);
    let (layer, report) = Ground::new().add(&debs, "").unwrap();
    let names: Vec<&str> = layer.keys().map(String::as_str).collect();
    let info = ["var/lib/dpkg/info", "var/lib/dpkg/info/new.list", "var/lib/dpkg/status"];
    assert_eq!(names, [["usr/bin", "usr/bin/new", "var/lib/dpkg"].as_slice(), &info].concat());
    assert_eq!((layer["usr/bin/new"].1.as_str(), layer["usr/bin"].0.mtime), ("program", 1000));
    let new = "Package: new\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDescription: d\n\n";
    let rest = "Package: zz\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
    assert_eq!(layer["var/lib/dpkg/status"].1, format!("{new}{OLD}\n{rest}"));
    assert_eq!(report.packages, [("new".to_owned(), "1".to_owned(), "all".to_owned())]);
}

#[test]
fn files_of_installed_packages_are_theirs() {
    let new = |fields: &str| Debs::new().deb("new", fields, &[], &[(file("./usr/old"), b"of new")]);
    let error = Ground::new().error(&new(""), "");
    assert!(error.contains("E0563 new: /usr/old is also in old"), "{error}");
    let (layer, _) = Ground::new().add(&new("Replaces: old\n"), "").unwrap();
    assert_eq!(layer["usr/old"].1, "of new");
    assert_eq!(layer["var/lib/dpkg/info/old.list"].1, "/.\n/usr\n/etc/old.conf\n");
    // Nobody's file is replaced, as dpkg does it.
    let debs = Debs::new().deb("new", "", &[], &[(file("./usr/mine"), b"of new")]);
    assert_eq!(Ground::new().add(&debs, "").unwrap().0["usr/mine"].1, "of new");
}

#[test]
fn configuration_files_that_are_there_stay() {
    let debs = || {
        let data = [(file("./etc/a.conf"), b"shipped".as_slice()), (file("./etc/b.conf"), b"same")];
        Debs::new().deb("new", "", &[("conffiles", "/etc/a.conf\n/etc/b.conf\n")], &data)
    };
    let ground = || Ground::new().file("etc/a.conf", "mine").file("etc/b.conf", "same");
    let (layer, report) = ground().add(&debs(), "").unwrap();
    assert!(!layer.contains_key("etc/a.conf") && !layer.contains_key("etc/b.conf"));
    assert_eq!((layer["etc/a.conf.dpkg-dist"].1.as_str(), report.kept), ("shipped", vec!["/etc/a.conf".to_owned()]));
    assert!(!layer.contains_key("etc/b.conf.dpkg-dist"));
    // The sum in the database is of what is shipped: dpkg --verify tells.
    let shipped = " /etc/a.conf 8407efe4e76e884909955a5e7293661e\n";
    assert!(layer["var/lib/dpkg/status"].1.contains(shipped), "{}", layer["var/lib/dpkg/status"].1);
    // What a removed version left behind unedited is replaced without a question.
    let left = "Package: new\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 0\nConffiles:\n /etc/a.conf \
                cca8b2a02fa0ffcc25cd69aeea302f4d\n";
    let ground = ground().file("etc/a.conf", "mine").file("var/lib/dpkg/status", &format!("{left}\n{OLD}"));
    let edited = ground.add(&debs(), "").unwrap();
    let sum = {
        use md5::Digest as _;
        md5::Md5::digest(b"mine").iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let ground = ground
        .file("var/lib/dpkg/status", &format!("{}\n{OLD}", left.replace("cca8b2a02fa0ffcc25cd69aeea302f4d", &sum)));
    let (layer, report) = ground.add(&debs(), "").unwrap();
    assert_eq!((edited.1.kept.len(), report.kept.len(), layer["etc/a.conf"].1.as_str()), (1, 0, "shipped"));
    assert_eq!(layer["var/lib/dpkg/status"].1.matches("Package: new\n").count(), 1);
}

#[test]
fn the_administrators_choices_hold() {
    let ground = Ground::new()
        .file("etc/dpkg/dpkg.cfg.d/docker", "path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n")
        .file("var/lib/dpkg/statoverride", "old old 2750 /usr/bin/tool\n")
        .file("var/lib/dpkg/diversions", "/usr/bin/moved\n/usr/bin/moved.real\n:\n");
    let data = [
        (file("./usr/bin/tool"), b"t".as_slice()),
        (file("./usr/bin/moved"), b"m"),
        (directory("./usr/share"), b""),
        (directory("./usr/share/doc"), b""),
        (directory("./usr/share/doc/new"), b""),
        (directory("./usr/share/doc/new/examples"), b""),
        (file("./usr/share/doc/new/examples/x"), b"x"),
        (file("./usr/share/doc/new/copyright"), b"c"),
    ];
    let (layer, _) = ground.add(&Debs::new().deb("new", "", &[], &data), "").unwrap();
    let tool = &layer["usr/bin/tool"].0;
    assert_eq!((tool.mode, tool.uid, tool.gid), (0o2750, 100, 100));
    assert!(layer.contains_key("usr/bin/moved.real") && !layer.contains_key("usr/bin/moved"));
    assert!(layer.contains_key("usr/share/doc/new/copyright") && !layer.contains_key("usr/share/doc/new/examples/x"));
    assert!(layer["var/lib/dpkg/info/new.list"].1.contains("/usr/share/doc/new/examples/x\n"), "listed, as dpkg does");
    assert!(!layer.contains_key("var/lib/dpkg/diversions"), "unchanged");
}

#[test]
fn effects_change_the_base() {
    let effects =
        "  own /usr/mine 4711 old:old\n  remove /etc/old.conf\n  system-user new new /nonexistent /bin/false no-home\n";
    let debs = Debs::new().deb("new", "", &[("postinst", "configure new\n")], &[]);
    let ground = Ground::new()
        .with(Entry { xattrs: BTreeMap::from([(b"user.a".to_vec(), b"b".to_vec())]), ..file("usr/mine") }, "of nobody");
    let (layer, _) = ground.add(&debs, &declared("new", "postinst", "configure new\n", effects)).unwrap();
    let (mine, text) = &layer["usr/mine"];
    assert_eq!((mine.mode, mine.uid, mine.mtime, text.as_str()), (0o4711, 100, 5, "of nobody"));
    assert_eq!(mine.xattrs[b"user.a".as_slice()], b"b");
    assert!(layer.contains_key("etc/.wh.old.conf"));
    assert!(layer["etc/passwd"].1.ends_with("new:x:101:101::/nonexistent:/bin/false\n"), "{}", layer["etc/passwd"].1);
    assert!(!layer.contains_key("usr/old") && !layer.contains_key("srv/null") && !layer.contains_key("srv"));
}

#[test]
fn a_diversion_moves_what_is_there() {
    let debs = Debs::new().deb("new", "", &[("preinst", "divert it\n")], &[(file("./usr/old"), b"of new")]);
    let effects = declared("new", "preinst", "divert it\n", "  divert /usr/old /usr/old.distrib\n");
    let (layer, _) = Ground::new().add(&debs, &effects).unwrap();
    assert_eq!((layer["usr/old"].1.as_str(), layer["usr/old.distrib"].1.as_str()), ("of new", "of old"));
    assert_eq!(layer["var/lib/dpkg/diversions"].1, "/usr/old\n/usr/old.distrib\nnew\n");
}

#[test]
fn triggers_of_installed_packages_are_pulled() {
    let ground = || {
        Ground::new()
            .file("var/lib/dpkg/triggers/File", "/usr/share/x old/noawait\n")
            .file("var/lib/dpkg/triggers/go", "zz\n")
    };
    let path = || Debs::new().deb("new", "", &[], &[(file("./usr/share/x/y"), b"1")]);
    let error = ground().error(&path(), "");
    assert!(error.contains("E0560 old: new pulls its trigger /usr/share/x"), "{error}");
    let (layer, _) = ground().add(&path(), "package old\ntriggered\n  write /usr/index 0644 done\n").unwrap();
    assert_eq!(layer["usr/index"].1, "done");
    // A name, and one that nobody pulls; and a dismissed one.
    let named = || Debs::new().deb("new", "", &[("triggers", "activate-noawait go\ninterest mine\n")], &[]);
    assert!(ground().error(&named(), "").contains("E0560 zz"));
    let (layer, _) = ground().add(&named(), "package zz\ntriggered\n").unwrap();
    assert_eq!(layer["var/lib/dpkg/triggers/mine"].1, "new\n");
    assert!(!layer.contains_key("var/lib/dpkg/triggers/File") && !layer.contains_key("var/lib/dpkg/triggers/go"));
}

#[test]
fn alternatives_that_were_chosen_by_hand_stay() {
    let script = "#!/bin/sh\nupdate-alternatives --install /usr/bin/x x /usr/bin/new 90\n";
    let debs = || Debs::new().deb("new", "", &[("postinst", script)], &[(file("./usr/bin/new"), b"1")]);
    let ground = |mode: &str| {
        Ground::new()
            .file(
                "var/lib/dpkg/alternatives/x",
                &format!("{mode}\n/usr/bin/x\ny\n/usr/bin/y\n\n/usr/old\n50\n/usr/mine\n\n"),
            )
            .file("etc/alternatives/README", "")
            .with(link("etc/alternatives/x", "/usr/old"), "")
            .with(link("etc/alternatives/y", "/usr/mine"), "")
            .with(link("usr/bin/x", "/etc/alternatives/x"), "")
            .with(link("usr/bin/y", "/etc/alternatives/y"), "")
    };
    let (layer, _) = ground("auto").add(&debs(), "").unwrap();
    assert_eq!(layer["etc/alternatives/x"].0.link, b"/usr/bin/new");
    assert!(layer.contains_key("etc/alternatives/.wh.y") && layer.contains_key("usr/bin/.wh.y"), "{:?}", layer.keys());
    assert!(!layer.contains_key("usr/bin/x"), "its link leads to the same place");
    let (layer, _) = ground("manual").add(&debs(), "").unwrap();
    assert!(!layer.contains_key("etc/alternatives/x") && !layer.contains_key("etc/alternatives/.wh.y"));
    let text = &layer["var/lib/dpkg/alternatives/x"].1;
    assert!(text.starts_with("manual\n") && text.contains("/usr/bin/new\n90\n"), "{text}");
}

#[test]
fn a_base_that_dpkg_would_not_work_on_is_refused() {
    let debs = || Debs::new().deb("new", "", &[], &[]);
    let half = OLD.replace("ok installed", "ok half-configured");
    let error = Ground::new().file("var/lib/dpkg/status", &half).error(&debs(), "");
    assert!(error.contains("E0566 old is half-configured in the base"), "{error}");
    for (name, text) in
        [("status", "nonsense\n"), ("diversions", "/a\n"), ("statoverride", "x\n"), ("info/old.list", "x\n")]
    {
        let error = Ground::new().file(&format!("var/lib/dpkg/{name}"), text).error(&debs(), "");
        assert!(error.contains(&format!("E0566 the base's /var/lib/dpkg/{name} cannot be read")), "{error}");
    }
    let twice = Debs::new().deb("zz", "", &[], &[]);
    assert!(Ground::new().error(&twice, "").contains("E0567 zz: it is there twice"));
}

#[test]
fn distroless_bases_get_their_own_form() {
    let mut ground = Ground::new()
        .file("var/lib/dpkg/status.d/old", OLD)
        .file("var/lib/dpkg/status.d/old.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/old\n");
    ground
        .entries
        .retain(|(entry, _)| entry.path != b"var/lib/dpkg/status" && entry.path != b"var/lib/dpkg/info/old.list");
    let debs = Debs::new().deb("new", "", &[("md5sums", "sum  usr/new\n")], &[(file("./usr/new"), b"1")]);
    let (layer, _) = ground.add(&debs, "").unwrap();
    assert_eq!(layer["var/lib/dpkg/status.d/new"].1, "Package: new\nVersion: 1\nArchitecture: all\nDescription: d\n");
    assert_eq!(layer["var/lib/dpkg/status.d/new.md5sums"].1, "sum  usr/new\n");
    assert!(!layer.contains_key("var/lib/dpkg/status"));
    let taken = Debs::new().deb("new", "", &[], &[(file("./usr/old"), b"1")]);
    assert!(ground.error(&taken, "").contains("E0563"));
}

/// Contents of which one file cannot be read, told by its size.
struct Failing<'a>(&'a dyn Contents, u64);

impl Failing<'_> {
    fn check(&self, file: &FileNode) -> Result<(), Diagnostic> {
        let problem = || Diagnostic::new(codes::E0510, "the cached content was changed");
        if file.size == self.1 { Err(problem()) } else { Ok(()) }
    }
}

impl Contents for Failing<'_> {
    fn stream(&self, file: &FileNode, sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), Diagnostic> {
        self.check(file)?;
        self.0.stream(file, sink)
    }

    fn read(&self, file: &FileNode, limit: u64) -> Result<Vec<u8>, Diagnostic> {
        self.check(file)?;
        self.0.read(file, limit)
    }
}

#[test]
fn what_the_base_cannot_give_is_said_by_the_base() {
    let debs = Debs::new().deb("new", "", &[("postinst", "configure new\n")], &[]);
    let effects = declared("new", "postinst", "configure new\n", "  own /usr/mine 4711 old:old\n");
    let more = [EffectsFile { name: "test.effects", text: &effects }];
    let read = Ground::new().read(&debs);
    // In the order of reading: the database, a file that scripts may read, one that is only copied.
    for size in [OLD.len() + 71, "root:x:0:\nold:x:100:\n".len(), "of nobody".len()] {
        let failing = Failing(&read.contents, size as u64);
        let base = Base { tree: &read.tree, contents: &failing };
        let found = add(&base, &debs.all, Arch::X86_64, 1000, &more, &mut Vec::new()).map(drop);
        let found = found.expect_err(&size.to_string());
        assert_eq!(found.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0510"], "{size}");
    }
}
