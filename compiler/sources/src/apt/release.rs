//! `InRelease`: fetched, believed, read.

use std::collections::BTreeMap;

use diag::{Diagnostic, codes, text::printable};
use formats::deb822;
use formats::oci::Digest;

use super::archive::{Family, Place, Pocket, keys};
use super::signature::{Fault, Keyring};
use super::{AptRequest, PinnedArchive};
use crate::bases::seconds;
use crate::registry::Http;
use crate::settings::Settings;

/// Largest `InRelease`: Ubuntu's with all its components has 0.3 MB.
const MAX_RELEASE: u64 = 16 << 20;
/// How far a clock may be behind.
const SKEW: i64 = 24 * 3600;
/// Attempts to get one whole.
const ATTEMPTS: u32 = 4;

/// A `Release` that was signed by a trusted key.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub pinned: PinnedArchive,
    /// Size and digest of files, by path below the suite's directory.
    pub files: BTreeMap<String, (u64, Digest)>,
    /// Files may be asked for by their hash, so that an update of the archive in between does no harm.
    pub by_hash: bool,
    pub architectures: Vec<String>,
}

/// Fetches and checks the `Release` of a pocket.
///
/// # Errors
/// E0451 for the way there; E0452 to E0456 and E0458 for what came.
pub(crate) fn fetch(
    http: &Http,
    settings: &Settings,
    pocket: &Pocket,
    request: &AptRequest<'_>,
) -> Result<Release, Diagnostic> {
    let place = Place::of(settings, pocket.archive)?;
    let files = keys(settings, pocket)?;
    let keyring = Keyring::read(&files).map_err(|why| {
        Diagnostic::new(codes::E0465, format!("the keyring of `{}` cannot be used: {why}", pocket.archive))
            .help("give a file of OpenPGP public keys, as `gpg --export` writes it")
    })?;
    let path = format!("dists/{}/InRelease", pocket.suite);
    let bytes = get(http, settings, &place, &path)?;
    read(&bytes, &keyring, pocket, request, &place.shown)
}

fn get(http: &Http, settings: &Settings, place: &Place, path: &str) -> Result<Vec<u8>, Diagnostic> {
    let mut attempt = 1;
    loop {
        let answer = place.get(http, path, 0)?;
        if answer.status != 200 {
            let help = "check that the mirror has this suite; another one can be named in your settings";
            return Err(place.trouble(&format!("it has no {path} (status {})", answer.status)).help(help));
        }
        let length = answer.header("content-length").and_then(|n| n.parse::<u64>().ok());
        let why = match answer.small(MAX_RELEASE, settings.timeout) {
            Ok(bytes) if bytes.len() as u64 > MAX_RELEASE => {
                return Err(place.trouble(&format!("its {path} is larger than {MAX_RELEASE} bytes")));
            }
            Ok(bytes) if length.is_none_or(|length| length == bytes.len() as u64) => return Ok(bytes),
            Ok(_) => format!("{path} was cut off"),
            Err(e) => format!("{path} broke off: {}", printable(&e.to_string())),
        };
        if attempt >= ATTEMPTS {
            return Err(place.trouble(&why));
        }
        std::thread::sleep(http.pause(attempt));
        attempt += 1;
    }
}

/// Checks signature, names and dates, and reads the list of files.
///
/// # Errors
/// E0452 to E0456, E0458.
pub(crate) fn read(
    bytes: &[u8],
    keyring: &Keyring,
    pocket: &Pocket,
    request: &AptRequest<'_>,
    shown: &str,
) -> Result<Release, Diagnostic> {
    let what = format!("the Release of {} in {shown}", pocket.suite);
    let text = std::str::from_utf8(bytes).map_err(|_| fault(&what, &Fault::Shape("it is not text".into())))?;
    let signed = keyring.verify(text, request.now).map_err(|found| fault(&what, &found))?;
    let bad = |why: String| Diagnostic::new(codes::E0458, format!("{what} cannot be used: {why}"));
    let stanzas = deb822::stanzas(signed.text.as_bytes()).map_err(|e| bad(e.to_string()))?;
    let [stanza] = stanzas.as_slice() else { return Err(bad("it is not one stanza".into())) };
    let value = |name: &str| stanza.value(name).and_then(|v| std::str::from_utf8(v).ok()).map(str::trim);

    let name = if pocket.family == Family::Debian { "Codename" } else { "Suite" };
    for (field, wanted) in [("Origin", pocket.family.origin()), (name, pocket.suite.as_str())] {
        let found = value(field).unwrap_or("nothing");
        if found != wanted {
            return Err(bad(format!("its {field} is `{}`, not `{wanted}`", printable(found)))
                .help("check the mirror of your settings: it serves another suite under this name"));
        }
    }
    let date = |field: &str| -> Result<Option<i64>, Diagnostic> {
        let Some(text) = value(field) else { return Ok(None) };
        parse_date(text).map(Some).ok_or_else(|| bad(format!("its {field} is no date: `{}`", printable(text))))
    };
    let made = date("Date")?.ok_or_else(|| bad("it has no Date".into()))?;
    let shown_date = value("Date").unwrap_or_default().to_owned();
    if made > request.now.saturating_add(SKEW) {
        return Err(Diagnostic::new(codes::E0455, format!("{what} is from the future: {shown_date}"))
            .help("check the clock of this machine"));
    }
    if let Some(until) = date("Valid-Until")?
        && until < request.now
        && !request.accept_expired
    {
        let until = value("Valid-Until").unwrap_or_default();
        return Err(Diagnostic::new(codes::E0455, format!("{what} was valid until {until}"))
            .note(format!("it was made {shown_date}; who serves it may hold security updates back"))
            .help("use a mirror that is up to date; a snapshot is accepted only where that is asked for"));
    }
    let before =
        request.since.iter().find(|p| (p.archive.as_str(), p.suite.as_str()) == (pocket.archive, &pocket.suite));
    if let Some(before) = before.filter(|before| before.date > made) {
        return Err(Diagnostic::new(
            codes::E0456,
            format!("{what} is older than the one that k8orc.lock was made with"),
        )
        .note(format!("served now: {shown_date} ({made} seconds since 1970)"))
        .note(format!("in the lock: {} seconds since 1970", before.date))
        .help("use a mirror that is up to date; if going back is meant, remove the lock's entry first"));
    }
    let files = list(value("SHA256").unwrap_or_default()).map_err(bad)?;
    Ok(Release {
        pinned: PinnedArchive {
            archive: pocket.archive.to_owned(),
            suite: pocket.suite.clone(),
            sha256: Digest::of(bytes).to_string(),
            date: made,
        },
        files,
        by_hash: value("Acquire-By-Hash").is_some_and(|v| v.eq_ignore_ascii_case("yes")),
        architectures: value("Architectures").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    })
}

/// The lines ` HASH SIZE PATH`.
fn list(text: &str) -> Result<BTreeMap<String, (u64, Digest)>, String> {
    let mut files = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (hash, size, path) = (words.next(), words.next(), words.next());
        let hash = hash.and_then(|hash| Digest::parse(&format!("sha256:{hash}")).ok());
        let size = size.and_then(|size| size.parse().ok());
        match (hash, size, path, words.next()) {
            (Some(hash), Some(size), Some(path), None) => {
                if files.insert(path.to_owned(), (size, hash)).is_some_and(|other| other != (size, hash)) {
                    return Err(format!("it lists `{}` twice", printable(path)));
                }
            }
            _ => return Err(format!("`{}` is no line of its SHA256", printable(line))),
        }
    }
    if files.is_empty() { Err("it lists no SHA256".to_owned()) } else { Ok(files) }
}

/// Seconds since 1970 of `Sat, 21 Nov 2026 09:15:44 UTC` (RFC 5322 with the zones that archives use).
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [day, month, year, clock, zone] = words.as_slice() else { return None };
    if !matches!(*zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    let clock = if clock.len() == 7 { format!("0{clock}") } else { (*clock).to_owned() };
    seconds(&format!("{year}-{month:02}-{day:0>2}T{clock}Z"))
}

fn fault(what: &str, fault: &Fault) -> Diagnostic {
    let mirror = "use another mirror; if this is a mirror that signs anew, name its keyring in your settings";
    match fault {
        Fault::Shape(why) => Diagnostic::new(codes::E0452, format!("{what} is not signed: {why}")).help(mirror),
        Fault::Tampered { key } => Diagnostic::new(codes::E0452, format!("{what} is not what was signed"))
            .note(format!("the signature claims to be of key {key}, which did not sign this text"))
            .help("somebody on the way changed it, or a proxy broke it: use another mirror or https"),
        Fault::Weak { key } => Diagnostic::new(codes::E0452, format!("the signature of {what} proves nothing"))
            .note(format!("key {key} signed with a hash that can be forged, or signed something else than a text"))
            .help(mirror),
        Fault::Unknown(ids) => {
            let ids = if ids.is_empty() { "nobody".to_owned() } else { printable(&ids.join(", ")) };
            Diagnostic::new(codes::E0453, format!("{what} is signed by nobody who is trusted"))
                .note(format!("signed by: {ids}"))
                .help(mirror)
        }
        Fault::Expired { key, at } => Diagnostic::new(codes::E0454, format!("{what} is signed by a key that expired"))
            .note(format!("key {key}, expired {at} seconds after 1970"))
            .help("use a k8orc with newer keyrings, or check the clock of this machine"),
        Fault::Revoked { key } => Diagnostic::new(codes::E0454, format!("{what} is signed by a key that may not sign"))
            .note(format!("key {key} was revoked, or nothing says that it may sign"))
            .help("use another mirror"),
        Fault::SignatureExpired { key, at } => {
            Diagnostic::new(codes::E0455, format!("the signature of {what} expired"))
                .note(format!("by key {key}, expired {at} seconds after 1970"))
                .help("use a mirror that is up to date")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn dates_of_archives() {
        for (text, seconds) in [
            ("Sat, 21 Nov 2026 09:15:44 UTC", Some(1_795_252_544)),
            ("Thu, 1 Jan 1970 00:00:01 +0000", Some(1)),
            ("Thu, 01 Jan 1970 0:00:01 GMT", Some(1)),
            ("21 Nov 2026 09:15:44 CET", None),
            ("yesterday", None),
            ("Sat, 21 Now 2026 09:15:44 UTC", None),
        ] {
            assert_eq!(parse_date(text), seconds, "{text}");
        }
    }

    #[test]
    fn lists_are_read_strictly() {
        let hash = "a".repeat(64);
        assert_eq!(list(&format!("\n {hash} 5 main/Packages\n")).unwrap().len(), 1);
        for bad in [String::new(), format!("{hash} x p"), format!("{hash} 1"), format!("{hash} 1 p q"), "zz 1 p".into()]
        {
            assert!(list(&bad).is_err(), "{bad}");
        }
        let twice = format!("{hash} 5 p\n{hash} 6 p\n");
        assert!(list(&twice).unwrap_err().contains("twice"));
    }

    #[test]
    fn whatever_a_mirror_sends_is_an_error_or_the_signed_text() {
        let archive = crate::tests::apt_archive::Archive::small();
        let good = archive.files["dists/sid/InRelease"].clone();
        let key = archive.key.to_public_key();
        let keys = pgp::ser::Serialize::to_bytes(&key).unwrap();
        let keyring = Keyring::read(std::slice::from_ref(&keys)).unwrap();
        let pocket = crate::apt::archive::suite("sid").unwrap().pockets("amd64").remove(0);
        let request = crate::tests::apt_archive::request(&[]);
        let wanted = read(&good, &keyring, &pocket, &request, "x").unwrap().files;
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..400 {
            let mut bytes = good.clone();
            for _ in 0..1 + random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                    1 => bytes.insert(at, b"\n- \t=A\0"[random(7)]),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            // White space at line ends and the armour's own lines are not signed.
            if let Ok(release) = read(&bytes, &keyring, &pocket, &request, "x") {
                assert_eq!(release.files, wanted);
            }
            let mut damaged = keys.clone();
            let at = random(damaged.len());
            damaged[at] = u8::try_from(random(256)).unwrap();
            let _ = Keyring::read(&[damaged]).map(|keyring| keyring.verify(std::str::from_utf8(&good).unwrap(), 0));
        }
    }
}
