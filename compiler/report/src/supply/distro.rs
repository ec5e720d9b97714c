//! Which distribution a base is, in the words of os-release(5).

use plan::facts::Facts;
use plan::path::ImagePath;

/// What the scanners need of os-release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Distro {
    /// `ID`: `debian`, `alpine`.
    pub id: Option<String>,
    /// `VERSION_ID`: `13`.
    pub version: Option<String>,
}

impl Distro {
    /// From the file that the survey read; empty where the base has none.
    pub fn of(facts: &Facts) -> Self {
        let file = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| {
            let path = ImagePath::parse(path.as_bytes()).ok()?;
            facts.files.get(&path)
        });
        file.map_or_else(Self::default, |bytes| Self::parse(&String::from_utf8_lossy(bytes)))
    }

    fn parse(text: &str) -> Self {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
            let line = line.trim();
            let inner = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let inner = inner.or_else(|| line.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')));
            Some(inner.unwrap_or(line).to_owned()).filter(|value| !value.is_empty())
        };
        Self { id: value("ID").map(|id| id.to_ascii_lowercase()), version: value("VERSION_ID") }
    }

    /// `debian-13`, or the name alone where the version is not said.
    pub fn qualifier(&self) -> Option<String> {
        let id = self.id.as_deref()?;
        Some(self.version.as_deref().map_or_else(|| id.to_owned(), |version| format!("{id}-{version}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_or_not() {
        let debian = Distro::parse("PRETTY_NAME=\"Debian\"\nVERSION_ID=\"13\"\nID=debian\n");
        assert_eq!(debian.qualifier().as_deref(), Some("debian-13"));
        let alpine = Distro::parse("ID='Alpine'\nVERSION_ID=3.22.1\n");
        assert_eq!(alpine.qualifier().as_deref(), Some("alpine-3.22.1"));
        assert_eq!(Distro::parse("ID=arch\nVERSION_ID=\n").qualifier().as_deref(), Some("arch"));
        assert_eq!(Distro::parse("NOT_ID=x\n"), Distro::default());
    }
}
