//! "Did you mean": the nearest of the names that exist.

/// The known name that differs least from `name`, if it differs by little.
pub(super) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 3).clamp(1, 3);
    known
        .filter(|k| k.len().abs_diff(name.len()) <= limit && k.len() <= 64)
        .map(|k| (distance(name.as_bytes(), k.as_bytes()), k))
        .filter(|(d, _)| *d <= limit && *d > 0)
        .min()
        .map(|(_, k)| k)
}

/// Levenshtein's distance in bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (above + 1).min(row[j] + 1).min(diagonal + usize::from(x != y));
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn only_what_is_near() {
        let known = ["perl-base", "libc6", "hello"];
        assert_eq!(near("perlbase", known.into_iter()), Some("perl-base"));
        assert_eq!(near("helo", known.into_iter()), Some("hello"));
        assert_eq!(near("nginx", known.into_iter()), None);
        assert_eq!(near("", known.into_iter()), None);
    }
}
