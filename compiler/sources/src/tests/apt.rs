//! Archives that lie, lag and break off; selections that cannot be.

use std::fs;

use diag::codes;
use pgp::packet::SubpacketData;
use pgp::types::Duration;

use super::apt_archive::*;
use super::server::{Say, Server};
use super::support::*;
use crate::{AptRequest, NetPolicy, PinnedArchive};

#[test]
fn a_selection_is_pinned_fetched_and_served_again() {
    let archive = Archive::small();
    let server = archive.serve();
    let place = Place::new(&server, &archive.key);
    let wanted = roots(&["web", "web"]);
    let pin = place.sources(NetPolicy::default()).apt().resolve(&request(&wanted)).unwrap();
    assert_eq!(shown(&pin), ["base 1.0-1", "lib 1.10", "web 2:1.0-1"]);
    assert_eq!((pin.suite.as_str(), pin.roots.as_slice()), ("sid", &["web".to_owned()][..]));
    let [release] = pin.archives.as_slice() else { panic!("{:?}", pin.archives) };
    assert_eq!((release.archive.as_str(), release.suite.as_str(), release.date), ("debian", "sid", MADE));
    assert_eq!(server.count(&format!("GET /debian/{LISTS}/by-hash/")), 1);

    let debs = place.sources(NetPolicy::default()).apt().open(&pin).unwrap();
    assert_eq!(debs.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["base", "lib", "web"]);
    assert_eq!(fs::read(&debs[2].path).unwrap(), package("web", "2:1.0-1", "").deb());
    let requests = server.seen().len();
    let again = place.sources(offline()).apt().open(&pin).unwrap();
    assert_eq!((again, server.seen().len()), (debs.clone(), requests), "the cache serves");

    // What lies in the cache is not trusted.
    spoil(&debs[2].path);
    let error = place.sources(offline()).apt().open(&pin).unwrap_err();
    assert_eq!(error.code, codes::E0402);
    assert_eq!(place.sources(NetPolicy::default()).apt().open(&pin).unwrap(), debs);

    // The pin's own digest hangs on the packages alone.
    let mut other = pin.clone();
    other.archives.clear();
    assert_eq!(other.digest(), pin.digest());
    other.packages.pop();
    assert_ne!(other.digest(), pin.digest());
}

#[test]
fn policies_forbid_to_ask() {
    let archive = Archive::small();
    let server = archive.serve();
    let place = Place::new(&server, &archive.key);
    let locked = NetPolicy { offline: false, locked: true };
    for (policy, code) in [(offline(), codes::E0402), (locked, codes::E0405)] {
        let error = place.sources(policy).apt().resolve(&request(&[])).unwrap_err();
        assert_eq!(error.code, code);
    }
    assert!(server.seen().is_empty());
}

#[test]
fn unknown_suites() {
    let archive = Archive::small();
    let place = Place::new(&archive.serve(), &archive.key);
    for (suite, help) in
        [("trixi", "apt:trixie"), ("stable", "code name"), ("unstable", "apt:sid"), ("\u{1b}[m", "base image")]
    {
        let error =
            place.sources(NetPolicy::default()).apt().resolve(&AptRequest { suite, ..request(&[]) }).unwrap_err();
        assert_eq!(error.code, codes::E0450);
        assert!(error.help.iter().any(|h| h.contains(help)), "{suite}: {:?}", error.help);
        assert!(!error.message.contains('\u{1b}'));
    }
}

#[test]
fn archives_on_bad_days() {
    // An error that stays.
    let archive = Archive::small();
    let server = Server::start(|_, _| Say::status(503).header("Retry-After", "0"));
    let error =
        Place::new(&server, &archive.key).sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap_err();
    assert_eq!((error.code, error.code.exit()), (codes::E0451, 3));
    // Nothing there at all; then the lists are not there.
    for missing in ["dists/sid/InRelease", LISTS] {
        let mut archive = archive.clone();
        archive.files.retain(|path, _| !path.starts_with(missing));
        assert_eq!(resolve(&archive, &[]).unwrap_err().code, codes::E0451, "{missing}");
    }
    // Without by-hash the list's own name does, and a fault that passes is sat out.
    let mut plain = archive.clone();
    plain.files.retain(|path, _| !path.contains("by-hash"));
    let server = Server::start(move |request, before| match before {
        0 => Say::status(500),
        1 if !request.line.contains("by-hash") => Say { cut: Some(20), ..plain.answer(request) },
        _ => plain.answer(request),
    });
    let place = Place::new(&server, &archive.key);
    assert_eq!(place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap().packages.len(), 1);
    // Redirects are followed, in circles for a while.
    let other = archive.serve();
    let address = other.address.clone();
    let server = Server::start(move |request, _| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        Say::status(302).header("Location", &format!("http://{address}{path}"))
    });
    let place = Place::new(&server, &archive.key);
    assert_eq!(place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap().packages.len(), 1);
    let circle = Server::start(|_, _| Say::status(302).header("Location", "/debian/x"));
    let place = Place::new(&circle, &archive.key);
    assert_eq!(place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap_err().code, codes::E0451);
    assert!(circle.seen().len() < 10);
}

#[test]
fn packages_go_on_where_they_broke_off() {
    let archive = Archive::small();
    for ranges in [true, false] {
        let served = archive.clone();
        let server = Server::start(move |request, before| {
            let mut request = request.clone();
            if !ranges {
                request.headers.remove("range");
            }
            let say = served.answer(&request);
            // Without ranges the server has to come through some time.
            let cut = request.line.ends_with(".deb") && before < 3;
            Say { cut: cut.then_some(say.body.len() / 2), ..say }
        });
        let place = Place::new(&server, &archive.key);
        let pin = place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap();
        let debs = place.sources(NetPolicy::default()).apt().open(&pin).unwrap();
        assert_eq!(fs::read(&debs[0].path).unwrap(), package("base", "1.0-1", "").deb());
        let resumed = server.seen().iter().filter(|s| s.header("range").is_some()).count();
        assert!(resumed >= 1);
        let left: Vec<_> = fs::read_dir(place.dir.path().join("cache/debs")).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing half is left");
    }
    // A later run goes on too, and what an earlier one left broken is fetched anew.
    for broken in [false, true] {
        let server = archive.serve();
        let place = Place::new(&server, &archive.key);
        let pin = place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap();
        let mut part = package("base", "1.0-1", "").deb();
        part.truncate(1000);
        if broken {
            part[0] ^= 1;
        }
        let hex = pin.packages[0].sha256.strip_prefix("sha256:").unwrap();
        fs::write(place.dir.path().join(format!("cache/debs/{hex}.part")), part).unwrap();
        place.sources(NetPolicy::default()).apt().open(&pin).unwrap();
        let range = server.seen().iter().find_map(|s| s.header("range").map(str::to_owned));
        assert_eq!(range.as_deref(), Some("bytes=1000-"));
        assert_eq!(server.count("GET /debian/pool/"), if broken { 2 } else { 1 });
    }
}

#[test]
fn tampered_releases() {
    let archive = Archive::small();
    let signed = String::from_utf8(archive.files["dists/sid/InRelease"].clone()).unwrap();
    let cases = [
        signed.replace("Codename: sid", "Codename: sad"),
        signed.replace("Architectures: all amd64", "Architectures: all amd64 arm64"),
        // Not signed, cut off, and with something around it.
        archive.release(""),
        signed[..signed.len() / 2].to_owned(),
        format!("Origin: Debian\n{signed}"),
        format!("{signed}\nOrigin: Debian\n"),
        String::new(),
        "\u{0}".to_owned(),
    ];
    for text in cases {
        let mut archive = archive.clone();
        archive.files.insert("dists/sid/InRelease".into(), text.clone().into_bytes());
        let error = resolve(&archive, &[]).unwrap_err();
        assert_eq!(error.code, codes::E0452, "{text}: {}", error.message);
    }
    let mut binary = archive.clone();
    binary.files.insert("dists/sid/InRelease".into(), vec![0xff; 100]);
    assert_eq!(resolve(&binary, &[]).unwrap_err().code, codes::E0452);
}

#[test]
fn unknown_keys() {
    let archive = Archive::small();
    let server = archive.serve();
    let place = Place::new(&server, &key());
    let error = place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap_err();
    assert_eq!(error.code, codes::E0453);
    assert!(error.notes[0].contains("signed by: "), "{:?}", error.notes);
    // One good signature among others is enough, in any order.
    let stranger = key();
    for keys in [[&stranger, &archive.key], [&archive.key, &stranger]] {
        let mut archive = archive.clone();
        let release = archive.release("");
        archive.files.insert("dists/sid/InRelease".into(), clear_signed(&release, &keys));
        assert!(resolve(&archive, &[]).is_ok());
    }
}

#[test]
fn ended_keys() {
    let mut archive = Archive::small();
    // The key was made at 1,700,000,000; it ends within the hour between Release and request, or after it.
    for (end, ended) in [(MADE + 1800, true), (MADE + 7200, false)] {
        certify(&mut archive.key, Some(u32::try_from(end - 1_700_000_000).unwrap()));
        match resolve(&archive, &[]) {
            Ok(_) => assert!(!ended),
            Err(error) => assert_eq!((error.code, ended), (codes::E0454, true)),
        }
    }
    revoke(&mut archive.key);
    let error = resolve(&archive, &[]).unwrap_err();
    assert_eq!(error.code, codes::E0454);
    assert!(error.notes[0].contains("revoked"), "{:?}", error.notes);
}

#[test]
fn releases_out_of_their_time() {
    let mut archive = Archive::small();
    archive.sign(&archive.release("Valid-Until: Fri, 02 Jan 2026 03:30:00 UTC\n"));
    assert_eq!(resolve(&archive, &[]).unwrap_err().code, codes::E0455);
    let place = Place::new(&archive.serve(), &archive.key);
    let apt = place.sources(NetPolicy::default());
    assert!(apt.apt().resolve(&AptRequest { accept_expired: true, ..request(&[]) }).is_ok());
    assert!(apt.apt().resolve(&AptRequest { now: MADE + 60, ..request(&[]) }).is_ok());
    // Nobody knows what a clock that lags by days would accept.
    let error = apt.apt().resolve(&AptRequest { now: MADE - 3 * 86_400, ..request(&[]) }).unwrap_err();
    assert_eq!(error.code, codes::E0455);
    assert!(error.message.contains("future"), "{}", error.message);
    // A signature with an end of its own.
    let release = archive.release("");
    let expiry = || vec![SubpacketData::SignatureExpirationTime(Duration::from_secs(1800))];
    let signed = signed_with(&release, |text| vec![signature(&archive.key, text, expiry())]);
    archive.files.insert("dists/sid/InRelease".into(), signed);
    assert_eq!(resolve(&archive, &[]).unwrap_err().code, codes::E0455);
}

#[test]
fn rolled_back_archives() {
    let archive = Archive::small();
    let place = Place::new(&archive.serve(), &archive.key);
    let sources = place.sources(NetPolicy::default());
    let before = |archive: &str, date| PinnedArchive {
        archive: archive.into(),
        suite: "sid".into(),
        sha256: String::new(),
        date,
    };
    for (since, fine) in
        [(before("debian", MADE + 1), false), (before("debian", MADE), true), (before("ubuntu", MADE + 1), true)]
    {
        match sources.apt().resolve(&AptRequest { since: &[since], ..request(&[]) }) {
            Ok(_) => assert!(fine),
            Err(error) => assert_eq!((error.code, fine), (codes::E0456, false)),
        }
    }
}

#[test]
fn tampered_lists() {
    let archive = Archive::small();
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut archive = archive.clone();
        archive.files.iter_mut().filter(|(path, _)| path.starts_with(LISTS)).for_each(|(_, bytes)| change(bytes));
        resolve(&archive, &[]).unwrap_err()
    };
    let changes: [fn(&mut Vec<u8>); 3] = [|bytes| bytes[20] ^= 1, |bytes| bytes.push(0), |bytes| bytes.truncate(10)];
    for change in changes {
        let error = changed(change);
        assert_eq!(error.code, codes::E0457, "{}", error.message);
    }
    // It is what the Release says, and expands to more than that says.
    let mut bomb = archive.clone();
    let plain = bomb.files["plain"].clone();
    bomb.list(&plain, &gzip(&vec![b'\n'; 10_000_000]));
    bomb.sign(&bomb.release(""));
    assert_eq!(resolve(&bomb, &[]).unwrap_err().code, codes::E0457);
    let mut junk = archive.clone();
    junk.list(&plain, b"no gzip");
    junk.sign(&junk.release(""));
    assert_eq!(resolve(&junk, &[]).unwrap_err().code, codes::E0457);
}

#[test]
fn releases_that_cannot_be_used() {
    let archive = Archive::small();
    let good = archive.release("");
    for (from, to, why) in [
        ("Codename: sid", "Codename: trixie", "Codename is `trixie`"),
        ("Origin: Debian", "Origin: Ubuntu", "Origin is `Ubuntu`"),
        ("Architectures: all amd64", "Architectures: all arm64", "no packages for amd64"),
        (MADE_TEXT, "yesterday", "no date"),
        ("Date:", "Data:", "no Date"),
        ("SHA256:", "SHA1:", "no SHA256"),
        ("main/binary-amd64", "contrib/binary-amd64", "lists no main/binary-amd64/Packages"),
        ("Suite: unstable", "Suite", "cannot be used"),
        ("Suite: unstable", "Suite: unstable\n\nSuite: x", "not one stanza"),
    ] {
        assert!(good.contains(from));
        let mut archive = archive.clone();
        archive.sign(&good.replace(from, to));
        let error = resolve(&archive, &[]).unwrap_err();
        assert_eq!(error.code, codes::E0458, "{to}");
        assert!(error.message.contains(why), "{to}: {}", error.message);
    }
}

#[test]
fn tampered_packages() {
    let archive = Archive::small();
    let (server, served) = changing(&archive);
    let place = Place::new(&server, &archive.key);
    let pin = place.sources(NetPolicy::default()).apt().resolve(&request(&[])).unwrap();
    let path = package("base", "1.0-1", "").path();
    let changes: [fn(&mut Vec<u8>); 3] = [|bytes| bytes[5] ^= 1, |bytes| bytes.push(0), |bytes| bytes.truncate(9)];
    for change in changes {
        let mut archive = archive.clone();
        change(archive.files.get_mut(&path).unwrap());
        *served.lock().unwrap() = archive;
        let error = place.sources(NetPolicy::default()).apt().open(&pin).unwrap_err();
        assert_eq!(error.code, codes::E0463, "{}", error.message);
        assert!(error.message.contains("base 1.0-1"));
        assert_eq!(fs::read_dir(place.dir.path().join("cache/debs")).unwrap().count(), 0, "nothing of it is kept");
    }
}

#[test]
fn packages_that_are_gone() {
    let archive = Archive::small();
    let (server, served) = changing(&archive);
    let place = Place::new(&server, &archive.key);
    let wanted = roots(&["web"]);
    let pin = place.sources(NetPolicy::default()).apt().resolve(&request(&wanted)).unwrap();
    served.lock().unwrap().files.remove(&package("lib", "1.10", "").path());
    let error = place.sources(NetPolicy::default()).apt().open(&pin).unwrap_err();
    assert_eq!(error.code, codes::E0464);
    assert!(error.message.contains("lib 1.10"), "{}", error.message);
    assert!(error.help.iter().any(|h| h.contains("k8orc lock --update")), "{:?}", error.help);
    assert!(error.help.iter().any(|h| h.contains("snapshot")), "{:?}", error.help);
    // A lock that was edited leads nowhere else.
    for (name, hash) in [("../../x.deb", &pin.packages[0].sha256), ("pool/x", &"sha256:zz".to_owned())] {
        let mut pin = pin.clone();
        pin.packages[0].filename = name.to_owned();
        pin.packages[0].sha256 = hash.clone();
        assert_eq!(place.sources(NetPolicy::default()).apt().open(&pin).unwrap_err().code, codes::E0430);
    }
}

#[test]
fn settings_that_are_wrong() {
    let archive = Archive::small();
    let place = Place::new(&archive.serve(), &archive.key);
    for mirror in ["ftp://example.com/debian", "example.com", "http://u:p@example.com/", "http://example.com/?x", ""] {
        let sources = place.sources_with(NetPolicy::default(), |s| {
            s.mirrors.insert("debian".into(), mirror.into());
        });
        let error = sources.apt().resolve(&request(&[])).unwrap_err();
        assert_eq!((error.code, error.code.exit()), (codes::E0465, 3), "{mirror}");
    }
    fs::write(place.dir.path().join("junk"), "no key").unwrap();
    for keyring in ["missing", "junk"] {
        let sources = place.sources_with(NetPolicy::default(), |s| {
            s.keyrings.insert("debian".into(), place.dir.path().join(keyring));
        });
        assert_eq!(sources.apt().resolve(&request(&[])).unwrap_err().code, codes::E0465, "{keyring}");
    }
}

#[test]
fn builds_at_once_fetch_the_same_packages_once() {
    let archive = Archive::small();
    let server = archive.serve();
    let place = Place::new(&server, &archive.key);
    let wanted = roots(&["web"]);
    let pin = place.sources(NetPolicy::default()).apt().resolve(&request(&wanted)).unwrap();
    std::thread::scope(|scope| {
        let builds: Vec<_> =
            (0..4).map(|_| scope.spawn(|| place.sources(NetPolicy::default()).apt().open(&pin).unwrap())).collect();
        let all: Vec<_> = builds.into_iter().map(|build| build.join().unwrap()).collect();
        assert!(all.iter().all(|debs| *debs == all[0]));
    });
    assert_eq!(server.count("GET /debian/pool/"), 3);
    assert_eq!(fs::read_dir(place.dir.path().join("cache/debs")).unwrap().count(), 3);
}
