//! Traces of the machine that wrote a file: its name, its directories, the names of its proxies.

use std::path::Path;

use super::tree::files;

/// What must not be found.
pub struct Machine(Vec<String>);

impl Machine {
    /// The machine that the test runs on.
    #[must_use]
    pub fn here(root: &Path) -> Machine {
        let mut marks = Vec::new();
        if let Some(path) = root.canonicalize().ok().as_deref().and_then(Path::to_str) {
            marks.push(path.to_owned());
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        marks.push(host.trim().to_owned());
        for (name, value) in std::env::vars() {
            if name.to_lowercase().ends_with("_proxy") && !name.eq_ignore_ascii_case("no_proxy") {
                let host = value.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
                let host = host.rsplit('@').next().unwrap_or_default();
                marks.push(host.split(':').next().unwrap_or_default().to_owned());
            }
        }
        Machine::new(marks)
    }

    /// These marks, without those too short or too common to mean anything.
    #[must_use]
    pub fn new(marks: Vec<String>) -> Machine {
        const COMMON: [&str; 6] = ["localhost", "127.0.0.1", "localhost.localdomain", "debian", "ubuntu", "builder"];
        Machine(marks.into_iter().filter(|mark| mark.len() > 5 && !COMMON.contains(&mark.as_str())).collect())
    }

    fn in_line(&self, line: &str) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|mark| line.contains(mark))
    }
}

/// Complaints about every text file below `root`.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn spots(root: &Path, machine: &Machine) -> Vec<String> {
    // Of containers and sandboxes; put together here, so that this list does not find itself.
    let common =
        [["/wor", "k/main"], ["/wor", "k/shared"], ["/tmp/", "wt/"], ["target-", "helpers"]].map(|p| p.concat());
    let mut wrong = Vec::new();
    for path in files(root) {
        let bytes = std::fs::read(root.join(&path)).expect("a file of the workspace");
        let Ok(text) = String::from_utf8(bytes) else { continue };
        for (at, line) in text.lines().enumerate() {
            let common = common.iter().map(String::as_str).find(|mark| line.contains(mark));
            if let Some(mark) = machine.in_line(line).or(common) {
                wrong.push(format!("{path}:{}: {mark}", at + 1));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a.txt"), "one\nat build-host-17 it works\n").expect("ours");
        let machine = Machine::new(vec!["build-host-17".into(), "vm".into(), "localhost".into()]);
        assert_eq!(spots(directory.path(), &machine), ["a.txt:2: build-host-17"]);
        assert_eq!(spots(directory.path(), &Machine::new(Vec::new())), [""; 0]);
    }
}
