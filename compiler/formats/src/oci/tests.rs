//! Documents of real programs, documents bent on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn manifest() -> Value {
    let digest = format!("sha256:{HEX}");
    json!({
        "schemaVersion": 2,
        "mediaType": media::MANIFEST,
        "config": {"mediaType": media::CONFIG, "digest": digest, "size": 2},
        "layers": [{"mediaType": media::LAYER_GZIP, "digest": digest, "size": 3}],
        "annotations": {"a": "b"},
        "unknown": {"kept": [1, 2.5, null]},
    })
}

fn refused(value: &Value, expected: Option<&str>) -> String {
    let bytes = serde_json::to_vec(value).unwrap();
    Document::parse(&bytes, expected).expect_err("must be refused").to_string()
}

#[test]
fn digests_are_validated() {
    let digest = Digest::parse(&format!("sha256:{HEX}")).unwrap();
    assert_eq!(digest, Digest::of(b""));
    assert_eq!((digest.hex().as_str(), digest.to_string()), (HEX, format!("sha256:{HEX}")));
    // CVE-2024-3727: a digest used as a path.
    for bad in [
        "",
        HEX,
        "sha512:00",
        "sha256:",
        "sha256:../../../../etc/passwd",
        &format!("sha256:{}", HEX.to_uppercase()),
        &format!("sha256:{HEX}0"),
        &format!("sha256:{}/", &HEX[..63]),
        &format!("sha256:{}é", &HEX[..62]),
        &format!(" sha256:{HEX}"),
    ] {
        assert!(Digest::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_manifest_is_read_and_kept_whole() {
    let bytes = serde_json::to_vec(&manifest()).unwrap();
    let Document::Manifest(read) = Document::parse(&bytes, Some(media::MANIFEST)).unwrap() else {
        panic!("not a manifest")
    };
    assert_eq!((read.layers.len(), read.layers[0].size, read.config.size), (1, 3, 2));
    assert_eq!(read.annotations["a"], "b");
    assert_eq!(read.raw["unknown"]["kept"], json!([1, 2.5, null]));
    // An HTTP type such as application/json says nothing and contradicts nothing.
    assert!(Document::parse(&bytes, Some("application/json")).is_ok());
}

#[test]
fn an_index_is_read() {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_LIST,
        "manifests": [{
            "mediaType": media::DOCKER_MANIFEST, "digest": format!("sha256:{HEX}"), "size": 9,
            "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
        }],
    });
    let bytes = serde_json::to_vec(&index).unwrap();
    let Document::Index(read) = Document::parse(&bytes, None).unwrap() else { panic!() };
    let platform = read.manifests[0].platform.clone().unwrap();
    assert_eq!((platform.os.as_str(), platform.variant.as_deref()), ("linux", Some("v7")));
    assert_eq!(read.manifests[0].to_value(), index["manifests"][0]);
}

#[test]
fn bent_documents_are_refused() {
    let edit = |path: &str, value: Value| {
        let mut document = manifest();
        match document.pointer_mut(path) {
            Some(place) => *place = value,
            None => {
                let (parent, key) = path.rsplit_once('/').unwrap();
                document.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        document
    };
    let cases = [
        (edit("/manifests", json!([])), None, "two different images"),
        (edit("/mediaType", json!(media::INDEX)), None, "does not belong to a manifest"),
        (manifest(), Some(media::DOCKER_LIST), "does not belong to a manifest"),
        (edit("/schemaVersion", json!(1)), None, "neither an image manifest nor an index"),
        (json!({"schemaVersion": 2}), None, "neither"),
        (json!([]), None, "not an object"),
        (edit("/Layers", json!([])), None, "differs from layers only in case"),
        (edit("/layers/0/digest", json!("sha256:x")), None, "layers[0].digest holds a malformed"),
        (edit("/layers/0/size", json!(-1)), None, "layers[0].size is not a size"),
        (edit("/layers/0/size", json!(u64::MAX)), None, "layers[0].size is not a size"),
        (edit("/layers", json!({})), None, "layers is not an array"),
        (edit("/config", json!("x")), None, "config is not an object"),
        (edit("/annotations", json!({"a": 1})), None, "annotations is not an object of strings"),
    ];
    for (document, expected, message) in cases {
        let error = refused(&document, expected);
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    }
    let twice = br#"{"schemaVersion":2,"layers":[],"layers":[]}"#;
    assert!(Document::parse(twice, None).unwrap_err().to_string().contains("given twice"));
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert!(matches!(parse(&deep), Err(OciError::Json(_))));
    assert_eq!(parse(&vec![b' '; (4 << 20) + 1]), Err(OciError::TooLarge));
    assert!(parse(b"{} x").is_err());
}

#[test]
fn a_docker_configuration_is_read() {
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
        "config": {
            "User": "", "Env": ["PATH=/bin"], "Cmd": ["sh"], "Entrypoint": null,
            "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "ArgsEscaped": true,
            "Healthcheck": {"Test": ["NONE"]},
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{HEX}")]},
        "history": [{"created_by": "x", "empty_layer": true}],
    });
    let read = ImageConfig::parse(&serde_json::to_vec(&config).unwrap()).unwrap();
    assert_eq!((read.user, read.entrypoint.len(), read.cmd), (None, 0, vec!["sh".to_owned()]));
    assert_eq!((read.exposed_ports, read.diff_ids.len()), (vec!["80/tcp".to_owned()], 1));
    assert_eq!(read.raw["config"]["Healthcheck"]["Test"][0], "NONE");
    for (pointer, value) in [
        ("/config/Env", json!("x")),
        ("/config/Env", json!([1])),
        ("/config/User", json!(0)),
        ("/config", json!([])),
        ("/rootfs/diff_ids", json!(["x"])),
        ("/architecture", json!("")),
    ] {
        let mut bent = config.clone();
        *bent.pointer_mut(pointer).unwrap() = value;
        assert!(ImageConfig::parse(&serde_json::to_vec(&bent).unwrap()).is_err(), "{pointer}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_json_reads_back_and_is_stable(value in values()) {
        let bytes = canonical(&value);
        prop_assert_eq!(&parse(&bytes).unwrap(), &value);
        prop_assert_eq!(canonical(&parse(&bytes).unwrap()), bytes);
    }
}

#[test]
fn canonical_json_sorts_and_is_compact() {
    let value: Value = serde_json::from_str(r#"{"b": [1, {"z": 0, "a": "\n"}], "a": null}"#).unwrap();
    assert_eq!(canonical(&value), br#"{"a":null,"b":[1,{"a":"\n","z":0}]}"#);
}
