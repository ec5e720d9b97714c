//! A small Debian archive, signed with a key of its own, on a server of this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use formats::oci::Digest;
use pgp::composed::{CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey};
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, Password, Tag, Timestamp};

use super::server::{Say, Seen, Server};
use super::support::*;
use crate::{AptPin, AptRequest, NetPolicy, Settings, Sources};

/// 2026-01-02 03:04:05 UTC, when the archive was made.
pub const MADE: i64 = 1_767_323_045;
pub const MADE_TEXT: &str = "Fri, 02 Jan 2026 03:04:05 UTC";

/// A key that signs, made long before.
pub fn key() -> SignedSecretKey {
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_sign(true).can_certify(true);
    builder.created_at(Timestamp::from_secs(1_700_000_000)).primary_user_id("Archive <a@example.com>".into());
    let mut key = builder.build().unwrap().generate(rand::thread_rng()).unwrap();
    certify(&mut key, None);
    key
}

/// Gives the key a self-signature anew: it may sign, until so many seconds after it was made.
pub fn certify(key: &mut SignedSecretKey, seconds: Option<u32>) {
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    flags.set_certify(true);
    let mut config = config(key, SignatureType::CertPositive, 1_700_000_000);
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    if let Some(seconds) = seconds {
        let expiry = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
        config.hashed_subpackets.push(Subpacket::regular(expiry).unwrap());
    }
    let public = key.primary_key.public_key().clone();
    let id = key.details.users[0].id.clone();
    let signature = config.sign_certification(&key.primary_key, &public, &Password::empty(), Tag::UserId, &id).unwrap();
    key.details.users[0].signatures = vec![signature];
}

/// A revocation by the key itself.
pub fn revoke(key: &mut SignedSecretKey) {
    let config = config(key, SignatureType::KeyRevocation, 1_700_000_001);
    let public = key.primary_key.public_key().clone();
    let signature = config.sign_key(&key.primary_key, &Password::empty(), &public).unwrap();
    key.details.revocation_signatures.push(signature);
}

fn config(key: &SignedSecretKey, kind: SignatureType, created: u32) -> SignatureConfig {
    let mut config = SignatureConfig::from_key(rand::thread_rng(), &key.primary_key, kind).unwrap();
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(created))).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.primary_key.fingerprint())).unwrap(),
    ];
    config
}

/// A signature over text, with further subpackets.
pub fn signature(key: &SignedSecretKey, text: &str, more: Vec<SubpacketData>) -> Signature {
    let mut config = config(key, SignatureType::Text, u32::try_from(MADE).unwrap());
    config.hashed_subpackets.extend(more.into_iter().map(|data| Subpacket::regular(data).unwrap()));
    config.sign(&key.primary_key, &Password::empty(), text.as_bytes()).unwrap()
}

/// Clear-signed by each of the keys.
pub fn clear_signed(text: &str, keys: &[&SignedSecretKey]) -> Vec<u8> {
    signed_with(text, |normal| keys.iter().map(|key| signature(key, normal, Vec::new())).collect())
}

pub fn signed_with(text: &str, sign: impl FnOnce(&str) -> Vec<Signature>) -> Vec<u8> {
    let message = CleartextSignedMessage::new_many(text, |normal| Ok(sign(normal))).unwrap();
    message.to_armored_string(None.into()).unwrap().into_bytes()
}

/// A package of the archive; its `.deb` is a text that says its name.
#[derive(Clone)]
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    /// Further lines of its stanza.
    pub fields: &'static str,
}

impl Package {
    pub fn path(&self) -> String {
        format!("pool/main/{}_{}_amd64.deb", self.name, self.version)
    }

    pub fn deb(&self) -> Vec<u8> {
        format!("{} {}\n", self.name, self.version).repeat(1000).into_bytes()
    }

    fn stanza(&self) -> String {
        let deb = self.deb();
        let more = if self.fields.is_empty() { String::new() } else { format!("{}\n", self.fields) };
        format!(
            "Package: {}\nVersion: {}\nArchitecture: amd64\n{more}Filename: {}\nSize: {}\nSHA256: {}\n",
            self.name,
            self.version,
            self.path(),
            deb.len(),
            Digest::of(&deb).hex()
        )
    }
}

pub fn package(name: &'static str, version: &'static str, fields: &'static str) -> Package {
    Package { name, version, fields }
}

/// An archive: its files by path, to be changed before it is served.
#[derive(Clone)]
pub struct Archive {
    pub key: SignedSecretKey,
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The directory of the lists in `sid`.
pub const LISTS: &str = "dists/sid/main/binary-amd64";

impl Archive {
    /// A `sid` with these packages.
    pub fn new(packages: &[Package]) -> Archive {
        let mut archive = Archive { key: key(), files: BTreeMap::new() };
        for package in packages {
            archive.files.insert(package.path(), package.deb());
        }
        let list = packages.iter().map(Package::stanza).collect::<Vec<_>>().join("\n").into_bytes();
        archive.list(&list, &gzip(&list));
        archive.sign(&archive.release(""));
        archive
    }

    /// The essential package and two that need one another.
    pub fn small() -> Archive {
        Archive::new(&[
            package("base", "1.0-1", "Essential: yes"),
            package("web", "2:1.0-1", "Depends: lib (>= 1)"),
            package("lib", "1.10", ""),
        ])
    }

    /// Puts a list in place, with what it expands to.
    pub fn list(&mut self, plain: &[u8], packed: &[u8]) {
        self.files.insert(format!("{LISTS}/Packages.gz"), packed.to_vec());
        self.files.insert(format!("{LISTS}/by-hash/SHA256/{}", Digest::of(packed).hex()), packed.to_vec());
        self.files.insert("plain".into(), plain.to_vec());
    }

    /// The text of a Release, with further lines.
    pub fn release(&self, more: &str) -> String {
        let packed = &self.files[&format!("{LISTS}/Packages.gz")];
        let plain = &self.files["plain"];
        let line = |name: &str, bytes: &[u8]| {
            format!(" {} {} main/binary-amd64/{name}\n", Digest::of(bytes).hex(), bytes.len())
        };
        format!(
            "Origin: Debian\nSuite: unstable\nCodename: sid\nDate: {MADE_TEXT}\n{more}Acquire-By-Hash: yes\n\
             Architectures: all amd64\nComponents: main\nSHA256:\n{}{}",
            line("Packages", plain),
            line("Packages.gz", packed),
        )
    }

    pub fn sign(&mut self, release: &str) {
        let signed = clear_signed(release, &[&self.key]);
        self.files.insert("dists/sid/InRelease".into(), signed);
    }

    pub fn serve(&self) -> Server {
        let archive = self.clone();
        Server::start(move |request, _| archive.answer(request))
    }

    /// What a good mirror would say.
    pub fn answer(&self, request: &Seen) -> Say {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let Some(body) = path.strip_prefix("/debian/").and_then(|path| self.files.get(path)) else {
            return Say::status(404);
        };
        let start = request.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match start {
            None => Say::body(body),
            Some(start) if start >= body.len() => Say::status(416),
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
                Say { status: 206, ..Say::body(&body[start..]) }.header("Content-Range", &range)
            }
        }
    }
}

/// A workplace: a cache, and the settings that lead to a server and trust a key.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub address: String,
}

impl Place {
    pub fn new(server: &Server, key: &SignedSecretKey) -> Place {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys.gpg"), key.to_public_key().to_bytes().unwrap()).unwrap();
        Place { dir, address: server.address.clone() }
    }

    pub fn sources(&self, policy: NetPolicy) -> Sources {
        self.sources_with(policy, |_| {})
    }

    pub fn sources_with(&self, policy: NetPolicy, change: impl FnOnce(&mut Settings)) -> Sources {
        sources_with(self.dir.path(), policy, |settings| {
            settings.mirrors.insert("debian".into(), format!("http://{}/debian/", self.address));
            settings.keyrings.insert("debian".into(), self.dir.path().join("keys.gpg"));
            change(settings);
        })
    }
}

/// Wants packages of `sid` an hour after it was made.
pub fn request(roots: &[String]) -> AptRequest<'_> {
    AptRequest {
        suite: "sid",
        architecture: "amd64",
        roots,
        installed: None,
        since: &[],
        now: MADE + 3600,
        accept_expired: false,
    }
}

pub fn roots(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Resolves roots of an archive as it is.
pub fn resolve(archive: &Archive, names: &[&str]) -> Result<AptPin, diag::Diagnostic> {
    let server = archive.serve();
    Place::new(&server, &archive.key).sources(NetPolicy::default()).apt().resolve(&request(&roots(names)))
}

/// `name version` of what a pin holds.
pub fn shown(pin: &AptPin) -> Vec<String> {
    pin.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

/// Changes a file of a cache or an archive.
pub fn spoil(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Answers that a test may change while the server runs.
pub fn changing(archive: &Archive) -> (Server, Arc<Mutex<Archive>>) {
    let shared = Arc::new(Mutex::new(archive.clone()));
    let other = Arc::clone(&shared);
    (Server::start(move |request, _| other.lock().unwrap().answer(request)), shared)
}
