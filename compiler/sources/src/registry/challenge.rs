//! `WWW-Authenticate` (RFC 9110 §11.6.1; distribution project, "Token authentication specification").

use std::collections::BTreeMap;

/// What a registry wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password, to the registry itself.
    Basic,
    /// A token of `realm`.
    Bearer {
        /// Where tokens are given out; not checked yet.
        realm: String,
        /// Name of the registry at the realm.
        service: Option<String>,
    },
}

impl Challenge {
    /// The best challenge that a header's value holds: bearer before basic; others are of no use.
    pub fn parse(value: &str) -> Option<Challenge> {
        let all = challenges(value);
        let bearer = all.iter().find_map(|(scheme, parameters)| {
            let realm = scheme.eq_ignore_ascii_case("bearer").then(|| parameters.get("realm")).flatten()?;
            Some(Challenge::Bearer { realm: realm.clone(), service: parameters.get("service").cloned() })
        });
        let basic = all.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        bearer.or(basic.then_some(Challenge::Basic))
    }
}

/// Splits the value into schemes with their parameters; names are made lower case.
fn challenges(value: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut out: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = value.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let trimmed = after.trim_start();
        if let Some(value) = trimmed.strip_prefix('=') {
            let (text, left) = parameter(value.trim_start());
            if let Some((_, parameters)) = out.last_mut() {
                parameters.entry(word.to_ascii_lowercase()).or_insert(text);
            }
            rest = left;
        } else {
            if !word.is_empty() {
                out.push((word.to_owned(), BTreeMap::new()));
            }
            rest = after;
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    out
}

/// A token or quoted string, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn headers_as_registries_send_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (text, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a,b:pull""#,
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            (r#"bearer service="x", REALM="https://a/\"q""#, bearer("https://a/\"q", Some("x"))),
            (r#"Basic realm="Registry Realm", Bearer realm=https://t/"#, bearer("https://t/", None)),
            (r#"Basic realm="x""#, Some(Challenge::Basic)),
            ("Basic", Some(Challenge::Basic)),
            ("Negotiate", None),
            ("Bearer service=\"x\"", None),
            ("", None),
            ("=,=\"", None),
            ("\" \" = ,,,", None),
        ] {
            assert_eq!(Challenge::parse(text), expected, "{text}");
        }
    }
}
