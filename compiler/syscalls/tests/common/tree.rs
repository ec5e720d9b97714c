//! A directory on this machine as the tree that a derivation reads.

use std::path::{Path, PathBuf};

use syscalls::derive::tree::Tree;

/// A directory as a tree: links are followed inside it.
pub struct Directory(pub PathBuf);

impl Directory {
    fn follow(&self, path: &str) -> Option<PathBuf> {
        let mut todo: Vec<String> = path.split('/').rev().filter(|n| !n.is_empty()).map(str::to_owned).collect();
        let mut done = PathBuf::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == "." {
                continue;
            }
            if name == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&name);
            match std::fs::read_link(self.0.join(&next)) {
                Ok(target) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    let target = target.to_string_lossy().into_owned();
                    if target.starts_with('/') {
                        done = PathBuf::new();
                    }
                    todo.extend(target.split('/').rev().filter(|n| !n.is_empty()).map(str::to_owned));
                }
                Err(_) => done = next,
            }
        }
        Some(done)
    }
}

impl Tree for Directory {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(self.follow(path)?)).ok()
    }

    fn resolve(&self, path: &str) -> Option<String> {
        let path = self.follow(path)?;
        self.0.join(&path).metadata().ok()?;
        Some(format!("/{}", path.display()))
    }

    fn paths(&self) -> Vec<String> {
        // What is asked for lies in few places; the machine's own root has too many files to walk them all.
        let places = ["etc/ld.so.conf.d", "lib", "usr/lib"].map(|place| self.0.join(place));
        let (mut todo, mut found) = (places.to_vec(), Vec::new());
        while let Some(directory) = todo.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        let path = entry.path();
                        let inside = path.strip_prefix(&self.0).unwrap_or(Path::new(""));
                        found.push(format!("/{}", inside.display()));
                    }
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }
}
