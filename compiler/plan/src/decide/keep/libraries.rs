//! Where the dynamic loader looks for a library: ld.so(8) of glibc, and musl's `ldso/dynlink.c`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::needs::Dynamic;
use super::overlay::Overlay;
use crate::facts::Facts;
use crate::path::ImagePath;
use crate::tree::NodeKind;

/// A loaded file, from the view of what it needs.
pub(super) struct Origin {
    /// Where it is.
    pub path: ImagePath,
    rpath: Vec<Vec<u8>>,
    runpath: Option<Vec<Vec<u8>>>,
    /// Who asked for it: RPATH is inherited.
    by: Option<Arc<Origin>>,
    depth: u32,
}

impl Origin {
    pub fn new(path: &ImagePath, elf: &Dynamic, by: Option<&Arc<Origin>>) -> Self {
        let split = |list: &Vec<u8>| list.split(|b| *b == b':').map(<[u8]>::to_vec).collect::<Vec<_>>();
        Self {
            path: path.clone(),
            rpath: elf.rpath.as_ref().map(split).unwrap_or_default(),
            runpath: elf.runpath.as_ref().map(split),
            by: by.map(Arc::clone),
            depth: by.map_or(0, |by| by.depth + 1),
        }
    }

    /// This one and those that asked for it, at most a thousand.
    fn ancestors(&self) -> impl Iterator<Item = &Origin> {
        std::iter::successors(Some(self), |o| o.by.as_deref()).take(1000)
    }
}

impl Drop for Origin {
    /// A chain as long as a hostile base likes must not be dropped by recursion.
    fn drop(&mut self) {
        let mut next = self.by.take();
        while let Some(mut one) = next.and_then(Arc::into_inner) {
            next = one.by.take();
        }
    }
}

/// The places that do not depend on who asks.
pub(super) struct Search<'a> {
    overlay: &'a Overlay<'a>,
    musl: bool,
    environment: Vec<Vec<u8>>,
    /// Directories of `ld.so.conf`: glibc finds there only what `ld.so.cache` lists, so nothing that the spec adds.
    cached: Vec<Vec<u8>>,
    system: Vec<Vec<u8>>,
}

impl<'a> Search<'a> {
    pub fn new(facts: &'a Facts, overlay: &'a Overlay<'a>, loader: &[u8], env: &BTreeMap<String, String>) -> Self {
        let name = loader.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let musl = name.starts_with(b"ld-musl-");
        let environment = env.get("LD_LIBRARY_PATH").map(|list| list.split([':', ';']).map(Into::into).collect());
        let system = if musl { musl_directories(facts, name) } else { DEFAULT.map(Into::into).to_vec() };
        let cache = ImagePath::parse(b"/etc/ld.so.cache").is_ok_and(|cache| overlay.get(&cache).is_some());
        let cached = if cache && !musl { conf_directories(facts) } else { Vec::new() };
        Self { overlay, musl, environment: environment.unwrap_or_default(), cached, system }
    }

    /// musl has its libc in the loader: programs need a name that no file must have.
    pub fn is_libc(&self, name: &[u8]) -> bool {
        self.musl && (name == b"libc.so" || name.starts_with(b"libc.musl-"))
    }

    /// The file that is loaded for `name`, and its variants for better processors, which the loader takes
    /// instead where it can. `fits` says what a candidate is, or that it is of another kind.
    pub fn find(
        &self,
        name: &[u8],
        origin: &Origin,
        fits: &mut dyn FnMut(&ImagePath) -> Option<Dynamic>,
    ) -> Vec<(ImagePath, Dynamic)> {
        if name.contains(&b'/') {
            return self.candidate(&expand(name, &origin.path, "lib"), fits).into_iter().collect();
        }
        let lists = self.directories(origin);
        let last = lists.len().saturating_sub(1);
        for (number, list) in lists.into_iter().enumerate() {
            if number == last {
                let mut new = |path: &ImagePath| fits(path).filter(|_| !self.overlay.added.contains_key(path));
                for directory in &self.cached {
                    if let Some(one) = self.candidate(&[directory, b"/".as_slice(), name].concat(), &mut new) {
                        return vec![one];
                    }
                }
            }
            let mut found = Vec::new();
            for directory in list {
                let plain = self.candidate(&[&directory, b"/".as_slice(), name].concat(), fits);
                if !self.musl {
                    found.extend(self.variants(&directory, name, fits));
                }
                found.extend(plain);
                if !found.is_empty() {
                    return found;
                }
            }
        }
        Vec::new()
    }

    fn candidate(
        &self,
        place: &[u8],
        fits: &mut dyn FnMut(&ImagePath) -> Option<Dynamic>,
    ) -> Option<(ImagePath, Dynamic)> {
        let path = ImagePath::parse(&flat(place)).ok()?;
        let (real, _) = self.overlay.resolve(&path).ok()?;
        fits(&real).map(|elf| (path, elf))
    }

    /// `DIR/glibc-hwcaps/x86-64-v3/NAME` and its like.
    fn variants(
        &self,
        directory: &[u8],
        name: &[u8],
        fits: &mut dyn FnMut(&ImagePath) -> Option<Dynamic>,
    ) -> Vec<(ImagePath, Dynamic)> {
        let Ok(path) = ImagePath::parse(&flat(&[directory, b"/glibc-hwcaps"].concat())) else { return Vec::new() };
        let Ok((real, _)) = self.overlay.resolve(&path) else { return Vec::new() };
        let levels: Vec<ImagePath> = self.overlay.children(&real);
        levels
            .iter()
            .filter_map(|level| {
                let place = level.join(name).ok()?;
                let node = self.overlay.get(&place)?;
                matches!(node.kind, NodeKind::File(_) | NodeKind::Symlink(_)).then_some(())?;
                self.candidate(place.as_bytes(), fits)
            })
            .collect()
    }

    /// Lists of directories in the order in which they are tried.
    fn directories(&self, origin: &Origin) -> Vec<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        let expanded = |list: &[Vec<u8>], at: &ImagePath| {
            let libs = if self.musl {
                &["lib"][..]
            } else {
                &["lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib64", "lib"]
            };
            let mut out: Vec<Vec<u8>> = Vec::new();
            for one in list.iter().filter(|d| !d.is_empty()) {
                let uses_lib = one.windows(4).any(|w| w == b"$LIB") || one.windows(6).any(|w| w == b"${LIB}");
                for lib in &libs[..if uses_lib { libs.len() } else { 1 }] {
                    out.push(expand(one, at, lib));
                }
            }
            out
        };
        if self.musl {
            // musl: LD_LIBRARY_PATH, then RPATH and RUNPATH alike of the file and of those that asked for it.
            all.push(self.environment.clone());
            for one in origin.ancestors() {
                all.push(expanded(one.runpath.as_ref().unwrap_or(&one.rpath), &one.path));
            }
        } else {
            // glibc: RPATH only where the file itself has no RUNPATH; RUNPATH is not inherited.
            if origin.runpath.is_none() {
                for one in origin.ancestors().filter(|o| o.runpath.is_none()) {
                    all.push(expanded(&one.rpath, &one.path));
                }
            }
            all.push(self.environment.clone());
            if let Some(list) = &origin.runpath {
                all.push(expanded(list, &origin.path));
            }
        }
        all.push(self.system.clone());
        all
    }
}

/// Replaces `$ORIGIN` and `$LIB`, with or without braces.
fn expand(text: &[u8], at: &ImagePath, lib: &str) -> Vec<u8> {
    let directory = at.parent().unwrap_or_else(ImagePath::root);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    'outer: while let Some((first, after)) = rest.split_first() {
        if *first == b'$' {
            for (word, value) in [("ORIGIN", directory.as_bytes()), ("LIB", lib.as_bytes())] {
                for form in [word.to_string(), format!("{{{word}}}")] {
                    if let Some(tail) = after.strip_prefix(form.as_bytes()) {
                        out.extend_from_slice(value);
                        rest = tail;
                        continue 'outer;
                    }
                }
            }
        }
        out.push(*first);
        rest = after;
    }
    out
}

/// `..` of a search path resolved as text, as far as it stays in the tree (`$ORIGIN/../lib`).
///
/// The kernel would follow a link in `/a/link/..` first; the directories of search paths are real ones.
fn flat(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().flat_map(|part| [b"/".as_slice(), part]).flatten().copied().collect()
}

/// What `ld.so.cache` was made of: `/etc/ld.so.conf` with its includes.
fn conf_directories(facts: &Facts) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut files = vec!["/etc/ld.so.conf".to_string()];
    let mut read = std::collections::BTreeSet::new();
    while let Some(file) = files.pop() {
        let Ok(path) = ImagePath::parse(file.as_bytes()) else { continue };
        let Some(bytes) = facts.files.get(&path).filter(|_| read.insert(path.clone())) else { continue };
        for line in String::from_utf8_lossy(bytes).lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(glob) = line.strip_prefix("include").filter(|r| r.starts_with(char::is_whitespace)) {
                let Ok(glob) = globset::GlobBuilder::new(glob.trim()).literal_separator(true).build() else { continue };
                let glob = glob.compile_matcher();
                let known = facts.files.keys().filter_map(ImagePath::to_str).filter(|p| glob.is_match(p));
                // A stack: the first is to be read first.
                let mut more: Vec<String> = known.map(Into::into).collect();
                more.reverse();
                files.append(&mut more);
            } else if line.starts_with('/') {
                out.push(line.trim_end_matches('/').into());
            }
        }
    }
    out
}

/// What is compiled into glibc as Debian and others build it.
const DEFAULT: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// `/etc/ld-musl-ARCH.path`, or what is compiled in.
fn musl_directories(facts: &Facts, loader: &[u8]) -> Vec<Vec<u8>> {
    let arch = loader.strip_prefix(b"ld-musl-").and_then(|n| n.strip_suffix(b".so.1")).unwrap_or_default();
    let file = [b"/etc/ld-musl-", arch, b".path"].concat();
    let listed = ImagePath::parse(&file).ok().and_then(|path| facts.files.get(&path));
    match listed {
        Some(bytes) => {
            bytes.split(|b| matches!(b, b':' | b'\n')).filter(|d| !d.is_empty()).map(<[u8]>::to_vec).collect()
        }
        None => ["/lib", "/usr/local/lib", "/usr/lib"].map(Into::into).to_vec(),
    }
}
