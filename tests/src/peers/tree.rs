//! One line for each entry of a tree on disk, to compare what two programs made of the same layers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Need, run};

/// Lists everything under `root`, sorted by path: `type mode uid:gid size digest path`, where type is one
/// of `f d l p c b s`, mode is octal, size and digest (the first 16 hex digits of SHA-256) are `-` but for
/// files. A link shows ` -> target`; the second and further names of a file ` == first name`, after the
/// same numbers. Extended attributes follow as ` name=0xhex`, if getfattr is there. Modification times
/// are not listed.
///
/// # Errors
/// When something cannot be read.
pub fn list_tree(root: &Path) -> io::Result<Vec<String>> {
    let attributes = extended_attributes(root);
    let mut paths = Vec::new();
    let mut queue = vec![root.to_path_buf()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.symlink_metadata()?.is_dir() {
                queue.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    let mut first_names = BTreeMap::new();
    let mut lines = Vec::with_capacity(paths.len());
    for path in paths {
        let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        let mut line = describe(&path, &name)?;
        let meta = path.symlink_metadata()?;
        if meta.nlink() > 1 && !meta.is_dir() {
            match first_names.get(&(meta.dev(), meta.ino())) {
                Some(first) => {
                    let _ = write!(line, " == {first}");
                }
                None => {
                    first_names.insert((meta.dev(), meta.ino()), name.display().to_string());
                }
            }
        }
        if let Some(values) = attributes.get(&name) {
            let _ = write!(line, " {}", values.join(" "));
        }
        lines.push(line);
    }
    Ok(lines)
}

fn describe(path: &Path, name: &Path) -> io::Result<String> {
    let meta = path.symlink_metadata()?;
    let kind = meta.file_type();
    let letter = match () {
        () if kind.is_file() => 'f',
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_fifo() => 'p',
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () => 's',
    };
    let (size, digest) =
        if kind.is_file() { (meta.len().to_string(), short_digest(path)?) } else { ("-".into(), "-".into()) };
    let mut line = format!(
        "{letter} {:04o} {}:{} {size} {digest} {}",
        meta.mode() & 0o7777,
        meta.uid(),
        meta.gid(),
        name.display()
    );
    if kind.is_symlink() {
        let _ = write!(line, " -> {}", fs::read_link(path)?.display());
    }
    Ok(line)
}

fn short_digest(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut block)?;
        if n == 0 {
            break;
        }
        hasher.update(&block[..n]);
    }
    Ok(hasher.finalize().iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
}

/// Path under `root` → its attributes, sorted. getfattr quotes a byte of a name that is not printable as
/// three octal digits after a backslash.
fn extended_attributes(root: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let mut found: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let Some(getfattr) = Need::tool("getfattr") else {
        return found;
    };
    let said = run(
        Command::new(getfattr).args(["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."]).current_dir(root),
        Duration::from_secs(300),
    );
    let mut current = PathBuf::new();
    for line in said.ok().out().lines() {
        if let Some(name) = line.strip_prefix("# file: ") {
            current = PathBuf::from(unquote(name));
        } else if !line.is_empty() {
            found.entry(current.clone()).or_default().push(line.to_string());
        }
    }
    for values in found.values_mut() {
        values.sort();
    }
    found
}

fn unquote(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\').and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::peers::umoci_unpack;

    #[test]
    fn every_kind_of_entry_has_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/file"), "text").unwrap();
        fs::hard_link(dir.path().join("b/file"), dir.path().join("b/again")).unwrap();
        std::os::unix::fs::symlink("b/file", dir.path().join("a")).unwrap();
        let lines = list_tree(dir.path()).unwrap();
        let tails: Vec<&str> = lines.iter().map(|l| l.splitn(4, ' ').nth(3).unwrap()).collect();
        assert_eq!(
            tails,
            ["- - a -> b/file", "- - b", "4 982d9e3eb996f559 b/again", "4 982d9e3eb996f559 b/file == b/again",]
        );
    }

    #[test]
    fn getfattr_quoting_is_undone() {
        assert_eq!(unquote("a\\303\\274b\\134c"), "aüb\\c");
        assert_eq!(unquote("end\\12"), "end\\12");
    }

    /// The base `layers` holds what its Containerfile promises, in the opinion of umoci.
    #[test]
    fn the_layers_image_is_what_its_containerfile_says() {
        let Some(images) = Need::path("K8ORC_TEST_IMAGES") else {
            return;
        };
        let Some(dir) = umoci_unpack(&images.join("layout"), "layers") else {
            return;
        };
        let lines = list_tree(&dir.path().join("bundle/rootfs/srv")).unwrap();
        let line = |name: &str| {
            let found = lines.iter().find(|l| l.splitn(6, ' ').nth(5).is_some_and(|n| n.starts_with(name)));
            found.unwrap_or_else(|| panic!("no {name} in\n{}", lines.join("\n"))).as_str()
        };
        assert!(lines.iter().all(|l| !l.ends_with(" whiteout") && !l.contains(" gone") && !l.contains("hidden")));
        assert!(line("opaque/new").starts_with("f 0644 0:0 4 "));
        assert!(line("kind/to-directory").starts_with("d "));
        assert!(line("kind/to-file").starts_with("f "));
        assert!(line("links/two").ends_with(" == links/one"));
        assert!(line("replaced").starts_with("f 0600 0:0 7 ") && line("replaced").ends_with(" == links/lower"));
        assert!(line("links/setgid").starts_with("d 2755 2000000:2000001 "));
        assert!(line("links/setuid").starts_with("f 4755 "));
        assert!(line("attr").ends_with(" user.binary=0x6100620a633d64 user.note=0x706c61696e"));
        assert!(line("capable").contains(" security.capability=0x01000002000400000000000000000000"));
        for version in ["0.0", "0.1", "1.0"] {
            assert!(line(&format!("sparse-{version}/middle")).starts_with("f 0644 0:0 8388608 "), "{version}");
        }
        assert_eq!(line("sparse-0.0/many").split(' ').nth(4), line("sparse-1.0/many").split(' ').nth(4));
    }
}
