//! Names, each checked where it is written: a name of the spec may later be a file name, a label, or an argument
//! of another program (a `jump-host` of `-oProxyCommand=…`), and must not be able to be anything else there.

use diag::codes::E0111;

use super::{Check, Fault, values};
use crate::schema::nearest;

/// `Err` with the rule, and the slip behind it where one can be told.
fn fail(text: &str, what: &str, rule: &str) -> Check {
    let fault = Fault::new(E0111, format!("`{text}` is not {what}"), rule);
    let bare = text.trim_end_matches([',', ';', ':']).trim_matches('\'');
    Err(if text.ends_with([',', ';']) {
        fault.help(format!("values are separated by spaces alone: {bare}"))
    } else if text.starts_with('\'') {
        fault.help(format!("KDL knows double quotes only: \"{bare}\""))
    } else if text.ends_with(':') {
        fault.help(format!("KDL has no colons: {bare}"))
    } else {
        fault
    })
}

fn alnum(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// A DNS label (RFC 1123): what Kubernetes, file names and commands all take.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| alnum(c) || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

pub(super) fn name(text: &str) -> Check {
    if is_label(text) {
        return Ok(());
    }
    let lower = text.to_lowercase().replace(['_', '.', ' '], "-");
    let failed =
        fail(text, "a name", "lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends");
    if is_label(&lower) && lower != text { failed.map_err(|fault| fault.help(format!("\"{lower}\""))) } else { failed }
}

pub(super) fn object_name(text: &str) -> Check {
    let sound = text.len() <= 253 && text.split('.').all(is_label);
    if sound { Ok(()) } else { fail(text, "the name of a cluster's object", "lower-case letters, digits, `-` and `.`") }
}

fn is_posix(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(|c| alnum(c) || c == '_' || c == '-')
}

pub(super) fn posix_name(text: &str) -> Check {
    if is_posix(text) {
        return Ok(());
    }
    fail(text, "the name of an account", "lower-case letters, digits, `_` and `-`, at most 32, beginning with a letter")
}

pub(super) fn account(text: &str) -> Check {
    if text == "auto" {
        return Err(Fault::new(E0111, "no account may be called `auto`", "`auto` means a free id")
            .help("use another name: `uid=auto` could not be told from it"));
    }
    posix_name(text)
}

fn is_id(text: &str) -> bool {
    text == "0" || (text.chars().all(|c| c.is_ascii_digit()) && !text.starts_with('0') && text.parse::<i32>().is_ok())
}

fn account_or_id(text: &str) -> bool {
    is_posix(text) || is_id(text)
}

pub(super) fn owner(text: &str) -> Check {
    let mut parts = text.split(':');
    let sound = match (parts.next(), parts.next(), parts.next()) {
        (Some(user), Some(group), None) => account_or_id(user) && account_or_id(group),
        _ => false,
    };
    if sound {
        return Ok(());
    }
    let failed = fail(text, "an owner", "`user:group`, as names or numbers");
    if account_or_id(text) { failed.map_err(|fault| fault.help(format!("\"{text}:{text}\""))) } else { failed }
}

pub(super) fn run_as(text: &str) -> Check {
    let mut parts = text.split(':');
    let sound = match (parts.next(), parts.next(), parts.next()) {
        (Some(user), None, None) => account_or_id(user),
        (Some(user), Some(group), None) => account_or_id(user) && account_or_id(group),
        _ => false,
    };
    if sound { Ok(()) } else { fail(text, "a user", "a name or id, or `user:group`") }
}

pub(super) fn port_name(text: &str) -> Check {
    // IANA_SVC_NAME (RFC 6335 §5.1), which Kubernetes demands.
    let sound =
        is_label(text) && text.len() <= 15 && text.chars().any(|c| c.is_ascii_lowercase()) && !text.contains("--");
    if sound {
        return Ok(());
    }
    let failed =
        fail(text, "the name of a port", "lower-case letters, digits and `-`, at most 15, with at least one letter");
    if text.parse::<u16>().is_ok() {
        failed.map_err(|fault| fault.help(format!("a number has no quotes: {text}")))
    } else {
        failed
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn param_name(text: &str) -> Check {
    if is_identifier(text) && text.len() <= 64 {
        return Ok(());
    }
    let other = text.replace(['-', '.'], "_");
    let failed = fail(text, "the name of a param", "letters, digits and `_`, as it stands between `{{` and `}}`");
    if is_identifier(&other) { failed.map_err(|fault| fault.help(format!("\"{other}\""))) } else { failed }
}

pub(super) fn env_name(text: &str) -> Check {
    if is_identifier(text) && text.len() <= 256 {
        return Ok(());
    }
    fail(text, "the name of a variable", "letters, digits and `_`, not beginning with a digit")
}

pub(super) fn secret_name(text: &str) -> Check {
    let sound = (1..=253).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && !text.starts_with(['.', '-']);
    if sound { Ok(()) } else { fail(text, "the name of a variable or file", "letters, digits, `.`, `_` and `-`") }
}

pub(super) fn label_key(text: &str) -> Check {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let sound = (1..=253).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if sound { Ok(()) } else { fail(text, "the name of a label", "letters, digits, `.`, `-`, `_` and `/`") }
}

pub(super) fn resource_name(text: &str) -> Check {
    let known = ["cpu", "memory", "ephemeral-storage"];
    let vendor = text
        .split_once('/')
        .is_some_and(|(domain, rest)| domain.contains('.') && object_name(domain).is_ok() && is_label(rest));
    if known.contains(&text)
        || vendor
        || text.strip_prefix("hugepages-").is_some_and(|size| values::quantity(size).is_ok())
    {
        return Ok(());
    }
    let failed =
        fail(text, "a resource", "`cpu`, `memory`, `ephemeral-storage`, `hugepages-SIZE`, or `vendor.example/name`");
    match nearest(text, known) {
        Some(near) => failed.map_err(|fault| fault.help(format!("did you mean `{near}`?"))),
        None => failed,
    }
}

pub(super) fn parameter_name(text: &str) -> Check {
    let sound = (1..=253).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if sound { Ok(()) } else { fail(text, "the name of a parameter", "letters, digits, `.`, `_`, `-` and `/`") }
}

pub(super) fn package(text: &str) -> Check {
    // Debian policy 5.6.7, widened by the capitals and `_` of rpm.
    let (base, arch) = text.split_once(':').map_or((text, None), |(base, arch)| (base, Some(arch)));
    let sound = (2..=200).contains(&base.len())
        && base.starts_with(|c: char| c.is_ascii_alphanumeric())
        && base.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))
        && arch.is_none_or(|arch| !arch.is_empty() && arch.chars().all(alnum));
    if sound {
        return Ok(());
    }
    if text.contains(['=', '*', '/']) {
        return fail(text, "the name of a package", "a package's name alone: no version, no glob, no path")
            .map_err(|fault| fault.help("paths and globs belong in `files`"));
    }
    fail(text, "the name of a package", "letters, digits, `+`, `-` and `.`")
}

pub(super) fn cloud_name(text: &str) -> Check {
    let sound = (1..=100).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if sound { Ok(()) } else { fail(text, "a name", "letters, digits, `-` and `_`, beginning with a letter or digit") }
}

pub(super) fn region(text: &str) -> Check {
    let sound = is_label(text) && text.contains('-') && text.ends_with(|c: char| c.is_ascii_digit());
    if sound { Ok(()) } else { fail(text, "a region", "like `eu-west-1`") }
}

pub(super) fn user_host(text: &str) -> Check {
    let sound = text.split_once('@').is_some_and(|(user, host)| {
        let user_ok = (1..=64).contains(&user.len())
            && user.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && user.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        let host_ok = (1..=253).contains(&host.len()) && host.split('.').all(|label| is_label(&label.to_lowercase()));
        user_ok && host_ok
    });
    if sound {
        Ok(())
    } else {
        fail(text, "`user@host`", "a login name, `@`, and a host name or address, nothing else")
    }
}

pub(super) fn mount_option(text: &str) -> Check {
    let sound = (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '=' | '.' | ':' | '/'));
    if sound {
        Ok(())
    } else {
        fail(text, "a mount option", "one option: letters, digits, `_`, `-`, `=`, `.`, `:` and `/`")
    }
}

pub(super) fn syscall(text: &str) -> Check {
    let sound = match text.strip_prefix('@') {
        Some(group) => is_label(group),
        None => {
            (1..=64).contains(&text.len())
                && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && text.chars().all(|c| alnum(c) || c == '_')
        }
    };
    if sound { Ok(()) } else { fail(text, "a system call", "its name as in syscalls(2), or `@group`") }
}
