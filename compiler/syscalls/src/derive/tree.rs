//! The kept files as the derivation sees them, and where a loader would look for a shared object among them.

use std::collections::BTreeMap;

use plan::platform::Arch;

/// Read-only view of a file system. Paths are absolute, with `/` between names.
pub trait Tree {
    /// The contents of a regular file; links on the way are followed inside the tree. None when there is none.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
    /// The path of the file itself, with all links followed inside the tree. None when there is nothing.
    fn resolve(&self, path: &str) -> Option<String>;
    /// All paths of regular files, in order.
    fn paths(&self) -> Vec<String>;
}

/// Most directories that `ld.so.conf` adds; more are not looked into.
const MOST: usize = 256;

/// The directories that a loader looks into, in order.
pub(crate) fn directories(tree: &dyn Tree, arch: Arch) -> Vec<String> {
    let mut all = Vec::new();
    configured(tree, &mut all);
    if let Some(musl) = tree.read(&format!("/etc/ld-musl-{}.path", arch.kernel())) {
        let text = String::from_utf8_lossy(&musl).into_owned();
        all.extend(text.split([':', '\n']).filter(|d| d.starts_with('/')).map(str::to_owned));
    }
    let triplet = format!("{}-linux-gnu", arch.kernel());
    for directory in ["/lib/TRIPLET", "/usr/lib/TRIPLET", "/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
    {
        all.push(directory.replace("TRIPLET", &triplet));
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|directory| seen.insert(directory.clone()));
    all
}

/// `/etc/ld.so.conf` with what it includes.
fn configured(tree: &dyn Tree, all: &mut Vec<String>) {
    let mut todo = vec!["/etc/ld.so.conf".to_owned()];
    let mut read = 0;
    while let Some(path) = todo.pop() {
        read += 1;
        let Some(bytes) = tree.read(&path).filter(|_| read < MOST) else { continue };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(pattern) = line.strip_prefix("include ") {
                let (directory, rest) = pattern.trim().rsplit_once('/').unwrap_or(("", ""));
                let end = rest.strip_prefix('*').unwrap_or(rest).to_owned();
                let within =
                    |path: &String| path.rsplit_once('/').is_some_and(|(d, n)| d == directory && n.ends_with(&end));
                let mut found: Vec<String> = tree.paths().into_iter().filter(within).collect();
                found.reverse();
                todo.extend(found);
            } else if line.starts_with('/') && all.len() < MOST {
                all.push(line.trim_end_matches('/').to_owned());
            }
        }
    }
}

/// Bytes of files by path, read once; a reader for tests and for callers that have all in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Files by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Symbolic links of files: path and target's path.
    pub links: BTreeMap<String, String>,
}

impl Tree for Memory {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.files.get(&self.resolve(path)?).cloned()
    }

    fn resolve(&self, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        for _ in 0..40 {
            match self.links.get(&path) {
                Some(next) => path.clone_from(next),
                None => return self.files.contains_key(&path).then_some(path),
            }
        }
        None
    }

    fn paths(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }
}
