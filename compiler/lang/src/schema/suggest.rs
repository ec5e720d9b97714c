//! "Did you mean": the nearest of a list of names.

/// The name of `names` that is nearest to `typed`, when it is near enough to be a slip of the keyboard.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A hostile spec may type a name of a megabyte; nothing that long is a slip.
    if typed.len() > 64 {
        return None;
    }
    let wanted: Vec<char> = typed.to_lowercase().chars().collect();
    let limit = (wanted.len() / 3).clamp(1, 3);
    // The names may come from a hostile spec as well: of many, and of long ones, a few are looked at.
    let near = names.into_iter().take(300).filter(|name| name.len().abs_diff(typed.len()) <= limit);
    let scored = near.map(|name| (distance(&wanted, &name.to_lowercase().chars().collect::<Vec<_>>()), name));
    scored.filter(|(score, _)| *score <= limit).min().map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_nothing_else() {
        let names = ["users", "volumes", "files", "entrypoint"];
        assert_eq!(nearest("uesrs", names), Some("users"));
        assert_eq!(nearest("volume", names), Some("volumes"));
        assert_eq!(nearest("Entrypiont", names), Some("entrypoint"));
        assert_eq!(nearest("secrets", names), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), names), None);
    }
}
