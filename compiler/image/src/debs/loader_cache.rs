//! `/etc/ld.so.cache` as ldconfig(8) of glibc ≥ 2.33 writes it: the format is that of `sysdeps/generic/dl-cache.h`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use formats::elf;
use plan::platform::Arch;

use super::failure::Failure;
use super::tree::{Kind, Tree};
use super::unpack::Window;

/// `FLAG_ELF_LIBC6` with the architecture's own, and `e_machine`.
fn flags(arch: Arch) -> (u32, u16, &'static str) {
    match arch {
        Arch::X86_64 => (0x0303, 62, "x86_64-linux-gnu"),
        Arch::Aarch64 => (0x0a03, 183, "aarch64-linux-gnu"),
    }
}

/// What the cache needs to know of a library: its DT_SONAME. None when it is no library of this architecture.
pub(super) fn library(bytes: &Window, arch: Arch) -> Option<Vec<u8>> {
    let read = elf::read_with(&mut |offset, most| bytes.at(offset, most), &[]).ok()??;
    let (_, machine, _) = flags(arch);
    (read.machine == machine && read.kind == 3).then(|| read.soname.unwrap_or_default())
}

/// Whether ldconfig looks at a file of this name.
pub(super) fn is_library_name(name: &[u8]) -> bool {
    (name.starts_with(b"lib") || name.starts_with(b"ld-")) && name.windows(3).any(|w| w == b".so")
}

struct Library {
    name: Vec<u8>,
    link: bool,
}

/// Writes the cache, and the links that are missing.
pub(super) fn write(tree: &mut Tree, arch: Arch, glibc: &str) -> Result<(), Failure> {
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut seen = Vec::new();
    for dir in directories(tree, arch) {
        let Ok(place) = tree.follow(&dir) else { continue };
        if seen.contains(&place) || !tree.nodes.get(&place).is_some_and(|n| n.kind == Kind::Directory) {
            continue;
        }
        seen.push(place);
        for (soname, library) in scan(tree, &dir) {
            let path = [&dir, b"/".as_slice(), &soname].concat();
            if !library.link && library.name != soname && tree.get(&path).is_none() {
                tree.link(&path, &library.name)?;
            }
            entries.push((soname, path));
        }
    }
    // Greatest first; what compares equal stays in the order of the directories.
    entries.sort_by(|a, b| compare(&b.0, &a.0));
    let bytes = encode(&entries, flags(arch).0, glibc);
    tree.write(b"/etc/ld.so.cache", bytes)?;
    let aux = tree.directories(b"/var/cache/ldconfig")?;
    if let Some(node) = tree.nodes.get_mut(&aux) {
        // ldconfig put its aux-cache there, which no image needs.
        node.mode = 0o700;
    }
    tree.touched.insert(aux);
    Ok(())
}

/// Directories of ld.so.conf, then the system's own.
fn directories(tree: &Tree, arch: Arch) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut files = vec![b"/etc/ld.so.conf".to_vec()];
    let mut read = 0;
    while let Some(file) = files.pop() {
        read += 1;
        let text = String::from_utf8_lossy(tree.read(&file).unwrap_or_default()).into_owned();
        for line in text.lines().map(|l| l.split('#').next().unwrap_or_default().trim()).filter(|_| read < 256) {
            match line.strip_prefix("include ") {
                // Debian's is the only pattern that is known: /etc/ld.so.conf.d/*.conf
                Some(pattern) => {
                    let Some((dir, "*.conf")) = pattern.trim().rsplit_once('/') else { continue };
                    let names = tree.names(dir.as_bytes());
                    let names = names.iter().rev().filter(|n| n.ends_with(b".conf"));
                    files.extend(names.map(|n| [dir.as_bytes(), b"/", n].concat()));
                }
                None if line.starts_with('/') => out.push(line.trim_end_matches('/').as_bytes().to_vec()),
                None => {}
            }
        }
    }
    let triple = flags(arch).2;
    let own = [format!("/lib/{triple}"), format!("/usr/lib/{triple}"), "/lib".into(), "/usr/lib".into()];
    out.extend(own.into_iter().map(String::into_bytes));
    out
}

/// The libraries of a directory by soname, as ldconfig's `search_dir` chooses them.
fn scan(tree: &Tree, dir: &[u8]) -> BTreeMap<Vec<u8>, Library> {
    let mut out: BTreeMap<Vec<u8>, Library> = BTreeMap::new();
    for name in tree.names(dir).into_iter().filter(|n| is_library_name(n)) {
        let path = [dir, b"/", &name].concat();
        let Some(soname) = tree.read(&path) else { continue };
        let Some(soname) = soname.strip_prefix(b"soname ") else { continue };
        let mut soname = if soname.is_empty() { name.clone() } else { soname.to_vec() };
        let mut link = tree.get(&path).is_some_and(|n| matches!(n.kind, Kind::Symlink(_)));
        // A link with another name than its soname counts as a file, unless it is the one that ld(1) uses.
        if link && name != soname && !(name.ends_with(b".so") && soname.starts_with(&name)) {
            link = false;
        }
        if link {
            soname.clone_from(&name);
        }
        let better = out.get(&soname).is_none_or(|old| match (old.link, link) {
            (true, false) => true,
            (false, true) => false,
            _ => compare(&old.name, &name) == Ordering::Less,
        });
        if better {
            out.insert(soname, Library { name, link });
        }
    }
    out
}

/// `_dl_cache_libcmp`: digits compare as numbers, and after everything else.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.first().copied(), b.first().copied()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(x), y) if x.is_ascii_digit() => {
                if !y.is_some_and(|y| y.is_ascii_digit()) {
                    return Ordering::Greater;
                }
                let (x, rest_a) = number(a);
                let (y, rest_b) = number(b);
                if x != y {
                    return x.cmp(&y);
                }
                (a, b) = (rest_a, rest_b);
            }
            (Some(_), Some(y)) if y.is_ascii_digit() => return Ordering::Less,
            (Some(x), y) => match x.cmp(&y.unwrap_or(0)) {
                Ordering::Equal => (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default()),
                other => return other,
            },
        }
    }
}

fn number(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    (digits.iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))), rest)
}

fn encode(entries: &[(Vec<u8>, Vec<u8>)], flags: u32, glibc: &str) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let start = 48 + 24 * entries.len();
    let (strings, offsets) = strings(entries.iter().flat_map(|(a, b)| [a.as_slice(), b.as_slice()]));
    let end = (start + strings.len()).next_multiple_of(4);
    let offset = |text: &[u8]| number(start + offsets.get(text).copied().unwrap_or(0));
    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    out.extend_from_slice(&number(entries.len()));
    out.extend_from_slice(&number(strings.len()));
    // Little-endian, both architectures; then the place of the extensions.
    out.extend_from_slice(&[2, 0, 0, 0]);
    out.extend_from_slice(&number(end));
    out.resize(48, 0);
    for (soname, path) in entries {
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&offset(soname));
        out.extend_from_slice(&offset(path));
        out.extend_from_slice(&[0; 12]);
    }
    out.extend_from_slice(&strings);
    out.resize(end, 0);
    // One extension: who made it.
    let release = glibc.split(['-', '+']).next().unwrap_or_default();
    let generator = format!("ldconfig (Debian GLIBC {glibc}) stable release version {release}");
    out.extend_from_slice(&0xeaa4_2174_u32.to_le_bytes());
    for n in [1, 0, 0, end + 24, generator.len()] {
        out.extend_from_slice(&number(n));
    }
    out.extend_from_slice(generator.as_bytes());
    out
}

/// glibc's string table: sorted from the end, greatest first, so that a string that ends another one shares its bytes.
fn strings<'a>(all: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, BTreeMap<&'a [u8], usize>) {
    let mut sorted: Vec<&[u8]> = all.collect();
    sorted.sort_by(|a, b| {
        let differs = a.iter().rev().zip(b.iter().rev()).find(|(x, y)| x != y);
        differs.map_or_else(|| b.len().cmp(&a.len()), |(x, y)| y.cmp(x))
    });
    sorted.dedup();
    let (mut bytes, mut offsets) = (Vec::new(), BTreeMap::new());
    let mut previous: Option<(&[u8], usize)> = None;
    for text in sorted {
        let at = match previous {
            Some((before, at)) if before.ends_with(text) => at + before.len() - text.len(),
            _ => {
                let at = bytes.len();
                bytes.extend_from_slice(text);
                bytes.push(0);
                at
            }
        };
        offsets.insert(text, at);
        previous = Some((text, at));
    }
    (bytes, offsets)
}
