//! Summaries by path and by content, and the loader's search for files.

use std::collections::BTreeMap;
use std::rc::Rc;

use plan::platform::Arch;
use sha2::{Digest, Sha256};

use super::summarise::{self, summarise};
use super::summary::{ANALYSER, Summary};
use super::tree::{Tree, directories};

/// Keeps summaries between runs, by a key of content, architecture and analyser.
pub trait Cache {
    /// What was kept, if it is still what was put there.
    fn get(&mut self, key: &str) -> Option<Vec<u8>>;
    /// Keeps bytes.
    fn put(&mut self, key: &str, bytes: &[u8]);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl Cache for NoCache {
    fn get(&mut self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    fn put(&mut self, _key: &str, _bytes: &[u8]) {}
}

/// Keeps summaries in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryCache(BTreeMap<String, Vec<u8>>);

impl MemoryCache {
    /// Bytes that are kept.
    pub fn size(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

impl Cache for MemoryCache {
    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn put(&mut self, key: &str, bytes: &[u8]) {
        self.0.insert(key.to_owned(), bytes.to_owned());
    }
}

/// Largest file that is looked into, in bytes: a gibibyte.
const LARGEST: usize = 1 << 30;

/// Summaries of one tree.
pub(crate) struct Store<'a> {
    pub tree: &'a dyn Tree,
    pub arch: Arch,
    cache: &'a mut dyn Cache,
    known: BTreeMap<String, Result<Rc<Summary>, summarise::Error>>,
    directories: Vec<String>,
}

impl<'a> Store<'a> {
    pub fn new(tree: &'a dyn Tree, arch: Arch, cache: &'a mut dyn Cache) -> Self {
        Store { tree, arch, cache, known: BTreeMap::new(), directories: directories(tree, arch) }
    }

    /// The summary of a file whose path is resolved.
    pub fn summary(&mut self, path: &str) -> Result<Rc<Summary>, summarise::Error> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        let made = self.make(path).map(Rc::new);
        self.known.insert(path.to_owned(), made.clone());
        made
    }

    fn make(&mut self, path: &str) -> Result<Summary, summarise::Error> {
        let bytes = self.tree.read(path).filter(|bytes| bytes.len() <= LARGEST).ok_or(summarise::Error::Other)?;
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = format!("{hash}-{}-{ANALYSER}", self.arch.kernel());
        if let Some(kept) = self.cache.get(&key).and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            return Ok(kept);
        }
        let made = summarise(&bytes, self.arch)?;
        if let Ok(bytes) = serde_json::to_vec(&made) {
            self.cache.put(&key, &bytes);
        }
        Ok(made)
    }

    fn fits(&mut self, path: &str) -> Option<String> {
        let path = self.tree.resolve(path)?;
        self.summary(&path).is_ok().then_some(path)
    }

    /// The file that a loader gives for a name that a file asks for (ld.so(8)).
    pub fn find(&mut self, name: &str, by: &str, summary: &Summary) -> Option<String> {
        if name.contains('/') {
            return self.fits(name);
        }
        let origin = by.rsplit_once('/').map_or("", |(directory, _)| directory);
        let own: Vec<String> = summary
            .rpath
            .iter()
            .chain(&summary.runpath)
            .map(|d| d.replace("${ORIGIN}", origin).replace("$ORIGIN", origin).replace("$LIB", "lib"))
            .collect();
        for directory in own {
            if let Some(found) = self.fits(&tidy(&format!("{directory}/{name}"))) {
                return Some(found);
            }
        }
        self.find_default(name)
    }

    /// The file of a name in the loader's own directories.
    pub fn find_default(&mut self, name: &str) -> Option<String> {
        let directories = self.directories.clone();
        directories.iter().find_map(|directory| self.fits(&format!("{directory}/{name}")))
    }

    /// The services that `/etc/nsswitch.conf` names; without it those that glibc takes then.
    pub fn services(&self) -> Vec<String> {
        let mut services = std::collections::BTreeSet::from(["files".to_owned(), "dns".to_owned()]);
        let text = self.tree.read("/etc/nsswitch.conf").unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((_, list)) = line.split_once(':') else { continue };
            let plain = |word: &&str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            services.extend(list.split_ascii_whitespace().filter(plain).map(str::to_owned));
        }
        services.into_iter().collect()
    }

    /// Modules of iconv.
    pub fn character_sets(&self) -> Vec<String> {
        let module = |path: &String| {
            let place = path.rsplit_once("/gconv/").filter(|(_, name)| name.ends_with(".so") && !name.contains('/'));
            place.is_some_and(|(directory, _)| self.directories.iter().any(|known| known == directory))
        };
        self.tree.paths().into_iter().filter(module).collect()
    }
}

/// A path without `.` and `..`.
fn tidy(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => _ = names.pop(),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}
