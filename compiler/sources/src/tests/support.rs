//! Images and surroundings for the tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use formats::codec::BlockGzip;
use formats::oci::{Digest, canonical, media};
use formats::tar::{Entry, Kind, Writer};
use plan::platform::Platform;
use plan::{BaseRef, SourcePath};
use serde_json::{Value, json};

use crate::{Cache, NetPolicy, Settings, Sources};

/// A program of the machine; without it the test is skipped, or fails when nothing may be skipped.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').map(|dir| Path::new(dir).join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var("K8ORC_REQUIRE").as_deref() != Ok("all"), "{name} is required");
        eprintln!("skipped: there is no {name}");
    }
    found
}

/// Runs a program and gives its output; it must succeed.
pub fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{} {arguments:?}: {errors}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

pub fn amd64() -> Platform {
    Platform::parse("linux/amd64").unwrap()
}

pub fn arm64() -> Platform {
    Platform::parse("linux/arm64").unwrap()
}

/// Sources with a cache and a home of their own, quick to lose patience.
pub fn sources(dir: &Path, policy: NetPolicy) -> Sources {
    sources_with(dir, policy, |_| {})
}

pub fn sources_with(dir: &Path, policy: NetPolicy, change: impl FnOnce(&mut Settings)) -> Sources {
    let env = BTreeMap::from([
        ("HOME".to_owned(), dir.join("home").display().to_string()),
        ("PATH".to_owned(), std::env::var("PATH").unwrap()),
    ]);
    let mut settings = Settings::new(env, policy);
    settings.backoff = Duration::from_millis(2);
    settings.timeout = Duration::from_secs(10);
    change(&mut settings);
    Sources::new(Cache::at(dir.join("cache")).unwrap(), settings)
}

pub fn offline() -> NetPolicy {
    NetPolicy { offline: true, locked: false }
}

pub fn source(dir: &Path, path: &str) -> SourcePath {
    SourcePath { root: dir.to_owned(), path: path.into() }
}

pub fn oci(dir: &Path, path: &str, tag: Option<&str>) -> BaseRef {
    BaseRef::Oci { dir: source(dir, path), tag: tag.map(str::to_owned) }
}

/// A small archive that holds one file with `content`.
pub fn archive(content: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let mut entry = Entry::new("etc/content", Kind::File);
    (entry.size, entry.mode) = (content.len() as u64, 0o644);
    writer.append(&entry, &mut &content[..]).unwrap();
    writer.finish().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = BlockGzip::new(Vec::new(), 1).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap().0
}

/// An OCI layout in the making.
pub struct Layout {
    pub dir: PathBuf,
}

impl Layout {
    pub fn new(dir: impl Into<PathBuf>) -> Layout {
        let layout = Layout { dir: dir.into() };
        fs::create_dir_all(layout.dir.join("blobs/sha256")).unwrap();
        fs::write(layout.dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        layout
    }

    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.dir.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    /// An image of one gzipped layer for each content.
    pub fn image(&self, architecture: &str, contents: &[&[u8]]) -> Value {
        self.annotated(architecture, contents, json!({}))
    }

    pub fn annotated(&self, architecture: &str, contents: &[&[u8]], annotations: Value) -> Value {
        let tars: Vec<Vec<u8>> = contents.iter().map(|content| archive(content)).collect();
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-02T03:04:05Z",
            "config": { "Env": ["A=b"], "Healthcheck": { "Test": ["NONE"] } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.blob(media::CONFIG, &canonical(&config));
        let layers: Vec<Value> = tars.iter().map(|tar| self.blob(media::LAYER_GZIP, &gzip(tar))).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": layers,
            "annotations": annotations,
        });
        let mut descriptor = self.blob(media::MANIFEST, &canonical(&manifest));
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
        descriptor
    }

    /// An index over `manifests`; its descriptor.
    pub fn index(&self, manifests: &[Value]) -> Value {
        let index = json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": manifests });
        self.blob(media::INDEX, &canonical(&index))
    }

    /// Writes `index.json`, with a tag for each entry.
    pub fn finish(&self, entries: &[(&str, &Value)]) {
        let manifests: Vec<Value> = entries
            .iter()
            .map(|(tag, descriptor)| {
                let mut descriptor = (*descriptor).clone();
                descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
                descriptor
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.dir.join("index.json"), canonical(&index)).unwrap();
    }
}

pub fn digest(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().to_owned()
}

/// All layers of an opened base, read to their ends.
pub fn contents(base: &crate::OpenedBase) -> Vec<Vec<u8>> {
    base.layers.iter().map(|layer| read(layer).unwrap()).collect()
}

pub fn read(layer: &crate::LayerSource) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    layer.open().map_err(|d| std::io::Error::other(d.message))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A docker-registry on a free port of this machine.
pub struct Registry {
    pub address: String,
    pub log: PathBuf,
    child: Child,
}

impl Registry {
    /// Starts one with its data in `dir`; `extra` is added to its configuration (two YAML levels deep).
    pub fn start(dir: &Path, extra: &str, http: &str) -> Option<Registry> {
        let program = tool("docker-registry")?;
        // Between the look for a free port and its use another process may take it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let data = dir.join("registry");
            fs::create_dir_all(&data).unwrap();
            let config = format!(
                "version: 0.1\nlog:\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{http}{extra}",
                data.display()
            );
            fs::write(dir.join("registry.yml"), config).unwrap();
            let log = dir.join("registry.log");
            let out = fs::File::create(&log).unwrap();
            let mut child = Command::new(&program)
                .arg("serve")
                .arg(dir.join("registry.yml"))
                .stdin(Stdio::null())
                .stdout(out.try_clone().unwrap())
                .stderr(out)
                .spawn()
                .unwrap();
            for _ in 0..500 {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if std::net::TcpStream::connect(&address).is_ok() {
                    return Some(Registry { address, log, child });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry does not start: {}", fs::read_to_string(dir.join("registry.log")).unwrap());
    }

    /// Copies an image there by skopeo.
    pub fn copy(&self, skopeo: &Path, from: &str, to: &str) {
        let to = format!("docker://{}/{to}", self.address);
        run(skopeo, &["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false", from, &to]);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
