//! A server on this machine that says what a test wants, for a registry's bad days.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use formats::oci::{Digest, canonical, media};
use serde_json::json;

use super::support::archive;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Say {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// `Content-Length`, where it is another than the body's.
    pub length: Option<usize>,
    /// Bytes of the body after which the connection is closed.
    pub cut: Option<usize>,
}

impl Say {
    pub fn status(status: u16) -> Say {
        Say { status, headers: Vec::new(), body: Vec::new(), length: None, cut: None }
    }

    pub fn body(body: &[u8]) -> Say {
        Say { body: body.to_vec(), ..Say::status(200) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Say {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running server; its thread ends with the process.
pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers each request by `answer`, which gets it and the number of equal request lines before it.
    pub fn start(answer: impl Fn(&Seen, usize) -> Say + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let Some(request) = receive(&stream) else { continue };
                let before = record.lock().unwrap().iter().filter(|s| s.line == request.line).count();
                record.lock().unwrap().push(request.clone());
                let say = answer(&request, before);
                let _ = reply(&stream, &request, &say);
            }
        });
        Server { address, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests had a line that begins so.
    pub fn count(&self, start: &str) -> usize {
        self.seen().iter().filter(|s| s.line.starts_with(start)).count()
    }
}

fn receive(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    (!line.is_empty()).then_some(Seen { line, headers, body })
}

fn reply(mut stream: &TcpStream, request: &Seen, say: &Say) -> std::io::Result<()> {
    let length = say.length.unwrap_or(say.body.len());
    write!(stream, "HTTP/1.1 {} Said\r\nConnection: close\r\nContent-Length: {length}\r\n", say.status)?;
    for (name, value) in &say.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "\r\n")?;
    if !request.line.starts_with("HEAD") {
        stream.write_all(&say.body[..say.cut.unwrap_or(say.body.len())])?;
    }
    stream.flush()
}

/// An image for servers: its documents by path below `/v2/x/`.
pub struct Image {
    pub layer: Vec<u8>,
    pub digest: Digest,
    pub config: Digest,
    pub paths: BTreeMap<String, Vec<u8>>,
}

impl Image {
    pub fn new(size: usize) -> Image {
        let content: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let layer = archive(&content);
        let digest = Digest::of(&layer);
        let config = canonical(&json!({
            "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [digest.to_string()] },
        }));
        let manifest = canonical(&json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST,
            "config": { "mediaType": media::CONFIG, "digest": Digest::of(&config).to_string(), "size": config.len() },
            "layers": [{ "mediaType": media::LAYER, "digest": digest.to_string(), "size": layer.len() }],
        }));
        let config_digest = Digest::of(&config);
        let paths = BTreeMap::from([
            ("manifests/1".to_owned(), manifest.clone()),
            (format!("manifests/{}", Digest::of(&manifest)), manifest),
            (format!("blobs/{config_digest}"), config),
            (format!("blobs/{digest}"), layer.clone()),
        ]);
        Image { layer, digest, config: config_digest, paths }
    }

    pub fn manifest(&self) -> &[u8] {
        &self.paths["manifests/1"]
    }

    /// What a good registry would say.
    pub fn answer(&self, request: &Seen) -> Say {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let Some(body) = path.strip_prefix("/v2/x/").and_then(|path| self.paths.get(path)) else {
            return Say::status(if path == "/v2/" { 200 } else { 404 });
        };
        let start = request.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match start {
            None => Say::body(body).header("Content-Type", media::MANIFEST),
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
                Say { status: 206, ..Say::body(&body[start..]) }.header("Content-Range", &range)
            }
        }
    }
}
