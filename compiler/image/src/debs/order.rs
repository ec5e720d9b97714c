//! The order in which packages are configured: the essential ones with all they need first, as mmdebstrap does it,
//! and each after what it depends on.

use std::collections::BTreeMap;

use super::package::Package;

/// Indexes of `packages` in the order of configuration, and which of them are essential or needed by those.
pub(super) fn order(packages: &[Package]) -> (Vec<usize>, Vec<bool>) {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        providers.entry(&package.name).or_default().insert(0, at);
        for provided in package.provides.iter().flatten() {
            providers.entry(&provided.name).or_default().push(at);
        }
    }
    let needs: Vec<Vec<usize>> = packages
        .iter()
        .map(|package| {
            let first = |group: &Vec<formats::dpkg::Relation>| {
                group.iter().find_map(|one| providers.get(one.name.as_str()).and_then(|all| all.first()).copied())
            };
            package.depends.iter().filter_map(first).collect()
        })
        .collect();
    let (mut out, mut seen) = (Vec::new(), vec![false; packages.len()]);
    let mut early = vec![false; packages.len()];
    let essential = (0..packages.len()).filter(|at| packages.get(*at).is_some_and(|p| p.essential));
    let essential = essential.map(|at| (at, true));
    for (start, essential) in essential.chain((0..packages.len()).map(|at| (at, false))) {
        // A walk without recursion: a package is out when all it needs is; a circle is cut where it closes.
        let mut stack = vec![(start, 0usize)];
        while let Some((at, next)) = stack.pop() {
            if next == 0 {
                match seen.get_mut(at) {
                    Some(seen) if !*seen => {
                        *seen = true;
                        if let Some(early) = early.get_mut(at) {
                            *early = essential;
                        }
                    }
                    _ => continue,
                }
            }
            match needs.get(at).and_then(|all| all.get(next)) {
                Some(need) => {
                    stack.push((at, next + 1));
                    if seen.get(*need) == Some(&false) {
                        stack.push((*need, 0));
                    }
                }
                None => out.push(at),
            }
        }
    }
    (out, early)
}
