//! SPDX identifiers: `SPDXRef-` and letters, digits, `.` and `-`, each once in a document.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// Those that are taken.
#[derive(Debug, Default)]
pub(super) struct Ids(BTreeSet<String>);

impl Ids {
    /// An identifier for what `name` names; `key` tells two of the same name apart.
    pub fn take(&mut self, name: &str, key: &str) -> String {
        let plain = format!("SPDXRef-{}", safe(name));
        if safe(name) == name && self.0.insert(plain.clone()) {
            return plain;
        }
        // A name that lost characters gets a hash at once, so that `a_b` is not `a-b` on a day when that is gone.
        let sum = Sha256::digest(format!("{name}\n{key}").as_bytes());
        let sum = plan::decide::generation::hex(&sum);
        let mut id = format!("{plain}-{}", sum.get(..12).unwrap_or_default());
        let mut number = 1_u64;
        while !self.0.insert(id.clone()) {
            number += 1;
            id = format!("{plain}-{}-{number}", sum.get(..12).unwrap_or_default());
        }
        id
    }
}

/// `text` with all that an identifier cannot hold as `-`.
pub(super) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once() {
        let mut ids = Ids::default();
        assert_eq!(ids.take("deb-libc6-amd64", "1"), "SPDXRef-deb-libc6-amd64");
        let all = [ids.take("deb-libc6-amd64", "1"), ids.take("deb-libc6-amd64", "1"), ids.take("deb-g++", "1")];
        let other = ids.take("deb-g--", "1");
        assert!(all[0] != all[1] && all[2].starts_with("SPDXRef-deb-g---") && other == "SPDXRef-deb-g--");
        assert!(all.iter().all(|id| id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))));
    }
}
