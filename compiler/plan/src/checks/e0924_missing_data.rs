//! Mistake 24: data that a program finds by name or not at all is gone: name service switch, cache of libraries,
//! certificates, time zones, locales (apko CVE-2025-53945 for the cache).

use diag::text::printable;
use diag::{Diagnostic, Diagnostics, Severity, codes};

use super::view::{Setting, View, Whose, entry};
use crate::path::ImagePath;
use crate::plan::{ImagePlan, Plan};

/// Variables that name a file or directory of certificates.
const CERTIFICATES: &[&str] = &[
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Variables that name a locale.
const LOCALES: &[&str] = &["LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME"];

/// Every pod, or the bare image.
pub fn check(plan: &Plan, found: &mut Diagnostics) {
    for view in View::all(plan) {
        let environment = view.environment();
        for name in CERTIFICATES {
            if let Some(setting) = environment.get(*name) {
                found.extend(certificates(&view, name, setting));
            }
        }
        if let Some(setting) = environment.get("TZ").filter(|_| !environment.contains_key("TZDIR")) {
            found.extend(zone(&view, setting));
        }
        for name in LOCALES {
            if let Some(setting) = environment.get(*name) {
                found.extend(locale(&view, name, setting));
            }
        }
    }
    for image in &plan.images {
        found.extend(switch(image));
        let library_path = View::all(plan).iter().any(|view| view.environment().contains_key("LD_LIBRARY_PATH"));
        found.extend(cache(image).filter(|_| !library_path));
    }
}

/// Whether the program can find `path`: in the image, or by a mount whose content is not known.
fn there(view: &View<'_>, path: &str) -> bool {
    let Ok(path) = ImagePath::parse(path.as_bytes()) else { return true };
    entry(view.image, &path).is_some() || view.cover(&path).is_some() || view.mounts_below(&path)
}

/// Whether some kept program needs a library of this name.
fn needs(image: &ImagePlan, name: &[u8]) -> bool {
    image.kept.needed.keys().any(|path| path.name() == name)
}

fn missing(view: &View<'_>, message: String, setting: &Setting, path: &str) -> Diagnostic {
    let one = Diagnostic::new(codes::E0924, message).at_opt(
        setting.span,
        match setting.whose {
            Whose::Spec => "named here",
            Whose::Base => "the base's config sets the variable",
        },
    );
    let removed = ImagePath::parse(path.as_bytes()).ok().and_then(|path| view.image.kept.removed.get(&path));
    match removed {
        Some(removed) => {
            let one = one.note(format!("the base has it, and it goes: {}", removed.reason.in_words()));
            let one = match removed.reason.span() {
                Some(span) => one.label(span, "this line takes it away"),
                None => one,
            };
            one.help(format!("keep it: files {{ keep \"{}\" }}", printable(path)))
        }
        None => one,
    }
}

fn certificates(view: &View<'_>, name: &str, setting: &Setting) -> Option<Diagnostic> {
    let value = setting.value.as_str();
    let mut paths = value.split(':').filter(|path| path.starts_with('/')).peekable();
    let first = *paths.peek()?;
    if paths.any(|path| there(view, path)) {
        return None;
    }
    let message = format!("{name} names {}, which is not in the image{}", printable(value), view.place());
    let severity = if setting.whose == Whose::Spec { Severity::Error } else { Severity::Warning };
    Some(
        missing(view, message, setting, first)
            .severity(severity)
            .help("packages { keep \"ca-certificates\" }, or files { copy … } of a bundle"),
    )
}

fn zone(view: &View<'_>, setting: &Setting) -> Option<Diagnostic> {
    let name = setting.value.strip_prefix(':').unwrap_or(&setting.value);
    // POSIX rules (`CET-1CEST,M3.5.0`, `<+03>-3`) and the names that every libc knows need no file.
    let digits = name.bytes().any(|b| b.is_ascii_digit());
    let rule = name.is_empty()
        || name.contains([',', '<'])
        || (digits && !name.contains('/'))
        || matches!(name, "UTC" | "GMT" | "UCT" | "Zulu");
    let libc =
        view.image.kept.needed.keys().any(|path| path.name() == b"libc.so.6" || path.name().starts_with(b"ld-musl-"));
    if rule || !libc {
        return None;
    }
    let path = if name.starts_with('/') { name.to_owned() } else { format!("/usr/share/zoneinfo/{name}") };
    if there(view, &path) {
        return None;
    }
    let message =
        format!("TZ is {}, but the image has no {}{}", printable(&setting.value), printable(&path), view.place());
    Some(
        missing(view, message, setting, &path)
            .severity(Severity::Warning)
            .note("libc falls back on UTC and says nothing")
            .help("packages { keep \"tzdata\" } (or add), or TZ=\"UTC\""),
    )
}

fn locale(view: &View<'_>, variable: &str, setting: &Setting) -> Option<Diagnostic> {
    let value = setting.value.as_str();
    let builtin = value.is_empty() || value == "C" || value == "POSIX" || value.starts_with("C.");
    if builtin || !needs(view.image, b"libc.so.6") || value.contains('/') {
        return None;
    }
    // glibc looks for the code set in lower case without signs: de_DE.UTF-8 is de_DE.utf8.
    let (rest, modifier) = value.split_once('@').map_or((value, String::new()), |(rest, m)| (rest, format!("@{m}")));
    let (language, codeset) = rest.split_once('.').unwrap_or((rest, ""));
    let normal: String = codeset.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let dot = if normal.is_empty() { "" } else { "." };
    let short = language.split('_').next().unwrap_or(language);
    let root = "/usr/lib/locale";
    let mut places = [language, short].into_iter().flat_map(|language| {
        [
            format!("{root}/{language}{dot}{normal}{modifier}"),
            format!("{root}/{language}{modifier}"),
            format!("{root}/{language}.{codeset}"),
        ]
    });
    if there(view, &format!("{root}/locale-archive")) || places.any(|place| there(view, &place)) {
        return None;
    }
    if view.environment().contains_key("LOCPATH") {
        return None;
    }
    let message = format!("{variable} is {}, but the image has no such locale{}", printable(value), view.place());
    Some(
        missing(view, message, setting, &format!("{root}/locale-archive"))
            .severity(Severity::Warning)
            .note("libc falls back on C and says nothing; texts beyond ASCII break")
            .help(format!(
                "{variable}=\"C.UTF-8\", which needs no file; or keep the locale: files {{ keep \"{root}/**\" }}"
            )),
    )
}

/// Without nsswitch.conf glibc asks DNS before /etc/hosts, and knows no module that the base was set up with.
fn switch(image: &ImagePlan) -> Option<Diagnostic> {
    let path = ImagePath::parse(b"/etc/nsswitch.conf").ok()?;
    let removed = image.kept.removed.get(&path).filter(|_| needs(image, b"libc.so.6"))?;
    Some(
        Diagnostic::new(codes::E0924, "/etc/nsswitch.conf goes, though programs of the image use glibc")
            .severity(Severity::Warning)
            .at_opt(removed.reason.span(), "this line takes it away")
            .note(removed.reason.in_words())
            .note("without it glibc asks DNS for every name before it looks into /etc/hosts")
            .help("files { keep \"/etc/nsswitch.conf\" }"),
    )
}

/// The loader finds a library of /usr/local only by its cache.
fn cache(image: &ImagePlan) -> Option<Diagnostic> {
    let path = ImagePath::parse(b"/etc/ld.so.cache").ok()?;
    let removed = image.kept.removed.get(&path)?;
    let local = ImagePath::parse(b"/usr/local/lib").ok()?;
    let mut needed = image.kept.needed.keys();
    let library = needed.find(|path| path.is_within(&local) && path.name().windows(3).any(|part| part == b".so"))?;
    Some(
        Diagnostic::new(codes::E0924, format!("/etc/ld.so.cache goes, though only it leads the loader to {library}"))
            .severity(Severity::Warning)
            .at_opt(removed.reason.span(), "this line takes it away")
            .note(removed.reason.in_words())
            .help("files { keep \"/etc/ld.so.cache\" }, or image { env LD_LIBRARY_PATH=\"/usr/local/lib\" }"),
    )
}
