//! update-ca-certificates(8): the list, a link for each certificate, the bundle, and the links that
//! `openssl rehash` names after the hash of the subject.

use std::collections::BTreeMap;

use diag::codes;
use formats::line::lines;
use sha1::{Digest as _, Sha1};

use super::failure::Failure;
use super::tree::Tree;

const CONF: &[u8] = b"/etc/ca-certificates.conf";
const SOURCE: &str = "/usr/share/ca-certificates";
const LOCAL: &str = "/usr/local/share/ca-certificates";
const CERTS: &str = "/etc/ssl/certs";

/// `head`: the comment that the package's script puts into the list. Without it the list of the base counts, in which
/// `!` stands before what somebody refused. Certificates of the administrator's are always trusted.
pub(super) fn update(tree: &mut Tree, head: &[u8]) -> Result<(), Failure> {
    let listed = tree.read(CONF).filter(|_| head.is_empty()).map(|conf| String::from_utf8_lossy(conf).into_owned());
    let mut conf = head.to_vec();
    let names: Vec<String> = match &listed {
        Some(text) => {
            conf = text.clone().into_bytes();
            text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', '!'])).map(str::to_owned).collect()
        }
        None => packaged(tree),
    };
    let local = tree.below(LOCAL.as_bytes()).into_iter().map(|n| String::from_utf8_lossy(&n).into_owned());
    let local: Vec<String> = local.filter(|n| n.ends_with(".crt")).map(|n| format!("{LOCAL}/{n}")).collect();
    if listed.is_none() {
        names.iter().for_each(|name| conf.extend_from_slice(format!("{name}\n").as_bytes()));
    }
    let (mut bundle, mut hashes) = (Vec::new(), BTreeMap::<u32, usize>::new());
    for source in names.iter().map(|name| format!("{SOURCE}/{name}")).chain(local) {
        let Some(text) = tree.read(source.as_bytes()).map(<[u8]>::to_vec) else { continue };
        bundle.extend_from_slice(&text);
        if text.last().is_some_and(|b| *b != b'\n') {
            bundle.push(b'\n');
        }
        let pem = source.rsplit('/').next().unwrap_or_default().trim_end_matches(".crt");
        let pem: String = pem
            .chars()
            .map(|c| match c {
                ' ' | ',' => '_',
                '(' | ')' => '=',
                c => c,
            })
            .collect();
        if source.starts_with(SOURCE) && subject_hash(&text).is_none() {
            let what = format!("{source} holds no certificate that can be read");
            return Err(Failure::new(codes::E0566, what, "the package is damaged; fetch it again"));
        }
        tree.link(format!("{CERTS}/{pem}.pem").as_bytes(), source.as_bytes())?;
    }
    // The program looks at every certificate that lies there, not only at those that it put there.
    let pems: Vec<Vec<u8>> = tree.names(CERTS.as_bytes()).into_iter().filter(|name| name.ends_with(b".pem")).collect();
    for pem in pems {
        let text = tree.read(&[CERTS.as_bytes(), b"/", &pem].concat());
        let Some(hash) = text.and_then(subject_hash) else { continue };
        let number = hashes.entry(hash).or_default();
        tree.link(format!("{CERTS}/{hash:08x}.{number}").as_bytes(), &pem)?;
        *number += 1;
    }
    tree.write(CONF, conf)?;
    tree.write(format!("{CERTS}/ca-certificates.crt").as_bytes(), bundle)?;
    Ok(())
}

/// Certificates of packages, as the list names them.
fn packaged(tree: &Tree) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for dir in tree.names(SOURCE.as_bytes()) {
        let dir = String::from_utf8_lossy(&dir).into_owned();
        let inside = tree.names(format!("{SOURCE}/{dir}").as_bytes());
        let inside = inside.iter().map(|n| format!("{dir}/{}", String::from_utf8_lossy(n)));
        names.extend(inside.filter(|n| n.ends_with(".crt")));
    }
    names.sort();
    names
}

/// The hash by which OpenSSL (1.0 and later) looks certificates up: SHA-1 of the subject in its canonical form,
/// the first four bytes.
fn subject_hash(pem: &[u8]) -> Option<u32> {
    let mut base64 = Vec::new();
    let mut inside = false;
    for line in lines(pem) {
        match line.text.trim_ascii() {
            b"-----BEGIN CERTIFICATE-----" => inside = true,
            b"-----END CERTIFICATE-----" => break,
            text if inside => base64.extend_from_slice(text),
            _ => {}
        }
    }
    let certificate = decode(&base64)?;
    let (_, body, _) = element(&certificate)?;
    let (_, mut tbs, _) = element(body)?;
    // version [0], serial number, signature, issuer, validity, subject
    if tbs.first() == Some(&0xa0) {
        tbs = element(tbs)?.2;
    }
    for _ in 0..4 {
        tbs = element(tbs)?.2;
    }
    let (_, mut names, _) = element(tbs)?;
    let mut canonical = Vec::new();
    while !names.is_empty() {
        let (_, mut set, rest) = element(names)?;
        names = rest;
        let mut entries = Vec::new();
        while !set.is_empty() {
            let (_, pair, rest) = element(set)?;
            set = rest;
            let (_, _, value) = element(pair)?;
            let oid = pair.get(..pair.len() - value.len())?;
            let (tag, text, _) = element(value)?;
            let value = match canonical_text(tag, text) {
                Some(text) => wrap(0x0c, text.as_bytes()),
                None => wrap(tag, text),
            };
            entries.push(wrap(0x30, &[oid, &value].concat()));
        }
        entries.sort();
        canonical.extend_from_slice(&wrap(0x31, &entries.concat()));
    }
    let hash = Sha1::digest(&canonical);
    Some(u32::from_le_bytes([*hash.first()?, *hash.get(1)?, *hash.get(2)?, *hash.get(3)?]))
}

/// Strings that OpenSSL compares without regard to case and white space (`ASN1_MASK_CANON`).
fn canonical_text(tag: u8, bytes: &[u8]) -> Option<String> {
    let text = match tag {
        // UTF8String, PrintableString, IA5String, VisibleString
        12 | 19 | 22 | 26 => String::from_utf8_lossy(bytes).into_owned(),
        // T61String, which OpenSSL takes as Latin-1
        20 => bytes.iter().map(|b| char::from(*b)).collect(),
        // BMPString
        30 => char::decode_utf16(bytes.chunks(2).map(|c| c.iter().fold(0, |n, b| (n << 8) | u16::from(*b))))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        _ => return None,
    };
    let words = text.split(|c: char| c.is_ascii_whitespace()).filter(|w| !w.is_empty());
    Some(words.collect::<Vec<_>>().join(" ").to_ascii_lowercase())
}

/// A DER element: tag, content, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*der.first()?, usize::from(*der.get(1)?));
    let (size, at) = match first {
        0..=127 => (first, 2),
        0x81..=0x84 => {
            let count = first - 0x80;
            (der.get(2..2 + count)?.iter().fold(0usize, |n, b| (n << 8) | usize::from(*b)), 2 + count)
        }
        _ => return None,
    };
    let rest = der.get(at..)?;
    Some((tag, rest.get(..size)?, rest.get(size..)?))
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = content.len();
    let mut out = vec![tag];
    if size < 128 {
        out.push(u8::try_from(size).unwrap_or(0));
    } else {
        let bytes = size.to_be_bytes();
        let bytes = bytes.get(bytes.iter().take_while(|b| **b == 0).count()..).unwrap_or_default();
        out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(0));
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(content);
    out
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().filter(|b| **b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).unwrap_or(0));
        }
    }
    Some(out)
}
