//! The administrator's side of dpkg: `diversions`, `statoverride`, `alternatives/*`.

use crate::line::{Line, Place, lines, shown};

/// A line of these files that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found \"{found}\"")]
pub struct AdminError {
    /// Line and bytes in the file.
    pub place: Place,
    /// What should stand there.
    pub expected: &'static str,
    /// What does, safe to print.
    pub found: String,
}

fn fail<T>(line: &Line<'_>, expected: &'static str) -> Result<T, AdminError> {
    Err(AdminError { place: line.place(), expected, found: shown(line.text) })
}

/// A file of one package that another one moved aside (dpkg-divert(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The path that is diverted.
    pub from: Vec<u8>,
    /// Where packages other than `package` put it.
    pub to: Vec<u8>,
    /// The package whose file stays at `from`; None for a local diversion (`:`).
    pub package: Option<String>,
}

/// Reads `diversions`: three lines each.
///
/// # Errors
/// A path that is not absolute, or a file that ends within three lines.
pub fn diversions(bytes: &[u8]) -> Result<Vec<Diversion>, AdminError> {
    let all: Vec<Line<'_>> = lines(bytes).collect();
    let mut out = Vec::new();
    for three in all.chunks(3) {
        let [from, to, package] = three else {
            return fail(&three[three.len() - 1], "three lines for each diversion");
        };
        for path in [from, to] {
            if !path.text.starts_with(b"/") {
                return fail(path, "an absolute path");
            }
        }
        let package = match std::str::from_utf8(package.text) {
            Ok(":") => None,
            Ok(name) if name.split(':').all(super::is_package_name) => Some(name.to_string()),
            _ => return fail(package, "the name of a package, or \":\""),
        };
        out.push(Diversion { from: from.text.into(), to: to.text.into(), package });
    }
    Ok(out)
}

/// Writes `diversions` back.
pub fn write_diversions(all: &[Diversion]) -> Vec<u8> {
    let mut out = Vec::new();
    for d in all {
        for part in [d.from.as_slice(), &d.to, d.package.as_deref().unwrap_or(":").as_bytes()] {
            out.extend_from_slice(part);
            out.push(b'\n');
        }
    }
    out
}

/// An owner and mode that the administrator chose (dpkg-statoverride(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Name of the owner, or `#` and a number.
    pub user: String,
    /// Name of the group, or `#` and a number.
    pub group: String,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Absolute path.
    pub path: Vec<u8>,
    /// Line in the file.
    pub line: usize,
}

/// Reads `statoverride`: `user group mode path`, the path may hold spaces.
///
/// # Errors
/// A line of another form.
pub fn stat_overrides(bytes: &[u8]) -> Result<Vec<Override>, AdminError> {
    const FORM: &str = "\"user group mode /path\"";
    let mut out = Vec::new();
    for line in lines(bytes) {
        let mut parts = line.text.splitn(4, |b| *b == b' ');
        let mut word = || parts.next().and_then(|w| std::str::from_utf8(w).ok()).filter(|w| !w.is_empty());
        let (user, group, mode) = (word(), word(), word());
        let path = parts.next().filter(|p| p.starts_with(b"/"));
        let mode = mode.filter(|m| m.bytes().all(|b| b.is_ascii_digit())).and_then(|m| u32::from_str_radix(m, 8).ok());
        match (user, group, mode.filter(|m| *m <= 0o7777), path) {
            (Some(user), Some(group), Some(mode), Some(path)) => {
                out.push(Override {
                    user: user.into(),
                    group: group.into(),
                    mode,
                    path: path.into(),
                    line: line.number,
                });
            }
            _ => return fail(&line, FORM),
        }
    }
    Ok(out)
}

/// One file of `alternatives/` (update-alternatives(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// `auto` (true) or `manual`.
    pub auto: bool,
    /// The path that programs use (`/usr/bin/awk`), a link to `/etc/alternatives/NAME`.
    pub link: Vec<u8>,
    /// What goes with it, for instance manual pages.
    pub slaves: Vec<Slave>,
    /// What can be chosen.
    pub choices: Vec<Choice>,
}

/// A link that follows the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slave {
    /// Its name in `/etc/alternatives`.
    pub name: Vec<u8>,
    /// The path that programs use.
    pub link: Vec<u8>,
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The file.
    pub path: Vec<u8>,
    /// Highest wins in `auto`.
    pub priority: i64,
    /// The file for each slave, at the same index; empty for none.
    pub slaves: Vec<Vec<u8>>,
}

/// Reads one file of `alternatives/`.
///
/// # Errors
/// Any departure from the form that update-alternatives writes.
pub fn alternative(bytes: &[u8]) -> Result<Alternative, AdminError> {
    let end = Line { number: lines(bytes).count() + 1, start: bytes.len(), text: b"", end: bytes.len() };
    let mut all = lines(bytes);
    let mut next = || all.next().unwrap_or(end);
    let mode = next();
    let auto = match mode.text {
        b"auto" => true,
        b"manual" => false,
        _ => return fail(&mode, "\"auto\" or \"manual\""),
    };
    let absolute = |line: Line<'_>| match line.text.starts_with(b"/") {
        true => Ok(line.text.to_vec()),
        false => fail(&line, "an absolute path"),
    };
    let link = absolute(next())?;
    let mut slaves = Vec::new();
    loop {
        let name = next();
        if name.text.is_empty() {
            break;
        }
        slaves.push(Slave { name: name.text.into(), link: absolute(next())? });
    }
    let mut choices = Vec::new();
    loop {
        let path = next();
        if path.text.is_empty() {
            return Ok(Alternative { auto, link, slaves, choices });
        }
        let priority = next();
        let number = std::str::from_utf8(priority.text).ok().and_then(|t| t.trim().parse().ok());
        let Some(number) = number else {
            return fail(&priority, "a priority");
        };
        let mut files = Vec::new();
        for _ in &slaves {
            files.push(next().text.to_vec());
        }
        choices.push(Choice { path: absolute(path)?, priority: number, slaves: files });
    }
}

/// Writes a file of `alternatives/` as update-alternatives does.
pub fn write_alternative(all: &Alternative) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |text: &[u8]| {
        out.extend_from_slice(text);
        out.push(b'\n');
    };
    line(if all.auto { b"auto" } else { b"manual" });
    line(&all.link);
    for slave in &all.slaves {
        line(&slave.name);
        line(&slave.link);
    }
    line(b"");
    for choice in &all.choices {
        line(&choice.path);
        line(choice.priority.to_string().as_bytes());
        for file in &choice.slaves {
            line(file);
        }
    }
    line(b"");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn diversions_go_round() {
        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/x\n/y\n:\n";
        let all = diversions(text).unwrap();
        assert_eq!(all[0].package.as_deref(), Some("dash"));
        assert_eq!(all[1].package, None);
        assert_eq!(write_diversions(&all), text);
        assert_eq!(diversions(b"/a\n/b\n").unwrap_err().place.line, 2);
        assert!(diversions(b"a\n/b\n:\n").is_err());
        assert!(diversions(b"/a\n/b\n../x\n").is_err());
    }

    #[test]
    fn overrides_are_read() {
        let all = stat_overrides(b"root messagebus 4754 /usr/lib/a b\n#1 #2 644 /x\n").unwrap();
        assert_eq!((all[0].mode, all[0].path.as_slice()), (0o4754, &b"/usr/lib/a b"[..]));
        assert_eq!(all[1].user, "#1");
        for bad in ["root root 9 /x\n", "root root 77777 /x\n", "root root 644 x\n", "root\n", "a b +7 /x\n"] {
            assert!(stat_overrides(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn alternatives_are_read() {
        let text = b"auto\n/usr/bin/pager\npager.1.gz\n/usr/share/man/man1/pager.1.gz\n\n/bin/more\n50\n\n/usr/bin/less\n77\n/usr/share/man/man1/less.1.gz\n\n";
        // The first choice has no page: its line is empty.
        let all = alternative(text).unwrap();
        assert_eq!(all.choices.len(), 2);
        assert_eq!(all.choices[0].slaves, [b"".to_vec()]);
        assert_eq!(all.choices[1].priority, 77);
        assert_eq!(alternative(b"auto\n/x\n\n/y\nmany\n").unwrap_err().place.line, 5);
        assert!(alternative(b"").is_err());
        assert!(alternative(b"auto\n").is_err());
        assert!(alternative(b"auto\n/x\n\ny\n1\n").is_err());
    }

    #[test]
    fn this_machines_files_are_read() {
        let Ok(dir) = std::fs::read_dir("/var/lib/dpkg/alternatives") else {
            println!("skipped: no dpkg here");
            return;
        };
        for entry in dir {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let read = alternative(&bytes).unwrap();
            assert_eq!(write_alternative(&read), bytes, "{}", path.display());
            assert!(!read.choices.is_empty(), "{}", path.display());
        }
        diversions(&std::fs::read("/var/lib/dpkg/diversions").unwrap_or_default()).unwrap();
        stat_overrides(&std::fs::read("/var/lib/dpkg/statoverride").unwrap_or_default()).unwrap();
    }
}
