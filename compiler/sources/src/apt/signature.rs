//! Clear-signed text: who signed it, and whether that key may still be believed (RFC 9580 §7, §5.2.3, §10).

use diag::text::printable;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

/// Why a text is not believed, the worst that its signatures gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no clear-signed text.
    Shape(String),
    /// Signed by nobody whose key is here; the ids that the signatures name.
    Unknown(Vec<String>),
    /// The signature itself ended.
    SignatureExpired { key: String, at: i64 },
    /// Made in a way that proves nothing any more: MD5, SHA-1, or not as a signature of a text.
    Weak { key: String },
    /// By a key that ended.
    Expired { key: String, at: i64 },
    /// By a key that its owner revoked.
    Revoked { key: String },
    /// Of a trusted key, and not of this text.
    Tampered { key: String },
}

/// The keys that are trusted.
pub(crate) struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// What was signed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The text, with its line ends as they were; nothing outside the signature is in it.
    pub text: String,
    /// Fingerprint of the key that signed.
    pub key: String,
}

impl Keyring {
    /// Reads keys, binary or armoured.
    ///
    /// # Errors
    /// What the reader says of the first key that cannot be read, or that there is none.
    pub(crate) fn read(files: &[Vec<u8>]) -> Result<Keyring, String> {
        let mut keys = Vec::new();
        for bytes in files {
            let found: Result<Vec<_>, _> = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
                SignedPublicKey::from_armor_many(bytes.as_slice()).and_then(|(keys, _)| keys.collect())
            } else {
                SignedPublicKey::from_bytes_many(bytes.as_slice()).and_then(|keys| keys.collect())
            };
            let found = found.map_err(|e| printable(&e.to_string()))?;
            if found.is_empty() {
                return Err("it holds no key".to_owned());
            }
            keys.extend(found);
        }
        Ok(Keyring { keys })
    }

    /// The text of a clear-signed message, when one of its signatures is good and of a key that is trusted at `now`
    /// (seconds since 1970).
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) fn verify(&self, message: &str, now: i64) -> Result<Signed, Fault> {
        let (message, _) =
            CleartextSignedMessage::from_string(message).map_err(|e| Fault::Shape(printable(&e.to_string())))?;
        let signed = message.signed_text();
        let mut worst: Option<Fault> = None;
        let mut unknown = Vec::new();
        for signature in message.signatures() {
            match self.one(signature, signed.as_bytes(), now) {
                Ok(Some(key)) => return Ok(Signed { text: signed.replace("\r\n", "\n"), key }),
                Ok(None) => unknown.extend(issuers(signature)),
                Err(fault) if worst.as_ref().is_none_or(|worst| worst.rank() < fault.rank()) => worst = Some(fault),
                Err(_) => {}
            }
        }
        unknown.sort();
        unknown.dedup();
        Err(worst.unwrap_or(Fault::Unknown(unknown)))
    }

    /// The key that made this signature; `None` where no trusted key claims to have.
    fn one(&self, signature: &Signature, text: &[u8], now: i64) -> Result<Option<String>, Fault> {
        for key in &self.keys {
            if names(signature, &key.primary_key) {
                return good(signature, &key.primary_key, text, now, || primary_life(key, true)).map(Some);
            }
            for subkey in &key.public_subkeys {
                if names(signature, &subkey.key) {
                    let life = || primary_life(key, false).within(subkey_life(key, subkey));
                    return good(signature, &subkey.key, text, now, life).map(Some);
                }
            }
        }
        Ok(None)
    }
}

impl Fault {
    fn rank(&self) -> u8 {
        match self {
            Fault::Shape(_) | Fault::Unknown(_) => 0,
            Fault::SignatureExpired { .. } => 1,
            Fault::Weak { .. } => 2,
            Fault::Expired { .. } => 3,
            Fault::Revoked { .. } => 4,
            Fault::Tampered { .. } => 5,
        }
    }
}

/// How long a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// No valid self-signature says that it may sign at all.
    Never,
    Revoked,
    /// Until these seconds since 1970.
    Until(i64),
    Unlimited,
}

impl Life {
    /// Both must hold.
    fn within(self, other: Life) -> Life {
        match (self, other) {
            (Life::Revoked, _) | (_, Life::Revoked) => Life::Revoked,
            (Life::Never, _) | (_, Life::Never) => Life::Never,
            (Life::Until(a), Life::Until(b)) => Life::Until(a.min(b)),
            (Life::Until(a), Life::Unlimited) | (Life::Unlimited, Life::Until(a)) => Life::Until(a),
            (Life::Unlimited, Life::Unlimited) => Life::Unlimited,
        }
    }
}

fn good(
    signature: &Signature,
    key: &impl VerifyingKey,
    text: &[u8],
    now: i64,
    life: impl Fn() -> Life,
) -> Result<String, Fault> {
    let name = format!("{:X}", key.fingerprint());
    let strong = matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    );
    if !strong || !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err(Fault::Weak { key: name });
    }
    if signature.verify(key, text).is_err() {
        return Err(Fault::Tampered { key: name });
    }
    match life() {
        Life::Unlimited => {}
        Life::Until(at) if now < at => {}
        Life::Until(at) => return Err(Fault::Expired { key: name, at }),
        Life::Revoked | Life::Never => return Err(Fault::Revoked { key: name }),
    }
    match end(signature.created().map(|t| t.as_secs()), signature.signature_expiration_time().map(|d| d.as_secs())) {
        Some(at) if now >= at => Err(Fault::SignatureExpired { key: name, at }),
        _ => Ok(name),
    }
}

/// Whether the signature says that this key made it.
fn names(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (id, fingerprint) = (key.legacy_key_id(), key.fingerprint());
    let prints = signature.issuer_fingerprint();
    if prints.is_empty() {
        return signature.issuer_key_id().iter().any(|issuer| **issuer == id);
    }
    prints.iter().any(|issuer| **issuer == fingerprint)
}

fn issuers(signature: &Signature) -> Vec<String> {
    let prints: Vec<String> = signature.issuer_fingerprint().iter().map(|print| format!("{print:X}")).collect();
    if prints.is_empty() {
        return signature.issuer_key_id().iter().map(|id| id.to_string().to_uppercase()).collect();
    }
    prints
}

/// `start` and so many seconds; zero seconds mean no end (RFC 9580 §5.2.3.13).
fn end(start: Option<u32>, seconds: Option<u32>) -> Option<i64> {
    let seconds = seconds.filter(|seconds| *seconds > 0)?;
    Some(i64::from(start?).saturating_add(i64::from(seconds)))
}

/// What the newest valid self-signature of a primary key says; whether it may sign texts counts where it does so
/// itself.
fn primary_life(key: &SignedPublicKey, signs: bool) -> Life {
    let primary = &key.primary_key;
    // Debian's keys name others who may revoke them, whose keys are not here: a revocation is believed unverified.
    if !key.details.revocation_signatures.is_empty() {
        return Life::Revoked;
    }
    // A signature on the key itself may say no more than who may revoke it.
    let says = |signature: &&Signature| signature.key_flags().sign() || signature.key_expiration_time().is_some();
    let direct = key.details.direct_signatures.iter().filter(says);
    let direct = direct.filter(|signature| signature.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(move |signature| {
            // A certificate revocation takes a name away and says nothing about the key's time.
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    life_of(direct.chain(users), primary, |signature| !signs || signature.key_flags().sign())
}

/// What the newest valid binding of a subkey says; one that signs has signed that it belongs here.
fn subkey_life(key: &SignedPublicKey, subkey: &SignedPublicSubKey) -> Life {
    let primary = &key.primary_key;
    let valid = |signature: &&Signature| signature.verify_subkey_binding(primary, &subkey.key).is_ok();
    let mut revocations =
        subkey.signatures.iter().filter(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
    if revocations.any(|signature| valid(&signature)) {
        return Life::Revoked;
    }
    let bindings = subkey.signatures.iter().filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding));
    life_of(bindings.filter(valid), &subkey.key, |signature| {
        let back = signature.embedded_signature();
        signature.key_flags().sign()
            && back.is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok())
    })
}

fn life_of<'a>(
    signatures: impl Iterator<Item = &'a Signature>,
    key: &impl KeyDetails,
    may_sign: impl Fn(&Signature) -> bool,
) -> Life {
    let newest = signatures.max_by_key(|signature| signature.created().map_or(0, |at| at.as_secs()));
    match newest {
        None => Life::Never,
        Some(newest) if !may_sign(newest) => Life::Never,
        Some(newest) => {
            let seconds = newest.key_expiration_time().map(|d| d.as_secs());
            end(Some(key.created_at().as_secs()), seconds).map_or(Life::Unlimited, Life::Until)
        }
    }
}
