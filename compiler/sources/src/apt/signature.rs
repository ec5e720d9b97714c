//! Clear-signed text: who signed it, and whether that key may still be believed (RFC 9580 §7, §5.2.3, §10).

use std::io::{BufRead, BufReader};

use diag::text::printable;
use pgp::armor::Dearmor;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
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
            let packets: Box<dyn BufRead> = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
                Box::new(BufReader::new(Dearmor::new(bytes.trim_ascii_start())))
            } else {
                Box::new(bytes.as_slice())
            };
            // Ubuntu's keyring is a copy of gpg's own file: between a name and its signature stand packets of gpg's
            // about trust, which belong to no key (RFC 9580 §5.10).
            let packets = PacketParser::new(packets).filter(|packet| !matches!(packet, Ok(Packet::Trust(_))));
            let found: Result<Vec<_>, _> = SignedPublicKey::from_packets(packets.peekable()).collect();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::apt::archive::Family;

    #[test]
    fn the_keyrings_hold_what_the_distributions_announce() {
        for (family, keys) in [
            (
                Family::Debian,
                &[
                    "1F89983E0081FDE018F3CC9673A4F27B8DD47936",
                    "AC530D520F2F3269F5E98313A48449044AAD5C5D",
                    "A4285295FC7B1A81600062A9605C66F00D6C9793",
                    "4D64FEC119C2029067D6E791F8D2585B8783D481",
                    "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
                    "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
                    "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
                    "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
                    "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
                ][..],
            ),
            (
                Family::Ubuntu,
                &[
                    "790BC7277767219C42C86F933B4FE6ACC0B21F32",
                    "843938DF228D22F7B3742BC0D94AA3F0EFE21092",
                    "F6ECB3762474EDA9D21B7022871920D1991BC93C",
                ],
            ),
        ] {
            let ring = Keyring::read(&[family.keys().to_vec()]).unwrap();
            let found: Vec<String> = ring.keys.iter().map(|k| format!("{:X}", k.primary_key.fingerprint())).collect();
            assert_eq!(found, keys);
            for key in &ring.keys {
                // 2026-11-24: each may sign, and so may its subkeys.
                let until =
                    |life| matches!(life, Life::Unlimited) || matches!(life, Life::Until(at) if at > 1_795_500_000);
                assert!(until(primary_life(key, true)), "{:X}", key.primary_key.fingerprint());
                for subkey in &key.public_subkeys {
                    assert!(until(subkey_life(key, subkey)), "{:X}", subkey.key.fingerprint());
                }
            }
        }
    }

    #[test]
    fn keys_are_read_in_both_forms() {
        let key = crate::tests::apt_archive::key().to_public_key();
        let armoured = key.to_armored_bytes(None.into()).unwrap();
        assert_eq!(Keyring::read(&[armoured]).unwrap().keys.len(), 1);
        for bad in [&b""[..], b"junk", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"] {
            assert!(Keyring::read(&[bad.to_vec()]).is_err());
        }
    }
}
