//! systemd-sysusers(8): accounts of a file of `/usr/lib/sysusers.d`.

use super::accounts::{self, Account, Ids};
use super::apply::{Scene, missing};
use super::failure::Failure;

/// Carries a file out, by its name or path.
pub(super) fn run(scene: &mut Scene<'_>, name: &str) -> Result<(), Failure> {
    let path = if name.starts_with('/') { name.to_owned() } else { format!("/usr/lib/sysusers.d/{name}") };
    let Some(text) = scene.tree.read(path.as_bytes()) else {
        return Err(missing(format!("systemd-sysusers would read {path}, which is not there")));
    };
    let text = String::from_utf8_lossy(text).into_owned();
    let bad = |line: &str| Err(missing(format!("a line of {path} cannot be read: {}", diag::text::printable(line))));
    let mut members = Vec::new();
    // Groups come first, whatever the order of lines.
    for kinds in ["g", "u"] {
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let words = words(line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (Some(kind), Some(name)) = (words.first(), words.get(1)) else { return bad(line) };
            let field = |n: usize| words.get(n).copied().filter(|w| *w != "-");
            if words.iter().any(|w| w.contains('%')) || field(2).is_some_and(|id| id.starts_with('/')) {
                return bad(line);
            }
            match *kind {
                "g" if kinds == "g" => {
                    let gid = match field(2).map(str::parse) {
                        None => None,
                        Some(Ok(gid)) => Some(gid),
                        Some(Err(_)) => return bad(line),
                    };
                    accounts::sysusers_group(scene.tree, name, gid)?;
                }
                "u" | "u!" if kinds == "u" => {
                    let (uid, group) = match field(2) {
                        None => (None, None),
                        Some(id) => match id.split_once(':') {
                            Some((uid, group)) => (Some(uid).filter(|u| *u != "-"), Some(group)),
                            None => (Some(id), None),
                        },
                    };
                    let uid = match uid.map(str::parse) {
                        None => None,
                        Some(Ok(uid)) => Some(uid),
                        Some(Err(_)) => return bad(line),
                    };
                    let account = Account {
                        name: (*name).to_owned(),
                        uid,
                        group: Some(group.unwrap_or(name).to_owned()),
                        gid: None,
                        home: field(4).unwrap_or("/").to_owned(),
                        make_home: false,
                        shell: field(5).unwrap_or("/usr/sbin/nologin").to_owned(),
                        gecos: field(3).unwrap_or_default().to_owned(),
                        ids: Ids::Downwards,
                    };
                    accounts::sysusers_user(scene.tree, &account, *kind == "u!")?;
                }
                "m" if kinds == "u" => members.push(((*name).to_owned(), field(2).unwrap_or_default().to_owned())),
                "g" | "u" | "u!" | "m" => {}
                _ => return bad(line),
            }
        }
    }
    for (user, group) in members {
        accounts::sysusers_group(scene.tree, &group, None)?;
        accounts::member(scene.tree, &user, &group)?;
    }
    Ok(())
}

/// Words of a line, with double quotes.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut out, mut word, mut quoted, mut there) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' => (quoted, there) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if there {
                    out.push(std::mem::take(&mut word));
                }
                there = false;
            }
            c => {
                word.push(c);
                there = true;
            }
        }
    }
    if there {
        out.push(word);
    }
    out
}
