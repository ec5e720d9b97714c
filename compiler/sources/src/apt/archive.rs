//! The suites that are known, where their archives are, and how a file of one is asked for.

use std::path::Path;

use diag::{Diagnostic, codes, text::printable};

use crate::registry::{Answer, Ask, Http, Payload, Url};
use crate::settings::Settings;

/// Redirects that are followed one after the other.
const MAX_REDIRECTS: u32 = 5;

/// Whose suite it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Debian,
    Ubuntu,
}

/// A suite: one release of a distribution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its code name: others (`stable`) mean another release next year.
    pub name: &'static str,
    pub family: Family,
    /// Whether it has `-updates` and `-security`.
    pub moves: bool,
}

/// What `apt:` knows.
pub(crate) const SUITES: [Suite; 5] = [
    Suite { name: "bookworm", family: Family::Debian, moves: true },
    Suite { name: "trixie", family: Family::Debian, moves: true },
    Suite { name: "sid", family: Family::Debian, moves: false },
    Suite { name: "jammy", family: Family::Ubuntu, moves: true },
    Suite { name: "noble", family: Family::Ubuntu, moves: true },
];

/// One signed `Release` of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pocket {
    /// The archive, as the lock and the mirrors of the settings call it.
    pub archive: &'static str,
    /// The directory below `dists/`.
    pub suite: String,
    pub components: &'static [&'static str],
    pub family: Family,
}

/// The suite of this name.
///
/// # Errors
/// E0450.
pub(crate) fn suite(name: &str) -> Result<&'static Suite, Diagnostic> {
    if let Some(found) = SUITES.iter().find(|suite| suite.name == name) {
        return Ok(found);
    }
    let known: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    let mut error = Diagnostic::new(codes::E0450, format!("`{}` is no suite that k8orc knows", printable(name)))
        .note(format!("known: {}", known.join(", ")));
    error = match (name, super::near::nearest(name, known.iter().copied())) {
        ("stable" | "oldstable" | "testing", _) => {
            error.help("give the code name of the release: what `stable` means changes")
        }
        ("unstable", _) => error.help("did you mean `apt:sid`?"),
        (_, Some(near)) => error.help(format!("did you mean `apt:{near}`?")),
        _ => error.help("give one of them, or a base image that holds another release"),
    };
    Err(error)
}

impl Suite {
    /// The `Release` files that make the suite, its own first.
    pub(crate) fn pockets(&self, architecture: &str) -> Vec<Pocket> {
        let (archive, security, components): (_, _, &'static [&'static str]) = match self.family {
            Family::Debian => ("debian", "debian-security", &["main"]),
            Family::Ubuntu if matches!(architecture, "amd64" | "i386") => ("ubuntu", "ubuntu", &["main", "universe"]),
            Family::Ubuntu => ("ubuntu-ports", "ubuntu-ports", &["main", "universe"]),
        };
        let pocket = |archive, suffix: &str| Pocket {
            archive,
            suite: format!("{}{suffix}", self.name),
            components,
            family: self.family,
        };
        let mut all = vec![pocket(archive, "")];
        if self.moves {
            all.extend([pocket(archive, "-updates"), pocket(security, "-security")]);
        }
        all
    }
}

impl Family {
    /// `Origin` of its `Release` files.
    pub(crate) fn origin(self) -> &'static str {
        match self {
            Family::Debian => "Debian",
            Family::Ubuntu => "Ubuntu",
        }
    }

    /// The keys that its archives are signed with.
    pub(crate) fn keys(self) -> &'static [u8] {
        match self {
            Family::Debian => include_bytes!("../../../../stdlib/keyrings/debian.gpg"),
            Family::Ubuntu => include_bytes!("../../../../stdlib/keyrings/ubuntu.gpg"),
        }
    }
}

/// The public host of an archive.
fn public(archive: &str) -> Option<&'static str> {
    match archive {
        "debian" => Some("http://deb.debian.org/debian"),
        "debian-security" => Some("http://deb.debian.org/debian-security"),
        "ubuntu" => Some("http://archive.ubuntu.com/ubuntu"),
        "ubuntu-ports" => Some("http://ports.ubuntu.com/ubuntu-ports"),
        _ => None,
    }
}

/// An archive as a place in the network.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    base: Url,
    /// How it is called in messages: with its URL, for a mirror may be what is wrong.
    pub shown: String,
}

impl Place {
    /// The mirror that the settings name, else the public host.
    ///
    /// # Errors
    /// E0465 for a mirror that is no URL, E0430 for an archive that nobody knows (a lock says its name).
    pub(crate) fn of(settings: &Settings, archive: &str) -> Result<Place, Diagnostic> {
        let mirror = settings.mirrors.get(archive);
        let Some(text) = mirror.map(String::as_str).or_else(|| public(archive)) else {
            let message = format!("the lock names an archive `{}` that k8orc does not know", printable(archive));
            return Err(Diagnostic::new(codes::E0430, message).help("run `k8orc lock`"));
        };
        let text = text.trim_end_matches('/');
        let base = Url::parse(text).filter(|_| !text.contains(['?', '#'])).ok_or_else(|| {
            Diagnostic::new(codes::E0465, format!("the mirror of `{archive}` cannot be used: `{}`", printable(text)))
                .help("give a URL that begins with http:// or https:// and has dists/ and pool/ below it")
        })?;
        Ok(Place { base, shown: format!("{archive} ({})", printable(text)) })
    }

    /// Asks for a file below the archive, from byte `offset`. 200, 206, 404 and 416 come back.
    ///
    /// # Errors
    /// E0451.
    pub(crate) fn get(&self, http: &Http, path: &str, offset: u64) -> Result<Answer, Diagnostic> {
        let root = self.base.to_string();
        let mut url = Url::parse(&format!("{}/{path}", root.trim_end_matches('/')))
            .ok_or_else(|| self.trouble(&format!("`{}` is no path in an archive", printable(path))))?;
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = Vec::new();
            if offset > 0 {
                headers.push(("Range", format!("bytes={offset}-")));
            }
            let ask = Ask { method: "GET", url: url.clone(), headers, body: Payload::None };
            let answer = http.exchange_verified(&ask).map_err(as_archive)?;
            match answer.status {
                200 | 206 | 404 | 410 | 416 => return Ok(answer),
                301 | 302 | 303 | 307 | 308 => {
                    let location = answer.header("location").unwrap_or_default();
                    url = url.join(location).ok_or_else(|| {
                        self.trouble(&format!("it redirects to `{}`, which is not followed", printable(location)))
                    })?;
                }
                status => return Err(self.trouble(&format!("it answers {status} for {}", printable(path)))),
            }
        }
        Err(self.trouble(&format!("it redirects more than {MAX_REDIRECTS} times for {}", printable(path))))
    }

    /// E0451.
    pub(crate) fn trouble(&self, why: &str) -> Diagnostic {
        Diagnostic::new(codes::E0451, format!("the archive {} does not serve what is needed: {why}", self.shown))
            .help("check the network and the mirror of your settings, or try again later")
    }
}

/// What the transport says of a registry is said of an archive here.
pub(crate) fn as_archive(mut error: Diagnostic) -> Diagnostic {
    if error.code == codes::E0403 {
        error.code = codes::E0451;
    }
    error
}

/// The keys for an archive: the distribution's, and those of the settings.
///
/// # Errors
/// E0465 for a file that cannot be read.
pub(crate) fn keys(settings: &Settings, pocket: &Pocket) -> Result<Vec<Vec<u8>>, Diagnostic> {
    let mut all = vec![pocket.family.keys().to_vec()];
    if let Some(path) = settings.keyrings.get(pocket.archive) {
        all.push(read_keys(path).map_err(|e| {
            let shown = printable(&path.display().to_string());
            Diagnostic::new(codes::E0465, format!("the keyring {shown} of `{}` cannot be read: {e}", pocket.archive))
                .help("give a file of OpenPGP public keys, as `gpg --export` writes it")
        })?);
    }
    Ok(all)
}

fn read_keys(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(16 << 20).read_to_end(&mut bytes)?;
    Ok(bytes)
}
