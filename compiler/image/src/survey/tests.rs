//! Small bases in memory; `rewrite`'s tests use them too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io;

use diag::Diagnostic;
use plan::facts::{BaseIdentity, Contents, Facts, Family};
use plan::path::ImagePath;
use plan::platform::Platform;
use plan::tree::{ContentRef, FileNode, Node, NodeKind, Tree};
use sha2::Digest as _;

use super::*;

pub(crate) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

/// A tree with its contents in one buffer.
#[derive(Default)]
pub(crate) struct Small {
    pub tree: Tree,
    data: Vec<u8>,
}

impl Contents for Small {
    fn stream(&self, file: &FileNode, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Diagnostic> {
        sink(&self.read(file, u64::MAX)?).unwrap();
        Ok(())
    }

    fn read(&self, file: &FileNode, _: u64) -> Result<Vec<u8>, Diagnostic> {
        let start = file.at.offset as usize;
        Ok(self.data[start..start + file.size as usize].to_vec())
    }
}

impl Small {
    pub fn file(&mut self, at: &str, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        let at_ = ContentRef { layer: 0, offset: self.data.len() as u64 };
        self.data.extend_from_slice(bytes);
        let sha256 = sha2::Sha256::digest(bytes).into();
        let file = FileNode { size: bytes.len() as u64, sha256, at: at_, inode: None };
        self.node(at, NodeKind::File(file), 0o755)
    }

    pub fn link(&mut self, at: &str, target: &str) -> &mut Self {
        self.node(at, NodeKind::Symlink(target.as_bytes().into()), 0o777)
    }

    fn node(&mut self, at: &str, kind: NodeKind, mode: u32) -> &mut Self {
        let node = |kind, mode| Node { kind, mode, uid: 0, gid: 0, mtime: 1, xattrs: BTreeMap::new() };
        let mut above = path(at).parent();
        while let Some(directory) = above.filter(|d| !d.is_root()) {
            above = directory.parent();
            self.tree.nodes.entry(directory).or_insert_with(|| node(NodeKind::Directory, 0o755));
        }
        self.tree.nodes.insert(path(at), node(kind, mode));
        self
    }

    pub fn survey(&self) -> (Survey, Diagnostics) {
        survey(&self.tree, &Platform::parse("linux/amd64").unwrap(), self).unwrap()
    }

    pub fn facts(&self) -> Facts {
        let (survey, found) = self.survey();
        assert!(!found.has_errors(), "{found:#?}");
        Facts {
            platform: Platform::parse("linux/amd64").unwrap(),
            base: BaseIdentity { reference: "tar:base.tar".into(), digest: None, created: None },
            config: serde_json::json!({}),
            tree: self.tree.clone(),
            compressed_size: 0,
            packages: survey.packages,
            accounts: survey.accounts,
            files: survey.files,
        }
    }
}

/// A stanza of `status`.
pub(crate) fn stanza(name: &str, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!("{more}\n") };
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n{more}\n")
}

fn codes_of(found: &Diagnostics) -> Vec<&'static str> {
    found.iter().map(|d| d.code.id()).collect()
}

#[test]
fn packages_with_lists_sums_and_scripts() {
    let mut base = Small::default();
    let conf = "Conffiles:\n /etc/hello.conf 0123456789abcdef0123456789ABCDEF";
    base.file("/var/lib/dpkg/status", [stanza("libc6", "Multi-Arch: same"), stanza("hello", conf)].concat())
        .file("/var/lib/dpkg/info/hello.list", "/.\n/usr\n/usr/bin\n/usr/bin/hello\n/etc/hello.conf\n")
        .file("/var/lib/dpkg/info/hello.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/hello\n")
        .file("/var/lib/dpkg/info/hello.postinst", "#!/bin/sh\n")
        .file("/var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib/libc.so.6\n")
        .file("/var/lib/dpkg/info/libc6:i386.list", "/.\n/lib/other\n")
        .file("/var/lib/dpkg/info/format", "1\n")
        .file("/var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n");
    let facts = base.facts();
    assert_eq!(facts.packages.family, Family::Dpkg);
    let names: Vec<_> = facts.packages.packages.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["hello", "libc6"], "sorted");
    let hello = &facts.packages.packages[0];
    assert_eq!(hello.paths, ["/", "/etc/hello.conf", "/usr", "/usr/bin", "/usr/bin/hello"].map(path));
    assert_eq!(hello.conffiles, [(path("/etc/hello.conf"), "0123456789abcdef0123456789abcdef".into())]);
    assert_eq!(hello.md5sums[&path("/usr/bin/hello")], "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(hello.database_files.len(), 3);
    assert_eq!(facts.packages.packages[1].paths, ["/", "/lib/libc.so.6"].map(path));
    assert_eq!(facts.packages.diversions.len(), 2);
    assert_eq!(facts.packages.diversions[0].package.as_deref(), Some("dash"));
}

#[test]
fn dependencies_are_met_by_name_version_and_provides() {
    let mut base = Small::default();
    let status = [
        stanza(
            "app",
            "Depends: absent | lib (>= 2) | lib (>= 1.0), mta, awk, tool:any, versioned (>= 3), nobody (>= 1)",
        ),
        stanza("lib", ""),
        stanza("exim", "Provides: mta\nPriority: optional"),
        stanza("postfix", "Provides: mta\nPriority: important"),
        stanza("mawk", "Provides: awk\nPriority: required"),
        stanza("tool", "Multi-Arch: allowed").replace("amd64", "arm64"),
        stanza("new", "Provides: versioned (= 3.1), nobody"),
        stanza("old", "Provides: versioned (= 2.9)"),
        stanza("foreign", "").replace("amd64", "i386"),
        stanza("needs-foreign", "Pre-Depends: foreign"),
        "Package: rc\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n".into(),
    ];
    base.file("/var/lib/dpkg/status", status.concat());
    let facts = base.facts();
    let all = &facts.packages.packages;
    let met = |name: &str| -> Vec<Option<&str>> {
        let package = all.iter().find(|p| p.name == name).unwrap();
        package.depends.iter().map(|r| r.met_by.map(|at| all[at].name.as_str())).collect()
    };
    assert_eq!(met("app"), [Some("lib"), Some("postfix"), Some("mawk"), Some("tool"), Some("new"), None]);
    assert_eq!(met("needs-foreign"), [None], "another architecture does not do");
    assert!(!all.iter().any(|p| p.name == "rc"), "only remembered");
    let app = all.iter().find(|p| p.name == "app").unwrap();
    assert_eq!(app.depends[0].to_string(), "absent | lib (>= 2) | lib (>= 1.0)");
}

#[test]
fn distroless_has_a_file_for_each_package() {
    let mut base = Small::default();
    base.file("/var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\nArchitecture: all\n")
        .file("/var/lib/dpkg/status.d/tzdata.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\n");
    let facts = base.facts();
    let tzdata = &facts.packages.packages[0];
    assert_eq!(tzdata.paths, [path("/usr/share/zoneinfo/UTC")]);
    assert_eq!(tzdata.database_files.len(), 2);
}

#[test]
fn a_broken_database_is_an_error() {
    for (file, text) in [
        ("status", "Package: a\nrubbish\n"),
        ("status", "Package: a\nPackage: b\n"),
        ("status.d/x", "Package: a\n"),
        ("info/a.list", "relative\n"),
        ("info/a.list", "/../../etc\n"),
        ("info/a.md5sums", "zz\n"),
        ("diversions", "/a\n/b\n"),
    ] {
        let mut base = Small::default();
        base.file("/var/lib/dpkg/status", stanza("a", "")).file(&format!("/var/lib/dpkg/{file}"), text);
        let (_, found) = base.survey();
        assert_eq!(codes_of(&found), ["E0640"], "{file} {text:?}");
        assert!(found.0[0].message.contains(&format!("/var/lib/dpkg/{file}")), "{}", found.0[0].message);
    }
    let mut base = Small::default();
    base.file("/var/lib/dpkg/status", [stanza("a", ""), stanza("a", "")].concat());
    assert_eq!(codes_of(&base.survey().1), ["E0640"]);
}

#[test]
fn an_interrupted_installation_is_an_error() {
    let mut base = Small::default();
    base.file("/var/lib/dpkg/status", "").file("/var/lib/dpkg/updates/0001", "");
    assert_eq!(codes_of(&base.survey().1), ["E0641"]);
}

#[test]
fn families_are_told_apart() {
    let family = |files: &[&str]| {
        let mut base = Small::default();
        for file in files {
            base.file(file, if file.ends_with("/status") { stanza("a", "") } else { String::new() });
        }
        base.survey().0.packages.family
    };
    assert_eq!(family(&["/lib/apk/db/installed"]), Family::Apk);
    assert_eq!(family(&["/usr/lib/sysimage/rpm/rpmdb.sqlite"]), Family::Rpm);
    assert_eq!(family(&["/var/lib/rpm/Packages", "/var/lib/dpkg/status"]), Family::Dpkg);
    assert_eq!(family(&["/bin/busybox"]), Family::None);
    // A tool of another family has made its files, and lists nothing.
    let mut base = Small::default();
    base.file("/var/lib/dpkg/status", "").file("/lib/apk/db/installed", "");
    assert_eq!(base.survey().0.packages.family, Family::Apk);
}

#[test]
fn broken_account_lines_are_left_out() {
    let mut base = Small::default();
    let passwd = "root:x:0:0:Root:/root:/bin/sh\nevil:x:4294967296:0::/:\nroot:x:1:1::/:\n+nis::::::\nshort:x:1:1\n";
    base.file("/etc/passwd", passwd).file("/etc/group", "root:x:0:a,b\n");
    let (survey, found) = base.survey();
    assert_eq!(survey.accounts.users.len(), 1);
    assert_eq!((survey.accounts.users[0].uid, survey.accounts.users[0].comment.as_str()), (0, "Root"));
    assert_eq!(survey.accounts.groups[0].members, ["a", "b"]);
    assert_eq!(codes_of(&found), ["E0622"]);
    assert!(found.0[0].message.contains("/etc/passwd, line 2") && found.0[0].notes.len() == 3, "{:?}", found.0[0]);
    base.link("/etc/group", "/elsewhere");
    assert!(base.survey().1.has_errors());
}

#[test]
fn programs_are_looked_into_by_pieces() {
    use plan::decide::keep::{Inspect, Start};
    let mut base = Small::default();
    base.file("/pad", "xxxx").file("/entry", "#!/bin/sh -e\n").file("/bad", b"\x7fELF\x02\x01").file("/data", "abc");
    let Ok(own) = std::env::current_exe().and_then(std::fs::read) else { panic!("the test itself is a program") };
    base.file("/self", &own);
    let start = |name: &str| {
        let NodeKind::File(file) = &base.tree.nodes[&path(name)].kind else { panic!() };
        Programs(&base).base(file)
    };
    let script = Start::Script { interpreter: b"/bin/sh".to_vec(), argument: Some(b"-e".to_vec()) };
    assert_eq!(start("/entry").unwrap(), script);
    assert_eq!(start("/data").unwrap(), Start::Other);
    assert_eq!(start("/bad").unwrap_err().code.id(), "E0602");
    let Ok(Start::Elf(elf)) = start("/self") else { panic!() };
    assert_eq!(Programs(&base).bytes(&own).unwrap(), Start::Elf(elf.clone()));
    assert!(elf.needed.iter().any(|name| name.starts_with(b"libc.")), "{:?}", elf.needed);
}
