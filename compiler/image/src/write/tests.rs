//! Layers, layouts and archives of a small plan made by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use formats::codec::{Codec, decoder};
use formats::oci::{Document, ImageConfig};
use formats::tar::{Kind, Reader};
use plan::facts::BaseIdentity;
use plan::kept::{Entry, Kept};
use plan::path::ImagePath;
use plan::plan::{Identity, Totals};
use plan::platform::Arch;
use plan::reason::Reason;
use plan::tree::{ContentRef, FileNode, Node, NodeKind};
use serde_json::{Value, json};

use super::*;

/// A base in memory: content by offset.
pub(super) struct Memory(pub Vec<u8>);

impl Contents for Memory {
    fn stream(&self, file: &FileNode, sink: Sink) -> Result<(), Diagnostic> {
        let start = file.at.offset as usize;
        for part in self.0[start..start + file.size as usize].chunks(1000) {
            sink(part).map_err(|e| Diagnostic::new(codes::E0543, e.to_string()))?;
        }
        Ok(())
    }

    fn read(&self, _: &FileNode, _: u64) -> Result<Vec<u8>, Diagnostic> {
        unreachable!("the writer streams")
    }
}

pub(super) struct Builder {
    pub base: Vec<u8>,
    pub entries: BTreeMap<ImagePath, Entry>,
}

pub(super) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text.as_bytes()).unwrap()
}

impl Builder {
    pub fn new() -> Builder {
        Builder { base: Vec::new(), entries: BTreeMap::new() }
    }

    fn add(&mut self, at: &str, kind: NodeKind, mode: u32, content: Content, layer: LayerKind) -> &mut Node {
        let node = Node { kind, mode, uid: 1, gid: 2, mtime: 1_600_000_000, xattrs: BTreeMap::new() };
        let reason = Reason::fact("a test");
        self.entries.insert(path(at), Entry { node, content, layer, reason });
        &mut self.entries.get_mut(&path(at)).unwrap().node
    }

    pub fn dir(&mut self, at: &str) -> &mut Node {
        self.add(at, NodeKind::Directory, 0o755, Content::Base, LayerKind::Os)
    }

    pub fn link(&mut self, at: &str, target: &str) -> &mut Node {
        self.add(at, NodeKind::Symlink(target.as_bytes().into()), 0o777, Content::Base, LayerKind::Os)
    }

    fn file(size: usize, sha256: [u8; 32], offset: usize, inode: Option<u32>) -> NodeKind {
        NodeKind::File(FileNode {
            size: size as u64,
            sha256,
            at: ContentRef { layer: 0, offset: offset as u64 },
            inode,
        })
    }

    pub fn base_file(&mut self, at: &str, content: &[u8], inode: Option<u32>) -> &mut Node {
        let kind = Self::file(content.len(), *Digest::of(content).bytes(), self.base.len(), inode);
        self.base.extend_from_slice(content);
        self.add(at, kind, 0o644, Content::Base, LayerKind::Os)
    }

    pub fn our_file(&mut self, at: &str, content: &[u8]) -> &mut Node {
        let kind = Self::file(content.len(), *Digest::of(content).bytes(), 0, None);
        self.add(at, kind, 0o600, Content::Bytes(content.into()), LayerKind::App)
    }

    pub fn plan(&self) -> ImagePlan {
        let kept = Kept {
            entries: self.entries.clone(),
            removed: BTreeMap::new(),
            packages: vec![],
            users: vec![],
            groups: vec![],
            programs: vec![],
            needed: BTreeMap::new(),
            setuid: vec![],
            deviations: vec![],
        };
        ImagePlan {
            platform: Platform { arch: Arch::X86_64, variant: None },
            base: BaseIdentity {
                reference: "docker.io/library/debian:trixie-slim".into(),
                digest: Some(format!("sha256:{}", "a".repeat(64))),
                created: None,
            },
            kept,
            config: json!({"config": {"User": "1000", "Healthcheck": {"Test": ["NONE"]}}, "x-unknown": [1]}),
            base_history: vec![json!({"created_by": "/bin/sh -c #(nop) ADD rootfs", "odd": 1})],
            annotations: BTreeMap::new(),
            user: Identity { uid: 1000, gid: 1000, groups: vec![], name: None, home: None },
            command: vec![],
            generations: BTreeMap::new(),
            before: Totals::default(),
            after: Totals::default(),
        }
    }
}

pub(super) fn sample() -> Builder {
    let mut b = Builder::new();
    b.dir("/usr");
    b.dir("/usr/bin").mode = 0o2755;
    let big: Vec<u8> = (0..2_500_000u32).map(|n| (n / 7 % 251) as u8).collect();
    b.base_file("/usr/bin/big", &big, None);
    b.base_file("/usr/bin/b", b"linked", Some(3));
    let shared = b.entries[&path("/usr/bin/b")].clone();
    b.entries.insert(path("/usr/bin/a"), shared.clone());
    b.entries.insert(path("/usr/bin/c"), shared);
    b.base_file("/usr/x", b"attributes", None).xattrs.insert(b"user.k8orc".to_vec(), b"\n\0".to_vec());
    b.link("/bin", "usr/bin");
    b.dir("/etc").mode = 0o711;
    b.dir("/etc/nginx");
    b.our_file("/etc/nginx/nginx.conf", b"events {}");
    b
}

pub(super) fn options(cache: Option<&Path>) -> Options<'_> {
    Options { cache, threads: 2, epoch: 1_700_000_000, ref_name: "latest", interrupted: None }
}

fn no_sources(_: &Content, _: Sink) -> Result<(), Diagnostic> {
    unreachable!("no source in this plan")
}

pub(super) fn write_sample(dir: &Path, builder: &Builder, options: &Options) -> Result<Written, Diagnostic> {
    let (plan, contents) = (builder.plan(), Memory(builder.base.clone()));
    write(dir, &[Input { plan: &plan, contents: &contents }], &no_sources, options)
}

fn blob(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

fn entries(dir: &Path, layer: &WrittenLayer) -> Vec<(formats::tar::Entry, Vec<u8>)> {
    let bytes = std::io::Cursor::new(fs::read(blob(dir, &layer.digest)).unwrap());
    let mut reader = Reader::new(decoder(Codec::Gzip, bytes).unwrap());
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        all.push((entry, reader.read_all(1 << 30).unwrap()));
    }
    all
}

fn names(list: &[(formats::tar::Entry, Vec<u8>)]) -> Vec<String> {
    list.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

/// Every file of a directory with its digest.
fn fingerprint(dir: &Path) -> BTreeMap<PathBuf, Digest> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let digest = Digest::of(&fs::read(&path).unwrap());
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), digest);
            }
        }
    }
    found
}

#[test]
fn layers_are_canonical() {
    let dir = tempfile::tempdir().unwrap();
    let written = write_sample(dir.path(), &sample(), &options(None)).unwrap();
    let [image] = &written.images[..] else { panic!() };
    let [os, app] = &image.layers[..] else { panic!() };
    let list = entries(dir.path(), os);
    assert_eq!(
        names(&list),
        [
            "bin",
            "etc/",
            "etc/nginx/",
            "usr/",
            "usr/bin/",
            "usr/bin/a",
            "usr/bin/b",
            "usr/bin/big",
            "usr/bin/c",
            "usr/x"
        ]
    );
    assert_eq!((list[5].0.kind, list[5].1.as_slice()), (Kind::File, b"linked".as_slice()));
    assert_eq!((list[6].0.kind, list[6].0.link.as_slice()), (Kind::Hardlink, b"usr/bin/a".as_slice()));
    assert_eq!((list[8].0.kind, list[8].0.link.as_slice()), (Kind::Hardlink, b"usr/bin/a".as_slice()));
    assert_eq!((list[4].0.mode, list[4].0.uid, list[4].0.gid, list[4].0.mtime), (0o2755, 1, 2, 1_600_000_000));
    assert_eq!(list[9].0.xattrs[b"user.k8orc".as_slice()], b"\n\0");
    // The directories above our files come again, with their own headers.
    let list = entries(dir.path(), app);
    assert_eq!(names(&list), ["etc/", "etc/nginx/", "etc/nginx/nginx.conf"]);
    assert_eq!((list[0].0.mode, list[2].0.mode, list[2].1.as_slice()), (0o711, 0o600, b"events {}".as_slice()));
}

#[test]
fn names_that_differ_are_no_hard_links() {
    let mut builder = sample();
    builder.entries.get_mut(&path("/usr/bin/b")).unwrap().node.mode = 0o4755;
    let dir = tempfile::tempdir().unwrap();
    let written = write_sample(dir.path(), &builder, &options(None)).unwrap();
    let list = entries(dir.path(), &written.images[0].layers[0]);
    assert_eq!((list[6].0.kind, list[6].0.mode), (Kind::File, 0o4755));
    assert_eq!((list[8].0.kind, list[8].0.mode), (Kind::Hardlink, 0o644));
}

#[test]
fn documents_keep_what_the_base_says() {
    let dir = tempfile::tempdir().unwrap();
    let written = write_sample(dir.path(), &sample(), &options(None)).unwrap();
    let image = &written.images[0];
    let manifest = fs::read(blob(dir.path(), &image.manifest.digest)).unwrap();
    let Document::Manifest(manifest) = Document::parse(&manifest, None).unwrap() else { panic!() };
    assert_eq!(manifest.annotations["org.opencontainers.image.base.name"], "docker.io/library/debian:trixie-slim");
    assert_eq!(manifest.annotations["org.opencontainers.image.base.digest"], format!("sha256:{}", "a".repeat(64)));
    let config = ImageConfig::parse(&fs::read(blob(dir.path(), &manifest.config.digest)).unwrap()).unwrap();
    assert_eq!(config.created.as_deref(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(config.diff_ids, image.layers.iter().map(|l| l.diff_id).collect::<Vec<_>>());
    assert_eq!(config.raw["x-unknown"], json!([1]));
    assert_eq!(config.raw["config"]["Healthcheck"]["Test"][0], "NONE");
    let steps: Vec<&Value> = config.history.iter().collect();
    assert_eq!(*steps[0], json!({"created_by": "/bin/sh -c #(nop) ADD rootfs", "empty_layer": true}));
    let made = steps.iter().filter(|step| step.get("empty_layer").is_none()).count();
    assert_eq!(made, image.layers.len());
    assert_eq!(written.top.annotations["org.opencontainers.image.ref.name"], "latest");
    check(dir.path(), &BTreeSet::new()).unwrap();
}

#[test]
fn nothing_but_the_plan_changes_a_byte() {
    let builder = sample();
    let first = tempfile::tempdir().unwrap();
    write_sample(first.path(), &builder, &options(None)).unwrap();
    let expected = fingerprint(first.path());
    let cache = tempfile::tempdir().unwrap();
    for (threads, cache) in [(1, None), (7, None), (2, Some(cache.path())), (3, Some(cache.path()))] {
        let again = tempfile::tempdir().unwrap();
        let options = Options { threads, ..options(cache) };
        write_sample(again.path(), &builder, &options).unwrap();
        assert_eq!(fingerprint(again.path()), expected, "{threads} threads, cache {}", cache.is_some());
    }
}

#[test]
fn an_unchanged_layer_is_not_compressed_again() {
    let cache = tempfile::tempdir().unwrap();
    let mut builder = sample();
    let run = |builder: &Builder| {
        let dir = tempfile::tempdir().unwrap();
        let written = write_sample(dir.path(), builder, &options(Some(cache.path()))).unwrap();
        check(dir.path(), &BTreeSet::new()).unwrap();
        written.images[0].layers.iter().map(|layer| layer.reused).collect::<Vec<_>>()
    };
    assert_eq!(run(&builder), [false, false]);
    assert_eq!(run(&builder), [true, true]);
    builder.our_file("/etc/nginx/nginx.conf", b"events { }");
    assert_eq!(run(&builder), [true, false]);
    builder.dir("/etc").mode = 0o755;
    assert_eq!(run(&builder), [false, false], "the header of a directory is part of both layers");
    // A poisoned blob or summary is made again.
    for name in ["data", "summary"] {
        for entry in fs::read_dir(cache.path().join("outputs")).unwrap() {
            let file = entry.unwrap().path().join(name);
            let mut bytes = fs::read(&file).unwrap();
            bytes[20] ^= 1;
            fs::write(&file, bytes).unwrap();
        }
        assert_eq!(run(&builder), [false, false], "{name}");
        assert_eq!(run(&builder), [true, true], "{name}");
    }
    assert_eq!(crate::sweep(cache.path()).unwrap(), 0);
}

#[test]
fn several_platforms_become_an_index() {
    let builder = sample();
    let (amd, contents) = (builder.plan(), Memory(builder.base.clone()));
    let mut arm = amd.clone();
    arm.platform = Platform { arch: Arch::Aarch64, variant: Some("v8".into()) };
    let inputs = [Input { plan: &amd, contents: &contents }, Input { plan: &arm, contents: &contents }];
    let dir = tempfile::tempdir().unwrap();
    let written = write(dir.path(), &inputs, &no_sources, &options(None)).unwrap();
    check(dir.path(), &BTreeSet::new()).unwrap();
    let index = fs::read(blob(dir.path(), &written.top.digest)).unwrap();
    let Document::Index(index) = Document::parse(&index, Some(&written.top.media_type)).unwrap() else { panic!() };
    let platforms: Vec<_> = index.manifests.iter().map(|m| m.platform.clone().unwrap()).collect();
    assert_eq!((platforms[0].architecture.as_str(), platforms[1].architecture.as_str()), ("amd64", "arm64"));
    assert_eq!(platforms[1].variant.as_deref(), Some("v8"));
    assert_ne!(written.images[0].config, written.images[1].config);
}

#[test]
fn an_empty_plan_still_makes_an_image() {
    let dir = tempfile::tempdir().unwrap();
    let written = write_sample(dir.path(), &Builder::new(), &options(None)).unwrap();
    assert_eq!(written.images[0].layers.len(), 1);
    check(dir.path(), &BTreeSet::new()).unwrap();
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut builder = sample();
    builder.base_file("/usr/y", b"", None).xattrs.insert(b"user.a=b".to_vec(), b"c".to_vec());
    let dir = tempfile::tempdir().unwrap();
    let error = write_sample(dir.path(), &builder, &options(None)).unwrap_err();
    assert_eq!(error.code, codes::E0540);
    assert!(error.message.contains("/usr/y"), "{error:?}");
}

#[test]
fn a_changed_source_is_refused() {
    // Bytes and sources take the same way past the hash of the plan.
    for (content, good) in [
        (Content::Bytes(b"planned"[..].into()), true),
        (Content::Bytes(b"changed"[..].into()), false),
        (Content::Bytes(b"planned and longer"[..].into()), false),
        (Content::Bytes(b""[..].into()), false),
        (Content::Rewrite, false),
    ] {
        let mut builder = sample();
        builder.our_file("/etc/app.conf", b"planned");
        builder.entries.get_mut(&path("/etc/app.conf")).unwrap().content = content;
        let dir = tempfile::tempdir().unwrap();
        match write_sample(dir.path(), &builder, &options(None)) {
            Ok(_) => assert!(good),
            Err(e) => assert!(!good && e.code == codes::E0541 && e.message.contains("/etc/app.conf"), "{e:?}"),
        }
        let left: Vec<_> = fs::read_dir(dir.path().join("blobs/sha256")).unwrap().collect();
        assert!(good || left.len() == 1, "the finished OS layer and no part of the other");
    }
}

#[test]
fn a_full_disk_is_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = write_sample(file.path(), &sample(), &options(None)).unwrap_err();
    assert_eq!((error.code, error.code.exit()), (codes::E0543, 3));
    // A real one, where the system has it.
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    std::os::unix::fs::symlink("/dev/full", blobs.join(".part")).unwrap();
    let error = write_sample(dir.path(), &sample(), &options(None)).unwrap_err();
    assert_eq!((error.code, error.code.exit()), (codes::E1003, 3));
    assert!(error.message.contains("the disk is full"), "{error:?}");
    assert!(!blobs.join(".part").exists());
}

#[test]
fn an_unwritable_cache_does_not_stop_the_build() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path(), &sample(), &options(Some(file.path()))).unwrap();
    check(dir.path(), &BTreeSet::new()).unwrap();
}

#[test]
fn an_interrupt_stops_writing() {
    let dir = tempfile::tempdir().unwrap();
    let interrupted = Some(Arc::new(AtomicBool::new(true)));
    let error = write_sample(dir.path(), &sample(), &Options { interrupted, ..options(None) }).unwrap_err();
    assert_eq!(error.code, codes::E0549);
}

#[test]
fn the_read_back_check_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    write_sample(dir.path(), &sample(), &options(None)).unwrap();
    check(dir.path(), &BTreeSet::new()).unwrap();
    let files: Vec<PathBuf> = fingerprint(dir.path()).into_keys().map(|path| dir.path().join(path)).collect();
    assert_eq!(files.len(), 6);
    for file in &files {
        let good = fs::read(file).unwrap();
        let refused = |what: &str| {
            let error = check(dir.path(), &BTreeSet::new()).expect_err(what);
            assert_eq!(error.code, codes::E0542, "{what} {}", file.display());
        };
        fs::remove_file(file).unwrap();
        refused("missing");
        if file.parent().unwrap() != dir.path() {
            let mut bent = good.clone();
            bent[good.len() / 2] ^= 1;
            fs::write(file, &bent).unwrap();
            refused("changed");
            fs::write(file, &good[..good.len() - 1]).unwrap();
            refused("cut");
        }
        fs::write(file, good).unwrap();
    }
    fs::write(dir.path().join("blobs/sha256/extra"), b"x").unwrap();
    assert_eq!(check(dir.path(), &BTreeSet::new()).unwrap_err().code, codes::E0542);
}

#[test]
fn an_archive_holds_the_uncompressed_layers() {
    let dir = tempfile::tempdir().unwrap();
    let written = write_sample(dir.path(), &sample(), &options(None)).unwrap();
    let tags = ["shop/web:1".to_owned()];
    let archive = || {
        let mut out = Vec::new();
        let name = Path::new("web.tar");
        docker_archive(dir.path(), &written.images[0], &tags, &mut out, name, &options(None)).map(|()| out)
    };
    let bytes = archive().unwrap();
    assert_eq!(bytes, archive().unwrap());
    let mut reader = Reader::new(&bytes[..]);
    let mut files = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        assert_eq!((entry.mode, entry.uid, entry.mtime), (0o644, 0, 1_700_000_000));
        files.insert(String::from_utf8(entry.path).unwrap(), reader.read_all(1 << 30).unwrap());
    }
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["shop/web:1"]));
    let layers = manifest[0]["Layers"].as_array().unwrap();
    for (layer, name) in written.images[0].layers.iter().zip(layers) {
        assert_eq!(Digest::of(&files[name.as_str().unwrap()]), layer.diff_id);
    }
    let config = &files[manifest[0]["Config"].as_str().unwrap()];
    assert_eq!(Digest::of(config), written.images[0].config.digest);
    // A layer that was exchanged since is noticed.
    let [os, app] = &written.images[0].layers[..] else { panic!() };
    fs::copy(blob(dir.path(), &app.digest), blob(dir.path(), &os.digest)).unwrap();
    assert!(archive().is_err());
}
