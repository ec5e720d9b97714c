//! Literal secrets: no place of the language is meant for one, so that what looks like one gets a warning.

use std::collections::BTreeMap;

use diag::{Diagnostic, Diagnostics, Spanned, codes};

use crate::spec::*;

pub(super) fn check(spec: &Spec, found: &mut Diagnostics) {
    let image = &spec.image;
    let mut values: Vec<&Spanned<String>> = Vec::new();
    values.extend(image.entrypoint.iter().chain(image.command.iter().flatten()));
    values.extend(image.env.iter().map(|(_, value)| value));
    // A revision or digest is random and public.
    let public = |name: &str| name.ends_with("revision") || name.ends_with("digest") || name.ends_with("checksum");
    values.extend(image.labels.iter().filter(|(name, _)| !public(&name.value)).map(|(_, value)| value));
    for check in &spec.checks {
        if let Check::Exec { argv, .. } = check {
            values.extend(argv);
        }
    }
    for workload in &spec.workloads {
        values.extend(&workload.command);
        values.extend(workload.env.iter().map(|(_, value)| value));
        for probe in &workload.probes {
            if let ProbeAction::Exec { argv } = &probe.action {
                values.extend(argv);
            }
        }
    }
    for value in values {
        if let Some(why) = suspicion(&value.value) {
            found.push(
                Diagnostic::new(codes::E0121, format!("this looks like a secret: {why}"))
                    .at(value.span, "readable by everyone who has the spec or the image")
                    .help("in `workload`: secret \"NAME\" from=\"k8s:OBJECT/KEY\" to=\"env\""),
            );
        }
    }
}

/// Beginnings of well-known tokens.
const TOKENS: &[&str] =
    &["AKIA", "ASIA", "ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "sk_live_", "AIza", "npm_"];

/// Why the text may be a secret.
fn suspicion(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY") {
        return Some("a private key");
    }
    let authority = text.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    let login = authority.and_then(|host| host.rsplit_once('@')).and_then(|(login, _)| login.split_once(':'));
    if login.is_some_and(|(_, password)| !password.is_empty()) {
        return Some("a password in a URL");
    }
    // Separators of paths, options and lists part the words; those of base64 do not.
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-')));
    for word in words.filter(|word| word.len() >= 20 && word.len() <= 4096) {
        if TOKENS.iter().any(|token| word.starts_with(token)) {
            return Some("the beginning of a well-known token");
        }
        let hex = word.chars().all(|c| c.is_ascii_hexdigit());
        let mixed = word.chars().any(|c| c.is_ascii_digit())
            && word.chars().any(|c| c.is_ascii_lowercase())
            && word.chars().any(|c| c.is_ascii_uppercase());
        let bits = entropy(word);
        if (hex && word.len() >= 32 && bits > 3.0 && !text.contains("sha256:")) || (mixed && bits > 4.0) {
            return Some("characters without a pattern");
        }
    }
    None
}

/// Shannon entropy in bits a character.
fn entropy(word: &str) -> f64 {
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    for c in word.chars() {
        *counts.entry(c).or_default() += 1;
    }
    let length = f64::from(u32::try_from(word.chars().count()).unwrap_or(u32::MAX));
    counts.values().map(|count| f64::from(*count) / length).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_suspected_and_plain_settings_are_not() {
        for secret in [
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1x",
            "postgres://app:hunter2@db:5432/shop",
            "--token=9f86d081884c7d659a2feaa0c55ad015",
            "-----BEGIN RSA PRIVATE KEY-----\nMII",
        ] {
            let suspected = suspicion(secret).is_some();
            // The AWS example key is cut by its slashes into short words: the price of silence on paths.
            assert_eq!(suspected, !secret.starts_with("wJalr"), "{secret}");
        }
        for plain in [
            "",
            "daemon off;",
            "/usr/lib/x86_64-linux-gnu/libnss_systemd.so.2",
            "https://registry.example.com/shop/web",
            "postgres://db:5432/shop",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "-XX:MaxRAMPercentage=75.0",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "org.opencontainers.image.version",
            "Europe/Copenhagen",
            "ThisIsALongConfigurationFlagName",
        ] {
            assert_eq!(suspicion(plain), None, "{plain}");
        }
    }
}
