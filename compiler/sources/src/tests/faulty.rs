//! Against servers that fail, lie and lead astray.

use std::net::TcpListener;
use std::sync::Arc;

use diag::{Diagnostic, codes};
use formats::oci::{Digest, canonical};
use plan::BaseRef;
use serde_json::json;

use super::server::{Image, Say, Seen, Server};
use super::support::*;
use crate::{NetPolicy, OpenedBase};

/// Resolves and opens `x:1` of a server.
fn pull(server: &Server) -> Result<OpenedBase, Diagnostic> {
    let dir = tempfile::tempdir().unwrap();
    let sources = sources(dir.path(), NetPolicy::default());
    let base = BaseRef::Registry(format!("{}/x:1", server.address));
    let pin = sources.resolve(&base, &amd64())?;
    sources.open(&base, &pin)
}

/// As [`pull`], with the first layer read; the diagnostic behind a broken stream.
fn layer(server: &Server) -> Result<Vec<u8>, Diagnostic> {
    let opened = pull(server)?;
    let mut bytes = Vec::new();
    match opened.layers[0].open()?.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(e) => Err(opened.failure.take().unwrap_or_else(|| panic!("no diagnostic for {e}"))),
    }
}

fn is_blob(request: &Seen, image: &Image) -> bool {
    request.line.ends_with(&image.digest.to_string())
}

#[test]
fn faults_that_pass_are_sat_out() {
    for status in [408, 429, 500, 502, 503, 504] {
        let image = Image::new(100);
        let server = Server::start(move |request, before| {
            if before < 2 { Say::status(status).header("Retry-After", "0") } else { image.answer(request) }
        });
        assert_eq!(layer(&server).unwrap(), Image::new(100).layer, "{status}");
        assert_eq!(server.count("GET /v2/x/manifests/1"), 3);
    }
}

#[test]
fn a_server_that_stays_broken() {
    let server = Server::start(|_, _| {
        Say::body(b"{\"errors\":[{\"code\":\"X\",\"message\":\"no \\u001b[31m\"}]}").with_status(500)
    });
    let error = pull(&server).unwrap_err();
    assert_eq!((error.code, error.code.exit()), (codes::E0403, 3));
    assert_eq!(server.count("GET /v2/x/manifests/1"), 4);
    assert_eq!(error.notes, ["the registry says: no \\u{1b}[31m"]);
    // Nobody listens.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nobody = BaseRef::Registry(format!("{address}/x:1"));
    let dir = tempfile::tempdir().unwrap();
    let error = sources(dir.path(), NetPolicy::default()).resolve(&nobody, &amd64()).unwrap_err();
    assert_eq!(error.code, codes::E0403);
    // Somebody listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = BaseRef::Registry(format!("{}/x:1", silent.local_addr().unwrap()));
    let impatient =
        sources_with(dir.path(), NetPolicy::default(), |s| s.timeout = std::time::Duration::from_millis(50));
    assert_eq!(impatient.resolve(&silent, &amd64()).unwrap_err().code, codes::E0403);
}

#[test]
fn a_blob_goes_on_where_it_broke_off() {
    for ranges in [true, false] {
        let image = Image::new(1_000_000);
        let server = Server::start(move |request, before| {
            let mut request = request.clone();
            if !ranges {
                request.headers.remove("range");
            }
            let mut say = image.answer(&request);
            if is_blob(&request, &image) && before < 3 {
                say.cut = Some(if ranges { 300_000 } else { 300_000 * (before + 1) });
            }
            say
        });
        assert_eq!(layer(&server).unwrap(), Image::new(1_000_000).layer);
        let asked: Vec<_> = server.seen().iter().filter_map(|s| s.header("range").map(str::to_owned)).collect();
        assert_eq!(asked, ["bytes=300000-", "bytes=600000-", "bytes=900000-"], "ranges: {ranges}");
    }
}

#[test]
fn a_blob_that_never_comes() {
    let image = Image::new(1000);
    let server = Server::start(move |request, _| {
        let mut say = image.answer(request);
        say.cut = is_blob(request, &image).then_some(0);
        say
    });
    let error = layer(&server).unwrap_err();
    assert_eq!(error.code, codes::E0403);
    assert!(error.notes.iter().any(|n| n.contains("after 0 of ")));
    assert!(server.seen().len() < 10);
}

#[test]
fn another_content_is_refused() {
    type Change = fn(&mut Say, &Seen, &Image);
    let cases: [(&str, Change); 6] = [
        ("a blob with another byte", |say, request, image| {
            if is_blob(request, image) {
                say.body[600] ^= 1;
            }
        }),
        ("a blob that is longer", |say, request, image| {
            if is_blob(request, image) {
                say.body.push(0);
            }
        }),
        ("a blob that is announced shorter", |say, request, image| {
            if is_blob(request, image) {
                say.body.truncate(10);
            }
        }),
        ("a configuration of something else", |say, request, image| {
            if request.line.ends_with(&image.config.to_string()) {
                say.body = b"{}".to_vec();
            }
        }),
        ("a manifest that is not what its header says", |say, request, _| {
            if request.line.contains("manifests") {
                say.headers.push(("Docker-Content-Digest".into(), Digest::of(b"x").to_string()));
            }
        }),
        ("a range that is another", |say, request, image| {
            if is_blob(request, image) && request.header("range").is_none() {
                say.cut = Some(600);
            } else if is_blob(request, image) {
                say.body[0] ^= 1;
            }
        }),
    ];
    for (what, change) in cases {
        let image = Image::new(1000);
        let server = Server::start(move |request, _| {
            let mut say = image.answer(request);
            change(&mut say, request, &image);
            say
        });
        let error = layer(&server).expect_err(what);
        assert_eq!((error.code, error.code.exit()), (codes::E0408, 1), "{what}: {}", error.message);
    }
}

#[test]
fn a_length_that_lies_is_no_end() {
    // More announced than sent: cut off, and in the end given up.
    let image = Image::new(1000);
    let server = Server::start(move |request, _| {
        let mut say = image.answer(request);
        if request.line.contains("manifests") {
            say.length = Some(say.body.len() + 10);
        }
        say
    });
    assert_eq!(pull(&server).unwrap_err().code, codes::E0403);
    // A blob of which more is announced than its manifest says.
    let image = Image::new(1000);
    let server = Server::start(move |request, _| {
        let mut say = image.answer(request);
        if is_blob(request, &image) {
            say.length = Some(1 << 40);
        }
        say
    });
    assert_eq!(layer(&server).unwrap_err().code, codes::E0408);
}

#[test]
fn a_huge_manifest_is_not_read() {
    let server = Server::start(|_, _| Say::body(&vec![b' '; (4 << 20) + 1]));
    let error = pull(&server).unwrap_err();
    assert_eq!(error.code, codes::E0411);
    // Announced as larger than any memory.
    let server = Server::start(|request, _| {
        if request.line.contains("manifests") {
            Say { length: Some(1 << 50), ..Say::body(b"{") }
        } else {
            Say::status(200)
        }
    });
    assert_eq!(pull(&server).unwrap_err().code, codes::E0403);
}

#[test]
fn redirects_stay_safe() {
    let image = Arc::new(Image::new(1000));
    // A store of blobs on another port gets the request, and no credentials (CVE-2020-15157).
    let stored = Arc::clone(&image);
    let store = Server::start(move |_, _| Say::body(&stored.layer));
    let (stored, place) = (Arc::clone(&image), format!("http://{}/signed?x=%2F", store.address));
    let server = Server::start(move |request, _| {
        if is_blob(request, &stored) { Say::status(307).header("Location", &place) } else { stored.answer(request) }
    });
    assert_eq!(layer(&server).unwrap(), image.layer);
    assert_eq!(store.seen()[0].line, "GET /signed?x=%2F");
    for bad in
        ["http://192.0.2.1/x", "http://example.com/", "file:///etc/passwd", "https://u:p@127.0.0.1/", "http://[::"]
    {
        let stored = Arc::clone(&image);
        let server = Server::start(move |request, _| {
            if is_blob(request, &stored) { Say::status(302).header("Location", bad) } else { stored.answer(request) }
        });
        let error = layer(&server).expect_err(bad);
        assert_eq!((error.code, error.code.exit()), (codes::E0407, 3), "{bad}");
    }
    let stored = Arc::clone(&image);
    let server = Server::start(move |request, _| {
        if is_blob(request, &stored) {
            Say::status(302).header("Location", &format!("/v2/x/blobs/{}", stored.digest))
        } else {
            stored.answer(request)
        }
    });
    assert_eq!(layer(&server).unwrap_err().code, codes::E0403);
    assert_eq!(server.count("GET /v2/x/blobs/"), 2 + 5, "configuration, layer and five redirects");
}

#[test]
fn documents_in_two_senses_are_refused() {
    let document = canonical(&json!({ "schemaVersion": 2, "config": {}, "layers": [], "manifests": [] }));
    let server = Server::start(move |_, _| Say::body(&document));
    let error = pull(&server).unwrap_err();
    assert_eq!(error.code, codes::E0411);
    assert!(error.message.contains("two different images"), "{}", error.message);
}

#[test]
fn a_registry_that_rewrites() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    let manifest = std::fs::read(layout.dir.join("blobs/sha256").join(digest(&image).replace("sha256:", ""))).unwrap();
    // Says another digest at once; says nothing and stores something else; is all right.
    for (said, stored, good) in [
        (Some("sha256:0"), manifest.clone(), false),
        (None, Image::new(1).manifest().to_vec(), false),
        (None, manifest, true),
    ] {
        let own = Digest::of(&stored).to_string();
        let server = Server::start(move |request, _| match request.line.split(' ').next() {
            Some("HEAD") => Say::status(200),
            Some("PUT") => said.iter().fold(Say::status(201), |say, d| say.header("Docker-Content-Digest", d)),
            _ if request.line.ends_with("/manifests/1") || request.line.ends_with(&own) => Say::body(&stored),
            _ if request.line.contains("manifests") => Say::body(&stored),
            _ => Say::status(200),
        });
        let result = sources(dir.path(), NetPolicy::default()).push(&layout.dir, &format!("{}/x:1", server.address));
        match result {
            Ok(pushed) => assert!(good && pushed == digest(&image)),
            Err(error) => assert!(!good && [codes::E0441, codes::E0408].contains(&error.code), "{}", error.message),
        }
    }
}

#[test]
fn an_upload_is_tried_again_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("layout"));
    let image = layout.image("amd64", &[b"one"]);
    layout.finish(&[("1", &image)]);
    let manifest = std::fs::read(layout.dir.join("blobs/sha256").join(digest(&image).replace("sha256:", ""))).unwrap();
    let server = Server::start(move |request, before| match request.line.split(' ').next() {
        Some("HEAD") => Say::status(404),
        Some("POST") => Say::status(202).header("Location", &format!("/up/{before}")),
        Some("PUT") if request.line.starts_with("PUT /up/0") => Say::status(416),
        Some("PUT") => Say::status(201),
        _ if request.line.contains("manifests") => Say::body(&manifest),
        _ => Say::status(200),
    });
    let sources = sources(dir.path(), NetPolicy::default());
    assert_eq!(sources.push(&layout.dir, &format!("{}/x:1", server.address)).unwrap(), digest(&image));
    let sent: Vec<Vec<u8>> =
        server.seen().into_iter().filter(|s| s.line.starts_with("PUT /up/1")).map(|s| s.body).collect();
    assert!(sent.contains(&gzip(&archive(b"one"))));
    assert_eq!(sources.push(&layout.dir, "127.0.0.1:1/x:1").unwrap_err().code, codes::E0403);
    let quiet = super::support::sources(dir.path(), offline());
    assert_eq!(quiet.push(&layout.dir, "127.0.0.1:1/x:1").unwrap_err().code, codes::E0402);
}

#[test]
fn a_proxy_of_the_environment_is_asked() {
    let proxy = Server::start(|_, _| Say::status(403));
    let dir = tempfile::tempdir().unwrap();
    let base = BaseRef::Registry("registry.invalid/x:1".into());
    let through = |name: &str, value: String| {
        let name = name.to_owned();
        sources_with(dir.path(), NetPolicy::default(), |s| drop(s.env.insert(name, value))).resolve(&base, &amd64())
    };
    assert_eq!(through("HTTPS_PROXY", format!("http://{}", proxy.address)).unwrap_err().code, codes::E0403);
    assert_eq!(proxy.seen()[0].line, "CONNECT registry.invalid:443");
    let error = through("https_proxy", "http://".into()).unwrap_err();
    assert!(error.message.contains("https_proxy"), "{}", error.message);
    // This machine is never asked through a proxy.
    let image = Image::new(10);
    let server = Server::start(move |request, _| image.answer(request));
    let before = proxy.seen().len();
    let near = BaseRef::Registry(format!("{}/x:1", server.address));
    let sources = sources_with(dir.path(), NetPolicy::default(), |s| {
        s.env.insert("ALL_PROXY".into(), format!("http://{}", proxy.address));
    });
    sources.resolve(&near, &amd64()).unwrap();
    assert_eq!(proxy.seen().len(), before);
}

#[test]
fn a_known_tag_is_not_pulled_again() {
    let image = Image::new(10);
    let digest = Digest::of(image.manifest()).to_string();
    let server = Server::start(move |request, _| image.answer(request).header("Docker-Content-Digest", &digest));
    let dir = tempfile::tempdir().unwrap();
    let base = BaseRef::Registry(format!("{}/x:1", server.address));
    for _ in 0..2 {
        sources(dir.path(), NetPolicy::default()).resolve(&base, &amd64()).unwrap();
    }
    assert_eq!(server.count("GET /v2/x/manifests/"), 1);
    assert_eq!(server.count("HEAD /v2/x/manifests/1"), 2);
}

impl Say {
    fn with_status(self, status: u16) -> Say {
        Say { status, ..self }
    }
}
