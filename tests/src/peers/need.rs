//! What a test cannot do without: a program, a variable, a user. Absent, the test is skipped aloud, or
//! fails where `K8ORC_REQUIRE=all` allows no skip.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Asks for one thing and says why the test is skipped when it is not there.
///
/// The sentence goes past libtest's capture to stderr, so that `cargo test` alone shows it, and to the
/// file that `K8ORC_TEST_SKIPS` names, as `need<TAB>reason<TAB>test`, where `tests/run` collects it.
pub struct Need {
    require_all: bool,
    skips: Option<PathBuf>,
    variable: fn(&str) -> Option<OsString>,
    say: fn(&str),
}

impl Need {
    /// The program `name`: its path, searched for in `PATH` and in the sbin directories, which not every
    /// user has in `PATH`.
    ///
    /// # Panics
    /// When it is absent and `K8ORC_REQUIRE=all`; so do the others.
    #[must_use]
    pub fn tool(name: &str) -> Option<PathBuf> {
        Need::here().find_tool(name)
    }

    /// The value of the variable `name`, if it is set and not empty.
    #[must_use]
    pub fn env(name: &str) -> Option<String> {
        Need::here().find_variable(name)
    }

    /// The path that the variable `name` holds. A variable that names nothing is a mistake of whoever
    /// set it, so it panics, whatever `K8ORC_REQUIRE` says.
    #[must_use]
    pub fn path(name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(Need::env(name)?);
        assert!(path.exists(), "{name} names {}, which is not there", path.display());
        Some(path)
    }

    /// Effective user 0, for what no runtime here does without it.
    #[must_use]
    pub fn root() -> Option<()> {
        let uid = std::fs::metadata("/proc/self").map(|m| m.uid());
        if uid.is_ok_and(|uid| uid == 0) {
            return Some(());
        }
        Need::here().skip("root", "it needs root; run tests/run as root");
        None
    }

    fn here() -> Need {
        let variable: fn(&str) -> Option<OsString> = |name| std::env::var_os(name);
        Need {
            require_all: variable("K8ORC_REQUIRE").is_some_and(|v| v == "all"),
            skips: variable("K8ORC_TEST_SKIPS").map(PathBuf::from),
            variable,
            // Not eprintln!: libtest hides that of a test that passes, and a skipped one passes.
            say: |sentence| drop(writeln!(std::io::stderr(), "{sentence}")),
        }
    }

    fn find_tool(&self, name: &str) -> Option<PathBuf> {
        let path = (self.variable)("PATH").unwrap_or_default();
        let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
        let found = std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(name)).find(|file| is_program(file));
        if found.is_none() {
            self.skip(name, &format!("the program {name} is absent; tests/run installs it"));
        }
        found
    }

    fn find_variable(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name).and_then(|v| v.into_string().ok()).filter(|v| !v.is_empty());
        if value.is_none() {
            self.skip(name, &format!("{name} is not set; tests/run sets it"));
        }
        value
    }

    /// Notes a skip, or panics.
    fn skip(&self, need: &str, reason: &str) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        assert!(!self.require_all, "{test} cannot run: {reason} (K8ORC_REQUIRE=all allows no skip)");
        (self.say)(&format!("skipped: {test}, because {reason}"));
        if let Some(skips) = &self.skips {
            // One write of one line, so that tests that run at the same time do not mix theirs.
            let line = format!("{need}\t{reason}\t{test}\n");
            let written = OpenOptions::new()
                .create(true)
                .append(true)
                .open(skips)
                .and_then(|mut file| file.write_all(line.as_bytes()));
            if let Err(error) = written {
                panic!("cannot write the list of skipped tests, {}: {error}", skips.display());
            }
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn need(require_all: bool, skips: Option<PathBuf>) -> Need {
        let variable = |name: &str| match name {
            "PATH" => Some(OsString::from("/bin:/usr/bin")),
            "SET" => Some(OsString::from("value")),
            "EMPTY" => Some(OsString::new()),
            _ => None,
        };
        Need { require_all, skips, variable, say: |_| () }
    }

    #[test]
    fn what_is_there_is_found() {
        let need = need(true, None);
        assert!(need.find_tool("sh").is_some());
        assert_eq!(need.find_variable("SET").as_deref(), Some("value"));
    }

    #[test]
    fn what_is_absent_is_noted_with_its_test() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("skips");
        let need = need(false, Some(file.clone()));
        assert_eq!(need.find_tool("no-such-program"), None);
        assert_eq!(need.find_variable("EMPTY"), None);
        let noted = std::fs::read_to_string(file).unwrap();
        let lines: Vec<Vec<&str>> = noted.lines().map(|l| l.split('\t').collect()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0][0], "no-such-program");
        assert_eq!(lines[1][1], "EMPTY is not set; tests/run sets it");
        assert!(lines[0][2].ends_with("what_is_absent_is_noted_with_its_test"));
    }

    #[test]
    #[should_panic(expected = "K8ORC_REQUIRE=all allows no skip")]
    fn where_all_is_required_absence_is_a_failure() {
        let _ = need(true, None).find_tool("no-such-program");
    }
}
