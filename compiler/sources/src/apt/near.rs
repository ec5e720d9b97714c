//! The nearest of many names, for a name that was mistyped.

/// The first of the nearest names, when it is near enough to be meant.
pub(crate) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any package name: not worth the comparisons.
    if typed.len() > 100 {
        return None;
    }
    let limit = (typed.chars().count() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for name in names.filter(|name| name.len().abs_diff(typed.len()) <= limit) {
        let bound = best.map_or(limit, |(distance, _)| distance.saturating_sub(1));
        if let Some(distance) = within(typed.as_bytes(), name.as_bytes(), bound) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) from one to the other, when they are at most `limit`.
fn within(left: &[u8], right: &[u8], limit: usize) -> Option<usize> {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, b) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left[i - 1] == *b && right[j - 1] == *a {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        if row.iter().min().is_none_or(|least| *least > limit) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_proposed() {
        let names = ["nginx", "nginx-light", "libc6", "bash"];
        for (typed, near) in [
            ("ngnix", Some("nginx")),
            ("nginx-ligth", Some("nginx-light")),
            ("libc5", Some("libc6")),
            ("bsh", Some("bash")),
            ("postgresql", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), near, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(1000), names.into_iter()), None);
    }
}
