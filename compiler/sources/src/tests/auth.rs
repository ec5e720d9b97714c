//! Where credentials go, and where not.

use std::fs;
use std::sync::Arc;

use diag::codes;
use plan::BaseRef;

use super::server::{Image, Say, Server};
use super::support::*;
use crate::{NetPolicy, Sources};

const BASIC: &str = "Basic dTpw";

fn login(dir: &std::path::Path, registry: &str, entry: &str) -> Sources {
    fs::create_dir_all(dir.join("home/.docker")).unwrap();
    let config = format!("{{\"auths\":{{\"{registry}\":{entry}}}}}");
    fs::write(dir.join("home/.docker/config.json"), config).unwrap();
    sources(dir, NetPolicy::default())
}

/// A registry that wants a token of `realm`, and sends blobs to be fetched from `store`.
fn registry(image: &Arc<Image>, realm: &str, store: &str) -> Server {
    let (image, store) = (Arc::clone(image), format!("http://{store}/blob"));
    let challenge = format!("Bearer realm=\"{realm}\",service=\"svc\",scope=\"repository:other:pull,push\"");
    Server::start(move |request, _| {
        if request.line == "GET /v2/" {
            return Say::status(401).header("WWW-Authenticate", &challenge);
        }
        if request.header("authorization") != Some("Bearer tok") {
            return Say::status(401).header("WWW-Authenticate", &challenge);
        }
        if request.line.ends_with(&image.digest.to_string()) {
            return Say::status(307).header("Location", &store);
        }
        image.answer(request)
    })
}

#[test]
fn a_token_is_fetched_with_our_scope_and_used_here_only() {
    let image = Arc::new(Image::new(1000));
    let realm = Server::start(|_, _| Say::body(b"{\"token\":\"tok\"}"));
    let stored = Arc::clone(&image);
    let store = Server::start(move |_, _| Say::body(&stored.layer));
    let server = registry(&image, &format!("http://{}/token", realm.address), &store.address);
    let dir = tempfile::tempdir().unwrap();
    let sources = login(dir.path(), &server.address, r#"{"auth":"dTpw"}"#);
    let base = BaseRef::Registry(format!("{}/x:1", server.address));
    let pin = sources.resolve(&base, &amd64()).unwrap();
    assert_eq!(contents(&sources.open(&base, &pin).unwrap()), std::slice::from_ref(&image.layer));
    let asked = &realm.seen()[0];
    assert_eq!(asked.line, "GET /token?service=svc&scope=repository%3Ax%3Apull", "not the scope that it proposed");
    assert_eq!(asked.header("authorization"), Some(BASIC));
    for seen in server.seen() {
        assert!([None, Some("Bearer tok")].contains(&seen.header("authorization")), "{seen:?}");
    }
    assert_eq!(store.seen().len(), 1);
    assert_eq!(store.seen()[0].header("authorization"), None, "CVE-2020-15157");
}

#[test]
fn a_refresh_token_is_posted() {
    let image = Arc::new(Image::new(10));
    let realm = Server::start(|_, _| Say::body(b"{\"access_token\":\"tok\"}"));
    let server = registry(&image, &format!("http://{}/token", realm.address), "127.0.0.1:1");
    let dir = tempfile::tempdir().unwrap();
    let sources = login(dir.path(), &server.address, r#"{"identitytoken":"r&t"}"#);
    sources.resolve(&BaseRef::Registry(format!("{}/x:1", server.address)), &amd64()).unwrap();
    let asked = &realm.seen()[0];
    assert_eq!((asked.line.as_str(), asked.header("authorization")), ("POST /token", None));
    let body = String::from_utf8(asked.body.clone()).unwrap();
    assert!(body.contains("grant_type=refresh_token") && body.contains("refresh_token=r%26t"), "{body}");
}

#[test]
fn realms_that_get_no_credentials() {
    let image = Arc::new(Image::new(10));
    for realm in ["http://192.0.2.1/token", "http://example.com/token", "ftp://x/", "https://a:b@x/", "nonsense"] {
        let server = registry(&image, realm, "127.0.0.1:1");
        let dir = tempfile::tempdir().unwrap();
        let sources = login(dir.path(), &server.address, r#"{"auth":"dTpw"}"#);
        let error = sources.resolve(&BaseRef::Registry(format!("{}/x:1", server.address)), &amd64()).unwrap_err();
        assert_eq!(error.code, codes::E0407, "{realm}: {}", error.message);
    }
    // Nothing useful comes back.
    for answer in [&b"{}"[..], b"{\"token\":\"\"}", b"{\"token\":\"a\\r\\nHost: b\"}", b"<html>", b"{\"token\":1}"] {
        let realm = Server::start(move |_, _| Say::body(answer));
        let server = registry(&image, &format!("http://{}/", realm.address), "127.0.0.1:1");
        let dir = tempfile::tempdir().unwrap();
        let sources = login(dir.path(), &server.address, r#"{"auth":"dTpw"}"#);
        let error = sources.resolve(&BaseRef::Registry(format!("{}/x:1", server.address)), &amd64()).unwrap_err();
        assert_eq!(error.code, codes::E0404, "{}", error.message);
    }
}

#[test]
fn other_registries_credentials_stay_at_home() {
    let image = Arc::new(Image::new(10));
    let realm = Server::start(|_, _| Say::body(b"{\"token\":\"tok\"}"));
    let server = registry(&image, &format!("http://{}/token", realm.address), "127.0.0.1:1");
    let dir = tempfile::tempdir().unwrap();
    let sources = login(dir.path(), "registry.example.com", r#"{"auth":"dTpw"}"#);
    sources.resolve(&BaseRef::Registry(format!("{}/x:1", server.address)), &amd64()).unwrap();
    assert_eq!(realm.seen()[0].header("authorization"), None);
}

#[test]
fn a_token_that_runs_out_is_renewed_once() {
    let image = Arc::new(Image::new(10));
    let realm = Server::start(|_, before| Say::body(format!("{{\"token\":\"t{before}\"}}").as_bytes()));
    let challenge = format!("Bearer realm=\"http://{}/token\"", realm.address);
    let server = Server::start(move |request, _| {
        // Each token is good for documents of one kind only.
        let wanted = if request.line.contains("manifests") { "Bearer t0" } else { "Bearer t1" };
        if request.header("authorization") == Some(wanted) {
            return image.answer(request);
        }
        Say::status(401).header("WWW-Authenticate", &challenge)
    });
    let dir = tempfile::tempdir().unwrap();
    let sources = sources(dir.path(), NetPolicy::default());
    let base = BaseRef::Registry(format!("{}/x:1", server.address));
    assert_eq!(sources.resolve(&base, &amd64()).unwrap().reference, format!("{}/x:1", server.address));
}
